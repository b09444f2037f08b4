"""Events that never came are found on the processor's own list: the same state, books and holds as with webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from disputes_world import disputed, heard
from fhirpay.billing import worklist
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import ProcessorUnavailable, RuleBroken
from fhirpay.inbox.store import find_by_control_id
from fhirpay.payments import disputes, event_sweeps, refunds, store
from fhirpay.usecases import sweep
from fhirpay.usecases.sweep import Sweep
from payments_world import World, payments_world
from processor_sides import ADYEN, SIMULATED, SQUARE, STRIPE

HASH_KEY = b"k" * 32
pytestmark = pytest.mark.warns("dispute.opened")


@pytest.fixture(params=[SIMULATED, STRIPE], ids=lambda side: side.name)
async def world(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=request.param) as made:
        yield made


def sweeping(world: World) -> Sweep:
    return Sweep(world.units, world.tenant, world.registry, HASH_KEY)


async def swept(world: World) -> int:
    """One sweep to its end, and all that follows from what it found."""
    found = await sweeping(world).whole("main")
    await world.inbox.drain()
    await world.outbox.drain()
    return found


async def refunded_there(world: World, payment_id: str, minor: int) -> None:
    """Somebody gives a part back in the processor's own dashboard."""
    (paid,) = await world.processor.payments(payment_id)
    path = {"simulated": "/v1/refunds", "stripe": "/v1/refunds", "square": "/v2/refunds"}[world.side.name]
    url, key = world.processor.base_url + path, f"there-{payment_id}"
    auth = {"authorization": f"Bearer {world.side.secret_key}"}
    if world.side.name == "stripe":
        form = {"payment_intent": paid["id"], "amount": str(minor)}
        answer = await world.processor.http.post(url, data=form, headers={**auth, "idempotency-key": key})
    elif world.side.name == "square":
        money = {"amount": minor, "currency": "USD"}
        body: dict[str, Any] = {"idempotency_key": key[:45], "payment_id": paid["id"], "amount_money": money}
        answer = await world.processor.http.post(url, json=body, headers=auth)
    else:
        body = {"payment": paid["id"], "amount": minor, "reference": ""}
        answer = await world.processor.http.post(url, json=body, headers=auth)
    assert answer.is_success, answer.text


def delivered(event: dict[str, Any]) -> dict[str, Any]:
    """As it is sent: a list shows the same event in other bytes (Stripe's `pending_webhooks` counts down)."""
    return {**event, "pending_webhooks": 1}


async def a_day(world: World) -> tuple[str, str, str]:
    """A page that is paid, a refund made there, a dispute; what each is about."""
    account = await world.invoiced("anna", 50_00, 50_00, 50_00)
    page = await world.start(account, minor=50_00)
    await world.work()
    paid = await world.units.read(store.get, page)
    assert paid.hosted_url
    await world.processor.pay_page(paid.hosted_url)
    given = await world.paid(account, minor=50_00)
    taken = await world.paid(account, minor=50_00)
    await refunded_there(world, given, 20_00)
    await disputed(world, taken)
    return page, given, taken


async def known(world: World, payments: tuple[str, str, str]) -> dict[str, Any]:
    """What our books say at the end of it."""
    states = [await world.state(one) for one in payments]
    back = [[(one.state, one.amount) for one in await world.units.read(refunds.of_payment, one)] for one in payments]
    taken = [[(one.state, one.amount) for one in await world.units.read(disputes.of_payment, one)] for one in payments]
    return {
        "states": states,
        "refunds": back,
        "disputes": taken,
        "balances": await world.balances(),
        "breaks": await world.breaks(),
    }


@pytest.mark.parametrize("told", ["all", "none", "some", "late"])
async def test_day_without_webhooks_ends_in_the_same_books(world: World, told: str) -> None:
    day = await a_day(world)
    events = world.events()
    if told == "all":
        await heard(world)
        assert await swept(world) == 0
    elif told == "none":
        assert await swept(world) > 0
        assert await swept(world) == 0
    elif told == "some":
        for event in events[1::3]:
            assert (await world.event(delivered(event))).status_code == 200
        assert await swept(world) > 0
    else:  # the list first, then every event twice, the newest first
        await swept(world)
        for event in [*reversed(events), *events]:
            assert (await world.event(delivered(event))).status_code == 200
        await world.inbox.drain()
    now = await known(world, day)
    assert now["states"] == ["captured"] * 3
    assert [len(one) for one in now["refunds"]] == [0, 1, 0]
    assert [len(one) for one in now["disputes"]] == [0, 0, 1]
    assert now["breaks"] == {"refund_outside"}
    owed = {"charges_control": 150_00, "ar_patient": 20_00, "dispute_receivable": 50_00, "dispute_fees": 15_00}
    assert now["balances"] == {**owed, "processor_clearing": 65_00}
    await world.sweep()
    for event in events:
        stored = await world.units.read(find_by_control_id, event[world.side.event_id])
        assert len(stored) <= 1, "a list shows an event in other bytes, and it is the same event"


async def test_list_that_is_cut_half_way_goes_on(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SIMULATED) as world:
        await world.processor.control("settings", {"events_page": 2})
        day = await a_day(world)
        sweeps = sweeping(world)
        first = await sweeps.step("main")
        assert (first.found, first.over) == (2, False)
        await world.processor.fault("events", "lost_answer")
        with pytest.raises(ProcessorUnavailable):
            await sweeps.step("main")
        before = world.processor.simulator.faults.asked["events"]
        assert await sweeping(world).whole("main") == len(world.events()) - 2
        pages = world.processor.simulator.faults.asked["events"] - before
        assert pages == (len(world.events()) - 1) // 2  # not from the beginning
        await world.inbox.drain()
        assert (await known(world, day))["breaks"] == {"refund_outside"}
        await world.sweep()


async def test_list_that_lay_too_long_is_begun_anew(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SIMULATED) as world:
        await world.processor.control("settings", {"events_page": 2})
        await a_day(world)
        await sweeping(world).step("main")
        clock.advance(timedelta(hours=2))
        await sweeping(world).whole("main")
        ids = [one["id"] for one in world.events()]
        assert [len(await world.units.read(find_by_control_id, one)) for one in ids] == [1] * len(ids)


async def test_sweep_comes_again_each_day_by_itself(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SIMULATED) as world:
        for _ in range(3):  # three processes start
            await world.units.write(sweep.schedule, world.tenant, world.registry)
        day = await a_day(world)
        await world.work(hours=25, steps=1)
        place = await world.units.read(event_sweeps.place, "main")
        assert place.watermark == clock.now()
        assert world.processor.simulator.faults.asked["events"] == 2
        assert (await known(world, day))["states"] == ["captured"] * 3


@pytest.mark.warns("events.missed")
async def test_what_the_list_reaches_no_more_is_told(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SIMULATED) as world:
        await swept(world)
        assert await world.units.read(worklist.list_open, kind=sweep.MISSED) == []
        clock.advance(timedelta(days=29))
        await swept(world)
        assert await world.units.read(worklist.list_open, kind=sweep.MISSED) == []
        clock.advance(timedelta(days=31))
        await swept(world)
        (line,) = await world.units.read(worklist.list_open, kind=sweep.MISSED)
        assert "may have been missed" in line.says


@pytest.mark.warns("work.retry")
async def test_list_that_can_not_be_read_for_days_is_told(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SIMULATED) as world:
        await swept(world)
        await world.units.write(sweep.schedule, world.tenant, world.registry)
        await world.processor.fault("events", "before", times=1000)
        await world.work(hours=24 * 3)
        assert await world.units.read(worklist.list_open, kind=sweep.UNLISTED) == []
        await world.work(hours=26)
        assert len(await world.units.read(worklist.list_open, kind=sweep.UNLISTED)) == 1
        world.processor.simulator.faults.waiting.clear()
        await world.work(hours=12)
        assert await world.units.read(worklist.list_open, kind=sweep.UNLISTED) == []


async def test_square_lists_what_happened_since_events_were_enabled(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=SQUARE) as world:
        given = await world.paid(await world.invoiced("bert", 50_00))
        assert (await world.processor.call("PUT", "events/enable", {})).status_code == 200
        await refunded_there(world, given, 20_00)
        await world.processor.control("clock", {"advance_s": 60})
        clock.advance(timedelta(seconds=60))
        world.events()
        assert await swept(world) > 0
        (back,) = await world.units.read(refunds.of_payment, given)
        assert back.amount.minor == 20_00
        assert await world.breaks() == {"refund_outside"}
        assert await swept(world) == 0
        await world.sweep()


async def test_processor_without_a_list_is_left_out(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=ADYEN) as world:
        assert sweep.listing(world.tenant, world.registry) == set()
        with pytest.raises(RuleBroken, match="lists no events"):
            await sweeping(world).whole("main")
