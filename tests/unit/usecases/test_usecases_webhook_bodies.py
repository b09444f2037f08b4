"""Signed events that are none, or that no database can keep: refused with a reason, on both engines."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from payments_world import World, payments_world
from processor_sides import SIMULATED, STRIPE

EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "created": 1_790_000_000,
    "data": {"object": {"object": "payment_intent", "id": "pi_1", "metadata": {"reference": "pay_1"}}},
}


@pytest.fixture(params=[SIMULATED, STRIPE], ids=lambda side: side.name)
async def world(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=request.param) as made:
        yield made


async def send(world: World, body: bytes) -> tuple[int, str]:
    signed_at = int(world.clock.now().timestamp())
    headers = {world.side.header: world.side.sign([*world.side.webhook_secrets], body, signed_at)}
    answer = await world.api.post(f"/webhooks/{world.side.name}/main", content=body, headers=headers)
    return answer.status_code, answer.headers["content-type"]


@pytest.mark.warns("webhook.refused")
async def test_event_that_cannot_be_kept_is_refused_with_a_reason(world: World) -> None:
    bodies = [b"", b"[]", b"\xff", b"[" * 200_000, b'{"a":' * 200_000]
    for text in ("\x00", "\ud800", "x" * 3000):
        for path in (("id",), ("type",), ("data", "object", "id"), ("data", "object", "metadata", "reference")):
            event = copy.deepcopy(EVENT)
            inner = event
            for name in path[:-1]:
                inner = inner[name]  # type: ignore[assignment]
            inner[path[-1]] = f"a{text}"
            if path[-1] == "reference":
                event["data"]["object"]["reference"] = f"a{text}"  # type: ignore[index]
            bodies.append(json.dumps(event).encode())
    for body in bodies:
        assert await send(world, body) == (400, "application/problem+json"), body[:300]
    assert (await send(world, json.dumps(EVENT).encode()))[0] == 200
    assert await world.inbox.drain() == 1
