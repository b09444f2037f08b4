"""What a payout shows against what our books say: money that moved though it was said not to, and payouts that change
after their end. Each is booked or told, and goes by itself once it is no longer so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import ProcessorMisconfigured
from fhirpay.payments import refunds
from fhirpay.payments import store as payments
from fhirpay.payments.records import Refund
from fhirpay.simulators import processor_rules as rules
from fhirpay.usecases.book_settlement import hear_payout
from payments_world import World, payments_world
from settlement_world import FEES, becomes, breaks, controls, lines, payout, pays_out, pulled

pytestmark = pytest.mark.warns("refund.failed", "dispute.opened")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        yield world


def theirs(world: World, **changes: Any) -> dict[str, Any]:
    """The processor's only payment, with changes that nobody is told of."""
    books = world.processor.simulator.books
    (document,) = books.all("payment")
    with books.transaction():
        books.save({**document, **changes})
    return books.get("payment", document["id"])


def takes_all_the_same(world: World) -> None:
    books = world.processor.simulator.books
    with books.transaction():
        (document,) = books.all("payment")
        take = rules._take if document["authorization"] else rules._approve  # pyright: ignore[reportPrivateUsage]
        take(books, document, document["amount"])
        books.save(document)


async def refunds_of(world: World, payment: str) -> list[Refund]:
    return await world.units.read(refunds.of_payment, payment)


async def until_credit(world: World, account: str, payment: str) -> None:
    """It is captured now, as its payer's credit; and what is told later adds nothing."""
    assert await world.state(payment) == "captured"
    assert await breaks(world) == {"late_success"}
    assert (await world.balances())["unapplied_credit"] == 50_00
    await controls(world)
    await world.deliver_events()
    await world.inbox.drain()
    await world.until_quiet()
    assert (await world.balances())["unapplied_credit"] == 50_00
    assert await breaks(world) == {"late_success"}
    await world.sweep()


async def test_a_payment_that_was_declined_and_is_paid_out_is_a_late_success(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account, world.side.tokens["decline"])
    assert await world.state(payment) == "declined"
    takes_all_the_same(world)
    await pays_out(world)
    assert (await pulled(world)).waiting == 0
    await until_credit(world, account, payment)


async def test_an_authorization_that_was_canceled_and_is_paid_out_in_part_is_a_late_success_of_that_part(
    world: World,
) -> None:
    account = await world.invoiced("ann", 80_00)
    payment = await world.authorized(account)
    await world.void(payment)
    await world.work()
    assert await world.state(payment) == "canceled"
    takes_all_the_same(world)
    document = theirs(world)
    document = theirs(world, amount_captured=50_00, capture={**document["capture"], "amount": 50_00})
    books = world.processor.simulator.books
    with books.transaction():  # as Stripe lists the capture of a part
        books.move("void", document, -30_00, source="part")
    await pays_out(world)
    await pulled(world)
    assert (await pulled(world)).waiting == 0  # what was taken back may come first
    await until_credit(world, account, payment)


async def test_a_voided_payment_that_is_paid_out_all_the_same_is_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    await world.void(payment)
    await world.work()
    assert await world.state(payment) == "voided"
    seen = await pays_out(world)
    books = world.processor.simulator.books
    (back,) = [one for one in books.lines(payout=seen["id"]) if one["type"] == "void"]
    with books.transaction():
        books.save_line({**back, "payout": "po_other"})
    assert (await pulled(world)).waiting == 1
    world.clock.advance(timedelta(days=1, minutes=1))
    await pulled(world)
    assert await breaks(world) == {"settlement_unmatched", "payout_sum"}
    with books.transaction():
        books.save_line(back)
    await pulled(world)
    assert await breaks(world) == set()
    await controls(world)


async def test_a_refund_that_was_refused_and_is_listed_as_gone_out_is_booked_and_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    theirs(world, amount_refunded=40_00)
    await world.refund(payment, 20_00)
    await world.work()
    (refund,) = await refunds_of(world, payment)
    assert refund.state == "failed"
    document = theirs(world, status="captured", amount_refunded=20_00)
    books = world.processor.simulator.books
    with books.transaction():
        books.move("refund", document, -20_00, source="re_after_all", reference=refund.refund_id)
    await pays_out(world)
    await pulled(world)
    assert await breaks(world) == {"late_refund"}
    assert (await refunds_of(world, payment))[0].state == "succeeded"
    await controls(world)


async def test_a_refund_that_failed_after_it_was_accepted_is_believed_to_have_failed(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account, "tok_refundfails")
    await world.refund(payment, 20_00)
    await world.work(hours=50, steps=2)
    assert (await refunds_of(world, payment))[0].state == "failed"
    await pays_out(world)
    await pulled(world)
    assert await breaks(world) == {"refund_failed"}
    await controls(world)


async def test_lines_that_come_to_less_are_read_again_until_the_missing_one_is_there(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    await world.processor.control("lines", {"type": "fee", "amount": 3_00})
    seen = await pays_out(world)
    books = world.processor.simulator.books
    capture, fee = (one for one in books.lines(payout=seen["id"]) if one["type"] in ("capture", "fee"))
    with books.transaction():
        books.save_line({**capture, "payout": "po_other"})
        books.save_line({**fee, "payout": "po_other"})
    for missing in (capture["amount"] - capture["fee"] - 3_00, -3_00, 0):
        await pulled(world)
        assert [one.amount.minor for one in await world.units.read(payments.breaks)] == ([missing] if missing else [])
        assert (await payout(world, seen)).complete is not bool(missing)
        with books.transaction():
            books.save_line(capture if missing > 0 else fee)
    assert len(await lines(world, seen)) == 3
    await controls(world)


async def test_a_payout_that_failed_and_is_said_to_be_paid_later_stays_failed_and_is_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, status="failed")
    await pulled(world)
    assert await breaks(world) == {"payout_failed"}
    books = world.processor.simulator.books
    with books.transaction():
        books.save({**books.get("payout", seen["id"]), "status": "paid"})
    await pulled(world)
    assert await breaks(world) == {"payout_failed", "payout_states"}
    assert (await payout(world, seen)).state == "failed"
    assert (await world.balances()).get("payout_in_transit", 0) == 0
    with books.transaction():
        books.save({**books.get("payout", seen["id"]), "status": "failed"})
    await pulled(world)
    assert await breaks(world) == {"payout_failed"}
    await becomes(world, await pays_out(world), "paid")
    await pulled(world)
    await controls(world)


async def test_two_keys_of_one_account_show_with_its_first_payout_and_it_is_booked_once(world: World) -> None:
    await world.paid(await world.invoiced("ann", 50_00))
    seen = await pays_out(world)
    await pulled(world)
    (main,) = world.tenant.merchants
    world.tenant = world.tenant.model_copy(
        update={"merchants": (main, main.model_copy(update={"name": "second", "secret_key": "sk_2"}))}
    )
    (shown,) = (await world.registry.settlement("main").list_payouts(world.clock.now() - timedelta(days=9))).payouts
    with pytest.raises(ProcessorMisconfigured, match=f"{seen['id']} is of merchant 'main' already"):
        await world.units.write(hear_payout, world.tenant, "second", shown)
    await controls(world)
