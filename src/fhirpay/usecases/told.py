"""What EHRs are told of a payment: first all of it, then what goes back or moves, each as a posting of its own.

Read by whoever posts, proves or hears of postings again. The first posting says what the payment paid when it was
captured, also where it is rendered later than a movement of its money: both are told, and nothing counts twice. What
comes after it is named by its refund's or movement's id, the `subject` of its postings; each of its lines takes back of
one line that was told before, and never more than that has left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..db.unit import Tx
from ..domain.money import Money
from ..payments import disputes, movements, refunds, returns
from ..payments import store as payments
from ..payments.records import Payment
from ..writeback import told_lines
from ..writeback.posted import allocation_id
from ..writeback.told_lines import ToldLine


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
    what the money pays instead, from then on. `takes_back` is the identifier of the line that it names."""

    number: int
    allocation: int
    obligation_id: str
    account_ref: str
    amount: Money
    takes_back: str = ""


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
    """Of whatever came after, by number: as `tell` has kept them; of what was told before it did, as its sides are."""
    sides = _sides(tx, subject)
    kept = told_lines.of_subject(tx, subject)
    return [
        replace(sides[one.side - 1], number=one.number, amount=one.amount, takes_back=one.takes_back) for one in kept
    ] or sides


def tell(tx: Tx, payment_id: str, subject: str) -> None:
    """Keep which lines this takes back: of several, each in a line of its own, and of none more than it has left. What
    restores names the lines that took back. Again, it changes nothing. Under the payment's lock, once it stands.

    Only where the payer has had money twice (refunded, and come back as well) is more taken back than there is: in a
    line that names the one that had it.
    """
    sides = _sides(tx, subject)
    if not sides or told_lines.of_subject(tx, subject):
        return
    restored = _restored(tx, subject)
    known = _taken_by(tx, payment_id, restored) if restored else _paying(tx, payment_id, but=subject)
    lines: list[ToldLine] = []
    for side, one in enumerate(sides, start=1):
        parts = [("", one.amount)] if one.amount.minor < 0 else _spread(known, one.allocation, one.amount)
        for takes_back, amount in parts:
            lines.append(ToldLine(subject, len(lines) + 1, side, takes_back, amount))
    told_lines.add(tx, payment_id, lines)


def paying_line(tx: Tx, payment_id: str, allocation: int) -> str:
    """The newest line that an EHR has for an allocation (0: for what none claims), whatever is left of it; or empty."""
    return next((one.identifier for one in reversed(_paying(tx, payment_id)) if one.allocation == allocation), "")


@dataclass(slots=True)
class _Known:
    """A line that was told, and how much of it can be taken back, or restored."""

    identifier: str
    allocation: int
    left: int


def _sides(tx: Tx, subject: str) -> list[Back]:
    """Its shares, or a movement's lines, whole: below zero is what money pays instead. What restores is above it."""
    if movement := movements.find(tx, subject):
        sign = 1 if movement.restores else -1
        return [
            Back(
                number,
                line.allocation,
                line.obligation_id,
                line.account_ref,
                Money(sign * line.amount.minor, line.amount.currency),
            )
            for number, line in enumerate(movement.lines, start=1)
        ]
    return [
        Back(number, share.allocation, share.obligation_id, share.account_ref, share.amount)
        for number, share in enumerate(refunds.shares(tx, subject), start=1)
    ]


def _restored(tx: Tx, subject: str) -> list[str]:
    """What it brings again: a return, a refund, or the losses of its dispute before it. None: it takes back."""
    if movement := movements.find(tx, subject):
        return [movement.restores] if movement.restores else []
    if (loss := disputes.find_loss(tx, subject)) is not None:
        before = [
            one for one in disputes.losses_of(tx, loss.dispute_id) if not one.regained and one.number < loss.number
        ]
        return [one.loss_id for one in before] if loss.regained else []
    return [one.reverses for one in returns.find(tx, subject) if one.return_id == subject and one.reverses]


def _paying(tx: Tx, payment_id: str, *, but: str = "") -> list[_Known]:
    """The lines by which EHRs know what the payment pays, oldest first, less what was taken back and not restored."""
    payment = payments.get(tx, payment_id)
    first = [one for one in first_lines(tx, payment_id) if one.paid]
    known = [_Known(allocation_id(payment_id, one.sequence), one.sequence, one.paid.minor) for one in first]
    if (rest := first_rest(payment, first)).minor > 0:
        number = max((one.sequence for one in first), default=0) + 1
        known.append(_Known(allocation_id(payment_id, number), 0, rest.minor))
    for movement in movements.of_payment(tx, payment_id):
        if movement.movement_id != but and not movement.restores:
            forward = [one for one in back_lines(tx, movement.movement_id) if one.amount.minor < 0]
            known += [
                _Known(allocation_id(movement.movement_id, one.number), one.allocation, -one.amount.minor)
                for one in forward
            ]
    told = told_lines.of_payment(tx, payment_id)
    restored = _named_by(told)
    taken: dict[str, int] = {}
    for one in told:
        less = one.amount.minor - restored.get(allocation_id(one.subject, one.number), 0)
        taken[one.takes_back] = taken.get(one.takes_back, 0) + less
    for line in known:
        line.left -= taken.get(line.identifier, 0)
    return known


def _taken_by(tx: Tx, payment_id: str, subjects: Iterable[str]) -> list[_Known]:
    """The lines by which these have taken back, with what was not restored of them yet."""
    known = [
        _Known(allocation_id(subject, one.number), one.allocation, one.amount.minor)
        for subject in subjects
        for one in back_lines(tx, subject)
    ]
    restored = _named_by(told_lines.of_payment(tx, payment_id))
    for line in known:
        line.left -= restored.get(line.identifier, 0)
    return known


def _named_by(told: Iterable[ToldLine]) -> dict[str, int]:
    """Minor units that these lines come to, by the line that each names."""
    sums: dict[str, int] = {}
    for one in told:
        sums[one.takes_back] = sums.get(one.takes_back, 0) + one.amount.minor
    return sums


def _spread(known: list[_Known], allocation: int, amount: Money) -> list[tuple[str, Money]]:
    """This much, over the lines that have it, the newest first; what none has any more is of the newest."""
    mine = [one for one in reversed(known) if one.allocation == allocation]
    parts: list[tuple[str, Money]] = []
    left = amount.minor
    for one in mine:
        if (part := min(left, one.left)) > 0:
            parts.append((one.identifier, Money(part, amount.currency)))
            one.left -= part
            left -= part
    if left:
        parts.append((mine[0].identifier if mine else "", Money(left, amount.currency)))
    return parts
