"""Currencies with no and with three decimals, asked for by the API and told to the EHR; a merchant that is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.fhir import json as fhir_json
from fhirpay.fhir import store as fhir
from fhirpay.flow import lane
from fhirpay.flow.tables import WorkRow
from fhirpay.flow.worker import Worker
from fhirpay.payments import registry, store
from fhirpay.payments.port import PaymentRequest, Prepared
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import PostedPayment
from payments_world import World, handlers_of, payments_world

work = table(WorkRow)
pytestmark = pytest.mark.warns("operation.unknown", "work.parked")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


def owes(tx: Tx, world: World, value: str, currency: str) -> str:
    total = {"value": Decimal(value), "currency": currency}
    patient, account = {"reference": "Patient/yen"}, {"reference": "Account/yen"}
    for resource in (
        {"resourceType": "Patient", "id": "yen", "birthDate": "1980-01-02"},
        {"resourceType": "Account", "id": "yen", "status": "active", "subject": [patient]},
        {
            "resourceType": "Invoice",
            "id": "yen-1",
            "status": "issued",
            "subject": patient,
            "recipient": patient,
            "account": account,
            "date": "2026-11-01",
            "totalNet": total,
            "totalGross": total,
        },
    ):
        fhir.put(tx, resource)
    reassess_accounts(tx, ["Account/yen"], world.tenant)
    return "Account/yen"


async def told(world: World, subject: str) -> PostedPayment:
    def of(tx: Tx) -> PostedPayment:
        (posting,) = [one for one in postings.find(tx, subject) if one.subject == subject]
        return posted_facts(tx, posting, world.tenant)

    return await world.units.read(of)


@pytest.mark.parametrize(
    ("owed", "back", "currency", "minor", "back_minor"),
    [("1250", "250", "JPY", 1250, 250), ("12.345", "2.005", "KWD", 12345, 2005)],
)
async def test_no_and_three_decimals_are_exact_from_the_api_to_the_processor_and_the_ehr(
    world: World, owed: str, back: str, currency: str, minor: int, back_minor: int
) -> None:
    account = await world.units.write(owes, world, owed, currency)

    async def post(path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        answer = await world.api.post(f"/api/v1{path}", content=fhir_json.dumps(body), headers=headers)
        assert answer.status_code < 300, answer.text
        return fhir_json.loads(answer.content)

    hosted = {"hosted": {"return_url": "https://desk.example.org/done"}}
    amount = {"value": Decimal(owed), "currency": currency}
    payment = await post("/payments", {"account": account, "amount": amount, "method": hosted}, "one")
    await world.work()
    opened = await world.units.read(store.get, payment["id"])
    await world.processor.pay_page(opened.hosted_url)
    await world.until_quiet()
    given = {"value": Decimal(back), "currency": currency}
    refund = await post("/refunds", {"payment": payment["id"], "amount": given, "reason": "too much"}, "two")
    await world.until_quiet()
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [minor, -back_minor]
    assert (await told(world, payment["id"])).amount == Money(minor, currency)
    assert (await told(world, refund["id"])).amount == Money(back_minor, currency)
    assert await world.breaks() == set()


async def test_a_merchant_that_is_gone_parks_what_is_open_and_its_return_ends_it(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment_id, 30_00)
    gone = world.tenant.model_copy(update={"merchants": (), "terminals": ()})
    nobody = registry.build(gone)
    without = Worker(
        world.database,
        world.units,
        queue="outbox",
        handlers=handlers_of(world.units, gone, nobody),
    )
    await without.drain()

    def parked(tx: Tx) -> list[str]:
        where = (work.c.tenant_id == tx.tenant, work.c.state == "parked")
        return [row["work_id"] for row in tx.all(select(work).where(*where))]

    (stuck,) = await world.units.read(parked)
    await world.units.write(lane.release, stuck)
    await world.until_quiet()
    assert [one["amount"] for one in (await world.processor.books())["movements"]] == [80_00, -30_00]
    await nobody.aclose()
    await world.sweep()


async def test_a_second_object_of_the_processor_that_took_money_under_our_reference_is_told(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await world.work(hours=0.01)
    adapter = world.registry.of("main")
    wish = PaymentRequest(payment_id, Money(80_00, "USD"), "tok_visa", return_url="https://pay.example.org")
    made = await adapter.prepare(wish, idempotency_key="by hand")
    assert isinstance(made, Prepared)
    await adapter.submit(made.reference, wish, idempotency_key="by hand too")
    await world.until_quiet()
    (told_of,) = await world.units.read(store.breaks)
    assert (told_of.kind, told_of.payment_id, told_of.amount) == ("other_reference", payment_id, Money(80_00, "USD"))
    assert str(made.reference) in told_of.says
    assert (await world.balances())["processor_clearing"] == 80_00
