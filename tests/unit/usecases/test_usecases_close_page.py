"""A link opened on Monday doesn't charge Monday's balance on Friday: its page is closed at the processor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.billing import entries
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir import store as fhir
from fhirpay.payments import store
from fhirpay.payments.records import Payment
from fhirpay.usecases import desk_list
from fhirpay.usecases.collect import reassess_accounts
from payments_world import World, payments_world, usd

pytestmark = [
    pytest.mark.warns("work.retry", "operation.given_up"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def page_of(world: World, account: str) -> tuple[str, str]:
    """A payment whose payer was sent to the processor's page, and the page."""
    payment_id = await world.start(account)
    await world.work()
    url = (await payment(world, payment_id)).hosted_url
    assert url
    return payment_id, url


async def payment(world: World, payment_id: str) -> Payment:
    return await world.units.read(store.get, payment_id)


async def hold(world: World, account: str) -> str:
    def open_it(tx: Tx) -> str:
        hold_id = entries.open_hold(tx, account, "dispute", says="the patient disputes it", by="test")
        reassess_accounts(tx, [account], world.tenant)
        return hold_id

    return await world.units.write(open_it)


async def release(world: World, hold_id: str) -> None:
    def end_it(tx: Tx) -> None:
        reassess_accounts(tx, [entries.release_hold(tx, hold_id, by="test", why="settled").account_ref], world.tenant)

    await world.units.write(end_it)


async def cancel_invoice(world: World, account: str) -> None:
    def cancel(tx: Tx) -> None:
        name = account.removeprefix("Account/")
        known = fhir.get(tx, "Invoice", f"{name}-1")
        assert known is not None
        fhir.put(tx, {**known.resource, "status": "cancelled"})
        reassess_accounts(tx, [account], world.tenant)

    await world.units.write(cancel)


async def test_a_hold_closes_the_page_and_nothing_is_charged_on_it(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    hold_id = await hold(world, account)
    await world.work()
    found = await payment(world, payment_id)
    assert (found.state, found.failure_code) == ("canceled", "no-longer-owed")
    assert found.failure_says == "the patient disputes it"
    await world.processor.pay_page(url)
    await world.until_quiet()
    assert (await world.processor.taken(payment_id), await world.state(payment_id)) == (0, "canceled")
    await release(world, hold_id)
    assert await world.askable(account) == 80_00
    again, url = await page_of(world, account)
    await world.processor.pay_page(url)
    await world.work(hours=0.01)
    assert await world.state(again) == "captured"
    assert await world.breaks() == set()
    await world.sweep()


async def test_what_changes_nothing_for_the_payer_leaves_the_page_open(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    _, url = await page_of(world, account)
    await world.invoiced("ana", 80_00, 30_00)
    await world.work()
    assert (await world.processor.pay_page(url)).status_code == 303
    await world.work(hours=0.01)
    assert await world.askable(account) == 30_00
    await world.sweep()


async def test_money_that_came_a_moment_before_the_page_was_closed_is_credit_for_a_person_to_look_at(
    world: World,
) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await cancel_invoice(world, account)
    await world.processor.pay_page(url)
    await world.work()
    found = await payment(world, payment_id)
    assert (found.state, found.failure_code, found.failure_says) == ("captured", "", "")
    assert (await world.balances())["unapplied_credit"] == 80_00
    (line,) = (await world.units.read(desk_list.read, account_ref=account)).lines
    assert (line.kind, line.subject, line.amount) == ("no_longer_owed", payment_id, usd(80_00))
    await world.sweep()


@pytest.mark.parametrize("fault", ["lost_answer", "lost_request", "error500", "rate_limited", "after"])
async def test_whether_it_was_closed_is_looked_up(world: World, fault: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await cancel_invoice(world, account)
    await world.processor.fault("expire", fault, times=2)
    await world.work()
    await world.work(hours=0.2, steps=6)
    assert await world.state(payment_id) == "canceled"
    await world.processor.pay_page(url)
    await world.until_quiet()
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


async def test_one_that_is_owed_again_stays_open(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, url = await page_of(world, account)
    await world.processor.fault("expire", "rate_limited", times=1)
    hold_id = await hold(world, account)
    await world.work()
    assert (await payment(world, payment_id)).failure_code == "no-longer-owed"
    await release(world, hold_id)
    await world.work(hours=0.2, steps=3)
    assert (await payment(world, payment_id)).failure_code == ""
    await hold(world, account)  # and no longer owed once more
    await world.work()
    assert await world.state(payment_id) == "canceled"
    await world.processor.pay_page(url)
    assert await world.processor.taken(payment_id) == 0


async def test_whoever_tells_that_the_page_is_closed_the_payment_is_canceled(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, _ = await page_of(world, account)
    await cancel_invoice(world, account)
    await world.processor.fault("expire", "lost_answer")
    await world.processor.fault("get", "before")
    await world.outbox.drain()
    assert await world.state(payment_id) == "requires_action"
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "canceled"
    await world.until_quiet()
    assert (await world.state(payment_id), await world.breaks()) == ("canceled", set())


async def test_a_page_that_expires_by_itself_says_so(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id, _ = await page_of(world, account)
    await world.work(hours=25)
    found = await payment(world, payment_id)
    assert (found.state, found.failure_code) == ("expired", "expired")
    assert await world.askable(account) == 80_00
