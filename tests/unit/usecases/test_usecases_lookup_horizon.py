"""Attempts that died with their worker don't put off the look that proves something."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.lease import claim, take_over_all
from payments_world import payments_world


def _worker_dies(tx: Tx) -> None:
    """A lookup is claimed, and who claimed it is seen no more."""
    claimed = claim(tx, queue="outbox", kinds=["payment.lookup"], owner="dead", lease=timedelta(minutes=1))
    assert len(claimed) == 1
    take_over_all(tx)


@pytest.mark.warns("operation.unknown")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_unknown_outcome_is_settled_at_the_horizon_however_many_workers_died(
    database: Database, clock: FrozenClock
) -> None:
    async with payments_world(database, clock) as world:
        account = await world.invoiced("ana", 80_00)
        payment_id = await world.start(account, method_id=await world.method(account))
        await world.processor.fault("confirm", "lost_request")
        await world.outbox.drain()
        clock.advance(timedelta(seconds=2))
        for _ in range(8):
            await world.units.write(_worker_dies)
        await world.work(hours=1 / 60, steps=12)
        await world.work(hours=0.2 / 60, steps=4)
        assert await world.state(payment_id) == "captured"
        await world.sweep()
