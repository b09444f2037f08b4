"""Where an obligation stands once money is counted: its state, what may be asked now, what was paid too much. Pure.

Used by store.py on its rows and by the stories on plain values, so that both say the same. Minor units throughout:
one obligation has one currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..domain.money import Money, allocate
from ..domain.obligation import ObligationState

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """An obligation's amounts. `basis_state` is what responsibility.py says, without regard to money."""

    obligation_id: str
    currency: str
    basis_state: ObligationState
    patient: int
    posted: int  # of `patient`, what its charges have put into ar_patient
    collectable_from: datetime | None
    paid: int = 0
    in_flight: int = 0
    written_off: int = 0  # by staff; `patient` is less that
    order: tuple[str, str] = ("", "")  # among obligations due at the same moment

    @property
    def open(self) -> int:
        return max(0, self.patient - self.paid - self.in_flight)

    @property
    def excess(self) -> int:
        """Paid and no longer owed: to become unapplied credit."""
        return max(0, self.paid - self.patient)

    @property
    def state(self) -> ObligationState:
        """`in_flight`, `paid` and `written_off` are said of what is otherwise collectable, or on hold with nothing left
        to ask."""
        if self.basis_state not in {ObligationState.COLLECTABLE, ObligationState.ON_HOLD}:
            return self.basis_state
        if self.patient - self.paid <= 0 and not self.in_flight:
            return ObligationState.WRITTEN_OFF if self.written_off else ObligationState.PAID
        if self.basis_state is ObligationState.ON_HOLD:
            return ObligationState.IN_FLIGHT if self.in_flight and not self.open else ObligationState.ON_HOLD
        return ObligationState.IN_FLIGHT if self.in_flight else ObligationState.COLLECTABLE

    def may_be_asked(self, at: datetime) -> int:
        due = self.collectable_from is not None and self.collectable_from <= at
        return self.open if self.basis_state is ObligationState.COLLECTABLE and due else 0


def oldest_first(standings: Iterable[Standing]) -> list[Standing]:
    """By the day from which they may be asked for; those without one last."""
    return sorted(standings, key=lambda one: (one.collectable_from or _NEVER, one.order, one.obligation_id))


def askable(standings: Iterable[Standing], at: datetime, *, credit: int = 0) -> dict[str, int]:
    """What may be asked now of each obligation, oldest first. Unapplied credit of the account pays before people do."""
    found: dict[str, int] = {}
    for one in oldest_first(standings):
        amount = one.may_be_asked(at)
        used = min(credit, amount)
        credit -= used
        if amount > used:
            found[one.obligation_id] = amount - used
    return found


def spread(minor: int, over: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Split an amount over obligations in their order, each up to its own; the parts sum to it or to all there is."""
    parts: dict[str, int] = {}
    for obligation_id, most in over:
        part = min(minor, most)
        if part > 0:
            parts[obligation_id] = parts.get(obligation_id, 0) + part
            minor -= part
    return parts


def in_proportion(minor: int, over: Sequence[tuple[str, int]], currency: str) -> dict[str, int]:
    """Split an amount over obligations in proportion to what each has open, by largest remainder; none gets more than
    it has open where the amount is no more than all of it. The parts sum to it."""
    parts = allocate(Money(minor, currency), [most for _, most in over])
    return {obligation_id: part.minor for (obligation_id, _), part in zip(over, parts, strict=True) if part}
