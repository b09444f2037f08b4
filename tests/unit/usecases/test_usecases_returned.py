"""A capture comes back, and perhaps comes again: books, what is owed and what each EHR is told, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.billing import entries
from fhirpay.billing import store as obligations
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, returns, store
from fhirpay.usecases import staff
from fhirpay.usecases.explain import explain
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import PostedPayment
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.warns("payment.returned", "refund.failed", "work.retry")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def came_back(
    world: World, payment_id: str, code: str = "settlement_failed", *, result: str = "returned"
) -> None:
    """The processor says so, by an event."""
    (payment,) = await world.processor.payments(payment_id)
    await world.processor.control("decide", {"id": payment["id"], "result": result, "code": code})
    await world.deliver_events()
    await world.inbox.drain()


async def lines_on_list(world: World) -> list[str]:
    return [one.kind for one in await world.units.read(list_open) if one.kind != "payment_due"]


async def test_a_capture_that_comes_back_is_owed_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    await came_back(world, payment_id)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.returned) == ("returned", usd(125_00), usd(125_00))
    assert await world.askable(account) == 125_00
    assert (await world.balances()).keys() == {"ar_patient", "charges_control"}
    (back,) = await world.units.read(returns.of_payment, payment_id)
    assert (back.code, back.amount, back.fee, back.business_date) == (
        "settlement_failed",
        usd(125_00),
        usd(0),
        "2026-11-20",
    )
    assert await lines_on_list(world) == ["payment_returned"]
    await world.sweep()


async def test_the_fee_of_a_bank_debits_return_is_ours(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await came_back(world, payment_id, "R01")
    balances = await world.balances()
    assert (balances["fees"], balances["processor_clearing"], balances["ar_patient"]) == (4_00, -4_00, 80_00)
    await world.sweep()


async def test_told_again_it_is_had_once(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await came_back(world, payment_id)
    before = await world.balances()
    for event in world.events():
        await world.event(event | {"id": f"{event['id']}again"})
    await world.inbox.drain()
    await world.work(hours=1)
    assert await world.balances() == before
    assert len(await world.units.read(returns.of_payment, payment_id)) == 1
    assert len(await world.units.read(postings.of_payment, payment_id)) == 2
    await world.sweep()


async def test_each_line_of_the_negative_names_what_it_takes_back(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    await came_back(world, payment_id, "R01")
    paid, back = await world.units.read(posted, world, payment_id)
    assert (paid.amount, back.amount, back.refund_of, back.returned) == (usd(125_00), usd(125_00), payment_id, True)
    assert back.note == "NACHA R01 insufficient funds"
    assert {(line.takes_back, line.amount.minor) for line in back.lines} == {
        (f"{payment_id}-1", 80_00),
        (f"{payment_id}-2", 45_00),
    }
    assert [line.amount for line in paid.lines] == [usd(80_00), usd(45_00)]  # as it was posted first


def posted(tx: Tx, world: World, payment_id: str) -> list[PostedPayment]:
    return [posted_facts(tx, one, world.tenant) for one in postings.of_payment(tx, payment_id)]


async def test_a_return_that_is_reversed_pays_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await came_back(world, payment_id)
    await came_back(world, payment_id, result="reversed")
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.returned, payment.captured) == ("captured", usd(0), usd(80_00))
    assert await world.askable(account) == 0
    assert (await world.balances()).keys() == {"processor_clearing", "charges_control"}
    _, back, again = await world.units.read(posted, world, payment_id)
    assert (again.refund_of, again.restores, again.amount) == ("", payment_id, usd(80_00))
    assert [line.takes_back for line in again.lines] == [f"{back.id}-1"]
    assert await lines_on_list(world) == []
    await came_back(world, payment_id)  # and comes back a second time
    assert await world.askable(account) == 80_00
    assert await world.state(payment_id) == "returned"
    await world.sweep()


async def test_a_reversal_of_what_was_paid_otherwise_meanwhile_is_credit(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await came_back(world, payment_id)
    await world.paid(account)
    await came_back(world, payment_id, result="reversed")
    assert (await world.balances())["unapplied_credit"] == 80_00
    assert await world.breaks() == {"no_longer_owed"}
    await world.sweep()


async def test_what_was_refunded_and_comes_back_as_well_is_owed_as_a_recovery(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    await world.refund(payment_id, 100_00)
    await world.work()
    await came_back(world, payment_id, "R10")
    found = await world.units.read(obligations.obligations_of, account)
    (recovery,) = [one for one in found if one.basis_kind == "recovery"]
    # The refund's own hold stops the account.
    assert (recovery.patient, str(recovery.state)) == (usd(100_00), "on_hold")
    balances = await world.balances()
    assert (balances["ar_patient"], balances["fees"]) == (225_00, 4_00)
    assert balances["processor_clearing"] == 125_00 - 100_00 - 125_00 - 4_00
    (back,) = await world.units.read(returns.of_payment, payment_id)
    assert back.recovered == usd(100_00)
    *_, said = await world.units.read(posted, world, payment_id)
    assert said.amount == usd(125_00) == sum((line.amount for line in said.lines), usd(0))
    await came_back(world, payment_id, result="reversed")
    await world.sweep()


async def test_a_refund_that_has_not_gone_out_is_not_sent_any_more(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id, 30_00)
    await came_back(world, payment_id)
    await world.work(hours=1)
    refund = await world.units.read(refunds.get, refund_id)
    assert str(refund.state) == "canceled"
    assert (await world.balances()).keys() == {"ar_patient", "charges_control"}
    with pytest.raises(RuleBroken, match="returned"):
        await world.refund(payment_id, 30_00)
    await world.sweep()


@pytest.mark.parametrize("minor", [80_00, 30_00])
async def test_a_refund_that_fails_after_the_return_leaves_no_recovery_and_no_credit(world: World, minor: int) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundfails")
    await world.refund(payment_id, minor)
    await world.work()
    await came_back(world, payment_id)
    assert (await world.balances())["ar_patient"] == 80_00 + minor
    await world.work(hours=49)
    assert await world.balances() == {"ar_patient": 80_00, "charges_control": 80_00}
    await world.sweep()


async def test_what_paid_a_recovery_is_credit_once_the_refund_fails(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundfails")
    await world.refund(payment_id, 30_00)
    await world.work()
    await came_back(world, payment_id)
    for hold in await world.units.read(entries.holds_of, account):
        await world.units.write(staff.release_hold, hold.source, by="ben", why="it is owed", tenant=world.tenant)
    await world.paid(account)
    assert "unapplied_credit" not in await world.balances()
    await world.work(hours=49)
    balances = await world.balances()
    assert (balances["unapplied_credit"], balances.get("ar_patient", 0)) == (30_00, 0)
    await world.sweep()


async def test_a_return_of_a_late_success_takes_the_credit(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    (page,) = (await world.processor.books())["checkouts"]
    await world.work(hours=25)
    await world.processor.control("late_success", {"checkout": page["id"], "card": "4242424242424242"})
    await world.deliver_events()
    await world.inbox.drain()
    assert (await world.balances())["unapplied_credit"] == 80_00
    await came_back(world, payment_id)
    assert (await world.balances()).keys() == {"ar_patient", "charges_control"}
    await world.sweep()


async def test_explain_shows_the_return_and_finds_it_by_either_id(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await came_back(world, payment_id, "R01")
    (back,) = await world.units.read(returns.of_payment, payment_id)
    for wanted in (back.return_id, back.reference):
        found = await world.units.read(explain, wanted)
        assert f"return {back.return_id}: 80.00 USD came back, R01" in str(found)


async def test_it_comes_back_by_itself_as_the_test_card_says(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_comesback")
    assert await world.state(payment_id) == "captured"
    await world.work(hours=49)
    assert await world.state(payment_id) == "returned"
    await world.sweep()
