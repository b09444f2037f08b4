"""Days as people at a facility count them: by its own calendar, whatever its clocks do meanwhile. Pure.

Called where a day is named, and where so many days of notice, of waiting or of a window are given. A day is 23 to 25
hours when clocks change, so that days taken for 24 hours each would end on the day before, or after, the one that was
said.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_MOST_SKIPPED = timedelta(days=2)  # a day that a zone left out, and its clocks


def day_of(at: datetime, zone: str) -> date:
    """The day there in which the moment lies."""
    return at.astimezone(ZoneInfo(zone)).date()


def latest_before(now: datetime, days: int) -> datetime:
    """Nothing after this moment is so many days ago in any zone: to ask a database for what may be."""
    return now - timedelta(days=days) + _MOST_SKIPPED


def days_later(at: datetime, days: int, zone: str) -> datetime:
    """The moment, in UTC, so many days later at the same time of day there; one that clocks leave out is as much later.

    Its day there is exactly so many days after that of `at`. One that the zone left out (Apia's 30 December 2011)
    counts as any other, and has no moment: the next day's is given.
    """
    local = at.astimezone(ZoneInfo(zone))
    return (local + timedelta(days=days)).replace(fold=local.fold).astimezone(UTC)
