"""A payment is taken back whole, as fast as its rail allows: at three processors, by the same words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from disputes_world import disputed
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.lane import parked
from fhirpay.payments import refunds
from fhirpay.usecases.reverse import NOT_REVERSED, NewReversal, request
from payments_world import World, payments_world
from processor_sides import AUTHORIZENET, SIMULATED, STRIPE, Side

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry"),
]
BY_NAME = {side.name: side for side in (AUTHORIZENET, SIMULATED, STRIPE)}


@pytest.fixture
async def world(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    side: Side = BY_NAME[getattr(request, "param", "authorizenet")]
    async with payments_world(database, clock, side=side, timeout_s=10) as made:
        yield made


async def reverse(world: World, payment_id: str, key: str = "r", **body: Any) -> httpx2.Response:
    body = body or {"reason": "charged for somebody else's visit"}
    return await world.api.post(
        f"/api/v1/payments/{payment_id}/reverse", json=body, headers={"Idempotency-Key": f"{payment_id}-{key}"}
    )


async def settled(world: World) -> None:
    for minutes in (0.1, 1, 5, 10):
        await world.work(hours=minutes / 60)


@pytest.mark.parametrize("world", sorted(BY_NAME), indirect=True)
async def test_all_of_it_goes_back_whatever_the_processor_can_do(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    assert (await reverse(world, payment_id)).is_success
    await settled(world)
    voids = world.registry.of("main").capabilities.void_after_capture
    assert await world.state(payment_id) == ("voided" if voids else "captured")
    assert await world.processor.taken(payment_id) == 0
    assert len(await world.units.read(refunds.of_payment, payment_id)) == (0 if voids else 1)
    await world.sweep()


async def test_what_has_settled_is_given_back_with_the_reason_that_was_given(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.processor.settle()
    for _ in range(2):  # the same request again is the same reversal
        assert (await reverse(world, payment_id)).is_success
    await settled(world)
    [back] = await world.units.read(refunds.of_payment, payment_id)
    assert (back.state, back.reason, back.requested_by) == (
        "succeeded",
        "charged for somebody else's visit",
        "client:desk",
    )
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


@pytest.mark.parametrize("fault", ["lost_answer", "lost_request", "before"])
async def test_while_nobody_knows_whether_it_was_voided_nothing_is_given_back(world: World, fault: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.processor.fault("void", fault)
    await world.processor.fault("get", "before", times=3)
    assert (await reverse(world, payment_id)).is_success
    await world.work(hours=0.001)
    assert await world.units.read(refunds.of_payment, payment_id) == []
    await settled(world)
    assert await world.state(payment_id) == "voided"
    assert await world.units.read(refunds.of_payment, payment_id) == []
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


async def test_after_a_part_was_given_back_the_rest_follows(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.refund(payment_id, 30_00)
    await world.work()
    assert (await reverse(world, payment_id)).is_success
    await world.processor.settle()
    await world.work(hours=3, steps=3)
    assert sorted(one.amount.minor for one in await world.units.read(refunds.of_payment, payment_id)) == [30_00, 50_00]
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


async def test_a_hold_is_released_and_what_is_over_is_refused(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    assert (await reverse(world, payment_id)).is_success
    await settled(world)
    assert await world.state(payment_id) == "canceled"
    assert (await reverse(world, payment_id, "again")).status_code == 422
    assert (await reverse(world, payment_id, "empty", reason=" ")).status_code in (400, 422)
    await world.sweep()


@pytest.mark.warns("dispute.opened", "operation.given_up", "payment.not_reversed")
@pytest.mark.parametrize("world", ["simulated"], indirect=True)
async def test_what_can_neither_be_voided_nor_refunded_any_more_ends_as_a_break(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    wish = NewReversal(payment_id, "a mistake", "mia")
    await world.units.write(request, wish, world.tenant, world.registry)
    await disputed(world, payment_id)
    await world.deliver_events()
    await world.inbox.drain()
    await world.work(hours=0.1, steps=4)
    assert await world.state(payment_id) == "captured"
    assert NOT_REVERSED in await world.breaks()
    assert await world.units.read(parked, "outbox") == []
    await world.sweep()
