"""Disputes end to end at the simulated processor: state, books, holds and what people are told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from disputes_world import disputed, goes_on, heard, holds, the
from fhirpay.billing import entries
from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.ledger import store as ledger
from fhirpay.payments import disputes, refunds, store
from fhirpay.payments.port import PaymentRequest, Prepared, Reference
from fhirpay.usecases import desk_list, staff
from fhirpay.usecases import dispute as use_case
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.explain import explain
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.usecases.unposted import unposted
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import PostedPayment
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.warns("dispute.opened", "dispute.lost", "refund.failed")

MOVED = {"dispute_withdrawn", "dispute_reinstated", "dispute_fee_taken"}  # by the processor: an entry for each line


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def listed(world: World) -> set[str]:
    return {one.kind for one in (await world.units.read(desk_list.read)).lines} - {"payment_due"}


async def kinds(world: World, payment_id: str) -> list[str]:
    found = await world.units.read(lambda tx: ledger.entries_for(tx, payment=payment_id))
    return [str(one.entry.kind) for one in found]


async def test_a_dispute_takes_money_into_a_receivable_and_stops_the_account(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 20_00)
    payment_id = await world.paid(account, minor=80_00)
    assert await world.askable(account) == 20_00
    await disputed(world, payment_id)
    await heard(world)
    found = await the(world, payment_id)
    assert (found.state, found.funds, found.amount, found.out) == (
        "needs_response",
        "withdrawn",
        usd(80_00),
        usd(80_00),
    )
    assert (await world.balances())["dispute_receivable"] == 80_00
    assert (await world.balances())["dispute_fees"] == 15_00
    assert await holds(world, account) == {"card_dispute"}
    assert await world.askable(account) == 0
    (line,) = [one for one in (await world.units.read(desk_list.read)).lines if one.kind == "dispute"]
    assert "2026-11-30" in line.says
    assert (line.amount, line.account_ref) == (usd(80_00), account)
    assert "fraudulent" in line.says
    await world.sweep()


async def test_a_dispute_that_is_won_leaves_everything_as_it_was(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    before = await world.balances()
    theirs = await disputed(world, payment_id)
    await heard(world)
    await goes_on(world, theirs, status="under_review")
    await goes_on(world, theirs, status="won", reinstate=80_00, fee_back=15_00)
    await heard(world)
    found = await the(world, payment_id)
    assert (found.state, found.funds, found.lost) == ("won", "reinstated", usd(0))
    assert await world.balances() == before
    assert await holds(world, account) == set()
    assert await listed(world) == set()
    await world.sweep()


async def test_what_a_lost_dispute_took_is_owed_again_on_hold_until_staff_release_it(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    assert (await the(world, payment_id)).state == "lost"
    balances = await world.balances()
    assert "dispute_receivable" not in balances
    assert (balances["ar_patient"], balances["dispute_fees"], "unapplied_credit" in balances) == (80_00, 15_00, False)
    assert await holds(world, account) == {"dispute_lost"}
    assert await world.askable(account) == 0
    (owed,) = await world.units.read(obligations.obligations_of, account)
    assert (owed.state, owed.hold) == ("on_hold", "dispute_lost")
    assert await listed(world) == {"dispute_lost"}
    (hold,) = await world.units.read(entries.holds_of, account)
    await world.units.write(
        staff.release_hold, hold.source, by="ben", why="the patient will pay by check", tenant=world.tenant
    )
    assert await world.askable(account) == 80_00
    assert await listed(world) == set()
    await world.sweep()


async def test_a_loss_that_is_reversed_late_pays_what_it_had_paid_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    before = await world.balances()
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    found = await the(world, payment_id)
    assert (found.state, found.lost, found.out) == ("won", usd(0), usd(0))
    assert await world.balances() == before
    assert await holds(world, account) == set()
    assert await listed(world) == set()
    assert [one.regained for one in await world.units.read(disputes.losses_of, found.dispute_id)] == [False, True]
    await world.sweep()


async def test_a_second_round_after_a_win_can_be_lost(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    assert await holds(world, account) == set()
    await goes_on(world, theirs, status="needs_response", withdraw=80_00, fee=0)
    await heard(world)
    assert ((await the(world, payment_id)).state, (await the(world, payment_id)).round) == ("needs_response", 2)
    assert await holds(world, account) == {"card_dispute"}
    await goes_on(world, theirs, status="lost")
    await heard(world)
    assert (await world.balances())["ar_patient"] == 80_00
    assert await holds(world, account) == {"dispute_lost"}
    await world.sweep()


async def test_an_inquiry_takes_nothing_and_may_close_or_become_a_dispute(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 20_00)
    payment_id = await world.paid(account, minor=80_00)
    before = await world.balances()
    first = await disputed(world, payment_id, status="inquiry")
    await heard(world)
    assert await holds(world, account) == {"card_dispute"}
    assert await listed(world) == {"dispute"}
    await goes_on(world, first, status="inquiry_closed")
    await heard(world)
    assert (await holds(world, account), await world.balances()) == (set(), before)
    second = await disputed(world, payment_id, status="inquiry")
    await goes_on(world, second, status="needs_response", withdraw=80_00, fee=0)
    await heard(world)
    states = [str(one.state) for one in await world.units.read(disputes.of_payment, payment_id)]
    assert sorted(states) == ["inquiry_closed", "needs_response"]
    await world.sweep()


async def test_money_may_come_before_or_after_the_state_and_in_parts(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id, withdraw=False)
    await goes_on(world, theirs, withdraw=30_00, fee=0)
    await heard(world)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    assert (await world.balances())["ar_patient"] == 30_00
    await goes_on(world, theirs, withdraw=50_00, fee=0)
    await heard(world)
    assert (await world.balances())["ar_patient"] == 80_00
    assert "dispute_receivable" not in await world.balances()
    await world.sweep()


async def test_nothing_is_given_back_or_voided_while_a_dispute_is_open(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    refund_id = await world.refund(payment_id, 10_00)  # approved, and not sent yet
    theirs = await disputed(world, payment_id)
    await world.deliver_events()
    await world.inbox.drain()
    assert (await world.units.read(refunds.get, refund_id)).state == "canceled"
    await world.outbox.drain()
    with pytest.raises(RuleBroken, match="disputed"):
        await world.refund(payment_id)
    with pytest.raises(RuleBroken, match="disputed"):
        await world.void(payment_id)
    answer = await world.api.post(
        "/api/v1/refunds", json={"payment": payment_id, "reason": "asked for"}, headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 422
    assert "accept the dispute" in answer.json()["detail"]
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    await world.refund(payment_id, 10_00)
    await world.work()
    assert (await world.units.read(store.get, payment_id)).refunded == usd(10_00)
    await world.sweep()


async def test_what_was_given_back_before_is_not_lost_a_second_time_in_the_books(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.refund(payment_id, 30_00)
    await world.work()
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 30_00
    assert "dispute_over" in await world.breaks()
    with pytest.raises(RuleBroken):
        await world.refund(payment_id, 1)
    await world.sweep()


async def test_two_disputes_of_one_payment_hold_its_account_until_both_have_ended(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    first = await disputed(world, payment_id, amount=30_00, fee=0)
    second = await disputed(world, payment_id, amount=50_00, fee=0)
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 80_00
    await goes_on(world, first, status="won", reinstate=30_00)
    await heard(world)
    assert await holds(world, account) == {"card_dispute"}
    await goes_on(world, second, status="won", reinstate=50_00)
    await heard(world)
    assert await holds(world, account) == set()
    await world.sweep()


async def test_the_hold_of_an_open_dispute_is_not_released_by_hand(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await disputed(world, payment_id)
    await heard(world)
    (hold,) = await world.units.read(entries.holds_of, account)
    with pytest.raises(RuleBroken, match="ends with the dispute"):
        await world.units.write(staff.release_hold, hold.source, by="ben", why="please", tenant=world.tenant)


async def test_nobody_answering_in_time_loses_it(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await disputed(world, payment_id)
    await heard(world)
    await world.work(hours=24 * 11)
    assert (await the(world, payment_id)).state == "lost"
    assert await listed(world) == {"dispute_lost"}
    await world.sweep()


async def test_a_dispute_about_a_payment_that_is_not_ours_is_kept_and_ignored(world: World) -> None:
    other = world.registry.of("main")
    request = PaymentRequest("pay" + "0" * 26, usd(50_00), world.side.tokens["approve"])
    made = await other.prepare(request, idempotency_key="p")
    assert isinstance(made, Prepared)
    await other.submit(made.reference, request, idempotency_key="s")
    await world.processor.control("disputes", {"payment": made.reference})
    await heard(world)
    assert await world.units.read(disputes.some) == []
    assert await world.balances() == {}


def _posted(tx: Tx, payment_id: str, world: World) -> list[PostedPayment]:
    return [posted_facts(tx, one, world.tenant) for one in postings.of_payment(tx, payment_id)]


async def test_a_loss_is_a_negative_for_the_ehr_and_what_comes_back_of_it_a_positive(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    theirs = await disputed(world, payment_id, fee=0)
    await heard(world)
    assert len(await world.units.read(postings.of_payment, payment_id)) == 1
    await goes_on(world, theirs, status="lost")
    await heard(world)
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    paid, lost, again = await world.units.read(_posted, payment_id, world)
    assert (lost.refund_of, lost.disputed, lost.amount, lost.reference) == (payment_id, True, usd(80_00), theirs)
    assert [one.takes_back for one in lost.lines] == [f"{payment_id}-1"]
    assert (again.restores, again.refund_of, again.amount) == (payment_id, "", usd(80_00))
    assert [one.takes_back for one in again.lines] == [f"{lost.id}-1"]
    assert paid.amount == usd(80_00)
    listed = await world.units.read(unposted)
    assert sorted(one.amount.minor for one in listed) == [-80_00, 80_00, 80_00]
    shown = str(await world.units.read(explain, lost.id))
    assert f"dispute {(await the(world, payment_id)).dispute_id}" in shown


async def accept(world: World, dispute_id: str, key: str = "k") -> Any:
    headers = {"Idempotency-Key": key}
    body = {"by": "ben", "why": "the patient is right"}
    return await world.api.post(f"/api/v1/disputes/{dispute_id}/accept", json=body, headers=headers)


async def test_a_dispute_is_given_up_once_by_somebody_for_a_reason(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await disputed(world, payment_id, fee=0)
    await heard(world)
    dispute_id = (await the(world, payment_id)).dispute_id
    assert [(await accept(world, dispute_id)).status_code for _ in range(2)] == [200, 200]
    await heard(world)
    shown = (await world.api.get(f"/api/v1/disputes/{dispute_id}")).json()
    assert (shown["state"], shown["lost"]["value"], shown["account"]) == ("accepted", 80, account)
    assert shown["accepted"] == {"by": "client:desk/ben", "why": "the patient is right"}
    assert (await world.balances())["ar_patient"] == 80_00
    assert (await accept(world, dispute_id, "k2")).status_code == 422
    (listed,) = (await world.api.get("/api/v1/disputes", params={"account": account})).json()["disputes"]
    assert listed == shown
    assert (await world.api.get("/api/v1/disputes", params={"state": "open"})).json()["disputes"] == []
    assert (await world.processor.books())["asked"]["accept"] == 1
    await world.sweep()


@pytest.mark.parametrize(
    "fault", ["lost_answer", "lost_request", "before", "after", "error500", "rate_limited", "weird"]
)
@pytest.mark.warns("operation.unknown", "work.retry")
async def test_an_acceptance_whose_answer_does_not_come_has_one_effect(world: World, fault: str) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await disputed(world, payment_id, fee=0)
    await heard(world)
    await world.processor.fault("accept", fault)
    await accept(world, (await the(world, payment_id)).dispute_id)
    await world.until_quiet()
    found = await the(world, payment_id)
    assert (found.state, found.lost) == ("accepted", usd(80_00))
    (theirs,) = (await world.processor.books())["disputes"]
    assert theirs["status"] == "lost"
    assert await world.units.read(store.open_operation, payment_id) is None
    await world.sweep()


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_seen_in_any_order_comes_to_the_same_books(world: World, seed: int) -> None:
    """The looks of a whole history, as a slow worker may bring them: shuffled, and some of them twice."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    adapter = world.registry.disputes("main")
    theirs = await disputed(world, payment_id, withdraw=False)
    looks = [await adapter.read_dispute(Reference(theirs))]
    for step in (
        {"withdraw": 50_00},
        {"withdraw": 30_00, "fee": 0},
        {"status": "lost"},
        {"status": "won", "reinstate": 80_00},
        {"status": "needs_response", "withdraw": 80_00, "fee": 0},
        {"status": "lost"},
    ):
        await goes_on(world, theirs, **step)
        looks.append(await adapter.read_dispute(Reference(theirs)))
    shuffled = [*looks, *looks[:3]]
    random.Random(seed).shuffle(shuffled)
    for number, seen in enumerate(shuffled):
        await world.units.write(use_case.settle, world.tenant, payment_id, seen, source=f"event:{number}")
        assert (await world.units.read(examine)) == []
    found = await the(world, payment_id)
    assert (found.state, found.round, found.out, found.lost) == ("lost", 2, usd(80_00), usd(80_00))
    moved = sorted(one for one in await kinds(world, payment_id) if one in MOVED)
    assert moved == sorted([*["dispute_withdrawn"] * 3, "dispute_reinstated", "dispute_fee_taken"])
    assert (await world.balances())["ar_patient"] == 80_00
    await world.sweep()
