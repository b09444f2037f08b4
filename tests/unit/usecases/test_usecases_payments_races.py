"""Two things about one payment at once, in orders that nobody planned: one effect, and books that agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.billing import money as billing
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, store
from fhirpay.payments.port import Reference
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.warns("operation.unknown", "refund.failed", "work.retry")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, timeout_s=10) as made:
        yield made


async def credit(world: World, account: str) -> int:
    return sum(one.amount.minor for one in await world.units.read(billing.credits_of, account))


async def page_of(world: World, account: str) -> tuple[str, str]:
    payment_id = await world.start(account)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert payment.hosted_url
    return payment_id, payment.hosted_url


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_paid_after_its_invoice_was_cancelled_is_credit_and_told(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await world.cancel_invoice("ana-1")
    await world.processor.pay_page(url)
    await world.work(hours=0.05)
    assert await world.state(payment_id) == "captured"
    assert await credit(world, account) == 80_00
    assert await world.breaks() == {"no_longer_owed"}
    balances = await world.balances()
    assert (balances["unapplied_credit"], balances.get("ar_patient", 0)) == (80_00, 0)
    await world.sweep()


async def test_a_page_paid_when_a_part_is_no_longer_owed(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id, url = await page_of(world, account)
    await world.cancel_invoice("ana-2")
    await world.processor.pay_page(url)
    await world.work(hours=0.05)
    assert await world.state(payment_id) == "captured"
    assert await credit(world, account) == 30_00
    assert await world.breaks() == {"no_longer_owed"}
    await world.sweep()


async def test_a_page_that_expired_and_is_paid_all_the_same(world: World) -> None:
    """Late success: what it was for is asked for anew and paid; the late money is credit and a break, never lost."""
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await world.work(hours=25)
    assert await world.state(payment_id) == "expired"
    again = await world.paid(account)
    assert await world.state(again) == "captured"
    await world.processor.control("late_success", {"checkout": url.rpartition("/")[2], "card": "4242424242424242"})
    for _ in range(2):
        for event in world.events():
            await world.event(event)
        await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    assert await world.breaks() == {"late_success"}
    assert await credit(world, account) == 80_00
    refund_id = await world.refund(payment_id)
    await world.until_quiet()
    assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
    assert await credit(world, account) == 0
    await world.sweep()


async def test_two_payers_on_one_page_pay_once(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await asyncio.gather(world.processor.pay_page(url), world.processor.pay_page(url, "5555555555554444"))
    await world.work(hours=0.05)
    assert await world.state(payment_id) == "captured"
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00]
    await world.sweep()


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_refunds_at_once_never_give_back_more_than_there_is(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    asked = await asyncio.gather(*(world.refund(payment_id, 50_00) for _ in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in asked) == ["RuleBroken", "RuleBroken", "str"]
    await world.until_quiet()
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00, -50_00]
    await world.sweep()


async def test_a_second_refund_waits_until_the_first_is_known(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.processor.fault("refund", "lost_answer")
    first = await world.refund(payment_id, 30_00)
    second = await world.refund(payment_id, 50_00)
    await world.outbox.drain()
    assert (await world.processor.books())["asked"]["refund"] == 1
    await world.until_quiet()
    for one in (first, second):
        assert (await world.units.read(refunds.get, one)).state == "succeeded"
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00, -30_00, -50_00]
    await world.sweep()


async def test_a_refund_that_a_stopped_worker_sends_after_all_is_given_back_once(world: World) -> None:
    """Proven absent after it was asked for again in vain: the key of the call that may still come is not given up."""
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.processor.fault("refund", "lost_request", times=4)
    refund_id = await world.refund(payment_id, 30_00)
    await world.work(hours=0.2, steps=60)
    payment = await world.units.read(store.get, payment_id)
    assert payment.refunded == usd(30_00)
    [sent] = [one for one in await world.units.read(store.operations_of, payment_id) if one.refund_id == refund_id]
    assert payment.processor_ref
    reference, first = Reference(payment.processor_ref), f"{sent.operation_id}-1"
    await world.registry.of("main").refund(reference, usd(30_00), our_reference=refund_id, idempotency_key=first)
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00, -30_00]
    await world.sweep()


async def test_a_refund_and_a_void_asked_for_at_once(world: World) -> None:
    """Whichever comes first stands, the other is refused; money goes back once."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    asked = await asyncio.gather(world.void(payment_id), world.refund(payment_id), return_exceptions=True)
    assert sum(isinstance(one, RuleBroken) for one in asked) == 1
    await world.until_quiet()
    assert sorted(one["amount"] for one in (await world.processor.books())["movements"]) == [-80_00, 80_00]
    await world.sweep()


async def test_a_refund_said_to_have_failed_that_went_out_all_the_same_is_booked(world: World) -> None:
    """The processor takes back its word: the money is gone, so the books have to say so."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundpending")
    refund_id = await world.refund(payment_id, 30_00)
    await world.work()
    refund = await world.units.read(refunds.get, refund_id)
    assert refund.state == "pending"
    assert refund.processor_ref
    await world.processor.control("decide", {"id": refund.processor_ref, "result": "failed"})
    await world.work(hours=0.1)
    assert (await world.units.read(refunds.get, refund_id)).state == "failed"
    await world.processor.control("decide", {"id": refund.processor_ref, "result": "succeeded"})
    await world.work(hours=0.1)
    assert (await world.units.read(store.get, payment_id)).refunded == usd(30_00)
    assert await world.breaks() == {"late_refund"}
    await world.sweep()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # two days in many steps
async def test_what_the_processor_never_carries_out_is_told_and_tried_less_and_less(world: World) -> None:
    """Voided there, and the event lost: every refund is refused, and looking finds none."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    (paid,) = await world.processor.payments(payment_id)
    await world.processor.act(f"payments/{paid['id']}/void")
    lost = world.events()[-1]
    world.seen_events |= {event["id"] for event in world.events()}
    refund_id = await world.refund(payment_id, 30_00)
    await world.work(hours=12, steps=200)
    assert await world.breaks() == {"not_carried_out"}
    assert (await world.processor.books())["asked"]["refund"] < 100  # not every minute
    await world.event(lost)
    await world.inbox.drain()
    await world.until_quiet()
    assert await world.state(payment_id) == "voided"
    assert (await world.units.read(refunds.get, refund_id)).state == "canceled"
    assert await world.breaks() == {"refund_failed"}
    await world.sweep()


@pytest.mark.parametrize("operation", ["refund", "capture"])
async def test_a_key_that_has_died_is_never_resent(world: World, operation: str) -> None:
    """Nobody works for thirty hours. Past the key's life only reading is left: a resend would be a new call."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await (world.paid(account) if operation == "refund" else world.authorized(account))
    await world.processor.fault(operation, "after")
    for question in ("get", "list"):
        await world.processor.fault(question, "before", times=10_000)
    await (world.refund(payment_id, 30_00) if operation == "refund" else world.capture(payment_id))
    await world.outbox.drain()
    before = (await world.processor.books())["asked"][operation]
    world.clock.advance(timedelta(hours=30))
    await world.processor.control("clock", {"advance_s": 30 * 3600})
    await world.outbox.drain()
    assert (await world.processor.books())["asked"][operation] == before
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.until_quiet()
    moved = [one["amount"] for one in (await world.processor.books())["movements"]]
    assert moved == ([80_00, -30_00] if operation == "refund" else [80_00])
    assert await world.breaks() == set()
    await world.sweep()


# ── captures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_captures_at_once_take_once(world: World) -> None:
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    asked = await asyncio.gather(*(world.capture(payment_id, 50_00) for _ in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in asked) == ["RuleBroken", "RuleBroken", "str"]
    await world.until_quiet()
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [50_00]
    await world.sweep()


async def test_an_authorization_that_expires_while_its_capture_is_unknown(world: World) -> None:
    """The capture never arrived, and meanwhile there is nothing left to capture: known, freed, asked for again."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await world.processor.fault("capture", "lost_request", times=100)
    await world.processor.fault("get", "before", times=1000)
    await world.capture(payment_id)
    await world.work(hours=8 * 24, steps=8)
    assert await world.breaks() == {"unknown_outcome"}
    assert await world.askable(account) == 0
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.until_quiet()
    assert await world.state(payment_id) == "expired"
    assert await world.askable(account) == 80_00
    assert await world.breaks() == set()
    await world.sweep()


async def test_an_event_between_prepare_and_submit_changes_nothing(world: World) -> None:
    """The processor tells of a payment that it knows and that nobody has confirmed yet."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.processor.fault("confirm", "rate_limited", times=2)
    await world.work()
    (known,) = await world.processor.payments(payment_id)
    await world.event({"id": "evt_early", "type": "payment.created", "created": 1, "data": {"object": known}})
    await world.inbox.drain()
    await world.work(hours=0.2, steps=6)
    assert await world.state(payment_id) == "captured"
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00]
    assert await world.breaks() == set()
    await world.sweep()


async def test_unknown_found_absent_and_unknown_again_is_told_again(world: World) -> None:
    """What was told of once and then known is told of anew when nobody knows the second attempt."""
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    await world.processor.fault("capture", "error500", times=4)
    await world.capture(payment_id)
    await world.processor.fault("get", "before", times=12)
    for _ in range(60):
        await world.work(hours=0.5)
        if "unknown_outcome" in await world.breaks():
            break
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.processor.fault("capture", "error500", times=4)
    for _ in range(20):
        await world.work(hours=0.5)
        _, operation = await world.units.read(store.operations_of, payment_id)
        if operation.attempt == 2:
            break
    assert (operation.state, await world.breaks()) == ("unknown", set())
    await world.processor.fault("get", "before", times=1000)
    await world.work(hours=10, steps=10)
    assert await world.breaks() == {"unknown_outcome"}
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.until_quiet()
    assert await world.state(payment_id) == "captured"
    assert await world.breaks() == set()
    await world.sweep()
