"""What is told already, so that reconcile.py doesn't tell it again of a payment or refund. Reads only.

Payouts whose lines don't come to their amount (`payout_sum`), and the payment or refund that each leaves out or lists
twice: a gap accounts for one payment at most. And payments that were taken a second time (`other_reference`), once
that second one is paid out. Takes the caller's `tx`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, literal, or_, select, update

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
    """By how much a payout is more than its lines, and the key of its break, which `names` a payment or none."""

    key: str
    names: str
    created_at: datetime
    missing: Money


def open_gaps(tx: Tx, merchant: str) -> list[Gap]:
    """Of payouts whose break is open or accepted, oldest first."""
    same = and_(
        _payout.c.tenant_id == _break.c.tenant_id,
        _payout.c.merchant == _break.c.merchant,
        _payout.c.processor_ref == _break.c.subject,
    )
    query = select(_break, _payout.c.created_at)
    query = query.select_from(_break.join(_payout, same))
    query = query.where(_break.c.tenant_id == tx.tenant, _break.c.merchant == merchant, _break.c.kind == PAYOUT_SUM)
    stands = or_(_break.c.closed_at.is_(None), _break.c.accepted_minor.is_not(None))
    rows = tx.all(query.where(stands).order_by(_payout.c.created_at, _payout.c.payout_id))
    return [
        Gap(row["break_key"], row["payment_id"], row["created_at"], Money(row["amount_minor"], row["currency"]))
        for row in rows
    ]


def sum_key(merchant: str, payout_ref: str) -> str:
    """Of the break of a payout that its lines don't come to."""
    return f"{merchant}:{payout_ref}:sum"


def account_for(tx: Tx, taken: Mapping[str, str]) -> None:
    """Let each of these breaks name the payment that it alone tells of, or none."""
    for key, payment_id in taken.items():
        mine = (_break.c.tenant_id == tx.tenant, _break.c.break_key == key)
        tx.execute(update(_break).where(*mine).values(payment_id=payment_id))


def account_for_balance(tx: Tx, merchant: str, currency: str, told_by: Mapping[str, int]) -> None:
    """Let these breaks say how much of the processor's balance they alone tell of, and others of it nothing."""
    mine = (_break.c.tenant_id == tx.tenant, _break.c.merchant == merchant, _break.c.currency == currency)
    now = case(dict(told_by), value=_break.c.break_key, else_=0) if told_by else literal(0)
    tx.execute(update(_break).where(*mine, _break.c.balance_minor != now).values(balance_minor=now))


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
        self._names = {one.key: one.names for one in self._left}
        self._takes = dict.fromkeys(self._names, "")

    @property
    def renamed(self) -> dict[str, str]:
        """Breaks that name another payment than the one which they account for, each with that one."""
        return {key: payment for key, payment in self._takes.items() if payment != self._names[key]}

    def take(self, one: Sums) -> bool:
        """Whether a payout after it lacks just this payment or refund, or has just so much more of it; or it is more by
        just what was taken a second time."""
        if one.count and (one.payment_id, one.lines - one.books) in self._again and not one.refund_id:
            return True
        for gap in self._left:
            if one.at <= gap.created_at < one.at + HORIZON and _accounts_for(gap.missing, one):
                self._left.remove(gap)
                self._takes[gap.key] = one.payment_id
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
