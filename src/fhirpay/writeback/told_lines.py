"""The lines of what came after a payment's first posting, as EHRs are told them: which line each takes back, and how
much of it. Takes the caller's `tx`, whose unit holds the payment's lock. Called by usecases/told.py.

A row is never changed: what a refund takes back may be rendered long after it was told, when more has followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from .tables import ToldLineRow

_line = table(ToldLineRow)
_ALL = select(_line).where(_line.c.tenant_id == bindparam("tenant")).order_by(_line.c.subject, _line.c.number)
_OF_SUBJECT = _ALL.where(_line.c.subject == bindparam("about"))
_OF_PAYMENT = _ALL.where(_line.c.payment_id == bindparam("payment"))


@dataclass(frozen=True, slots=True)
class ToldLine:
    """`number` counts from 1 within `subject`; `side` is which of its shares, or of a movement's lines, it is (a part)
    of. `takes_back` is a line's identifier; empty of one that pays, whose `amount` is below zero."""

    subject: str
    number: int
    side: int
    takes_back: str
    amount: Money


def add(tx: Tx, payment_id: str, lines: Sequence[ToldLine]) -> None:
    """Keep them, once: there are none of that subject yet."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "subject": one.subject,
            "number": one.number,
            "payment_id": payment_id,
            "side": one.side,
            "takes_back": one.takes_back,
            "amount_minor": one.amount.minor,
            "currency": one.amount.currency,
        }
        for one in lines
    ]
    if rows:
        tx.execute(insert(_line).values(rows))


def of_subject(tx: Tx, subject: str) -> list[ToldLine]:
    """By number; none of what was told before they were kept."""
    return [_read(row) for row in tx.all(_OF_SUBJECT, about=subject)]


def of_payment(tx: Tx, payment_id: str) -> list[ToldLine]:
    """Of all that came after its first posting, by subject and number."""
    return [_read(row) for row in tx.all(_OF_PAYMENT, payment=payment_id)]


def _read(row: RowMapping) -> ToldLine:
    amount = Money(row["amount_minor"], row["currency"])
    return ToldLine(row["subject"], row["number"], row["side"], row["takes_back"], amount)
