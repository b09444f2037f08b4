"""Refunds that were made at the processor itself, and events about refunds that come from elsewhere or too early."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.worker import Worker
from fhirpay.payments import refunds, registry, store
from fhirpay.payments.port import Approved, OperationKind, OperationRef, Outcome, PaymentRequest, Prepared, Unknown
from fhirpay.payments.records import Refund
from fhirpay.usecases import webhook
from payments_world import World, payments_world, usd
from processor_running import now

pytestmark = pytest.mark.warns("refund.failed", "refund.failed_late", "operation.unknown")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def refunded_outside(world: World, payment_id: str, minor: int) -> None:
    """By a person at the processor, who knows nothing of us."""
    (paid,) = await world.processor.payments(payment_id)
    await world.registry.of("main").refund(
        paid["id"], usd(minor), our_reference="by-hand", idempotency_key=f"by hand {payment_id} {minor}"
    )


async def refunds_of(world: World, payment_id: str) -> list[Refund]:
    return await world.units.read(refunds.of_payment, payment_id)


async def test_a_refund_made_at_the_processor_that_fails_later_comes_back_into_the_books(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await refunded_outside(world, payment_id, 30_00)
    await world.work(hours=0.01)
    (made,) = await refunds_of(world, payment_id)
    await world.processor.control("decide", {"id": made.processor_ref, "result": "failed"})
    await world.work(hours=0.01)
    assert [one.state for one in await refunds_of(world, payment_id)] == ["failed"]
    assert (await world.balances())["unapplied_credit"] == 30_00
    await world.sweep()


async def test_a_refund_made_at_the_processor_is_booked_though_we_hear_of_it_before_the_payment(world: World) -> None:
    payment_id = await world.start(await world.invoiced("ana", 80_00))
    await world.work()
    await world.processor.pay_page((await world.units.read(store.get, payment_id)).hosted_url)
    await refunded_outside(world, payment_id, 30_00)
    for event in reversed(world.events()):  # the refund's first
        world.seen_events.add(event["id"])
        await world.event(event)
        await world.inbox.drain()
    await world.until_quiet()
    assert [one.state for one in await refunds_of(world, payment_id)] == ["succeeded"]
    await world.sweep()


async def test_a_refund_made_at_the_processor_is_booked_once_ours_in_its_way_has_failed(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await refunded_outside(world, payment_id, 80_00)
    await world.refund(payment_id)
    await world.deliver_events()
    await world.inbox.drain()  # ours claims all there is, and has not been sent yet
    await world.until_quiet()
    assert sorted(one.state for one in await refunds_of(world, payment_id)) == ["failed", "succeeded"]
    await world.sweep()


async def test_another_merchants_event_says_nothing_of_a_refund_with_the_same_reference(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.processor.fault("refund", "lost_answer")
    refund_id = await world.refund(payment_id)
    await world.outbox.drain()  # it went out, and nobody knows yet
    async with world.side.running() as elsewhere:
        await elsewhere.control("clock", {"advance_s": (world.clock.now() - now()).total_seconds()})
        (here,) = world.tenant.merchants
        there = here.model_copy(update={"name": "other", "base_url": elsewhere.base_url})
        tenant = world.tenant.model_copy(update={"merchants": (here, there)})
        both = registry.build(tenant)
        other = both.of("other")
        wish = PaymentRequest(
            "pay" + "x" * 26, usd(80_00), "tok_visa", "customer", "Other", return_url="https://other.example"
        )
        made = await other.prepare(wish, idempotency_key="p")
        assert isinstance(made, Prepared)
        await other.submit(made.reference, wish, idempotency_key="s")
        done = await other.refund(made.reference, usd(80_00), our_reference=refund_id, idempotency_key="r")
        assert isinstance(done, Approved)
        await elsewhere.control("decide", {"id": done.reference, "result": "failed"})
        for event in world.side.events(elsewhere):
            body = json.dumps(event).encode()
            signed = world.side.sign([world.side.webhook_secrets[0]], body, int(world.clock.now().timestamp()))
            await webhook.receive(
                world.units,
                both,
                processor="simulated",
                merchant="other",
                headers={world.side.header: signed},
                body=body,
                clock=world.clock,
                hash_key=b"k" * 32,
            )
        handlers = {"webhook": webhook.Webhooks(world.units, tenant, both).run}
        await Worker(world.database, world.units, queue="inbox", handlers=handlers).drain()
        await both.aclose()
    assert [one.state for one in await refunds_of(world, payment_id)] == ["submitted"]
    await world.until_quiet()
    assert [one.state for one in await refunds_of(world, payment_id)] == ["succeeded"]
    await world.sweep()


async def test_a_refund_that_failed_went_out_late_and_came_back_is_in_the_books_each_time(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00), "tok_refundpending")
    refund_id = await world.refund(payment_id)
    await world.outbox.drain()
    theirs = (await refunds_of(world, payment_id))[0].processor_ref
    for result in ("failed", "succeeded", "failed"):
        await world.processor.control("decide", {"id": theirs, "result": result})
        await world.work(hours=0.01)
    assert [(one.refund_id, one.state) for one in await refunds_of(world, payment_id)] == [(refund_id, "failed")]
    assert (await world.balances())["unapplied_credit"] == 80_00
    await world.sweep()


async def until_given_up(world: World) -> None:
    for _ in range(20):
        await world.work(hours=6)


async def test_an_event_about_a_refund_that_can_never_be_looked_up_is_told_by_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.work(hours=0.01)
    adapter = world.registry.of("main")
    honest = adapter.lookup

    async def blind(operation: OperationRef) -> Outcome:
        return Unknown("out of order") if operation.kind is OperationKind.REFUND else await honest(operation)

    monkeypatch.setattr(adapter, "lookup", blind)
    await refunded_outside(world, payment_id, 30_00)
    await until_given_up(world)
    told = [one for one in await world.units.read(store.breaks) if one.kind == "event_not_applied"]
    names = [event["id"] for event in world.events() if event["type"].startswith("refund")]
    assert names
    assert [any(name in one.says for name in names) for one in told] == [True] * len(names)


async def test_an_event_about_a_refund_that_failed_late_is_told_when_it_cannot_be_looked_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment_id)
    await world.until_quiet()
    (made,) = await refunds_of(world, payment_id)

    async def blind(_operation: OperationRef) -> Outcome:
        return Unknown("out of order")

    monkeypatch.setattr(world.registry.of("main"), "lookup", blind)
    await world.processor.control("decide", {"id": made.processor_ref, "result": "failed"})
    await until_given_up(world)
    (told,) = await world.units.read(store.breaks)
    assert (told.kind, told.payment_id) == ("event_not_applied", payment_id)
    assert str(made.processor_ref) in told.says


async def test_a_refund_whose_event_was_lost_is_told_when_its_payment_is_looked_up(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment_id, 10_00)
    await world.until_quiet()
    await refunded_outside(world, payment_id, 30_00)
    lost = {event["id"] for event in world.events()} - world.seen_events
    world.seen_events |= lost
    (paid,) = [event for event in world.events() if event["type"] == "payment.captured"]
    await world.event({**paid, "id": "evt_again_and_late"})
    await world.inbox.drain()
    (told,) = await world.units.read(store.breaks)
    assert (told.kind, told.payment_id, told.amount) == ("refund_unknown", payment_id, usd(30_00))
    world.seen_events -= lost  # it comes after all
    await world.until_quiet()
    assert await world.breaks() == {"refund_outside"}
    await world.sweep()
