"""Payments as a whole through Authorize.Net: our workers, webhook route and books against the server of its schema.

What is different here from other processors: nothing is prepared, references have shorter names there, a refund waits
for settlement, and the payer's browser posts a token to the page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import refunds, store
from fhirpay.payments.port import (
    Approved,
    OperationKind,
    OperationRef,
    Outcome,
    PaymentRequest,
    ProvenAbsent,
    Reference,
    Unknown,
)
from payments_world import World, payments_world, usd
from processor_sides import AUTHORIZENET

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry"),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=AUTHORIZENET, timeout_s=10) as made:
        yield made


async def refund_state(world: World, refund_id: str) -> str:
    return str((await world.units.read(refunds.get, refund_id)).state)


# ── refunds wait for settlement ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_waits_until_its_payment_has_settled_and_goes_by_itself(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id, 25_00)
    await world.work()
    assert await refund_state(world, refund_id) == "waiting_settlement"
    await world.work(hours=5, steps=5)
    assert await refund_state(world, refund_id) == "waiting_settlement"
    assert await world.processor.taken(payment_id) == 80_00
    assert await world.breaks() == set()
    await world.processor.settle()
    await world.work(hours=2, steps=2)
    assert await refund_state(world, refund_id) == "succeeded"
    assert await world.processor.taken(payment_id) == 55_00
    await world.sweep()


async def test_two_parts_wait_together_and_never_more_than_there_is(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    parts = [await world.refund(payment_id, minor) for minor in (40_00, 40_00)]
    await world.work(hours=3, steps=3)
    assert [await refund_state(world, one) for one in parts] == ["waiting_settlement"] * 2
    await world.processor.settle()
    await world.work(hours=2, steps=2)
    assert [await refund_state(world, one) for one in parts] == ["succeeded"] * 2
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


@pytest.mark.warns("refund.failed")
async def test_a_payment_that_is_voided_there_takes_its_waiting_refund_with_it(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id, 25_00)
    await world.work()
    theirs = (await world.units.read(store.get, payment_id)).processor_ref
    asked = {"transactionType": "voidTransaction", "refTransId": theirs}
    await world.processor.asked("createTransactionRequest", transactionRequest=asked)
    await world.work(hours=2, steps=2)
    assert await refund_state(world, refund_id) == "canceled"
    assert await world.state(payment_id) == "voided"
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


async def test_one_that_waits_for_days_is_told_and_the_telling_ends_with_the_wait(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id, 25_00)
    await world.work(hours=5 * 24, steps=20)
    assert await world.breaks() == {"refund_waits"}
    await world.processor.settle()
    await world.work(hours=2, steps=2)
    assert await refund_state(world, refund_id) == "succeeded"
    assert await world.breaks() == set()
    await world.sweep()


async def test_while_it_can_not_be_asked_whether_it_has_settled_nothing_is_sent(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.processor.settle()
    await world.processor.fault("get", "before", times=3)
    refund_id = await world.refund(payment_id, 25_00)
    await world.work()
    assert await refund_state(world, refund_id) == "approved"
    await world.work(hours=1, steps=6)
    assert await refund_state(world, refund_id) == "succeeded"
    await world.sweep()


# ── void and review ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_capture_is_voided_before_it_settles_and_refused_after(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    first = await world.paid(account)
    await world.void(first)
    await world.work()
    assert await world.state(first) == "voided"
    second = await world.paid(account)
    await world.processor.settle()
    await world.void(second)
    await world.work(hours=0.02)
    await world.work(hours=0.02)
    assert await world.state(second) == "captured"
    assert await world.processor.taken(second) == 80_00
    await world.sweep()


@pytest.mark.parametrize("result", ["captured", "declined"])
async def test_a_payment_that_is_held_for_review_ends_by_what_a_person_decides(world: World, result: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, world.side.tokens["hold"])
    assert await world.state(payment_id) == "in_review"
    theirs = (await world.processor.payments(payment_id))[0]["id"]
    await world.processor.control("decide", {"id": theirs, "result": result})
    await world.work(hours=0.1)
    assert await world.state(payment_id) == result
    assert await world.processor.taken(payment_id) == (80_00 if result == "captured" else 0)
    await world.sweep()


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_that_lags_is_no_proof_before_the_horizon(world: World) -> None:
    """M18: an empty list right after a timeout proves nothing."""
    await world.processor.control("settings", {"list_lag_s": 120})
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    await world.processor.fault("confirm", "lost_answer")
    payment_id = await world.start(account, method_id=method)
    await world.outbox.drain()
    for seconds in (1, 10, 60, 120, 300):
        await world.work(hours=seconds / 3600)
    assert await world.state(payment_id) == "captured"
    assert await world.processor.taken(payment_id) == 80_00
    await world.sweep()


async def test_one_that_settled_before_it_was_found_is_found_in_its_batch(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    await world.processor.fault("confirm", "lost_answer")
    payment_id = await world.start(account, method_id=method)
    await world.outbox.drain()
    await world.processor.settle()
    await world.outbox.drain()
    world.seen_events |= {event["notificationId"] for event in world.events()}  # and nobody tells us
    await world.work(hours=0.1)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_call_that_is_made_after_all_is_refused_as_a_duplicate(world: World) -> None:
    """A worker that was stopped right before its call, and another that had proof of absence meanwhile."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    again = world.registry.of("main")
    request = PaymentRequest(payment_id, usd(80_00), world.side.tokens["approve"])
    late = await again.submit(Reference("f"), request, idempotency_key="late")
    assert isinstance(late, Unknown)
    assert await world.processor.taken(payment_id) == 80_00
    await world.sweep()


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_is_reached_by_an_address_of_ours_that_keeps_the_token_to_itself(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    url = (await world.units.read(store.get, payment_id)).hosted_url or ""
    address, _, token = url.partition("#")
    assert address.startswith("https://pay.example.org/api/v1/page/main/main/pay")
    assert len(token) > 100
    shown = await world.api.get(address.removeprefix("https://pay.example.org"))
    assert shown.status_code == 200
    assert f'action="{world.processor.base_url}/payment/payment"' in shown.text
    assert token not in shown.text
    policy = shown.headers["content-security-policy"]
    assert f"form-action {world.processor.base_url};" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)
    assert (shown.headers["referrer-policy"], shown.headers["cache-control"]) == ("no-referrer", "no-store")
    for other in ("other/main/pay", "main/other/pay", "main/main/elsewhere"):
        assert (await world.api.get(f"/api/v1/page/{other}")).status_code == 404
    await world.processor.pay_page(url)
    await world.work(hours=0.01)
    assert await world.state(payment_id) == "captured"
    await world.sweep()


async def test_a_page_that_nobody_paid_on_ends_by_itself_and_asks_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    assert await world.state(payment_id) == "requires_action"
    assert await world.askable(account) == 0
    await world.work(hours=2, steps=4)
    assert await world.state(payment_id) == "expired"
    assert await world.askable(account) == 80_00
    await world.sweep()


# ── a refund that is listed under its payment's name ──────────────────────────────────────────────────────────────────


async def settled(world: World) -> tuple[str, Reference]:
    """A payment that has settled, at a gateway that lists its refunds under the payment's own invoice number."""
    await world.processor.control("settings", {"refund_keeps_invoice": True})
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.processor.settle()
    reference = (await world.units.read(store.get, payment_id)).processor_ref
    assert reference
    return payment_id, Reference(reference)


async def test_a_lost_refund_under_its_payments_name_is_found_by_what_it_gave_back(world: World) -> None:
    _, reference = await settled(world)
    adapter = world.registry.of("main")

    async def looked(our_reference: str, minor: int) -> Outcome:
        ref = OperationRef(OperationKind.REFUND, our_reference, None, usd(minor), timedelta(minutes=10), reference)
        return await adapter.lookup(ref)

    first, second = f"rfd{'1' * 26}", f"rfd{'2' * 26}"
    assert isinstance(await looked(first, 25_00), ProvenAbsent)
    await adapter.refund(reference, usd(25_00), our_reference=first, idempotency_key="k")
    found = await looked(first, 25_00)
    assert isinstance(found, Approved)
    assert (found.amount, found.payment) == (usd(25_00), reference)
    assert isinstance(await looked(first, 10_00), ProvenAbsent)
    await adapter.refund(reference, usd(25_00), our_reference=second, idempotency_key="k")
    assert isinstance(await looked(second, 25_00), Unknown)  # which of the two it is a person has to see
    await world.processor.settle()
    assert isinstance(await looked(second, 25_00), Unknown)


async def test_a_refund_that_never_arrived_is_not_taken_for_another_of_its_amount(world: World) -> None:
    payment_id, _ = await settled(world)
    first = await world.refund(payment_id, 25_00)
    await world.work()
    assert await refund_state(world, first) == "succeeded"
    await world.processor.fault("refund", "lost_request", times=100)
    second = await world.refund(payment_id, 25_00)
    await world.work(hours=3, steps=6)
    assert await refund_state(world, second) == "submitted"
    assert await world.processor.taken(payment_id) == 55_00
    assert await world.breaks() == {"unknown_outcome"}
