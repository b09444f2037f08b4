"""A card held to one of Stripe's readers: workers, webhook route and books against the server written from its API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_canaries import Wire

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import store, terminals
from fhirpay.payments.port import Unknown
from fhirpay.payments.terminal_port import ReaderSeen
from fhirpay.usecases import on_terminal
from payments_world import World, payments_world, usd
from processor_sides import STRIPE

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry"),
]
READER, BACK = STRIPE.readers


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def world(database: Database, clock: FrozenClock, wire: Wire) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=STRIPE, timeout_s=10, transport=wire) as made:
        yield made


async def seconds(world: World, number: float) -> None:
    """So long, with everything that is due done; no event comes."""
    world.seen_events |= {one["id"] for one in world.events()}
    await world.work(hours=number / 3600)
    world.seen_events |= {one["id"] for one in world.events()}


async def cancel(world: World, payment_id: str) -> None:
    await world.units.write(on_terminal.cancel, payment_id)
    await world.outbox.drain()


async def is_free(world: World) -> bool:
    return await world.units.read(terminals.active_on, "main", READER) is None


async def test_a_card_pays_and_its_event_is_faster_than_the_next_look(world: World, wire: Wire) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    assert await world.state(payment_id) == "requires_action"
    await world.processor.at_reader(READER, "tap", card="5555555555554444")
    await world.deliver_events()
    await world.inbox.drain()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == (
        "captured",
        usd(80_00),
        "mastercard",
        "4444",
    )
    seen = await world.units.read(terminals.find, payment_id)
    assert seen is not None
    assert (seen.entry_mode, len(seen.network_ref), len(payment.authorization_code)) == ("contactless", 16, 6)
    await world.refund(payment_id, 30_00)
    await world.work(hours=0.1)
    assert (await world.units.read(store.get, payment_id)).refunded == usd(30_00)
    assert await world.breaks() == set()
    sent = [(str(request.url), body.decode()) for request, body, _ in wire.sent if request.method == "POST"]
    assert sent[0][1].split("&") == [
        "amount=8000",
        "currency=usd",
        "capture_method=automatic",
        "payment_method_types%5B0%5D=card_present",
        f"metadata%5Breference%5D={payment_id}",
    ]
    assert sent[1][0].endswith(f"/v1/terminal/readers/{READER}/process_payment_intent")
    assert sent[1][1] == f"payment_intent={payment.processor_ref}"
    keys = {request.headers["idempotency-key"] for request, _, _ in wire.sent if request.method == "POST"}
    assert len(keys) == 3
    await world.sweep()


async def test_without_events_it_is_looked_at_every_five_seconds(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await seconds(world, 6)
    assert await world.state(payment_id) == "requires_action"
    await world.processor.at_reader(READER, "tap")
    await seconds(world, 6)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


@pytest.mark.parametrize(
    ("card", "code"), [("4000000000009995", "insufficient_funds"), ("4000000000000069", "method_expired")]
)
async def test_a_declined_card_ends_the_payment(world: World, card: str, code: str) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.at_reader(READER, "tap", card=card)
    await seconds(world, 6)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code, await is_free(world)) == ("declined", code, True)
    await world.sweep()


async def test_a_payer_who_presses_cancel(world: World) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.at_reader(READER, "customer_canceled")
    await seconds(world, 6)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code, await is_free(world)) == ("declined", "not_confirmed", True)
    await world.sweep()


@pytest.mark.parametrize("what", ["connection_error", "let_go"])
async def test_a_reader_that_lost_it_keeps_it_until_it_is_canceled_for_certain(world: World, what: str) -> None:
    """Stripe may have been told of a card that the reader knows nothing more of: only the payment's end is certain."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await world.processor.at_reader(READER, what)
    await seconds(world, 60)
    assert (await world.state(payment_id), await is_free(world)) == ("requires_action", False)
    await seconds(world, 180)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code, await is_free(world)) == ("canceled", "not-presented", True)
    (intent,) = (await world.processor.books())["payments"]
    assert intent["status"] == "canceled"
    await world.sweep()


async def test_a_reader_that_is_offline_or_unknown_or_busy_takes_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.at_reader(READER, "offline")
    offline = await world.on_reader(account)
    assert (await world.units.read(store.get, offline)).failure_code == "reader_offline"
    terminal = world.registry.terminal("main")
    assert await terminal.read_reader(READER) == ReaderSeen("offline")
    assert isinstance(await terminal.read_reader("tmr_nowhere"), Unknown)
    first = await world.on_reader(account, "back")
    intent = (await world.units.read(store.get, first)).processor_ref
    assert intent is not None
    assert await terminal.read_reader(BACK) == ReaderSeen("online", intent)  # type: ignore[arg-type]
    await world.units.write(terminals.free, first)  # as if another program drove it
    second = await world.on_reader(await world.invoiced("bea", 20_00), "back")
    assert (await world.units.read(store.get, second)).failure_code == "reader_busy"
    await world.processor.at_reader(BACK, "tap")
    await seconds(world, 6)
    assert await world.state(first) == "captured"
    await world.sweep()


async def test_a_cancel_ends_it_at_the_reader_and_at_stripe(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await cancel(world, payment_id)
    assert (await world.state(payment_id), await is_free(world)) == ("canceled", True)
    again = await world.on_reader(account)
    await world.processor.at_reader(READER, "read")
    await cancel(world, again)
    assert (await world.state(again), await is_free(world)) == ("requires_action", False)
    await world.processor.at_reader(READER, "tap")
    with pytest.raises(AssertionError):
        await world.processor.at_reader(READER, "tap")
    await cancel(world, again)  # too late
    payment = await world.units.read(store.get, again)
    assert (payment.state, payment.captured, await is_free(world)) == ("captured", usd(80_00), True)
    with pytest.raises(RuleBroken, match="no reader waits"):
        await cancel(world, again)
    await world.sweep()


async def test_a_reader_without_a_network_does_not_keep_a_cancel_from_ending_the_payment(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.on_reader(account)
    await world.processor.at_reader(READER, "offline")
    await cancel(world, payment_id)
    assert (await world.state(payment_id), await world.askable(account)) == ("canceled", 80_00)
    await world.processor.at_reader(READER, "online")
    await world.processor.at_reader(READER, "tap")  # it still asks for the card: nothing can be taken by it
    await seconds(world, 600)
    assert (await world.processor.books())["movements"] == []
    await world.sweep()


@pytest.mark.parametrize("operation", ["cancel", "void"])
async def test_a_lost_answer_of_a_cancel_is_looked_up(world: World, operation: str) -> None:
    payment_id = await world.on_reader(await world.invoiced("ana", 80_00))
    await world.processor.fault(operation, "lost_answer")
    await cancel(world, payment_id)
    await seconds(world, 6)
    await seconds(world, 400)
    assert (await world.state(payment_id), await is_free(world)) == ("canceled", True)
    assert await world.breaks() == set()
    await world.sweep()
