"""An EHR that is down for a day gets all of it afterwards, in order and once, not hammered; others don't wait."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from ehr_running import running_ehr
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.writeback import store
from writeback_world import KIND, Desk, desk_of, refund_of

HOUR = timedelta(hours=1)
PAYMENTS, STEPS = 50, 24


@pytest.mark.warns("posting.put_off")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_day_without_the_ehr(database: Database, clock: FrozenClock) -> None:
    async with AsyncExitStack() as stack:
        down = await stack.enter_async_context(running_ehr())
        fine = await stack.enter_async_context(running_ehr())
        desk = await stack.enter_async_context(desk_of(database, clock, down=down, fine=fine))
        reachable, nobody = desk.clients["down"], Desk.client("down", "http://127.0.0.1:9/fhir")
        stack.push_async_callback(nobody.aclose)
        desk.clients["down"] = nobody
        names = [f"pay-{number}" for number in range(PAYMENTS)]
        for step in range(STEPS):
            if step == STEPS // 2:  # in the afternoon a proxy answers in its place
                desk.clients["down"] = reachable
                desk.fault("down", times=None, seconds=60)
            for name in names[step * PAYMENTS // STEPS : (step + 1) * PAYMENTS // STEPS]:
                await desk.settle(name)
                if name.endswith("5"):
                    await desk.settle(name, refund=True)
            await desk.later(HOUR)
            assert {one.connection for one in await desk.units.read(store.unfinished)} == {"down"}
        assert desk.there() == []
        # At most one call finds out for all (a read, tried three times), however many wait.
        assert down.ehr.faults.calls.total() <= 3 * STEPS // 2
        assert await desk.open_items() == []
        down.ehr.faults.set.clear()
        for _ in range(3):
            await desk.later(HOUR)
        assert await desk.units.read(store.unfinished) == []
        for ehr in (down, fine):
            stored = [one["identifier"][0]["value"] for one in ehr.stored(KIND)]
            refunds = [refund_of(name) for name in names if name.endswith("5")]
            assert sorted(stored) == sorted([*names, *refunds])
            assert all(stored.index(back) > stored.index(back.removesuffix("-back")) for back in refunds)
