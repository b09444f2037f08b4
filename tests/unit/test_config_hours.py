"""Hours of business: what may be written, which minutes are open, and how far back so many open minutes lie."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fhirpay.config import Interface
from fhirpay.config_hours import Hours

WEEK = Hours.parse("Mon-Fri 07:00-19:00; Sat 08:00-12:00")


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-20T07:00", True),  # a Friday
        ("2026-11-20T06:59", False),
        ("2026-11-20T19:00", False),
        ("2026-11-21T11:59", True),
        ("2026-11-21T12:00", False),
        ("2026-11-22T10:00", False),
    ],
)
def test_minutes_that_are_open(moment: str, is_open: bool) -> None:
    assert WEEK.open_at(datetime.fromisoformat(moment)) is is_open
    assert Hours.parse("").open_at(datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("moment", "minutes", "since"),
    [
        ("2026-11-20T10:00", 60, "2026-11-20T09:00"),
        ("2026-11-20T07:30", 60, "2026-11-19T18:30"),  # over the night
        ("2026-11-23T07:10", 30, "2026-11-21T11:40"),  # over the Sunday
    ],
)
def test_closed_hours_do_not_count(moment: str, minutes: int, since: str) -> None:
    now, then = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (moment, since))
    assert WEEK.back(now, minutes, ZoneInfo("UTC")) == then


@pytest.mark.parametrize("text", ["weekdays", "Mon 9-17", "Mon 19:00-07:00", "Fri-Mon 07:00-08:00", "Mon 07:00-24:30"])
def test_what_are_no_hours_is_said_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write "):
        Interface(name="lab", account_key="PID-18", silence_hours=text)
