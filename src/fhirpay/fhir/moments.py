"""Dates and moments as FHIR writes them, each as the span of time that it is (FHIR R4, search.html#date). Pure.

Used by search_values.py, for what is searched, and by params.py, for what is found.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_TIME = r"(?P<minute>\d\d:\d\d)(?P<second>:\d\d(\.\d{1,6})?)?(?P<zone>Z|[ +-]\d\d:\d\d)?"
_MOMENT = re.compile(rf"(?P<day>\d{{4}}(-\d\d(-\d\d)?)?)(T{_TIME})?\Z")


def span(text: str) -> tuple[datetime, datetime]:
    """Its start and its end (exclusive) in UTC. Raises ValueError or OverflowError for what is none."""
    match = _MOMENT.match(text)
    if match is None:
        raise ValueError(text)
    day, minute, second, zone = match["day"], match["minute"], match["second"], match["zone"]
    if minute is None:
        first = date.fromisoformat(day + "-01-01"[len(day) - 4 :] if len(day) < 10 else day)
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        if len(day) == 10:
            return start, start + timedelta(days=1)
        months = 12 if len(day) == 4 else 1
        month = first.month - 1 + months
        return start, start.replace(year=first.year + month // 12, month=month % 12 + 1)
    # An unescaped + of a URL arrives as a blank; a moment without a zone is ours: UTC.
    offset = (zone or "Z").replace(" ", "+").replace("Z", "+00:00")
    start = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{offset}").astimezone(UTC)
    if second is None:
        return start, start + timedelta(minutes=1)
    digits = len(second) - 4  # of the fraction; -1: none
    return start, start + (timedelta(seconds=1) if digits < 1 else timedelta(microseconds=10 ** (6 - digits)))


def as_text(at: datetime) -> str:
    """Texts of moments, in their order."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
