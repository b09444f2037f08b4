"""Payments as a whole through Stripe: our workers, webhook route and books against the server written from its API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import refunds, store, stored_methods
from fhirpay.usecases import desk_list
from payments_world import TOKEN, World, payments_world, usd
from processor_sides import STRIPE

# What differs between the engines is the use cases', and tested there on both.
pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry"),  # on a slow machine a call may run out of its time
]
OURS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=STRIPE, timeout_s=10) as made:
        yield made


async def test_a_stored_method_pays_and_a_part_is_given_back(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == ("captured", usd(125_00), "visa", "4242")
    refund_id = await world.refund(payment_id, 25_00)
    await world.work()
    assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
    assert await world.processor.taken(payment_id) == 100_00
    await world.sweep()


@pytest.mark.warns("webhook.refused")
async def test_an_event_after_a_lost_answer_books_the_payment_once(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    await world.processor.fault("confirm", "lost_answer")
    await world.processor.fault("get", "lost_answer", times=100)
    await world.processor.fault("confirm", "rate_limited", times=100)
    payment_id = await world.start(account, method_id=method)
    await world.work()
    assert await world.state(payment_id) == "created"
    assert await world.processor.taken(payment_id) == 80_00
    succeeded = [event for event in world.events() if event["type"] == "payment_intent.succeeded"]
    assert len(succeeded) == 1
    world.processor.simulator.faults.waiting.clear()
    world.seen_events |= {event["id"] for event in world.events()}  # no other event helps
    forged = await world.event(succeeded[0], secret="whsec_guessed")
    assert forged.status_code == 401
    first = await world.event(succeeded[0])
    again = await world.event(succeeded[0], secret=STRIPE.webhook_secrets[1])
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    await world.until_quiet()
    assert await world.processor.taken(payment_id) == 80_00
    assert (await world.balances())["processor_clearing"] == 80_00
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_stored_500_is_read_around_and_tried_under_another_key(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "error500")
    payment_id = await world.paid(account)
    await world.until_quiet()
    assert await world.state(payment_id) == "captured"
    assert await world.processor.taken(payment_id) == 80_00
    await world.sweep()


async def test_a_payer_on_session_is_sent_to_the_bank_and_comes_back_paid(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, STRIPE.tokens["action"])
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == "requires_action"
    assert payment.hosted_url
    await world.processor.bank_page(payment.hosted_url)
    await world.work(hours=0.1)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_off_session_a_bank_that_wants_to_ask_gets_its_payer_a_link(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, STRIPE.tokens["action"])
    payment_id = await world.start(account, method_id=method, initiated_by="merchant")
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "payer-must-confirm")
    (theirs,) = await world.processor.payments(payment_id)
    assert theirs["status"] == "canceled"
    assert (await world.units.read(stored_methods.get, method)).state == "active"
    (line,) = (await world.units.read(desk_list.read)).lines
    link = line.subject
    url = (await world.units.read(store.get, link)).hosted_url or ""
    assert (line.kind, line.amount, url in line.says) == ("payer_must_confirm", usd(80_00), True)
    assert await world.askable(account) == 0
    await world.processor.pay_page(url)
    await world.until_quiet()
    assert [await world.state(one) for one in (payment_id, link)] == ["canceled", "captured"]
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_payer_who_does_not_come_back_from_the_bank_blocks_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, STRIPE.tokens["action"])
    assert await world.askable(account) == 0
    await world.void(payment_id)
    await world.work()
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    await world.until_quiet()
    await world.sweep()


async def test_a_card_that_its_bank_stops_is_not_tried_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, "pm_card_chargeDeclinedStolenCard")
    payment_id = await world.start(account, method_id=method)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("declined", "do_not_retry")
    assert (await world.units.read(stored_methods.get, method)).state == "refused"
    await world.sweep()


async def test_a_decline_frees_what_was_reserved(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment = await world.units.read(store.get, await world.paid(account, STRIPE.tokens["funds"]))
    assert (payment.state, payment.failure_code) == ("declined", "insufficient_funds")
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_a_page_takes_a_second_try_and_is_booked_by_its_event(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    url = (await world.units.read(store.get, payment_id)).hosted_url
    assert url
    await world.processor.pay_page(url, "4000000000000002")
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "requires_action"
    await world.processor.pay_page(url)
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_what_was_authorized_is_captured_in_part(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, capture=False)
    assert await world.state(payment_id) == "authorized"
    assert await world.processor.taken(payment_id) == 0
    await world.capture(payment_id, 50_00)
    await world.work()
    assert await world.state(payment_id) == "captured"
    assert await world.processor.taken(payment_id) == 50_00
    await world.sweep()


async def test_a_refund_made_in_the_dashboard_is_booked(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = (await world.units.read(store.get, payment_id)).processor_ref
    answer = await world.processor.http.post(
        f"{world.processor.base_url}/v1/refunds",
        data={"payment_intent": theirs, "amount": "1000"},
        headers={"Authorization": f"Bearer {STRIPE.secret_key}"},
    )
    assert answer.is_success, answer.text
    await world.work(hours=0.01)
    assert [one.amount for one in await world.units.read(refunds.of_payment, payment_id)] == [usd(10_00)]
    assert await world.breaks() == {"refund_outside"}
    await world.sweep()
