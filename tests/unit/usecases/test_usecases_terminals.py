"""A card held to a reader: from the wish to the books, at the simulated processor's readers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import Conflict, NotFound, RuleBroken
from fhirpay.payments import store, terminals
from fhirpay.usecases import on_terminal
from payments_world import World, payments_world, usd

pytestmark = [
    pytest.mark.warns("operation.unknown", "work.retry"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
READER = "rd_front"


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, timeout_s=5) as made:
        yield made


async def seconds(world: World, number: float) -> None:
    """So long, with everything that is due done; events don't come."""
    await world.processor.control("webhooks", {"hold": True})
    await world.work(hours=number / 3600)


async def cancel(world: World, payment_id: str) -> None:
    await world.units.write(on_terminal.cancel, payment_id)
    await world.outbox.drain()


async def is_free(world: World) -> bool:
    return await world.units.read(terminals.active_on, "main", READER) is None


async def test_a_card_that_is_held_to_the_reader_pays(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.on_reader(account)
    assert await world.state(payment_id) == "requires_action"
    assert await world.askable(account) == 0
    await world.processor.at_reader(READER, "tap", card="5555555555554444", entry_mode="chip")
    await world.outbox.drain()
    assert await world.state(payment_id) == "requires_action"  # it is looked at again in five seconds
    await world.work(hours=6 / 3600)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == (
        "captured",
        usd(80_00),
        "mastercard",
        "4444",
    )
    assert payment.tender == "card"
    seen = await world.units.read(terminals.find, payment_id)
    assert seen is not None
    assert (seen.entry_mode, seen.network_ref[:2], seen.freed_at) == ("chip", "MA", world.clock.now())
    await world.refund(payment_id, 30_00)
    await world.work(hours=0.1)
    assert (await world.units.read(store.get, payment_id)).refunded == usd(30_00)
    assert await world.breaks() == set()
    await world.sweep()


async def test_the_event_is_faster_than_the_next_look(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.at_reader(READER, "tap")
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_reader_has_one_payment_at_a_time(world: World) -> None:
    first = await world.on_reader(await world.invoiced("ana", 80_00))
    other = await world.invoiced("bea", 20_00)
    with pytest.raises(Conflict, match=f"'front' has payment {first}") as no:
        await world.start(other, terminal="front")
    assert no.value.ids == {"payment_id": first}
    assert await world.askable(other) == 20_00
    second = await world.on_reader(other, "back")
    assert await world.state(second) == "requires_action"
    await world.processor.at_reader("rd_back", "tap")
    await world.processor.at_reader(READER, "tap")
    await world.work(hours=6 / 3600)
    assert [await world.state(one) for one in (first, second)] == ["captured", "captured"]
    await world.sweep()


async def test_a_declined_card_ends_the_payment_and_frees_the_reader(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await world.processor.at_reader(READER, "tap", card="4000000000009995")
    await world.work(hours=6 / 3600)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("declined", "insufficient_funds")
    assert await is_free(world)
    assert await world.askable(account) == 80_00
    again = await world.on_reader(account)
    await world.processor.at_reader(READER, "tap")
    await world.work(hours=6 / 3600)
    assert await world.state(again) == "captured"
    await world.sweep()


async def test_a_reader_that_is_not_there_takes_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.at_reader(READER, "offline")
    payment_id = await world.on_reader(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("declined", "reader_offline")
    assert await is_free(world)
    with pytest.raises(NotFound, match="configured: front, back"):
        await world.start(account, terminal="side")
    with pytest.raises(RuleBroken, match="a terminal takes the money at once"):
        await world.start(account, terminal="front", capture=False)
    await world.sweep()


async def test_a_cancel_frees_what_it_was_for(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await cancel(world, payment_id)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "canceled")
    assert await is_free(world)
    assert await world.askable(account) == 80_00
    with pytest.raises(RuleBroken, match="no reader waits"):
        await cancel(world, payment_id)
    await world.until_quiet()
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_cancel_that_comes_too_late_shows_what_was_paid(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await world.processor.at_reader(READER, "tap")
    await cancel(world, payment_id)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(80_00))
    operations = await world.units.read(store.operations_of, payment_id)
    assert [(one.kind, one.state) for one in operations][-1] == ("terminal_cancel", "declined")
    assert await is_free(world)
    await world.until_quiet()
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_card_that_is_being_read_can_not_be_stopped(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.at_reader(READER, "read")
    await cancel(world, payment_id)
    assert await world.state(payment_id) == "requires_action"
    assert not await is_free(world)
    await world.processor.at_reader(READER, "tap")
    await world.work(hours=6 / 3600)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_nobody_holds_a_card_to_it_in_time(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await seconds(world, 100)
    assert await world.state(payment_id) == "requires_action"
    await seconds(world, 100)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "not-presented")
    assert await is_free(world)
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_the_reader_gives_up_by_itself(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.at_reader(READER, "time_out")
    await world.work(hours=6 / 3600)
    assert await world.state(payment_id) == "expired"
    assert await is_free(world)
    await world.sweep()


async def test_what_is_no_longer_owed_is_taken_off_the_reader(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.cancel_invoice("ana-1")
    await seconds(world, 6)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "no-longer-owed")
    await world.sweep()


async def test_a_lost_answer_is_looked_up_before_anything_else_is_done(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("process", "lost_answer")
    payment_id = await world.on_reader(account)
    assert [one.state for one in await world.units.read(store.unknown_operations)] == ["unknown"]
    with pytest.raises(RuleBroken, match="has no outcome yet"):
        await cancel(world, payment_id)
    with pytest.raises(Conflict):
        await world.start(await world.invoiced("bea", 20_00), terminal="front")
    await seconds(world, 2)
    assert await world.units.read(store.unknown_operations) == []
    assert await world.state(payment_id) == "requires_action"
    await world.processor.fault("void", "lost_answer")
    await cancel(world, payment_id)
    assert await world.state(payment_id) == "requires_action"
    assert not await is_free(world)
    await seconds(world, 2)
    assert await world.state(payment_id) == "canceled"
    assert await is_free(world)
    await world.sweep()


async def test_a_start_that_was_lost_for_long_is_not_made_up_for(world: World) -> None:
    """By then somebody else may stand before the reader."""
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("process", "before", times=5)
    await world.processor.fault("get", "before", times=30)
    payment_id = await world.on_reader(account)
    for _ in range(8):
        await seconds(world, 30)
        assert not await is_free(world)
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await seconds(world, 600)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, await is_free(world)) == ("canceled", True)
    assert (await world.processor.books())["movements"] == []
    await world.sweep()
