"""A processor that does another amount than it was asked for: the books say what it did, and a person is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirpay.billing import money as billing
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, store
from fhirpay.payments.records import Refund
from fhirpay.simulators import processor_rules
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import PostedPayment
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.warns("refund.failed", "refund.failed_late", "operation.unknown")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


def gives_back(monkeypatch: pytest.MonkeyPatch, minor: int) -> None:
    """The processor gives this much back, whatever it is asked for."""
    honest = processor_rules.refund
    monkeypatch.setattr(processor_rules, "refund", lambda books, body: honest(books, {**body, "amount": minor}))


def answers_once(monkeypatch: pytest.MonkeyPatch, rule: str, minor: int) -> None:
    """The first answer states another amount than what was done."""
    honest, said = getattr(processor_rules, rule), list[int]()

    def wrong(books: Any, *asked: Any) -> Any:
        made = honest(books, *asked)
        if said:
            return made
        said.append(minor)
        changed = {**made, "amount": minor}
        return changed | {"capture": {**made["capture"], "amount": minor}} if rule == "capture" else changed

    monkeypatch.setattr(processor_rules, rule, wrong)


async def refund_of(world: World, refund_id: str) -> Refund:
    return await world.units.read(refunds.get, refund_id)


async def kept(world: World, payment_id: str) -> list[int]:
    return [one.kept.minor for one in await world.units.read(store.allocations, payment_id)]


async def credit(world: World, account: str) -> int:
    return sum(one.amount.minor for one in await world.units.read(billing.credits_of, account))


async def told(world: World, refund_id: str) -> PostedPayment:
    """What the EHR is told of the refund."""

    def of(tx: Tx) -> PostedPayment:
        (posting,) = [one for one in postings.find(tx, refund_id) if one.is_refund]
        return posted_facts(tx, posting, world.tenant)

    return await world.units.read(of)


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_of_more_than_asked_is_booked_as_it_was_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.paid(account)
    gives_back(monkeypatch, 50_00)
    refund_id = await world.refund(payment_id, 30_00)
    await world.until_quiet()
    made = await refund_of(world, refund_id)
    assert (made.state, made.amount) == ("succeeded", usd(50_00))
    taken = await world.units.read(refunds.shares, refund_id)
    assert [(one.allocation, one.amount) for one in taken] == [(2, usd(30_00)), (1, usd(20_00))]
    posted = await told(world, refund_id)
    assert (posted.amount, [line.amount for line in posted.lines]) == (usd(50_00), [usd(30_00), usd(20_00)])
    assert await kept(world, payment_id) == [30_00, 0]
    assert await world.breaks() == {"refund_amount"}
    with pytest.raises(RuleBroken, match=r"30\.00 USD of"):
        await world.refund(payment_id, 50_00)
    balances = await world.balances()
    assert (balances["processor_clearing"], balances["ar_patient"]) == (30_00, 50_00)
    await world.sweep()


async def test_a_refund_of_less_than_asked_leaves_the_rest_as_credit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.paid(account)
    with monkeypatch.context() as there:
        gives_back(there, 20_00)
        refund_id = await world.refund(payment_id, 40_00)
        await world.until_quiet()
    made = await refund_of(world, refund_id)
    assert (made.state, made.amount) == ("succeeded", usd(20_00))
    taken = await world.units.read(refunds.shares, refund_id)
    assert sum(one.amount.minor for one in taken) == 20_00
    posted = await told(world, refund_id)
    assert (posted.amount, [line.amount for line in posted.lines]) == (usd(20_00), [usd(20_00)])
    assert await world.breaks() == {"refund_amount"}
    assert await credit(world, account) == 20_00
    await world.sweep()
    again = await world.refund(payment_id)
    assert (await refund_of(world, again)).amount == usd(60_00)
    await world.until_quiet()
    assert await credit(world, account) == 0
    assert (await world.balances()).get("processor_clearing", 0) == 0
    await world.sweep()


async def test_a_refund_of_more_takes_the_place_of_one_that_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    with monkeypatch.context() as there:
        gives_back(there, 50_00)
        first = await world.refund(payment_id, 30_00)
        second = await world.refund(payment_id, 45_00)
        await world.outbox.drain()
        await world.work(hours=0.001)
    await world.until_quiet()
    assert (await refund_of(world, first)).amount == usd(50_00)
    assert (await refund_of(world, second)).state == "canceled"
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00, -50_00]
    assert await world.breaks() == {"refund_amount", "refund_failed"}
    await world.sweep()


async def test_an_answer_with_another_amount_is_read_again_before_it_is_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    answers_once(monkeypatch, "refund", 50_00)
    refund_id = await world.refund(payment_id, 30_00)
    await world.until_quiet()
    assert (await refund_of(world, refund_id)).amount == usd(30_00)
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_refund_of_nothing_or_in_another_currency_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    world.seen_events |= {event["id"] for event in world.events()}  # only what is said of the refund is wrong
    honest = processor_rules.refund
    with monkeypatch.context() as there:
        there.setattr(processor_rules, "refund", lambda books, body: {**honest(books, body), "currency": "JPY"})
        there.setattr("fhirpay.payments.adapters.simulated_wire.money", _yen)
        refund_id = await world.refund(payment_id, 30_00)
        await world.work(hours=1, steps=10)
        assert (await refund_of(world, refund_id)).state == "submitted"
        assert await world.breaks() == {"unknown_outcome"}
    await world.until_quiet()
    assert (await refund_of(world, refund_id)).state == "succeeded"
    assert await world.breaks() == set()
    await world.sweep()


def _yen(minor: object, currency: str) -> Any:
    return type(usd(1))(int(str(minor)), "JPY")


# ── captures and sales ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("taken", [40_00, 60_00])
async def test_a_capture_of_another_amount_than_asked_is_booked_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    honest = processor_rules.capture
    monkeypatch.setattr(processor_rules, "capture", lambda books, payment, _amount: honest(books, payment, taken))
    await world.capture(payment_id, 50_00)
    await world.until_quiet()
    assert (await world.units.read(store.get, payment_id)).captured == usd(taken)
    assert await kept(world, payment_id) == [taken]
    assert await world.askable(account) == 80_00 - taken
    assert await world.breaks() == {"capture_amount"}
    await world.sweep()


async def test_a_captures_answer_with_another_amount_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    answers_once(monkeypatch, "capture", 60_00)
    await world.capture(payment_id, 50_00)
    await world.until_quiet()
    assert (await world.units.read(store.get, payment_id)).captured == usd(50_00)
    assert await world.breaks() == set()
    await world.sweep()


async def test_a_sale_of_more_than_asked_is_credit_and_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await world.invoiced("ana", 80_00)
    honest = processor_rules._take  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(processor_rules, "_take", lambda books, payment, amount: honest(books, payment, amount + 10_00))
    payment_id = await world.paid(account)
    await world.until_quiet()
    assert (await world.units.read(store.get, payment_id)).captured == usd(90_00)
    assert await credit(world, account) == 10_00
    assert await world.breaks() == {"over_captured"}
    await world.refund(payment_id, 10_00)
    await world.until_quiet()
    assert await kept(world, payment_id) == [80_00]
    await world.sweep()


async def test_what_a_partial_approval_left_is_asked_for_again_and_only_what_was_taken_goes_back(world: World) -> None:
    account = await world.invoiced("ana", 50_00, 30_00)
    payment_id = await world.paid(account, "tok_partial")
    taken = (await world.units.read(store.get, payment_id)).captured
    assert usd(0) < taken < usd(80_00)
    assert await world.askable(account) == 80_00 - taken.minor
    with pytest.raises(RuleBroken, match="left to give back"):
        await world.refund(payment_id, 80_00)
    refund_id = await world.refund(payment_id)
    await world.until_quiet()
    assert (await refund_of(world, refund_id)).amount == taken
    await world.sweep()
