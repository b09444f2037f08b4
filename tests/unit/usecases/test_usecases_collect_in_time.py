"""What the calendar alone changes is assessed on its day, and money that pays something else is told to a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing import money as billing
from fhirpay.billing import store as obligations
from fhirpay.billing import worklist
from fhirpay.billing.worklist import Item
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.payments import movements
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.collect import AGAIN, reassess_accounts
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from intake_world import World, ft1, message, world

DAY = timedelta(days=1)
COPAY = ft1(1, "CO", "25.00&USD")


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids, {"policy": "request"}) as made:
        yield made
        await made.check_books()


async def take(w: World, *messages: bytes) -> None:
    for one in messages:
        await w.send(one)
    await w.work()


async def days_pass(w: World, days: float) -> int:
    """As many virtual days; how many accounts were assessed because of them."""
    w.clock.advance(days * DAY)
    handlers = {AGAIN: w.house.outbox[AGAIN]}
    return await Worker(w.system.database, w.house.units, queue="outbox", handlers=handlers).drain()


async def put(w: World, **resource: Any) -> None:
    def change(tx: Tx) -> None:
        fhir.put(tx, {"account": {"reference": account}, **resource})
        reassess_accounts(tx, [account], w.house.tenant)

    account = await w.account()
    await w.house.units.write(change)


def bill(total: int, date: str) -> dict[str, Any]:
    amount = {"value": total, "currency": "USD"}
    who = {"reference": "Patient/p"}
    return {
        "resourceType": "Invoice",
        "id": "inv1",
        "status": "issued",
        "subject": who,
        "date": date,
        "totalNet": amount,
        "totalGross": amount,
    }


async def pay_copay(w: World) -> str:
    """A payment of the copay, captured."""

    def taken(tx: Tx) -> str:
        (copay,) = [one.obligation_id for one in obligations.owed(tx, account) if one.basis_kind == "copay"]
        payment_id = start(tx, NewPayment(account, "test", obligations=(copay,)), w.house.tenant)
        (operation,) = payments.operations_of(tx, payment_id)
        payments.sent(tx, operation, processor_ref="cs_1")
        outcome = Approved(Reference("ch_1"), operation.amount)
        settle(tx, w.house.tenant, operation.operation_id, outcome, source="test")
        return payment_id

    account = await w.account()
    return await w.house.units.write(taken)


async def items(w: World, kind: str) -> list[Item]:
    return [one for one in await w.house.units.read(worklist.list_open) if one.kind == kind]


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_minor_who_comes_of_age_may_be_asked_from_that_day_on(w: World) -> None:
    await take(w, message("M1", COPAY, pid={7: "20081125"}))
    assert (await w.askable(), {one.hold for one in await w.owed()}) == ("0", {"minor"})
    assert await days_pass(w, 4) == 0
    assert await w.askable() == "0"
    assert await days_pass(w, 1) == 1
    assert await w.askable() == "25.00 USD"
    assert [one.says for one in await items(w, "payment_due")] == ["25.00 USD may be asked for from 2026-11-25"]
    assert await days_pass(w, 400) == 0


async def test_a_birthday_that_is_corrected_counts_as_corrected(w: World) -> None:
    await take(w, message("M1", COPAY, pid={7: "20081125"}))
    await take(w, message("M2", label="ADT^A08", pid={7: "20081225"}))
    assert await days_pass(w, 6) == 1
    assert await w.askable() == "0"
    assert await days_pass(w, 30) == 1
    assert await w.askable() == "25.00 USD"


async def test_a_guarantor_whose_time_is_over_answers_no_more(w: World) -> None:
    await take(w, message("M1", COPAY))
    account = await w.account()

    def guaranteed(tx: Tx) -> None:
        known = fhir.get(tx, "Account", account.removeprefix("Account/"))
        assert known is not None
        party = {"reference": "Organization/employer"}
        period = {"start": "2026-01-01", "end": "2026-11-22"}
        fhir.put(tx, {**known.resource, "guarantor": [{"party": party, "period": period}]})
        reassess_accounts(tx, [account], w.house.tenant)

    await w.house.units.write(guaranteed)
    assert await w.askable() == "0"
    assert await days_pass(w, 2) == 0
    assert await days_pass(w, 1) == 1
    assert await w.askable() == "25.00 USD"


async def test_credit_pays_a_bill_on_the_day_from_which_it_may_be_asked(w: World) -> None:
    await take(w, message("M1", COPAY))
    payment_id = await pay_copay(w)
    await put(w, **bill(0, "2026-11-20"))  # nothing is owed after all
    assert [(one.subject, one.amount) for one in await items(w, "unapplied_credit")] == [
        (f"{await w.account()}/{payment_id}", Money(25_00, "USD"))
    ]
    await put(w, **bill(40, "2026-11-25"))
    assert len(await w.house.units.read(billing.credits_of, await w.account())) == 1
    assert await days_pass(w, 5) == 1
    assert await w.house.units.read(billing.credits_of, await w.account()) == []
    assert await w.askable() == "15.00 USD"
    assert await items(w, "unapplied_credit") == []
    *_, moved = await w.house.units.read(movements.of_payment, payment_id)
    assert [line.amount.minor for line in moved.lines] == [-25_00, 25_00]
    assert await items(w, "reallocated") == []


# ── money that pays something else ────────────────────────────────────────────────────────────────────────────────────


async def test_a_copay_that_an_invoice_takes_over_is_booked_and_told_once(w: World) -> None:
    await take(w, message("M1", COPAY, ft1(2, "CG", "100.00&USD")))
    payment_id = await pay_copay(w)
    (copay,) = [one for one in await w.owed() if one.basis_kind == "copay"]
    assert await w.house.units.read(movements.of_payment, payment_id) == []
    await put(w, **bill(100, "2026-11-20"))
    (now,) = [one for one in await w.owed() if one.basis_kind == "invoice"]
    assert (now.paid, await w.askable()) == (Money(25_00, "USD"), "75.00 USD")
    (moved,) = await w.house.units.read(movements.of_payment, payment_id)
    assert [(line.obligation_id, line.amount.minor) for line in moved.lines] == [
        (copay.obligation_id, -25_00),
        (now.obligation_id, 25_00),
    ]
    assert await items(w, "reallocated") == []
    assert await items(w, "unapplied_credit") == []
    await put(w, **bill(100, "2026-11-20"))
    assert len(await w.house.units.read(movements.of_payment, payment_id)) == 1
    assert await w.house.units.read(obligations.owed, await w.account())
