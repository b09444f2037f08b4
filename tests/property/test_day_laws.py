"""Days and nights by the clock of a facility, by chance, around changes of its clocks: of 22 to 26 hours.

The zones are those whose clocks do what is rare: change by half an hour (Lord Howe), by two (Troll), at midnight
(Cairo, Beirut, Tehran until 2022), back over midnight (Beirut, Azores), for a month of fasting (Casablanca), leave out
a whole day (Apia and Fakaofo, 30 December 2011), or never change (Kathmandu, Phoenix).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from fhirpay.close.days import span
from fhirpay.config_hours import Hours
from fhirpay.config_posting_file import PostingFile
from fhirpay.domain.local_days import day_of, days_later, latest_before
from fhirpay.usecases.money_off import business_day
from fhirpay.usecases.take_export import next_night

ZONES = (
    "America/New_York Europe/London Australia/Lord_Howe Africa/Cairo Asia/Beirut Pacific/Apia Asia/Kathmandu "
    "America/Phoenix Asia/Tehran Africa/Casablanca Antarctica/Troll Atlantic/Azores Pacific/Fakaofo"
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
    datetime(2022, 3, 21, 20, 30, tzinfo=UTC),
    datetime(2022, 9, 21, 19, 30, tzinfo=UTC),
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
    assert day_of(at, zone) == day
    assert (ends - begins) / HOUR in (22, 23, 23.5, 24, 24.5, 25, 26)
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
    assert now + HOUR < due <= now + HOUR + timedelta(hours=26)
    # The clock there shows it; one that clocks leave out is as much later.
    shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    late = shown - datetime.combine(shown.date(), at)
    assert late in (timedelta(0), timedelta(minutes=30), HOUR, 2 * HOUR)


def _changes() -> list[tuple[str, datetime]]:
    """Each hour, to UTC, in which one of the zones changes its clocks, within the years that tests are about."""
    found: list[tuple[str, datetime]] = []
    for zone in map(ZoneInfo, ZONES):
        days = [datetime(2011, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(365 * 17)]
        offsets = [day.astimezone(zone).utcoffset() for day in days]
        for number, day in enumerate(days[1:], start=1):
            if offsets[number - 1] != offsets[number]:
                hours = [day - timedelta(days=1) + more * HOUR for more in range(25)]
                of_hours = [hour.astimezone(zone).utcoffset() for hour in hours]
                at = next(at for at in range(1, 25) if of_hours[at] != of_hours[at - 1])
                found.append((str(zone), hours[at]))
    return found


ALL_CHANGES = _changes()
changes = st.sampled_from(ALL_CHANGES)
hours = st.times().map(lambda at: at.replace(second=0, microsecond=0, fold=0))  # as it is written


@given(changes, hours, st.integers(0, 59 * 60))
@example(("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)), time(2, 30), 0)
@example(("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)), time(0, 0), 3000)
@example(("Atlantic/Azores", datetime(2026, 10, 25, 1, tzinfo=UTC)), time(0, 30), 0)
def test_a_job_of_the_night_runs_once_on_each_day_that_there_is(
    change: tuple[str, datetime], at: time, takes_s: int
) -> None:
    zone = ZoneInfo(change[0])
    due, runs = change[1] - timedelta(days=3), list[datetime]()
    while due < change[1] + timedelta(days=3):
        due = next_night(due + timedelta(seconds=takes_s if runs else 0), at, zone)
        runs.append(due)
    days = [one.astimezone(zone).date() for one in runs]
    wanted = [days[0] + timedelta(days=more) for more in range((days[-1] - days[0]).days + 1)]
    assert days == [day for day in wanted if span(day, str(zone))[0] != span(day, str(zone))[1]]
    to = PostingFile(name="epic", folder="/x", zone=str(zone), daily_at=f"{at:%H:%M}")
    assert [to.next_after(one) for one in runs[:-1]] == runs[1:]


def test_the_hour_that_new_york_leaves_out_is_an_hour_later() -> None:
    due = next_night(datetime(2026, 3, 8, 6, 10, tzinfo=UTC), time(2, 30), ZoneInfo("America/New_York"))
    assert due == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    due = next_night(datetime(2026, 10, 24, 22, tzinfo=UTC), time(1, 30), ZoneInfo("Europe/London"))
    assert due == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # the first of two


@given(changes, st.integers(-40 * 24 * 60, 24 * 60), st.integers(0, 60))
@example(
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)), -6 * 24 * 60 - 90, 10
)  # to the day before, by hours
def test_days_of_notice_are_days_of_the_calendar_there(change: tuple[str, datetime], minutes: int, days: int) -> None:
    zone = change[0]
    at = change[1] + timedelta(minutes=minutes)
    until = days_later(at, days, zone)
    assert days_later(at, 0, zone) == at
    day = _day(at, zone) + timedelta(days=days)
    begins, ends = span(day, zone)
    assert _day(until, zone) == (day if begins != ends else day + timedelta(days=1))
    assert abs(until - at - timedelta(days=days)) <= timedelta(hours=2) or "Pacific" in zone
    assert days_later(at + HOUR, days, zone) >= until - HOUR
    assert at <= latest_before(until, days)  # a database that is asked for what may be so old by then hands it out


@given(changes, st.integers(-3 * 60, 27 * 60), st.integers(1, 3 * 24 * 60), st.booleans())
@example(("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)), 10, 60, False)  # an hour ago by that clock was now
def test_silence_is_as_long_as_it_lasts(change: tuple[str, datetime], ago: int, minutes: int, always: bool) -> None:
    now = change[1] + timedelta(minutes=ago)
    open_hours = Hours.parse("" if always else "Mon-Sun 00:00-24:00")
    assert open_hours.back(now, minutes, ZoneInfo(change[0])) == now - timedelta(minutes=minutes)
