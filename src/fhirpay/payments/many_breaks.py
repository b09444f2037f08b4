"""Breaks by the hundred, in one statement: as store.open_break opens one that is `standing`. Called by reconcile.py and
age_in_transit.py of usecases/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, case, or_
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from .store import is_accepted
from .tables import PaymentBreakRow

_break = table(PaymentBreakRow)
_ADD = insert(_break)
_CLOSED = _break.c.closed_at.is_not(None)
_NOW = _ADD.excluded
_OPEN = _ADD.on_conflict_do_update(
    index_elements=["tenant_id", "break_key"],
    set_={
        **{name: _NOW[name] for name in ("kind", "says", "subject", "closed_by", "amount_minor", "currency")},
        "closed_at": None,
        "accepted_minor": None,
        "opened_at": case((_CLOSED, _NOW.opened_at), else_=_break.c.opened_at),
    },
    where=and_(or_(_CLOSED, _break.c.says != _NOW.says), ~is_accepted(_NOW)),
)


@dataclass(frozen=True, slots=True)
class NewBreak:
    """A difference of a payment, or (`subject`) of its refund."""

    key: str
    kind: str
    payment_id: str
    subject: str
    merchant: str
    amount: Money
    says: str


def open_breaks(tx: Tx, breaks: Sequence[NewBreak]) -> None:
    """Those that were closed are opened anew, unless a person accepted just this amount; those that are open say
    what is so now, and are as old as they were."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "break_key": one.key,
            "kind": one.kind,
            "payment_id": one.payment_id,
            "subject": one.subject,
            "merchant": one.merchant,
            "amount_minor": one.amount.minor,
            "currency": one.amount.currency,
            "says": one.says,
            "opened_at": tx.now,
            "closed_by": "",
        }
        for one in breaks
    ]
    if rows:
        tx.execute(_OPEN, rows)
