"""Is an FT1 that comes in one of ours that comes back? For whoever takes in payments that the EHR has posted itself.

Many EHRs send every transaction on, also those that we posted: taken for a payment of their own it would count twice.
An echo is a confirmation and nothing more: what was unknown of its posting is known by it (`confirm_echo`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..db.unit import Tx
from ..domain.money import Money
from ..payments import refunds
from ..payments import store as payments
from ..writeback import dft, store
from ..writeback.store import Posting
from .post_dft import confirm


@dataclass(frozen=True, slots=True)
class Echo:
    """Whose echo it is. `amount` is the one that we posted under that FT1-2; None where only FT1-30 told."""

    payment_id: str
    refund_id: str
    amount: Money | None
    postings: tuple[Posting, ...]


def echo_of(tx: Tx, *, transaction: str, reference: str = "") -> Echo | None:
    """What of ours an FT1 repeats, by FT1-2 (our allocation) or FT1-30.1 (our processor's reference); None: nothing.

    Letters' case doesn't matter, since some receivers keep capitals only. A reference that more than one payment has
    tells nothing.
    """
    subject, _, number = transaction.strip().lower().rpartition("-")
    if subject and number.isdigit():
        known = [one for one in store.find(tx, subject) if one.subject == subject]
        if known and (amount := _amount(tx, known[0], int(number))) is not None:
            return _echo(known, amount)
    return _by_reference(tx, reference.strip()) if reference.strip() else None


def confirm_echo(tx: Tx, echo: Echo, connection: str = "") -> list[str]:
    """The EHR has it: postings over HL7v2 that were unknown are posted; their ids. `connection` tells which EHR."""
    return [
        confirmed
        for one in echo.postings
        if one.resource_type == dft.MESSAGE_TYPE and connection in ("", one.connection)
        if (confirmed := confirm(tx, one))
    ]


def _by_reference(tx: Tx, reference: str) -> Echo | None:
    subjects = {one.payment_id for one in payments.find(tx, reference) if reference != one.payment_id}
    subjects |= {one.refund_id for one in refunds.find(tx, reference) if reference != one.refund_id}
    if len(subjects) != 1:
        return None
    (subject,) = subjects
    known = [one for one in store.find(tx, subject) if one.subject == subject]
    return _echo(known, None) if known else None


def _echo(known: Iterable[Posting], amount: Money | None) -> Echo:
    postings = tuple(known)
    first = postings[0]
    return Echo(first.payment_id, first.subject if first.is_refund else "", amount, postings)


def _amount(tx: Tx, posting: Posting, number: int) -> Money | None:
    """Of line `number`; None where we posted no such line."""
    if posting.is_refund:
        shares = refunds.shares(tx, posting.subject)
        return shares[number - 1].amount if 1 <= number <= len(shares) else None
    paid = [share for share in payments.allocations(tx, posting.payment_id) if share.paid]
    for share in paid:
        if share.sequence == number:
            return share.paid
    rest = sum((-share.paid for share in paid), payments.get(tx, posting.payment_id).captured)
    return rest if rest and number == max((share.sequence for share in paid), default=0) + 1 else None
