"""The practice's three places, and what a plan of their month is made of: acts, payments, days. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from month_books import Books

DAY = timedelta(days=1)
SUMMER = datetime(2026, 3, 8, tzinfo=UTC)  # a Sunday; clocks go forward at two in the morning


@dataclass(frozen=True)
class Place:
    """A facility with its merchant, till and bank account of the same name. Hours from UTC in winter and summer."""

    name: str
    letter: str
    zone: str
    winter: int
    summer: int
    bank: str
    saturdays: bool = False

    def hours(self, at: datetime) -> int:
        changes = SUMMER + timedelta(hours=2 - self.winter)
        return self.summer if at >= changes else self.winter

    def local(self, day: date, hour: int, minute: int = 0) -> datetime:
        """That time of their clock, in UTC."""
        plain = datetime.combine(day, time(hour, minute), UTC)
        return plain - timedelta(hours=self.hours(plain - timedelta(hours=self.winter)))

    def business_day(self, at: datetime) -> str:
        return (at + timedelta(hours=self.hours(at))).date().isoformat()


PLACES = (
    Place("harbor", "H", "America/New_York", -5, -4, "csv", saturdays=True),
    Place("mesa", "M", "America/Phoenix", -7, -7, "bai2"),
    Place("bay", "B", "America/Los_Angeles", -8, -7, "camt053"),
)


@dataclass(frozen=True)
class Act:
    """Something happens. `who` is an account, `name` a payment, payout or dispute of the plan."""

    at: datetime
    kind: str
    place: str
    who: str = ""
    name: str = ""
    cents: int = 0
    how: str = ""
    more: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Payment:
    name: str
    place: Place
    who: str
    cents: int
    how: str
    at: datetime
    left: int = 0
    free: bool = True  # nothing else is to happen to it


@dataclass
class Day:
    """A business day; it is over in the next night."""

    day: date
    acts: list[Act]
    books: Books

    @property
    def over(self) -> datetime:
        return datetime.combine(self.day + DAY, time(9), UTC)
