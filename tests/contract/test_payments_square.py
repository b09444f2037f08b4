"""Payments as a whole through Square: our workers, webhook route and books against the server written from its API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import refunds, store, stored_methods
from payments_world import World, payments_world, usd
from processor_sides import SQUARE

# What differs between the engines is the use cases', and tested there on both.
pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry"),  # on a slow machine a call may run out of its time
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=SQUARE, timeout_s=10) as made:
        yield made


async def test_a_stored_card_pays_and_a_part_is_given_back(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == ("captured", usd(125_00), "visa", "1111")
    refund_id = await world.refund(payment_id, 25_00)
    await world.work(hours=0.1)
    assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
    assert await world.processor.taken(payment_id) == 100_00
    await world.sweep()


async def test_a_card_that_the_bank_wants_verified_is_let_go_for_a_link(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, SQUARE.tokens["action"])
    await world.work(hours=0.1)
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    linked = await world.start(account)
    await world.work()
    url = (await world.units.read(store.get, linked)).hosted_url
    await world.processor.pay_page(url or "")
    await world.work(hours=0.1)
    assert await world.state(linked) == "captured"
    await world.sweep()


async def test_a_declined_card_says_why_and_another_pays(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment = await world.units.read(store.get, await world.paid(account, SQUARE.tokens["funds"]))
    assert (payment.state, payment.failure_code) == ("declined", "insufficient_funds")
    assert await world.state(await world.paid(account)) == "captured"
    await world.sweep()


async def test_a_page_is_paid_and_one_that_is_no_longer_owed_takes_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    url = (await world.units.read(store.get, payment_id)).hosted_url
    await world.cancel_invoice("ana-1")
    await world.work()
    assert await world.state(payment_id) == "canceled"
    await world.processor.pay_page(url or "")
    await world.work(hours=0.1)
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


async def test_a_refund_made_in_the_dashboard_is_booked(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    [theirs] = await world.processor.payments(payment_id)
    money = {"amount": 1000, "currency": "USD"}
    body = {"idempotency_key": "theirs", "payment_id": theirs["id"], "amount_money": money, "reason": "goodwill"}
    await world.processor.made("POST", "refunds", body)
    await world.work(hours=0.1)
    assert [one.amount for one in await world.units.read(refunds.of_payment, payment_id)] == [usd(10_00)]
    assert await world.breaks() == {"refund_outside"}
    await world.sweep()


async def test_a_disabled_card_is_given_up(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.made("POST", "cards/ccof:customer-card-id-ok/disable", {})
    payment_id = await world.paid(account)
    assert await world.state(payment_id) == "declined"
    assert await world.units.read(stored_methods.of_account, account) == []
    await world.sweep()
