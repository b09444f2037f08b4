"""What is told already, so that reconcile.py doesn't tell it again of a payment or refund. Reads only.

Payouts whose lines don't come to their amount (`payout_sum`), and the payment or refund that each leaves out or lists
twice: a gap accounts for one payment at most. And payments that were taken a second time (`other_reference`), once
that second one is paid out. Takes the caller's `tx`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..payments.tables import PaymentBreakRow
from ..settlement.tables import PayoutRow
from .differences import Sums
from .rules import HORIZON

PAYOUT_SUM = "payout_sum"  # breaks
TAKEN_AGAIN = "other_reference"
_break, _payout = table(PaymentBreakRow), table(PayoutRow)


@dataclass(frozen=True, slots=True)
class Gap:
    """By how much a payout is more than its lines."""

    created_at: datetime
    missing: Money


def open_gaps(tx: Tx, merchant: str) -> list[Gap]:
    """Of payouts whose break is open, oldest first."""
    same = and_(
        _payout.c.tenant_id == _break.c.tenant_id,
        _payout.c.merchant == _break.c.merchant,
        _payout.c.processor_ref == _break.c.subject,
    )
    query = select(_payout.c.created_at, _break.c.amount_minor, _break.c.currency).select_from(
        _break.join(_payout, same)
    )
    query = query.where(_break.c.tenant_id == tx.tenant, _break.c.merchant == merchant, _break.c.kind == PAYOUT_SUM)
    rows = tx.all(query.where(_break.c.closed_at.is_(None)).order_by(_payout.c.created_at, _payout.c.payout_id))
    return [Gap(row["created_at"], Money(row["amount_minor"], row["currency"])) for row in rows]


def taken_again(tx: Tx, merchant: str) -> list[tuple[str, Money]]:
    """Payments of which somebody is told that they were taken a second time, with what that took."""
    query = select(_break.c.payment_id, _break.c.amount_minor, _break.c.currency)
    query = query.where(_break.c.tenant_id == tx.tenant, _break.c.merchant == merchant, _break.c.kind == TAKEN_AGAIN)
    rows = tx.all(query.where(_break.c.closed_at.is_(None), _break.c.amount_minor.is_not(None)))
    return [(row["payment_id"], Money(row["amount_minor"], row["currency"])) for row in rows]


class Gaps:
    """Of one merchant, each to be taken once."""

    def __init__(self, gaps: Iterable[Gap], again: Iterable[tuple[str, Money]] = ()) -> None:
        self._left = list(gaps)
        self._again = set(again)

    def take(self, one: Sums) -> bool:
        """Whether a payout after it lacks just this payment or refund, or has just so much more of it; or it is more by
        just what was taken a second time."""
        if one.count and (one.payment_id, one.lines - one.books) in self._again and not one.refund_id:
            return True
        for gap in self._left:
            if one.at <= gap.created_at < one.at + HORIZON and _accounts_for(gap.missing, one):
                self._left.remove(gap)
                return True
        return False


def _accounts_for(missing: Money, one: Sums) -> bool:
    if missing.currency != one.books.currency:
        return False
    if one.count:
        more = (one.lines - one.books) - (one.fee_lines - one.fee_books)
        return missing == -more
    same_side = (missing.minor > 0) == (one.books.minor > 0)
    return same_side and 0 < abs(missing.minor) <= abs(one.books.minor)  # less its fee, which no line tells
