"""What a difference between the ledger and the lines of payouts is called. Pure; called by usecases/reconcile.py."""

from __future__ import annotations

from ..domain.money import Money
from ..payments.many_breaks import NewBreak
from .differences import Days, Sums
from .rules import HORIZON

MISSING = "missing_at_processor"  # breaks
TWICE = "paid_out_twice"
AMOUNT = "amount_differs"
FEE = "fee_differs"
KINDS = (MISSING, TWICE, AMOUNT, FEE)


def judge(one: Sums, days: Days | None) -> NewBreak | None:
    """A break's amount is by how much the lines are more than the books. None: it may yet come, or is of days whose
    payouts aren't known here."""
    subject = one.refund_id or one.payment_id
    off = one.lines - one.books
    if not one.count:
        due = days is not None and days.since <= one.at < days.until - HORIZON
        if not one.books or not off or not due:
            return None
        says = f"{subject} of {abs(one.books)} is in the books since {one.day}, and in no payout"
        return _named(MISSING, one, off, says)
    if not one.books:
        return None  # voided, and paid out all the same: the line itself tells
    if off:
        times = one.lines.minor // one.books.minor
        if one.count > 1 and times > 1 and one.lines.minor == times * one.books.minor:
            says = f"{subject} of {abs(one.books)} stands in payouts {times} times"
            return _named(TWICE, one, off, says)
        says = f"{subject} is {one.books} in the books, and its lines of payouts come to {one.lines}"
        return _named(AMOUNT, one, off, says)
    if one.fees_settled and one.fee_books != one.fee_lines:
        says = f"the fees of {subject} are {one.fee_books} in the books, and {one.fee_lines} in its lines"
        return _named(FEE, one, one.fee_lines - one.fee_books, says)
    return None


def _named(kind: str, one: Sums, amount: Money, says: str) -> NewBreak:
    subject = one.refund_id or one.payment_id
    return NewBreak(f"reconcile:{kind}:{subject}", kind, one.payment_id, subject, one.merchant, amount, says)
