"""A sign-in that comes back twice, and a session that several renew, on PostgreSQL, interleaved statement by statement.

The law: a state is good once, and a refresh token is used by one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import LaunchRefused
from fhirpay.smart import launch_store as kept
from fhirpay.smart.launch_store import Session
from fhirpay.usecases.launch import _used
from interleaving import Actor, Played, Stage, Write

_NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
_number = count(1)


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    with databases.url("postgresql") as url, Stage(url, FrozenClock(_NOW), CountedIds()).open() as made:
        yield made


def fine(played: Played) -> list[object]:
    for error in played.errors:
        if error is not None:
            raise error
    return list(played.values)


def test_a_state_is_good_once(stage: Stage) -> None:
    def setting() -> list[Actor]:
        state = f"state-{next(_number)}"
        stage.write(kept.begin, state, "browser", "ehr", timedelta(minutes=10))

        def back(write: Write) -> str:
            try:
                return write(_used, state, "browser")
            except LaunchRefused as error:
                return error.reason

        return [back, back]

    def check(played: Played) -> None:
        assert sorted(map(str, fine(played))) == ["ehr", "replayed"]

    stage.explore(setting, check).said("come back | come back")


def test_a_session_is_renewed_by_one_at_a_time(stage: Stage) -> None:
    def setting() -> list[Actor]:
        texts = dict.fromkeys(("secret_hash", "connection", "fhir_user", "subject", "remote_patient"), "x")
        refs = {"patient_ref": "Patient/1", "encounter_ref": "", "encounter_said": False, "refresh": "first"}
        times = {"checked_until": _NOW, "ends_at": _NOW + timedelta(hours=1), "ended_at": None}
        id = f"ses{next(_number)}"
        stage.write(kept.open_session, Session(session_id=id, kind="staff", renewed=0, **texts, **refs, **times))

        def renew(write: Write) -> str:
            one = write(kept.session, id)
            if not write(kept.claim_renewal, one, timedelta(seconds=30)):
                return ""
            write(kept.renew, one, refresh=f"after {one.refresh}", checked_until=_NOW)
            return one.refresh

        return [renew, renew]

    def check(played: Played) -> None:
        used = sorted(filter(None, map(str, fine(played))))
        assert used in (["first"], ["after first", "first"])  # never the first one twice

    stage.explore(setting, check).said("renew | renew")
