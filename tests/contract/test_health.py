"""`/health/ready` for a load balancer, and for whoever watches: a silent feed is a warning, traffic stays welcome."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fhirpay import wiring
from fhirpay.config import Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import FilesRefused, StorageUnavailable
from fhirpay.usecases import standing_warnings
from fhirpay.usecases.standing_warnings import StandingWarnings, Warned, standing


@pytest.mark.warns("feed.silent", "files.unreachable")
async def test_a_silent_feed_and_a_folder_out_of_reach_are_warnings(
    database: Database, clock: FrozenClock, ids: CountedIds, tmp_path: Path
) -> None:
    feed = Interface(name="lab", account_key="PID-18", silence_after_min=30, folder=str(tmp_path / "gone"))
    merchant = Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k")
    tenant = Tenant(facilities=(Facility(name="main", zone="UTC"),), merchants=(merchant,), interfaces=(feed,))
    system = wiring.build(Settings(hash_key="k" * 32, tenants=(tenant,)), clock=clock, ids=ids, database=database)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=system.web), base_url="http://ours") as http:

        async def ready() -> tuple[int, Any]:
            clock.advance(timedelta(seconds=6))
            answer = await http.get("/health/ready")
            return answer.status_code, answer.json()

        assert await ready() == (503, {"status": "not ready"})
        system.ready.set()
        assert await ready() == (200, {"status": "ready", "warnings": []})
        await system.house("main").silence.look()
        says = "nothing of lab was taken in for 30 minutes"
        warned = {"code": "feed-silent", "tenant": "main", "interface": "lab", "says": says}
        assert await ready() == (200, {"status": "ready", "warnings": [warned]})
        with pytest.raises(FilesRefused):
            await system.house("main").files[0].look()
        says = "files of lab can't be taken in"
        away = {"code": "files-unreachable", "tenant": "main", "interface": "lab", "says": says}
        assert await ready() == (200, {"status": "ready", "warnings": [warned, away]})
    await system.close()


class Stubborn:
    """A database that answers once."""

    tenant, dialect, asked = "main", "sqlite", 0

    async def read(self, fn: Any) -> Any:
        assert fn is standing
        self.asked += 1
        if self.asked > 1:
            raise StorageUnavailable("no")
        return [Warned("main", "lab", "silent")]


async def test_a_database_that_does_not_answer_leaves_what_was_known_and_is_not_asked_at_each_probe(
    clock: FrozenClock,
) -> None:
    stubborn: Any = Stubborn()
    warnings = StandingWarnings({"main": stubborn}, clock)
    known = (Warned("main", "lab", "silent"),)
    assert [await warnings.read() for _ in range(3)] == [known] * 3
    assert stubborn.asked == 1
    clock.advance(standing_warnings.FRESH)
    assert await warnings.read() == known
    assert stubborn.asked == 2
