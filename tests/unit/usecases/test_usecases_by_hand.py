"""What nobody knows is said by a person, once and with grounds; what the processor says otherwise later is a break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.ledger.verify import verify
from fhirpay.payments import by_hand as words
from fhirpay.payments import refunds, store
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import Declined
from fhirpay.payments.records import Operation
from fhirpay.usecases import by_hand, desk_list
from fhirpay.usecases.by_hand import Found
from fhirpay.usecases.settle_outcome import settle
from payments_world import World, payments_world
from processor_sides import SIMULATED
from settlement_world import controls, pays_out, pulled

pytestmark = pytest.mark.warns("operation.unknown", "refund.failed", "refund.failed_late")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=SIMULATED) as made:
        yield made


async def unknown_sale(world: World, fault: str) -> tuple[str, str, Operation]:
    """A sale of which nothing is heard for an hour, and its account and payment."""
    account = await world.invoiced("anna", 80_00)
    method = await world.method(account)
    await world.processor.fault("get", "before", times=10_000)
    await world.processor.fault("confirm", fault, times=10_000)
    payment_id = await world.start(account, method_id=method)
    await world.work(hours=3, steps=6)
    return account, payment_id, await the_unknown(world)


async def the_unknown(world: World) -> Operation:
    (one,) = await world.units.read(store.unknown_operations)
    return one


async def say(world: World, operation: Operation, became: Any, reference: str = "", **more: Any) -> str:
    grounds = {"by": "mia", "why": "asked the processor", "evidence": "its dashboard on 2026-11-30", **more}
    found = Found(operation.operation_id, became, reference=reference, **grounds)
    return await world.units.write(by_hand.say, found, world.tenant, world.registry)


async def answers_again(world: World) -> None:
    world.processor.simulator.faults.waiting.clear()
    await world.deliver_events()
    await world.inbox.drain()
    await world.work(hours=8)


async def test_done_is_booked_as_the_answer_would_have_been_and_the_processor_agrees_later(world: World) -> None:
    _, payment_id, operation = await unknown_sale(world, "lost_answer")
    await say(world, operation, "done", "capture-that-mia-saw")
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured.minor, payment.capture_ref) == ("captured", 80_00, "capture-that-mia-saw")
    assert (await world.units.read(store.operation, operation.operation_id)).state == "by_hand"
    (fact,) = [one for one in await world.units.read(store.facts_of, payment_id) if one.kind == "captured"]
    assert fact.source == f"by_hand:{operation.operation_id}"
    (word,) = await world.units.read(words.of_payment, payment_id)
    assert (word.said_by, word.evidence) == ("mia", "its dashboard on 2026-11-30")
    await answers_again(world)  # it calls the same capture otherwise
    assert (await world.units.read(store.get, payment_id)).captured.minor == 80_00
    assert await world.breaks() == set()
    await world.sweep()


async def test_done_that_the_processor_denies_is_a_break_and_stays(world: World) -> None:
    _, payment_id, operation = await unknown_sale(world, "before")
    await say(world, operation, "done", "ch_1")
    before = await world.balances()
    (theirs,) = await world.processor.payments(payment_id)
    await world.processor.http.post(  # somebody ends it there
        f"{world.processor.base_url}/v1/payments/{theirs['id']}/void",
        json={},
        headers={"authorization": f"Bearer {world.side.secret_key}"},
    )
    await answers_again(world)
    assert await world.breaks() == {words.DIFFERS}
    assert await world.balances() == before
    assert await world.state(payment_id) == "captured"
    assert (await world.units.read(verify)).ok


async def test_not_done_that_was_done_is_credit_and_two_breaks(world: World) -> None:
    account, payment_id, operation = await unknown_sale(world, "lost_answer")
    await say(world, operation, "not_done")
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    await answers_again(world)
    assert await world.breaks() == {words.DIFFERS, "late_success"}
    assert (await world.balances())["unapplied_credit"] == 80_00
    await world.sweep()


async def test_not_done_is_not_sent_again(world: World) -> None:
    account, payment_id, operation = await unknown_sale(world, "before")
    await say(world, operation, "not_done")
    await answers_again(world)
    await world.until_quiet()
    assert await world.processor.taken(payment_id) == 0
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    await world.sweep()


@pytest.mark.parametrize("became", ["done", "not_done"])
@pytest.mark.parametrize("fault", ["lost_answer", "before"])
async def test_refund_by_hand_and_what_the_processor_shows_later(world: World, became: str, fault: str) -> None:
    payment_id = await world.paid(await world.invoiced("anna", 80_00))
    await world.processor.fault("list", "before", times=10_000)
    await world.processor.fault("refund", fault, times=10_000)
    refund_id = await world.refund(payment_id, 30_00)
    await world.work(hours=3, steps=6)
    operation = await the_unknown(world)
    made = (await world.processor.books())["refunds"]
    assert bool(made) is (fault == "lost_answer")
    await say(world, operation, became, (made[0]["id"] if made else "re_1") if became == "done" else "")
    state = (await world.units.read(refunds.get, refund_id)).state
    assert state == ("succeeded" if became == "done" else "failed")
    await answers_again(world)
    happened = fault == "lost_answer"
    refund = await world.units.read(refunds.get, refund_id)
    if happened:
        assert refund.state == "succeeded"
        expected = set() if became == "done" else {words.DIFFERS, "late_refund"}
        assert await world.breaks() == expected
        await world.sweep()
    else:
        assert refund.state == state
        assert (await world.units.read(verify)).ok
        assert await world.breaks() == ({words.DIFFERS} if became == "done" else {"refund_failed"})
    assert len(await world.units.read(refunds.of_payment, payment_id)) == 1


async def test_a_refund_that_may_be_the_one_told_by_hand_is_not_booked_twice(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("anna", 80_00))
    await world.processor.fault("list", "before", times=10_000)
    await world.processor.fault("refund", "before", times=10_000)
    await world.refund(payment_id, 30_00)
    await world.work(hours=3, steps=6)
    await say(world, await the_unknown(world), "done", "re_mistyped")
    world.processor.simulator.faults.waiting.clear()
    (paid,) = await world.processor.payments(payment_id)
    body = {"payment": paid["id"], "amount": 30_00, "reference": ""}
    auth = {"authorization": f"Bearer {world.side.secret_key}"}
    answer = await world.processor.http.post(f"{world.processor.base_url}/v1/refunds", json=body, headers=auth)
    assert answer.is_success
    await answers_again(world)
    assert len(await world.units.read(refunds.of_payment, payment_id)) == 1
    assert words.DIFFERS in await world.breaks()
    await world.sweep()


async def test_word_is_taken_late_once_and_with_grounds_only(world: World) -> None:
    account = await world.invoiced("anna", 80_00)
    await world.processor.fault("get", "before", times=10_000)
    await world.processor.fault("confirm", "before", times=10_000)
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work()
    operation = await the_unknown(world)
    with pytest.raises(RuleBroken, match="wait"):
        await say(world, operation, "not_done")
    await world.work(hours=3, steps=6)
    for wrong in ({"by": " "}, {"why": ""}, {"evidence": ""}, {"evidence": "card 4111 1111 1111 1111"}):
        with pytest.raises(RuleBroken):
            await say(world, operation, "not_done", **wrong)
    with pytest.raises(RuleBroken, match="id of what was done"):
        await say(world, operation, "done")
    (line,) = (await world.units.read(desk_list.read, kind=desk_list.UNKNOWN)).lines
    assert "fhirpay processor found" in line.next
    said = await asyncio.gather(
        say(world, operation, "not_done"), say(world, operation, "done", "ch_2"), return_exceptions=True
    )
    assert sorted(isinstance(one, RuleBroken) for one in said) == [False, True]
    with pytest.raises(RuleBroken, match="by_hand"):
        await say(world, operation, "done", "ch_3")
    assert (await world.units.read(desk_list.read, kind=desk_list.UNKNOWN)).lines == ()
    assert (await world.units.read(verify)).ok
    assert await world.state(payment_id) in ("canceled", "captured")


async def test_staff_say_it_by_the_api(world: World) -> None:
    _, payment_id, operation = await unknown_sale(world, "lost_answer")
    url = f"/api/v1/operations/{operation.operation_id}/found"
    body = {"became": "done", "reference": "ch_1", "by": "mia", "why": "looked", "evidence": "dashboard"}
    answer = await world.api.post(url, json=body, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["state"]) == (200, "captured")
    again = await world.api.post(url, json=body, headers={"Idempotency-Key": "once"})
    assert again.json()["id"] == payment_id
    assert (await world.api.post(url, json=body, headers={"Idempotency-Key": "twice"})).status_code == 422


async def test_void_and_capture_by_hand(world: World, clock: FrozenClock) -> None:
    account = await world.invoiced("anna", 50_00, 50_00)
    held = await world.authorized(account, minor=50_00)
    await world.processor.fault("get", "before", times=10_000)
    await world.processor.fault("capture", "lost_answer", times=10_000)
    await world.capture(held)
    await world.work(hours=3, steps=6)
    await say(world, await the_unknown(world), "done", "cap_by_hand")
    assert await world.state(held) == "captured"
    await world.processor.fault("void", "lost_answer", times=10_000)
    await world.void(held)
    await world.work(hours=3, steps=6)
    clock.advance(timedelta(minutes=1))
    await say(world, await the_unknown(world), "done", "void_by_hand")
    assert await world.state(held) == "voided"
    await answers_again(world)
    assert await world.state(held) == "voided"
    assert await world.breaks() == set()
    await world.sweep()


@pytest.mark.parametrize("capture", [True, False])
async def test_what_is_refused_after_a_word_by_hand_is_refused_and_blocks_nothing(world: World, capture: bool) -> None:
    """A word on what took or held the money says nothing of a later void or capture."""
    account = await world.invoiced("anna", 80_00)
    method = await world.method(account)
    await world.processor.fault("get", "before", times=10_000)
    await world.processor.fault("confirm", "lost_answer", times=10_000)
    payment_id = await world.start(account, method_id=method, capture=capture)
    await world.work(hours=3, steps=6)
    await say(world, await the_unknown(world), "done", "seen-by-mia")
    await answers_again(world)
    operation_id = await (world.void(payment_id) if capture else world.capture(payment_id))
    no = Declined(DeclineCode.CAPTURED if capture else DeclineCode.REFUSED)

    def refuse(tx: Tx) -> None:
        store.sent(tx, store.operation(tx, operation_id))
        settle(tx, world.tenant, operation_id, no, source=f"operation:{operation_id}")

    await world.units.write(refuse)
    assert (await world.units.read(store.operation, operation_id)).state == "declined"
    assert await world.units.read(store.unfinished_operation, payment_id) is None
    assert await world.breaks() == set()
    assert await world.state(payment_id) == ("captured" if capture else "authorized")


@pytest.mark.parametrize("of", ["sale", "refund"])
async def test_a_line_of_a_payout_contradicts_that_nothing_was_done(world: World, of: str) -> None:
    """No event and no lookup says it, and the money has moved all the same: it is booked, and told."""
    if of == "sale":
        _, payment_id, operation = await unknown_sale(world, "lost_answer")
    else:
        payment_id = await world.paid(await world.invoiced("anna", 80_00))
        await world.processor.fault("list", "before", times=10_000)
        await world.processor.fault("refund", "lost_answer", times=10_000)
        await world.refund(payment_id, 30_00)
        await world.work(hours=3, steps=6)
        operation = await the_unknown(world)
    await say(world, operation, "not_done")
    await pays_out(world)
    await pulled(world)
    assert words.DIFFERS in await world.breaks()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.captured.minor, payment.refunded.minor) == (80_00, 0 if of == "sale" else 30_00)
    await controls(world)
    await world.sweep()
