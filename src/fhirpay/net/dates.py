"""Moments in the headers of an answer (RFC 9110 §5.6.7, §10.2.3). Pure; by http.py and fhir/."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_LEFT_ALONE_MAX = timedelta(days=1)


def http_date(text: str) -> datetime | None:
    """A Date header; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long to wait, in seconds or until a moment by the server's own clock; a day at most. None: it doesn't say."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return min(timedelta(seconds=int(said[:9])), _LEFT_ALONE_MAX)
    at, now = http_date(said), http_date(headers.get("date", ""))
    if at is None or now is None:
        return None
    return min(max(at - now, timedelta()), _LEFT_ALONE_MAX)
