"""`/api/v1/terminals` and payments on them, as a client sees it with the workers running, and as two of us at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from test_api_payments import Json, post, read, until

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import Conflict
from fhirpay.usecases.explain import explain
from fhirpay.usecases.start_payment import NewPayment, start
from payments_world import World, payments_world

pytestmark = pytest.mark.warns("operation.unknown", "work.retry")
FRONT = {"terminal": "front"}


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, live=True) as made:
        yield made


async def terminals(world: World) -> dict[str, Json]:
    return {one["name"]: one for one in read(await world.api.get("/api/v1/terminals"))["terminals"]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_desk_sees_its_readers_and_takes_a_card(world: World) -> None:
    assert {name: (one["state"], one["payment"]) for name, one in (await terminals(world)).items()} == {
        "front": ("online", None),
        "back": ("online", None),
    }
    account, other = await world.invoiced("ana", 80_00), await world.invoiced("bea", 20_00)
    answer = await post(world, "/payments", {"account": account, "method": FRONT})
    payment = read(answer)
    assert (answer.status_code, payment["state"]) == (201, "requires_action")
    assert payment["method"] == {"kind": "terminal", "tender": "card", "terminal": "front"}
    assert read(await post(world, "/payments", {"account": account, "method": FRONT})) == payment  # the same key
    refused = await post(world, "/payments", {"account": other, "method": FRONT}, "k2")
    problem = read(refused)
    assert (refused.status_code, problem["code"], problem["payment_id"]) == (409, "conflict", payment["id"])
    assert f"terminal 'front' has payment {payment['id']}" in problem["detail"]
    front = (await terminals(world))["front"]
    assert (front["payment"]["id"], front["payment"]["amount"], front["busy_elsewhere"]) == (
        payment["id"],
        payment["amount"],
        False,
    )
    said = await world.units.read(explain, payment["id"])
    assert "on terminal 'front', which waits for its card" in said.as_text()

    await world.processor.at_reader("rd_front", "tap", entry_mode="chip")
    await world.deliver_events()
    done = await until(world, f"/api/v1/payments/{payment['id']}", "captured")
    method = done["method"]
    assert (method["brand"], method["last4"], method["entry_mode"]) == ("visa", "4242", "chip")
    assert method["network_reference"].startswith("VI")
    assert (await terminals(world))["front"]["payment"] is None
    late = await post(world, f"/payments/{payment['id']}/cancel", {}, "k3")
    assert (late.status_code, read(late)["code"]) == (422, "rule-broken")

    again = read(await post(world, "/payments", {"account": other, "method": FRONT}, "k4"))
    stopped = await post(world, f"/payments/{again['id']}/cancel", {}, "k5")
    assert (stopped.status_code, read(stopped)["state"]) == (200, "canceled")
    await world.processor.at_reader("rd_front", "offline")
    offline = read(await post(world, "/payments", {"account": other, "method": FRONT}, "k6"))
    assert (offline["state"], offline["decline"]["code"]) == ("declined", "reader_offline")
    assert (await terminals(world))["front"]["state"] == "offline"
    nowhere = await post(world, "/payments", {"account": other, "method": {"terminal": "side"}}, "k7")
    assert (nowhere.status_code, read(nowhere)["location"]) == (404, "method.terminal")
    both = await post(world, "/payments", {"account": other, "method": {**FRONT, "hosted": {}}}, "k8")
    assert both.status_code == 400
    await world.sweep()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_reader_whose_processor_can_not_be_asked_is_unknown(world: World) -> None:
    for operation in ("get_reader", "get_reader"):
        await world.processor.fault(operation, "before")
    assert {one["state"] for one in (await terminals(world)).values()} == {"unknown"}
    assert (await world.api.get("/api/v1/terminals/side")).status_code == 404


async def test_two_programs_start_on_one_reader_at_once(
    database: Database, clock: FrozenClock, database_url: str, open_it: Callable[[str], Database]
) -> None:
    """Each with connections of its own, as two processes have: the database alone says who has the reader. On SQLite a
    second program is not let in at all, so there it is two desks of one."""
    async with payments_world(database, clock) as world, AsyncExitStack() as stack:
        accounts = [await world.invoiced(name, 80_00) for name in ("ana", "bea")]
        second = database
        if not database_url.startswith("sqlite"):
            second = open_it(database_url)
            await second.start()
            stack.push_async_callback(second.stop)
        wishes = [NewPayment(account_ref=one, requested_by="test", terminal="front") for one in accounts]
        houses = (database.units("main"), second.units("main"))
        calls = [units.write(start, wish, world.tenant) for units, wish in zip(houses, wishes, strict=True)]
        came: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        (won,) = [one for one in came if isinstance(one, str)]
        (lost,) = [one for one in came if isinstance(one, Conflict)]
        assert lost.ids == {"payment_id": won}
        assert sorted([await world.askable(one) for one in accounts]) == [0, 80_00]
