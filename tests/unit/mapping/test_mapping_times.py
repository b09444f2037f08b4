"""HL7 time stamps in FHIR: precision, zone, and what is no time at all."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from fhirpay.errors import ValueInvalid
from fhirpay.mapping.times import fhir_date, fhir_datetime, has_time

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", "2026"),
        ("202603", "2026-03"),
        ("20260302", "2026-03-02"),
        ("2026030210", "2026-03-02T10:00:00-05:00"),
        ("202603021015", "2026-03-02T10:15:00-05:00"),
        ("20260702101530", "2026-07-02T10:15:30-04:00"),
        ("20260302101530.4", "2026-03-02T10:15:30.4-05:00"),
        ("202108181126+0215", "2021-08-18T11:26:00+02:15"),
        ("20260302101530.4567-0700", "2026-03-02T10:15:30.4567-07:00"),
        ("200501122200+0000", "2005-01-12T22:00:00+00:00"),
        ("200501122200-0000", "2005-01-12T22:00:00+00:00"),
        ("202603080230", "2026-03-08T02:30:00-05:00"),  # skipped by summer time: the offset before it
        ("202611010130", "2026-11-01T01:30:00-04:00"),  # happens twice: the first
        ("20260302+0100", "2026-03-02"),  # FHIR has no zone on a date
        ("18830101120000", "1883-01-01T12:00:00-04:56"),
    ],
)
def test_precision_is_kept_and_a_time_gets_its_zone(text: str, expected: str) -> None:
    assert fhir_datetime(text, NEW_YORK, "X") == expected
    assert has_time(text) == ("T" in expected)


@pytest.mark.parametrize(
    "text", ["", "26", "2026-03-02", "20260231", "20261301", "202603022500", "2026030210156", "Aug"]
)
def test_what_is_no_time_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ValueInvalid) as refused:
        fhir_datetime(text, NEW_YORK, "FT1[2]-4.1")
    assert refused.value.location == "FT1[2]-4.1"


@pytest.mark.parametrize("offset", ["+1500", "-2400", "+0075"])
def test_an_offset_that_no_place_has_is_refused(offset: str) -> None:
    with pytest.raises(ValueInvalid):
        fhir_datetime("202603021015" + offset, NEW_YORK, "X")


def test_a_birth_date_is_the_day_as_written() -> None:
    assert fhir_date("198808181126+0215", "X") == "1988-08-18"
    assert fhir_date("1988", "X") == "1988"
