"""What each charge is still worth once credits are taken off. Pure; the first step of responsibility.py.

A credit stays its own ChargeItem in the store: it only lowers what its original is worth here. One that names no
original lowers the account where it hurts the patient least to be wrong: what could be asked for goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .assessment import Note, Says
from .facts import Charge, Named

COUNTS = frozenset({"billable", "billed"})
WITHDRAWN = frozenset({"not-billable", "aborted", "entered-in-error"})


@dataclass(slots=True)
class Worth:
    """A charge in minor units of `currency`: `gross` as stated, `net` after credits, `left` after what drew on it."""

    charge: Charge
    currency: str
    gross: int
    net: int
    left: int
    whole: str = ""  # the charge whose price holds this one's already
    says: list[Says] = field(default_factory=list[Says])

    @property
    def credited(self) -> int:
        return self.gross - self.net

    @property
    def withdrawn(self) -> int:
        stated = self.charge.amount
        return max(0, stated.minor) if stated and self.charge.status in WITHDRAWN else 0

    def take(self, minor: int) -> int:
        taken = min(minor, self.net)
        self.net -= taken
        self.left = self.net
        return taken


@dataclass(slots=True)
class Worths:
    """All charges of an account. `over`: credits that found no charge to lower, by currency."""

    charges: dict[str, Worth]
    over: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[Note] = field(default_factory=list[Note])
    _named: Named | None = field(default=None, compare=False)

    def named_by(self, charge: Charge) -> list[Worth]:
        """Those that a charge or credit says it is part of."""
        if self._named is None:
            self._named = Named(worth.charge for worth in self.charges.values())
        return [self.charges[one.ref] for one in self._named.by(charge)]

    def oldest_first(self) -> list[Worth]:
        return sorted(self.charges.values(), key=_age)


def _age(worth: Worth) -> tuple[str, str]:
    day = worth.charge.day
    return (day.isoformat() if day else "", worth.charge.ref)


def worths_of(charges: Iterable[Charge], exposed: Callable[[Charge], int]) -> Worths:
    """Net worth of each charge. `exposed` ranks charges: a credit that names none lowers rank 0 first, newest first."""
    ordered = sorted(charges, key=lambda charge: charge.ref)
    positive = [charge for charge in ordered if not is_credit(charge)]
    found = Worths({charge.ref: _worth(charge) for charge in positive if charge.amount is not None})
    _inside_a_whole(found)
    unlinked: list[tuple[Charge, int]] = []
    for credit in ordered:
        if is_credit(credit) and credit.status in COUNTS:
            _apply(found, credit, unlinked)
    for credit, minor in unlinked:
        _spread(found, credit, minor, exposed)
    return found


def is_credit(charge: Charge) -> bool:
    """By what it says of itself, or by its sign."""
    return charge.credit or (charge.amount is not None and charge.amount.minor < 0)


def _worth(charge: Charge) -> Worth:
    assert charge.amount is not None
    minor = charge.amount.minor if charge.status in COUNTS else 0
    return Worth(charge, charge.amount.currency, minor, minor, minor)


def _inside_a_whole(found: Worths) -> None:
    """ChargeItem.partOf groups charges under one that "covers the whole set": the parts are not added to it."""
    for worth in found.charges.values():
        for other in found.named_by(worth.charge):
            if other.gross and not other.charge.part_of and worth.gross:
                worth.whole = other.charge.ref
    for worth in found.charges.values():
        if worth.whole:
            worth.take(worth.net)


def _apply(found: Worths, credit: Charge, unlinked: list[tuple[Charge, int]]) -> None:
    if credit.amount is None:
        found.notes.append(Note("amount_unknown", credit.ref, f"the credit {credit.ref} states no amount"))
        return
    left, currency = abs(credit.amount.minor), credit.amount.currency
    originals = found.named_by(credit)
    for original in sorted(originals, key=_age):
        if original.currency == currency:
            left -= _lower(original, credit, left)
    if left and not originals:
        # One whose charge has not come in may name it wrongly: until then it lowers the others.
        named = "a charge that has not come in" if credit.part_of else "no charge"
        says = f"the credit {credit.ref} names {named}: it lowers what the account owes until it is linked"
        found.notes.append(Note("credit_unlinked", credit.ref, says))
    elif left:
        says = f"the credit {credit.ref} is more than the charge it names"
        found.notes.append(Note("credit_over", credit.ref, says))
    if left:
        unlinked.append((credit, left))


def _lower(worth: Worth, credit: Charge, minor: int) -> int:
    """How much of the credit this charge takes up. One that was withdrawn takes up its price without any effect."""
    assert credit.amount is not None
    assert worth.charge.amount is not None
    if worth.charge.status not in COUNTS:
        return min(minor, worth.charge.amount.minor)
    taken = worth.take(minor)
    if taken:
        worth.says.append(Says("credit", f"credited by {credit.ref}", credit.ref))
    return taken


def _spread(found: Worths, credit: Charge, minor: int, exposed: Callable[[Charge], int]) -> None:
    assert credit.amount is not None
    currency = credit.amount.currency
    newest = sorted(found.charges.values(), key=_age, reverse=True)
    for worth in sorted(newest, key=lambda one: exposed(one.charge)):
        if minor and worth.currency == currency and worth.charge.status in COUNTS:
            minor -= _lower(worth, credit, minor)
    if minor:
        found.over[currency] = found.over.get(currency, 0) + minor
