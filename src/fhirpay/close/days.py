"""A business day as a span of time: from one midnight of the facility to the next, 23 to 25 hours. Pure.

Called by copays.py and usecases/day_close.py. Which day a payment is of was said when it was booked (its entry's
`business_date`), by the same zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def span(day: date, zone: str) -> tuple[datetime, datetime]:
    """Its first moment, and the first one after it, in UTC."""
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: str) -> datetime:
    # Where clocks skip midnight, `fold` 0 is the moment of the skip: the day begins there.
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
