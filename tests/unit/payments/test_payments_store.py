"""Payments' rows on both engines: what the database itself refuses, and what is kept for ever."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.domain.operation import OperationState
from fhirpay.domain.payment import FactKind, PaymentFact
from fhirpay.errors import Conflict, IllegalMove, NotFound, RuleBroken
from fhirpay.payments import answers, refunds, store, stored_methods
from fhirpay.payments.allocation import Share
from fhirpay.payments.port import Method, OperationKind
from fhirpay.payments.records import RefundShare

pytestmark = pytest.mark.unsound("payments alone: nothing is posted")


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def add(tx: Tx, payment_id: str, **more: Any) -> str:
    values: dict[str, Any] = {
        "account_ref": "Account/a",
        "facility": "main",
        "merchant": "main",
        "processor": "simulated",
        "amount_minor": 80_00,
        "currency": "USD",
        "method": "stored",
        "initiated_by": "customer",
        "requested_by": "test",
    }
    store.add(tx, payment_id, **{**values, **more})
    return payment_id


async def test_a_fact_has_one_payment(units: Units) -> None:
    await units.write(add, "pay1", fact_key="autopay:x")
    with pytest.raises(RuleBroken):
        await units.write(add, "pay2", fact_key="autopay:x")
    assert await units.read(store.of_fact, "autopay:x") == "pay1"
    await units.write(add, "pay3")
    await units.write(add, "pay4")


async def test_a_payment_has_one_open_operation(units: Units) -> None:
    def two(tx: Tx) -> None:
        add(tx, "pay1")
        store.add_operation(tx, "pay1", OperationKind.SALE, usd(80_00))
        store.add_operation(tx, "pay1", OperationKind.SALE, usd(80_00))

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await units.write(two)

    def one_after_the_other(tx: Tx) -> None:
        add(tx, "pay1")
        for _ in range(2):
            operation = store.operation(tx, store.add_operation(tx, "pay1", OperationKind.SALE, usd(80_00)))
            store.sent(tx, operation)
            store.move_operation(tx, store.operation(tx, operation.operation_id), OperationState.DECLINED)

    await units.write(one_after_the_other)
    assert await units.read(store.open_operation, "pay1") is None


async def test_an_operation_moves_by_its_table_only(units: Units, clock: FrozenClock) -> None:
    def make(tx: Tx) -> str:
        add(tx, "pay1")
        return store.add_operation(tx, "pay1", OperationKind.SALE, usd(80_00))

    operation_id = await units.write(make)

    def move(tx: Tx, new: OperationState) -> None:
        store.move_operation(tx, store.operation(tx, operation_id), new)

    with pytest.raises(IllegalMove):
        await units.write(move, OperationState.APPROVED)
    await units.write(lambda tx: store.sent(tx, store.operation(tx, operation_id), processor_ref="sp_1"))
    await units.write(move, OperationState.UNKNOWN)
    first = await units.read(store.operation, operation_id)
    clock.advance(timedelta(minutes=1))
    await units.write(lambda tx: store.sent(tx, store.operation(tx, operation_id)))
    again = await units.read(store.operation, operation_id)
    assert (again.sent_at, again.key) == (first.sent_at, first.key)  # the age counts from the first time
    await units.write(move, OperationState.UNKNOWN)
    await units.write(
        lambda tx: store.again(tx, store.operation(tx, operation_id), OperationState.PROVEN_ABSENT, "not there")
    )
    anew = await units.read(store.operation, operation_id)
    assert (anew.state, anew.attempt, anew.sent_at, anew.processor_ref) == ("prepared", 2, None, "sp_1")
    assert anew.key != first.key


async def test_the_same_facts_in_any_order_are_the_same_payment(units: Units, clock: FrozenClock) -> None:
    facts = [
        PaymentFact(FactKind.CAPTURED, clock.now(), "operation:1", usd(80_00), "ch_1"),
        PaymentFact(FactKind.CAPTURED, clock.now(), "event:1", usd(80_00), "ch_1"),
        PaymentFact(FactKind.REFUNDED, clock.now(), "event:2", usd(30_00), "re_1"),
        PaymentFact(FactKind.REQUIRES_ACTION, clock.now(), "operation:1"),
    ]
    seen: set[tuple[Any, ...]] = set()
    for number, order in enumerate((facts, facts[::-1], [*facts, *facts])):
        payment_id = f"pay{number}"
        await units.write(add, payment_id)
        for fact in order:
            await units.write(store.record_facts, payment_id, [fact])
            payment = await units.read(store.get, payment_id)
            await units.write(store.refold, payment)
        payment = await units.read(store.get, payment_id)
        seen.add((payment.state, payment.captured, payment.refunded))
        assert len(await units.read(store.facts_of, payment_id)) == 4
    assert seen == {("captured", usd(80_00), usd(30_00))}


async def test_what_facts_do_not_explain_is_a_break_once(units: Units, clock: FrozenClock) -> None:
    await units.write(add, "pay1")
    late = [
        PaymentFact(FactKind.DECLINED, clock.now(), "operation:1"),
        PaymentFact(FactKind.CAPTURED, clock.now(), "event:1", usd(80_00), "ch_1"),
    ]
    await units.write(store.record_facts, "pay1", late)
    for _ in range(2):
        await units.write(store.refold, await units.read(store.get, "pay1"))
    assert [one.kind for one in await units.read(store.breaks, payment_id="pay1")] == ["late_success"]


async def test_an_effect_is_had_once(units: Units) -> None:
    await units.write(add, "pay1")
    assert await units.write(store.first_time, "pay1", "capture:ch_1", usd(1))
    assert not await units.write(store.first_time, "pay1", "capture:ch_1", usd(1))
    assert await units.read(store.effects_of, "pay1") == {"capture:ch_1": 1}


async def test_another_tenant_sees_nothing(units: Units, database: Any) -> None:
    await units.write(add, "pay1")
    other = database.units("other")
    with pytest.raises(NotFound):
        await other.read(store.get, "pay1")
    assert await other.read(store.find, "pay1") == []


async def test_refunds_count_against_what_was_captured_until_they_fail(units: Units) -> None:
    def make(tx: Tx) -> str:
        add(tx, "pay1")
        store.reserve_shares(tx, "pay1", [Share(1, "obl1", "Account/a", usd(80_00))])
        store.add_to_allocation(tx, "pay1", 1, paid=80_00)
        refund = refunds.add(tx, store.get(tx, "pay1"), usd(30_00), reason="why", requested_by="test")
        refunds.put_shares(tx, refund.refund_id, [RefundShare(1, 1, "obl1", "Account/a", usd(30_00))])
        return refund.refund_id

    refund_id = await units.write(make)
    payment = await units.read(store.get, "pay1")
    assert await units.read(refunds.claimed, payment) == usd(30_00)
    with pytest.raises(IllegalMove):
        await units.write(lambda tx: refunds.move(tx, refunds.get(tx, refund_id), refunds.RefundState.SUCCEEDED))
    await units.write(lambda tx: refunds.move(tx, refunds.get(tx, refund_id), refunds.RefundState.REJECTED))
    assert await units.read(refunds.claimed, payment) == usd(0)
    assert [one.amount for one in await units.read(refunds.shares, refund_id)] == [usd(30_00)]
    assert [one.refund_id for one in await units.read(refunds.of_payment, "pay1")] == [refund_id]


# ── stored methods, consent, keys ─────────────────────────────────────────────────────────────────────────────────────

METHOD = Method("tok_visa", "visa", "4242", "2031-12")


def keep(tx: Tx, account: str = "Account/a") -> str:
    return stored_methods.keep(tx, METHOD, account_ref=account, debtor_ref="", merchant="main").method_id


def consent(tx: Tx, method_id: str, cap: int, text: str = "Yes, charge it.") -> str:
    made = stored_methods.record_consent(tx, method_id, text=text, cap=usd(cap), given_at=None, recorded_by="test")
    return made.consent_id


async def test_a_method_is_kept_once_and_for_one_account(units: Units) -> None:
    first = await units.write(keep)
    assert await units.write(keep) == first
    with pytest.raises(RuleBroken):
        await units.write(keep, "Account/b")


async def test_a_consent_is_kept_word_for_word_and_the_newest_counts(units: Units, clock: FrozenClock) -> None:
    method_id = await units.write(keep)
    assert await units.read(stored_methods.live_consent, method_id) is None
    await units.write(consent, method_id, 100_00)
    clock.advance(timedelta(days=1))
    newest = await units.write(consent, method_id, 50_00, "Only up to fifty.")
    live = await units.read(stored_methods.live_consent, method_id)
    assert live is not None
    assert (live.consent_id, live.cap, live.given_at) == (newest, usd(50_00), clock.now())
    assert live.text_sha256 == hashlib.sha256(b"Only up to fifty.").hexdigest()
    assert len(await units.read(stored_methods.consents, method_id)) == 2

    def may(tx: Tx, minor: int) -> bool:
        return stored_methods.for_autopay(tx, "Account/a", merchant="main", amount=usd(minor)) is not None

    assert await units.read(may, 50_00)
    assert not await units.read(may, 50_01)
    await units.write(stored_methods.revoke, method_id)
    assert not await units.read(may, 1)
    assert len(await units.read(stored_methods.consents, method_id)) == 2


async def test_a_consent_needs_words_and_a_cap(units: Units) -> None:
    method_id = await units.write(keep)
    for cap, text in ((100, "  "), (0, "Yes")):
        with pytest.raises(RuleBroken):
            await units.write(consent, method_id, cap, text)


async def test_a_removed_method_pays_nothing(units: Units) -> None:
    method_id = await units.write(keep)
    await units.write(consent, method_id, 100_00)
    await units.write(stored_methods.end, method_id, "removed")
    assert await units.read(stored_methods.of_account, "Account/a") == []
    assert await units.read(stored_methods.live_consent, method_id) is None


async def test_a_key_keeps_its_first_answer(units: Units) -> None:
    assert await units.write(answers.claim, "desk", "k", "hash") is None
    await units.write(answers.made, "desk", "k", "pay1")
    kept = await units.write(answers.claim, "desk", "k", "hash")
    assert kept is not None
    assert (kept.subject, kept.status) == ("pay1", None)
    await units.write(answers.answered, "desk", "k", 201, "first")
    again = await units.write(answers.answered, "desk", "k", 201, "second")
    assert again.answer == "first"
    with pytest.raises(Conflict):
        await units.write(answers.claim, "desk", "k", "other hash")
    assert await units.write(answers.claim, "kiosk", "k", "other hash") is None
