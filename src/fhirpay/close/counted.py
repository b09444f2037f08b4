"""Which entries of the ledger a close counts: each in exactly one, whenever it came in and however often a day is
closed. The decision is pure; `condition` says the same in SQL.

A close of a day may count what is of that day or of one before, and was in the books when it was made: up to its `seq`.
What several may count is the first one's (by `number`), also where that was opened again: then it is the one's that
replaces it. So money that comes in late is the next close's, no close changes what another one counted, and what all
closes that stand have counted is what the ledger has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import and_, or_

from ..db.metadata import table
from ..ledger.tables import LedgerEntry

_entry = table(LedgerEntry)


@dataclass(frozen=True, slots=True)
class Reach:
    """Of one close: it may count entries up to this day and up to this `seq`."""

    close_id: str
    number: int
    day: date
    seq: int

    def reaches(self, day: date, seq: int) -> bool:
        return day <= self.day and seq <= self.seq


@dataclass(frozen=True, slots=True)
class Counting:
    """`own` is the close with those that it replaces, `others` all other ones of the same facility and till."""

    own: tuple[Reach, ...]
    others: tuple[Reach, ...]

    @property
    def day(self) -> date:
        return self.own[0].day

    def counts(self, day: date, seq: int) -> bool:
        """Whether an entry of that business day is this close's."""
        reaching = [one for one in (*self.own, *self.others) if one.reaches(day, seq)]
        return bool(reaching) and min(reaching, key=lambda one: one.number) in self.own

    def condition(self) -> Any:
        """`counts`, on `ledger_entry`."""
        return or_(*(and_(_reached(one), *map(_missed, _before(one, self.others))) for one in self.own))

    @property
    def closed_before(self) -> bool:
        """Whether an earlier day was ever closed."""
        return any(one.day < self.day for one in self.others)

    def after(self, day: date) -> str:
        """The close of an earlier day that should have counted what is of that day and came too late for it; empty:
        none."""
        if day >= self.day:
            return ""
        closed = [one for one in self.others if day <= one.day < self.day]
        return min(closed, key=lambda one: one.number).close_id if closed else ""


def _reached(one: Reach) -> Any:
    return and_(_entry.c.business_date <= one.day.isoformat(), _entry.c.seq <= one.seq)


def _missed(one: Reach) -> Any:
    return or_(_entry.c.business_date > one.day.isoformat(), _entry.c.seq > one.seq)


def _before(one: Reach, others: Iterable[Reach]) -> Sequence[Reach]:
    """Those made before it, without the ones that reach no further than another: a condition stays short."""
    made = sorted(
        (other for other in others if other.number < one.number), key=lambda other: (-other.seq, -other.number)
    )
    furthest: list[Reach] = []
    for other in made:
        if not furthest or other.day > furthest[-1].day:
            furthest.append(other)
    return furthest
