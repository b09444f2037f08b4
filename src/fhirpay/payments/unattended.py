"""Payments that nobody is there to answer for: what a stored method was tried with, and what waits for its payer.

Takes the caller's `tx`. Called by usecases/start_payment.py (may it be tried?), settle_outcome.py and desk_list.py.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import PaymentState
from .declines import find
from .records import Payment, StoredMethod
from .retries import KNOWN_FOR, MUST_CONFIRM, Try, why_not
from .tables import PaymentRow

BY_LINK = "policy:link"  # who asked for the page that its payer is sent instead

_payment = table(PaymentRow)
_PAGE = 1000
_CAME_TO_NOTHING = tuple(str(one) for one in (PaymentState.DECLINED, PaymentState.FAILED, PaymentState.CANCELED))


def may_not_try(tx: Tx, method: StoredMethod, amount: Money, *, unattended: bool) -> str:
    """Why this method may not be tried with this amount now; empty: it may."""
    tries = _tries_of(tx, method.method_id, tx.now - KNOWN_FOR)
    return why_not(tries, amount, brand=method.brand, unattended=unattended, now=tx.now)


def _tries_of(tx: Tx, method_id: str, since: datetime) -> list[Try]:
    """What this stored method was declined since then, or what its bank wanted confirmed."""
    of = (_payment.c.tenant_id == tx.tenant, _payment.c.method_id == method_id, _payment.c.created_at >= since)
    rows = tx.all(select(_payment).where(*of, _payment.c.state.in_(_CAME_TO_NOTHING)))
    found = [one for one in map(Payment.of, rows) if find(one.failure_code) or one.failure_code == MUST_CONFIRM]
    return [Try(one.created_at, one.amount, one.failure_code) for one in found]


def waiting_for_payers(tx: Tx, account_ref: str | None = None) -> list[Payment]:
    """Those that have a page for their payer to confirm or pay, and nobody is on it by themselves; oldest first."""
    asks = (_payment.c.tenant_id == tx.tenant, _payment.c.state == str(PaymentState.REQUIRES_ACTION))
    unattended = or_(_payment.c.initiated_by == "merchant", _payment.c.requested_by == BY_LINK)
    statement = select(_payment).where(*asks, unattended, _payment.c.hosted_url.is_not(None))
    if account_ref is not None:
        statement = statement.where(_payment.c.account_ref == account_ref)
    ordered = statement.order_by(_payment.c.created_at, _payment.c.payment_id)
    return [Payment.of(row) for row in tx.all(ordered.limit(_PAGE))]
