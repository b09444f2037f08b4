"""The answer of responsibility.py: which obligations an account should have now, and why. Pure data.

Read by store.py, which makes the rows and the ledger agree with it, and by `explain`, which shows the statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .facts import Hold

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Basis(StrEnum):
    """What an obligation rests on. From weak to strong: a stronger one supersedes, they never add up."""

    CHARGE = "charge"
    COPAY = "copay"
    STAFF = "staff"
    INVOICE = "invoice"
    OPENING = "opening"  # taken over at go-live; beside the others: what it holds they don't ask for
    RECOVERY = "recovery"  # refunded and returned as well; beside the others, for no charge


@dataclass(frozen=True, slots=True)
class Says:
    """One sentence of the statement, with the resource or row that it comes from."""

    kind: str
    says: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should look at. (kind, subject) is stable, so it is opened once."""

    kind: str
    subject: str
    says: str


@dataclass(frozen=True, slots=True)
class Desired:
    """What one party should owe for one basis.

    `draws` says out of which charges the patient's amount is posted (charge → minor units). A copay due before its
    charge has drawn nothing yet: it may be asked for, and is in no book. `discount` was taken off the charge itself,
    and so was `relief` (relief.py), by where it was taken from and what it is: `pending/insurance`.
    `written_off` is what staff have given up of it, by kind: `patient` is less that, `draws` are not.
    `memo` is what would be owed if it weren't of before its feed's watermark: shown, in no book, never asked for.
    """

    basis_kind: Basis
    basis_key: str
    currency: str
    debtor: str
    pending: Money
    patient: Money
    state: ObligationState
    statement: tuple[Says, ...]
    targets: tuple[str, ...]
    collectable_from: datetime | None = None
    superseded_by: str = ""
    hold: str = ""
    discount: Money | None = None
    draws: Mapping[str, int] = field(default_factory=dict[str, int])
    memo: Money | None = None
    relief: Mapping[str, int] = field(default_factory=dict[str, int])
    written_off: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.basis_kind, self.basis_key, self.currency)

    def askable_at(self, at: datetime) -> bool:
        due = self.collectable_from is not None and self.collectable_from <= at
        return self.state is ObligationState.COLLECTABLE and due and not self.hold


@dataclass(frozen=True, slots=True)
class Assessment:
    """`stands_until`: when time alone may change it; None: only something new does."""

    obligations: tuple[Desired, ...]
    holds: tuple[Hold, ...] = ()
    notes: tuple[Note, ...] = ()
    stands_until: datetime | None = None
