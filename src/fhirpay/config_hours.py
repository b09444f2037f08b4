"""Hours of business as an analyst writes them: `Mon-Fri 07:00-19:00; Sat 08:00-12:00`, and hours of a night.

Used by `config_feed`, `config_posting_file` and whoever waits for a time of day. Pure. Time passes in UTC and is read
off the clock of a zone: by that clock alone, an hour would be missed or counted twice on the nights when it changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPAN = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))? (?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)", re.ASCII
)
_STEP = timedelta(minutes=1)
_BACK_MAX = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the week that are open, as pairs of the first and the one after the last; none: always."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Raises ValueError, saying what to write."""
        return cls(tuple(span for part in text.split(";") if part.strip() for span in _spans(part.strip())))

    def open_at(self, local: datetime) -> bool:
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        return not self.spans or any(begin <= minute < end for begin, end in self.spans)

    def back(self, now: datetime, minutes: int, zone: ZoneInfo) -> datetime:
        """The moment, in UTC, since which this many open minutes have gone by there; 28 days back at most."""
        at = now.astimezone(UTC)
        if not self.spans:
            return at - timedelta(minutes=minutes)
        limit = at - _BACK_MAX
        while minutes > 0 and at > limit:
            at -= _STEP
            minutes -= self.open_at(at.astimezone(zone))
        return at


def next_at(after: datetime, hour: time, zone: ZoneInfo) -> datetime:
    """The next moment after this one, in UTC, at which the clock there shows this time: once on each day that it has.

    An hour that a change of the clocks leaves out is as much later (PEP 495); of one that is twice, it is the first.
    """
    day = after.astimezone(zone).date()
    # Compared as moments: by the clock there, an hour that is twice would be over before it is, or again after it was.
    due = (datetime.combine(day + timedelta(days=later), hour, zone).astimezone(UTC) for later in (0, 1, 2))
    return min(moment for moment in due if moment > after)


def _spans(part: str) -> list[tuple[int, int]]:
    found = _SPAN.fullmatch(part)
    days = [found["first"], found["last"] or found["first"]] if found else []
    if found is None or not set(days) <= set(_DAYS):
        raise ValueError(f"'{part}' are no hours; write Mon-Fri 07:00-19:00, several with ; between")
    begin, end = _minute(found["from"]), _minute(found["to"])
    first, last = map(_DAYS.index, days)
    if begin >= end or last < first:
        raise ValueError(f"'{part}' ends before it begins; write two spans with ; between")
    return [(day * 1440 + begin, day * 1440 + end) for day in range(first, last + 1)]


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > 1440:
        raise ValueError(f"'{text}' is no time of day; write 07:00 to 24:00")
    return hour * 60 + minute
