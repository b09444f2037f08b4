"""What EHRs are told of a payment: first all of it, then what goes back or moves, each as a posting of its own.

Read by whoever posts, proves or hears of postings again. The first posting says what the payment paid when it was
captured, also where it is rendered later than a movement of its money: both are told, and nothing counts twice. What
comes after it is named by its refund's or movement's id, the `subject` of its postings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..db.unit import Tx
from ..domain.money import Money
from ..payments import movements, refunds
from ..payments import store as payments
from ..payments.movements import Movement
from ..payments.records import Payment
from ..writeback.posted import allocation_id


@dataclass(frozen=True, slots=True)
class First:
    """A line of the first posting."""

    sequence: int
    obligation_id: str
    account_ref: str
    paid: Money


@dataclass(frozen=True, slots=True)
class Back:
    """A line of what came after. `amount` is taken back from `allocation` (0: what none had claimed); below zero it is
    what the money pays instead, from then on."""

    number: int
    allocation: int
    obligation_id: str
    account_ref: str
    amount: Money


def taken(payment: Payment) -> Money:
    """All that was ever captured of it."""
    return payment.captured + payment.voided


def first_lines(tx: Tx, payment_id: str) -> list[First]:
    """In their sequence, also what isn't paid."""
    since = movements.moved_by_allocation(movements.of_payment(tx, payment_id))
    return [
        First(
            one.sequence,
            one.obligation_id,
            one.account_ref,
            Money(one.paid.minor - since.get(one.sequence, 0), one.paid.currency),
        )
        for one in payments.allocations(tx, payment_id)
    ]


def first_rest(payment: Payment, lines: Iterable[First]) -> Money:
    """What no line of the first posting claims."""
    return sum((-one.paid for one in lines), taken(payment))


def back_lines(tx: Tx, subject: str) -> list[Back]:
    """Of a refund, a void or a reallocation, by number."""
    if movement := movements.find(tx, subject):
        return [
            Back(number, line.allocation, line.obligation_id, line.account_ref, -line.amount)
            for number, line in enumerate(movement.lines, start=1)
        ]
    return [
        Back(number, share.allocation, share.obligation_id, share.account_ref, share.amount)
        for number, share in enumerate(refunds.shares(tx, subject), start=1)
    ]


def said_as(tx: Tx, payment_id: str, allocation: int, *, before: str = "") -> str:
    """By which line an EHR knows what an allocation has: of the first posting, or of what moved money there since.

    Empty for money that was moved to no obligation's by nothing that is known: it is then the first posting's advance.
    """
    earlier: list[Movement] = []
    for one in movements.of_payment(tx, payment_id):
        if one.movement_id == before:
            break
        earlier.append(one)
    first = {one.sequence for one in first_lines(tx, payment_id) if one.paid}
    if allocation in first:
        return allocation_id(payment_id, allocation)
    for one in reversed(earlier):
        for number, line in enumerate(one.lines, start=1):
            if line.allocation == allocation and line.amount.minor > 0:
                return allocation_id(one.movement_id, number)
    return ""
