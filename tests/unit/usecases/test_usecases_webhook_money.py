"""What a processor does to a payment reaches a vendor's system as signed webhooks, each step once and in its order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest

from disputes_world import disputed, goes_on, heard
from fhirpay.config import ApiClient
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.worker import Worker
from fhirpay.payments import refunds
from fhirpay.smart.callers import Caller
from fhirpay.smart.scopes import Scopes
from fhirpay.usecases import send_webhook as sending
from fhirpay.usecases import webhook_endpoints as hooks
from fhirpay.webhooks import events
from payments_world import World, payments_world

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("refund.failed_late", "payment.returned", "dispute.opened", "dispute.lost"),
]
VENDOR = ApiClient(name="ehr", token="ehr-token", scopes=("payments", "webhooks"))


@dataclass
class Told:
    world: World
    bodies: dict[str, bytes] = field(default_factory=dict)

    def take(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["webhook-id"] not in self.bodies
        self.bodies[request.headers["webhook-id"]] = request.content
        return httpx2.Response(200)

    async def of(self, payment_id: str) -> list[str]:
        """What the vendor has been told of the payment by now, in the order in which it came."""
        caller = Caller(VENDOR, Scopes(endpoints=VENDOR.scopes))
        send = sending.SendWebhook(
            self.world.units, b"k" * 32, "https://pay.example", lambda _: caller, httpx2.MockTransport(self.take)
        )
        await Worker(self.world.database, self.world.units, queue="outbox", handlers={events.KIND: send.run}).drain()
        found = [json.loads(one) for one in self.bodies.values()]
        return [f"{one['type']} {one['data']['amount']}" for one in found if one["data"]["payment"] == payment_id]


@pytest.fixture
async def told(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with payments_world(database, clock) as world:
        await world.units.write(hooks.create, VENDOR, "https://ehr.example/hook", ())
        yield Told(world)
        await world.sweep()


async def test_refunds_with_one_that_fails_late(told: Told) -> None:
    world = told.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment, 30_00)
    await heard(world)
    taken = ["payment.created 80.0", "payment.captured 80.0"]
    gone = [f"refund.{state} 30.0" for state in ("requested", "approved", "submitted", "succeeded")]
    assert await told.of(payment) == taken + gone
    (made,) = await world.units.read(refunds.of_payment, payment)
    await world.processor.control("decide", {"id": made.processor_ref, "result": "failed"})
    await heard(world)
    assert (await told.of(payment))[6:] == ["refund.failed 30.0"]


async def test_a_dispute_that_is_lost(told: Told) -> None:
    world = told.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    theirs = await disputed(world, payment)
    await heard(world)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    known = ["dispute.opened 80.0", "dispute.funds_withdrawn 80.0", "dispute.lost 80.0"]
    assert (await told.of(payment))[2:] == known


async def test_a_payment_that_comes_back(told: Told) -> None:
    world = told.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    (paid,) = await world.processor.payments(payment)
    await world.processor.control("decide", {"id": paid["id"], "result": "returned", "code": "R01"})
    await heard(world)
    assert (await told.of(payment))[2:] == ["payment.returned 80.0", "return.received 80.0"]


async def test_a_payment_that_is_voided_before_it_settles(told: Told) -> None:
    world = told.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    await world.void(payment)
    await heard(world)
    assert (await told.of(payment))[2:] == ["payment.voided 80.0"]
