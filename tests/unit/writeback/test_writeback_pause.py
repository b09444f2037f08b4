"""An EHR that doesn't answer is asked ever less often, by one for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fhirpay.writeback.pause import Pauses

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
NONE = timedelta()


def test_each_failure_doubles_the_wait_up_to_ten_minutes() -> None:
    pauses, waits = Pauses(), []
    for _ in range(12):
        waits.append(int(pauses.failed("ehr", NOW).total_seconds()))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    assert pauses.left("ehr", NOW) == timedelta(minutes=10)
    assert pauses.left("another", NOW) == NONE


def test_what_the_ehr_asks_for_is_kept_up_to_an_hour() -> None:
    assert Pauses().failed("ehr", NOW, asked_s=120) == timedelta(minutes=2)
    assert Pauses().failed("ehr", NOW, asked_s=10**9) == timedelta(hours=1)


def test_one_tries_while_the_others_wait_for_what_comes_of_it() -> None:
    pauses = Pauses()
    later = NOW + pauses.failed("ehr", NOW)
    assert pauses.left("ehr", later) == NONE
    assert pauses.left("ehr", later) > NONE
    pauses.answered("ehr")
    assert pauses.left("ehr", later) == NONE
    assert pauses.failed("ehr", later) == timedelta(seconds=1)
