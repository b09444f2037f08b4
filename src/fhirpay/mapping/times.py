"""HL7 time stamps (DTM, TS, DT) → FHIR date and dateTime, with the precision they came in.

A date stays a date. A time without offset takes the zone of the feed (interface, else facility) on that day; an
offset that was sent is kept as sent. FHIR wants seconds wherever there is a time, so minutes become `:00`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from ..errors import ValueInvalid

# HL7 2.5.1 §2.A.22: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]
_DTM = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)"
    r"(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?)?)?)?"
    r"(?P<offset>[+-]\d{4})?",
    re.ASCII,
)


def _match(text: str, location: str) -> re.Match[str]:
    found = _DTM.fullmatch(text)
    if not found:
        raise ValueInvalid("this is no HL7 date or time (YYYYMMDDHHMMSS and an offset)", location=location)
    try:
        _moment(found, UTC)
    except ValueError:
        raise ValueInvalid("there is no such date or time", location=location) from None
    return found


def _moment(found: re.Match[str], zone: tzinfo) -> datetime:
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def fhir_date(text: str, location: str) -> str:
    """`19880818…` → `1988-08-18`; the day as written, whatever the zone. Raises ValueInvalid."""
    return _day(_match(text, location))


def _day(found: re.Match[str]) -> str:
    return "-".join(filter(None, found.group("year", "month", "day")))


def fhir_datetime(text: str, zone: ZoneInfo, location: str) -> str:
    """`202108181126+0215` → `2021-08-18T11:26:00+02:15`; a date stays a date. Raises ValueInvalid."""
    found = _match(text, location)
    day = _day(found)
    if not found["hour"]:
        return day
    time = f"{found['hour']}:{found['minute'] or '00'}:{found['second'] or '00'}{found['fraction'] or ''}"
    return f"{day}T{time}{_offset(found, zone, location)}"


def has_time(text: str) -> bool:
    found = _DTM.fullmatch(text)
    return bool(found and found["hour"])


def _offset(found: re.Match[str], zone: ZoneInfo, location: str) -> str:
    if sent := found["offset"]:
        hours, minutes = int(sent[1:3]), int(sent[3:5])
        if minutes > 59 or hours * 60 + minutes > 14 * 60:
            raise ValueInvalid("the offset is beyond 14 hours", location=location)
        return f"{sent[0] if hours or minutes else '+'}{sent[1:3]}:{sent[3:5]}"
    offset = _moment(found, zone).utcoffset()
    assert offset is not None
    total = round(offset.total_seconds() / 60)  # before 1900 zones had odd seconds
    sign = "-" if total < 0 else "+"
    return f"{sign}{abs(total) // 60:02d}:{abs(total) % 60:02d}"
