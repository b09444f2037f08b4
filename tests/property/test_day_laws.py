"""Days and nights by the clock of a facility, by chance, around changes of its clocks: of 23, 23.5, 24, 24.5, 25 hours.

The zones are those whose clocks do what is rare: change by half an hour (Lord Howe), at midnight (Cairo, Beirut), leave
out a whole day (Apia, 30 December 2011), or never change (Kathmandu, Phoenix).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from fhirpay.close.days import span
from fhirpay.usecases.money_off import business_day
from fhirpay.usecases.take_export import next_night

ZONES = (
    "America/New_York Europe/London Australia/Lord_Howe Africa/Cairo Asia/Beirut Pacific/Apia Asia/Kathmandu "
    "America/Phoenix"
).split()
HOUR = timedelta(hours=1)
zones = st.sampled_from(ZONES)
# Any moment, and often one within three hours of a night on which clocks change somewhere.
CHANGES = [
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
]
moments = st.one_of(
    st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (zone beside it)
    st.builds(lambda at, s: at + timedelta(seconds=s), st.sampled_from(CHANGES), st.integers(-3 * 3600, 30 * 3600)),
)


def _day(at: datetime, zone: str) -> date:
    tenant: Any = SimpleNamespace(facility=lambda _: SimpleNamespace(zone=zone))
    return business_day(tenant, "main", at)


@given(moments, zones)
def test_a_moment_is_of_the_one_day_that_it_lies_in(at: datetime, zone: str) -> None:
    day = _day(at, zone)
    begins, ends = span(day, zone)
    assert begins <= at < ends
    assert (ends - begins) / HOUR in (23, 23.5, 24, 24.5, 25)
    assert span(day + timedelta(days=1), zone)[0] == ends
    assert span(day - timedelta(days=1), zone)[1] == begins
    assert [_day(one, zone) == day for one in (begins, ends - timedelta(microseconds=1), ends)] == [True, True, False]


def test_a_day_that_a_zone_left_out_has_no_moment() -> None:
    begins, ends = span(date(2011, 12, 30), "Pacific/Apia")
    assert begins == ends == datetime(2011, 12, 30, 10, tzinfo=UTC)


@given(moments, zones, st.times().map(lambda at: at.replace(second=0, microsecond=0)))
@example(datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "America/New_York", time(1, 45))  # that hour comes twice
@example(datetime(2026, 3, 8, 6, 10, tzinfo=UTC), "America/New_York", time(2, 30))  # it never comes: at 3:30 then
def test_a_night_is_the_next_one_and_an_hour_away(now: datetime, zone: str, at: time) -> None:
    due = next_night(now, at, ZoneInfo(zone))
    assert now + HOUR < due <= now + HOUR + timedelta(hours=25)
    # The clock there shows it; one that clocks leave out is as much later.
    shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    late = shown - datetime.combine(shown.date(), at)
    assert late in (timedelta(0), timedelta(minutes=30), HOUR)
