"""What the program has made of a sample: what would be owed at its end, and what would wait for a person.

Found by usecases/grade_sample.py, which lets the real intake, maps and billing work on it; nothing here computes what
is owed. `owed.py` has the checks of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ..domain.money import Money


@dataclass(frozen=True, slots=True)
class Stands:
    """One amount that is owed on an account at the end of the sample."""

    account: str  # its number, to put lines beside it: never shown
    says: str  # how it stands: pending insurance, may be asked for
    amount: Money


@dataclass(frozen=True, slots=True)
class Waiting:
    """Lines of the worklist of one kind."""

    kind: str
    count: int
    next: str  # what a person would have to do


@dataclass(frozen=True, slots=True)
class Outcome:
    stands: tuple[Stands, ...] = ()
    parked: Mapping[int, str] = field(default_factory=dict[int, str])  # why, by position of the message
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """What stands alike, over all accounts."""

    says: str
    currency: str
    accounts: int
    amount: Decimal


def sums(outcome: Outcome) -> tuple[Sum, ...]:
    alike: dict[tuple[str, str], list[Stands]] = {}
    for one in outcome.stands:
        alike.setdefault((one.says, one.amount.currency), []).append(one)
    return tuple(
        Sum(says, currency, len({one.account for one in found}), _total(found, currency))
        for (says, currency), found in sorted(alike.items())
    )


def _total(found: Sequence[Stands], currency: str) -> Decimal:
    return sum((one.amount for one in found), Money.zero(currency)).decimal
