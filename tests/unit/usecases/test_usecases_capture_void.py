"""Authorize, capture and void, from the wish to the books, on both engines, against the simulated processor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, store
from payments_world import World, payments_world, usd

pytestmark = [
    pytest.mark.warns("operation.given_up", "operation.unknown", "refund.failed", "work.retry"),
    # What the processor does is the same on both engines; races on PostgreSQL are in tests/interleavings.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, timeout_s=5) as made:
        yield made


async def settled(world: World) -> None:
    """A few minutes, in which events come in and what looks again has looked."""
    await world.work(hours=0.1, steps=3)


async def test_an_authorization_is_a_memo_that_reserves_what_it_is_for(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.authorized, payment.captured) == ("authorized", usd(80_00), usd(0))
    assert await world.askable(account) == 0
    balances = await world.balances()
    assert (balances["ar_patient"], balances.get("processor_clearing", 0)) == (80_00, 0)
    with pytest.raises(RuleBroken, match="may be asked"):
        await world.authorized(account)
    await world.sweep()


async def test_a_capture_takes_it_and_is_posted_to_the_books(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.authorized(account)
    await world.capture(payment_id)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.business_date) == ("captured", usd(80_00), "2026-11-20")
    assert [one.paid for one in await world.units.read(store.allocations, payment_id)] == [usd(50_00), usd(30_00)]
    assert (await world.balances()).get("ar_patient", 0) == 0
    await settled(world)
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_partial_capture_releases_the_rest(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.authorized(account)
    await world.capture(payment_id, 60_00)
    await settled(world)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(60_00))
    assert [one.paid for one in await world.units.read(store.allocations, payment_id)] == [usd(50_00), usd(10_00)]
    assert await world.askable(account) == 20_00
    with pytest.raises(RuleBroken, match="nothing to capture"):
        await world.capture(payment_id, 20_00)
    assert await world.state(await world.paid(account)) == "captured"
    await world.sweep()


async def test_more_than_is_authorized_and_less_than_nothing_are_refused(world: World) -> None:
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    for minor in (80_01, 0, -1):
        with pytest.raises(RuleBroken, match="is authorized"):
            await world.capture(payment_id, minor)
    assert (await world.processor.books())["asked"].get("capture", 0) == 0


async def test_what_is_no_longer_owed_is_not_captured(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.authorized(account)
    await world.cancel_invoice("ana-1")
    with pytest.raises(RuleBroken):
        await world.capture(payment_id)
    await world.void(payment_id)
    await settled(world)
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 30_00
    await world.sweep()


async def test_an_invoice_cancelled_between_the_wish_and_the_call_stops_the_capture(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await world.capture(payment_id)
    await world.cancel_invoice("ana-1")
    await world.work()
    assert await world.state(payment_id) == "authorized"
    assert await world.breaks() == {"not_sent"}
    assert (await world.processor.books())["asked"].get("capture", 0) == 0
    await world.sweep()


async def test_what_was_authorized_in_part_is_captured_and_the_rest_is_owed(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.paid(account, "tok_partial", capture=False)
    await world.capture(payment_id)
    await settled(world)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.authorized, payment.captured) == ("captured", usd(40_00), usd(40_00))
    assert await world.askable(account) == 40_00
    await world.sweep()


async def test_an_authorization_that_its_payer_has_to_confirm(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_action", capture=False)
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == "requires_action"
    assert payment.hosted_url
    await world.processor.pay_page(payment.hosted_url, action="confirm")
    await settled(world)
    assert await world.state(payment_id) == "authorized"
    await world.capture(payment_id)
    await settled(world)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_void_releases_an_authorization(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await world.void(payment_id)
    await settled(world)
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    with pytest.raises(RuleBroken, match="nothing to void"):
        await world.void(payment_id)
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_void_takes_a_capture_back_and_it_is_owed_again(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.paid(account, minor=60_00)
    await world.void(payment_id)
    await settled(world)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.voided) == ("voided", usd(0), usd(60_00))
    assert await world.askable(account) == 80_00
    balances = await world.balances()
    assert (balances["ar_patient"], balances.get("unapplied_credit", 0)) == (80_00, 0)
    assert balances.get("processor_clearing", 0) == 0
    # The EHR was told of the payment: taking that back there is for a person.
    assert await world.breaks() == set()
    with pytest.raises(RuleBroken):
        await world.refund(payment_id)
    await world.sweep()


async def test_an_authorization_ends_by_itself_and_what_it_was_for_is_free_again(world: World) -> None:
    """Its event is lost: the daily look finds it."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    world.seen_events |= {event["id"] for event in world.events()}
    for _ in range(8):
        world.clock.advance(timedelta(days=1))
        await world.processor.control("clock", {"advance_s": 24 * 3600})
        await world.outbox.drain()
    assert await world.state(payment_id) == "expired"
    assert await world.askable(account) == 80_00
    assert await world.breaks() == set()
    await world.sweep()


async def test_one_operation_at_a_time(world: World) -> None:
    """While nobody knows what became of one, there is no second."""
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    await world.capture(payment_id)
    for _ in range(2):
        with pytest.raises(RuleBroken, match="no outcome yet"):
            await world.capture(payment_id)
        with pytest.raises(RuleBroken, match="no outcome yet"):
            await world.void(payment_id)
        with pytest.raises(RuleBroken, match="nothing to give back"):
            await world.refund(payment_id)
        await world.processor.fault("capture", "lost_answer")
        await world.work()  # now it is unknown
    await settled(world)
    await world.refund(payment_id, 30_00)
    with pytest.raises(RuleBroken, match="refunded"):
        await world.void(payment_id)
    await settled(world)
    with pytest.raises(RuleBroken, match="refunded"):
        await world.void(payment_id)
    await world.sweep()


async def test_no_refund_while_a_void_is_under_way(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.processor.fault("void", "lost_answer")
    await world.void(payment_id)
    for _ in range(2):
        with pytest.raises(RuleBroken, match="void"):
            await world.refund(payment_id)
        await world.work()
    await settled(world)
    assert await world.state(payment_id) == "voided"
    await world.sweep()


async def test_a_capture_that_the_processor_refuses_leaves_the_authorization(world: World) -> None:
    """It is asked for more than the processor will take; then for what it does."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    books = world.processor.simulator.books
    (held,) = books.all("payment")
    books.save({**held, "amount_authorized": 60_00})
    await world.capture(payment_id)
    await world.work()
    assert await world.state(payment_id) == "authorized"
    await world.capture(payment_id, 60_00)
    await settled(world)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(60_00))
    assert await world.askable(account) == 20_00
    await world.sweep()


async def test_voided_at_the_processor_while_a_refund_waits_to_be_sent(world: World) -> None:
    """The refund is dropped, the void booked: what goes back goes back once."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    (paid,) = await world.processor.payments(payment_id)
    await world.processor.act(f"payments/{paid['id']}/void")
    refund_id = await world.refund(payment_id, 30_00)
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "voided"
    assert (await world.units.read(refunds.get, refund_id)).state == "canceled"
    await world.until_quiet()
    assert (await world.processor.books())["refunds"] == []
    assert await world.breaks() == {"refund_failed"}
    assert (await world.balances()).get("refunds_payable", 0) == 0
    await world.sweep()


async def test_voided_at_the_processor_while_a_refund_is_unknown(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.processor.fault("refund", "lost_request")
    refund_id = await world.refund(payment_id, 30_00)
    await world.outbox.drain()
    (paid,) = await world.processor.payments(payment_id)
    await world.processor.act(f"payments/{paid['id']}/void")
    await world.until_quiet()
    assert await world.state(payment_id) == "voided"
    assert (await world.units.read(refunds.get, refund_id)).state == "canceled"
    assert (await world.processor.books())["refunds"] == []
    assert await world.breaks() == {"refund_failed"}
    await world.sweep()


async def test_captured_at_the_processor_while_our_capture_waits(world: World) -> None:
    """The event comes between the wish and the call: nothing more is sent."""
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    await world.capture(payment_id)
    (held,) = await world.processor.payments(payment_id)
    await world.processor.act(f"payments/{held['id']}/capture")
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    await settled(world)
    assert (await world.units.read(store.get, payment_id)).captured == usd(80_00)
    assert await world.breaks() == {"not_sent"}
    await world.sweep()


async def test_the_event_of_a_capture_is_faster_than_its_answer(world: World) -> None:
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    await world.processor.fault("capture", "lost_answer")
    await world.capture(payment_id)
    await world.outbox.drain()
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    operations = await world.units.read(store.operations_of, payment_id)
    assert [(one.kind, one.state, one.attempt) for one in operations] == [
        ("authorize", "approved", 1),
        ("capture", "approved", 1),
    ]
    await settled(world)
    await world.sweep()


async def test_nothing_is_not_the_same_as_all(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    with pytest.raises(RuleBroken):
        await world.start(account, minor=0, method_id=await world.method(account))
    payment_id = await world.paid(account)
    with pytest.raises(RuleBroken):
        await world.refund(payment_id, 0)
    assert await world.processor.taken(payment_id) == 80_00
    await world.sweep()
