"""A worker that slept past its lease sends nothing when it wakes: whoever has the work by then may be sending it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ehr_running import running_ehr
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import LeaseLost
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.postings import KIND
from payments_world import World, handlers_of, payments_world
from writeback_world import desk_of, facts

LEASE = timedelta(minutes=1)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, timeout_s=10) as made:
        yield made


def _claimed(tx: Tx, kind: str) -> Work:
    (work,) = claim(tx, queue="outbox", kinds=[kind], owner="asleep", lease=LEASE)
    return work


async def _wakes_too_late(world: World, kind: str) -> None:
    work = await world.units.write(_claimed, kind)
    world.clock.advance(LEASE)
    with pytest.raises(LeaseLost):
        await handlers_of(world.units, world.tenant, world.registry)[kind](work)


async def test_a_payment_is_not_submitted(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, method_id=await world.method(account))
    await _wakes_too_late(world, "payment.submit")
    assert "confirm" not in (await world.processor.books())["asked"]
    await world.work()
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_refund_is_not_sent(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment_id)
    await _wakes_too_late(world, "refund.submit")
    assert "refund" not in (await world.processor.books())["asked"]
    await world.work()
    await world.sweep()


async def test_a_posting_is_not_written(database: Database, clock: FrozenClock) -> None:
    async with running_ehr() as ehr, desk_of(database, clock, ehr=ehr) as desk:
        posting_id = await desk.settle()
        work = await desk.units.write(_claimed, KIND)
        clock.advance(LEASE)
        with pytest.raises(LeaseLost):
            await PostBack(desk.units, desk.tenant, desk.clients, facts=facts).run(work)
        assert desk.there() == []
        await desk.work()
        assert (await desk.posting(posting_id)).state == "posted"
