"""Payments from the wish to the books, on both engines, against the simulated processor over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import movements, refunds, store, stored_methods
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.settle_outcome import settle
from payments_world import DESCRIPTOR, World, payments_world, usd

pytestmark = pytest.mark.warns("refund.failed", "refund.failed_late", "work.retry", "operation.unknown")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def test_a_payment_by_stored_method_is_taken_allocated_and_queued_for_the_ehr(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == ("captured", usd(125_00), "visa", "4242")
    assert payment.business_date == "2026-11-20"
    assert [one.paid for one in await world.units.read(store.allocations, payment_id)] == [usd(80_00), usd(45_00)]
    assert await world.askable(account) == 0
    balances = await world.balances()
    assert balances["processor_clearing"] == 125_00
    assert balances.get("unapplied_credit", 0) == balances.get("ar_patient", 0) == 0
    await world.sweep()


async def test_the_payer_reads_the_practices_neutral_name_on_the_statement(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    (payment,) = await world.processor.payments(await world.paid(account))
    assert payment["descriptor"] == DESCRIPTOR


async def test_a_decline_frees_what_was_reserved(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_funds")
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("declined", "insufficient_funds")
    assert await world.askable(account) == 80_00
    assert await world.state(await world.paid(account)) == "captured"
    await world.sweep()


async def test_a_method_that_may_not_be_tried_again_is_not(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, "tok_goneforgood")
    payment_id = await world.start(account, method_id=method, initiated_by="merchant")
    await world.work()
    assert await world.state(payment_id) == "declined"
    kept = await world.units.read(stored_methods.get, method)
    assert (kept.state, await world.units.read(stored_methods.live_consent, method)) == ("refused", None)
    with pytest.raises(RuleBroken, match="refused"):
        await world.start(account, method_id=method)
    assert (await world.units.read(stored_methods.of_account, account)) == []


async def test_what_the_processor_does_not_take_is_a_decline_and_frees_the_obligation(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    adapter = world.registry.of("main")
    adapter.capabilities = replace(adapter.capabilities, currencies=frozenset({"EUR"}))
    payment = await world.units.read(store.get, await world.paid(account))
    assert (payment.state, payment.failure_code) == ("declined", "currency_unsupported")
    assert await world.askable(account) == 80_00


async def test_what_is_in_flight_is_not_asked_for_twice(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    await world.start(account, method_id=method)
    with pytest.raises(RuleBroken):
        await world.start(account, method_id=method)
    await world.work()
    await world.sweep()


async def test_a_fact_is_paid_once_however_often_it_is_asked_for(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    first = await world.start(account, method_id=method, fact_key="autopay:one", initiated_by="merchant")
    assert await world.start(account, method_id=method, fact_key="autopay:one", initiated_by="merchant") == first
    await world.work()
    assert await world.start(account, method_id=method, fact_key="autopay:one", initiated_by="merchant") == first
    await world.sweep()


async def test_partial_approval_pays_the_first_obligation_and_leaves_the_rest_owed(world: World) -> None:
    account = await world.invoiced("ana", 60_00, 40_00)
    payment_id = await world.paid(account, "tok_partial")
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(50_00))
    assert await world.askable(account) == 50_00
    operations = await world.units.read(store.operations_of, payment_id)
    assert [one.state for one in operations] == ["partly_approved"]
    await world.sweep()


async def test_without_consent_or_above_its_cap_nothing_is_taken_without_asking(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, cap=50_00)
    with pytest.raises(RuleBroken, match=r"50\.00 USD at most"):
        await world.start(account, method_id=method, initiated_by="merchant")
    other = await world.invoiced("bea", 80_00)
    with pytest.raises(RuleBroken, match="another account"):
        await world.start(other, method_id=method)


async def test_a_hosted_page_is_opened_and_paid(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, return_url="https://desk.example.org/back?mrn=CANARY")
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == "requires_action"
    assert payment.hosted_url
    await world.processor.pay_page(payment.hosted_url, "4000000000000002")
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "requires_action"
    await world.processor.pay_page(payment.hosted_url)
    await world.work(hours=0.01)
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == "captured"
    assert payment.processor_ref
    assert "CANARY" not in str(await world.processor.books())
    await world.sweep()


async def test_a_page_whose_events_are_lost_is_found_by_looking(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    await world.processor.pay_page(payment.hosted_url or "")
    world.seen_events |= {event["id"] for event in world.events()}
    await world.work(hours=1, steps=10)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_page_that_expires_frees_the_obligation_and_a_late_success_is_credit(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    await world.work(hours=25, steps=5)
    assert await world.state(payment_id) == "expired"
    assert await world.askable(account) == 80_00
    page = (await world.processor.books())["checkouts"][0]["id"]
    await world.processor.control("late_success", {"checkout": page, "card": "4242424242424242"})
    await world.work(hours=0.1)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(80_00))
    assert "late_success" in await world.breaks()
    assert (await world.balances())["unapplied_credit"] == 80_00
    assert await world.askable(account) == 0  # the credit pays before the patient is asked
    await world.sweep()


@pytest.mark.parametrize(("token", "ends"), [("tok_processing", "captured"), ("tok_returns", "failed")])
async def test_processing_is_not_paid_until_it_is(world: World, token: str, ends: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, token)
    assert await world.state(payment_id) == "processing"
    assert await world.askable(account) == 0
    await world.work(hours=5, steps=3)
    assert await world.state(payment_id) == "processing"
    await world.work(hours=60, steps=5)
    assert await world.state(payment_id) == ends
    assert await world.askable(account) == (0 if ends == "captured" else 80_00)
    await world.sweep()


async def test_in_review_is_neither_approved_nor_declined(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_review")
    assert await world.state(payment_id) == "in_review"
    payment = (await world.processor.books())["payments"][0]["id"]
    await world.processor.control("decide", {"id": payment, "result": "declined"})
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "declined"
    await world.sweep()


async def test_a_capture_voided_at_the_processor_is_taken_back_here(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    adapter = world.registry.of("main")
    await adapter.void(payment.processor_ref, idempotency_key="by hand")  # type: ignore[arg-type]
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "voided"
    assert await world.askable(account) == 80_00
    (movement,) = await world.units.read(movements.of_payment, payment_id)
    assert (movement.kind, str(movement.amount)) == ("void", "-80.00 USD")
    await world.sweep()


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_in_two_parts_and_never_more(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    first = await world.refund(payment_id, 50_00)
    with pytest.raises(RuleBroken, match=r"75\.00 USD"):
        await world.refund(payment_id, 75_01)
    await world.work()
    refund = await world.units.read(refunds.get, first)
    assert (refund.state, bool(refund.processor_ref)) == ("succeeded", True)
    shares = await world.units.read(refunds.shares, first)
    assert [(one.allocation, one.amount) for one in shares] == [(2, usd(45_00)), (1, usd(5_00))]
    second = await world.refund(payment_id)
    await world.work()
    assert (await world.units.read(refunds.get, second)).amount == usd(75_00)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.refunded) == ("captured", usd(125_00))
    with pytest.raises(RuleBroken):
        await world.refund(payment_id, 1)
    balances = await world.balances()
    assert balances.get("refunds_payable", 0) == balances.get("unapplied_credit", 0) == 0
    assert balances["ar_patient"] == 125_00
    assert await world.askable(account) == 0  # owed again, on hold until a person says so
    await world.sweep()


async def test_a_refund_that_fails_leaves_the_money_as_credit(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundfails")
    refund_id = await world.refund(payment_id, 30_00)
    await world.work()
    assert (await world.units.read(refunds.get, refund_id)).state == "pending"
    await world.work(hours=60, steps=5)
    assert (await world.units.read(refunds.get, refund_id)).state == "failed"
    balances = await world.balances()
    assert (balances["unapplied_credit"], balances.get("refunds_payable", 0)) == (30_00, 0)
    assert "refund_failed" in await world.breaks()
    again = await world.refund(payment_id)
    assert (await world.units.read(refunds.get, again)).amount == usd(80_00)
    await world.until_quiet()
    await world.sweep()


async def test_a_refund_that_fails_late_comes_back_into_the_books(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id)
    await world.work()
    done = await world.units.read(refunds.get, refund_id)
    await world.processor.control("decide", {"id": done.processor_ref, "result": "failed"})
    await world.work(hours=0.01)
    assert (await world.units.read(refunds.get, refund_id)).state == "failed"
    assert (await world.units.read(store.get, payment_id)).refunded == usd(0)
    assert (await world.balances())["unapplied_credit"] == 80_00
    await world.sweep()


async def test_a_refund_made_at_the_processor_is_booked_here(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    adapter = world.registry.of("main")
    ours = "ref" + "x" * 26
    await adapter.refund(payment.processor_ref, usd(30_00), our_reference=ours, idempotency_key="by hand")  # type: ignore[arg-type]
    await world.work(hours=0.01)
    (refund,) = await world.units.read(refunds.of_payment, payment_id)
    assert (refund.state, refund.amount) == ("succeeded", usd(30_00))
    assert "refund_outside" in await world.breaks()
    await world.sweep()


async def test_a_capture_of_nothing_is_not_believed(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, method_id=await world.method(account))

    def answered(tx: Tx) -> str:
        (operation,) = store.operations_of(tx, payment_id)
        store.sent(tx, operation, processor_ref="sp_x")
        nothing = Approved(Reference("cap_x"), usd(0))
        settle(tx, world.tenant, operation.operation_id, nothing, source=f"operation:{operation.operation_id}")
        return str(store.operation(tx, operation.operation_id).state)

    assert await world.units.write(answered) == "unknown"
    assert await world.state(payment_id) == "created"
    assert await world.askable(account) == 0  # it may have been taken: looked up, and told, before anybody is asked
    assert await world.balances() == {"ar_patient": 80_00, "charges_control": 80_00}
