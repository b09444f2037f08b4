"""Payments posted as Oracle Health takes them: as financial transactions, created once and never looked at again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from chain_built import charged, paid, refunded, tenant

from ehr_running import TOKEN, Running, running_ehr
from fhirpay.billing.store import reassess
from fhirpay.config import Connection, Tenant
from fhirpay.config_writeback import FinancialTransaction
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.posted_facts import visit_of
from fhirpay.usecases.postings import enqueue
from fhirpay.usecases.unposted import resolve
from fhirpay.writeback import store
from fhirpay.writeback.renderers import named
from writeback_world import PAYMENT, TRANSACTIONS, VISIT, Desk, facts, refund_of

PREFIX = "https://fhir-ehr.cerner.com/r4/StructureDefinition/financial-transaction-"


def oracle() -> Switches:
    return Switches(financial_transactions=True, references_checked=True)


def extension(resource: dict[str, Any], name: str) -> Any:
    return next(
        value
        for one in resource["extension"]
        if one["url"] == PREFIX + name
        for key, value in one.items()
        if key != "url"
    )


@pytest_asyncio.fixture
async def desk(database: Database, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with running_ehr(switches=oracle()) as ehr:
        made = Desk(database, clock, {"ehr": ehr}, **TRANSACTIONS)
        ehr.ehr.chart(VISIT)
        yield made
        await made.aclose()


def agreed(desk: Desk, **settings: Any) -> None:
    """Another server, whose connection says so."""
    changed = desk.tenant.connections[0].model_copy(update=settings)
    desk.tenant = desk.tenant.model_copy(update={"connections": (changed,)})
    desk.post_back = PostBack(desk.units, desk.tenant, desk.clients, facts=facts)
    desk.worker = Worker(
        desk.database,
        desk.units,
        queue="outbox",
        handlers={"writeback": desk.post_back.run},
        on_parked=note_parked_call,
    )


async def test_a_visit_that_we_know_by_its_number_is_paid_by_the_id_that_it_has_there(desk: Desk) -> None:
    ids = [await desk.settle(), await desk.settle(refund=True)]
    await desk.work()
    assert [(await desk.posting(one)).reason for one in ids] == [None, None]
    payment, refund = desk.there()
    for one in (payment, refund):
        target, _ = extension(one, "allocation")
        assert target["valueReference"] == {"reference": "Encounter/e1"}
    assert [extension(one, "alias") for one in (payment, refund)] == ["0111", "0112"]
    assert [str(extension(one, "amount")["value"]) for one in (payment, refund)] == ["80.00", "30.00"]
    assert [one["identifier"][0]["value"] for one in (payment, refund)] == ["pay1x1", "pay1backx1"]
    assert (await desk.posting(ids[0])).remote_id == payment["id"]


@pytest.mark.warns("call.parked", "work.parked")
@pytest.mark.parametrize(
    ("visits", "settings", "says"),
    [
        (1, {"systems": {"urn:other": "urn:visit"}}, "no Encounter has the visit number"),
        (2, {}, "2 Encounters have the visit number"),
    ],
)
async def test_a_visit_that_cannot_be_told_from_others_is_for_a_person(
    desk: Desk, visits: int, settings: dict[str, Any], says: str
) -> None:
    agreed(desk, **settings)
    for number in range(2, visits + 1):
        desk.ehr.ehr.chart(VISIT | {"id": f"e{number}"})
    posting = await desk.settle()
    await desk.work()
    found = await desk.posting(posting)
    assert (found.state, found.sent_at, desk.there()) == ("parked", None, [])
    assert says in (found.reason or "")
    assert [one.kind for one in await desk.open_items()] == ["parked_call"]


@pytest.mark.warns("call.parked", "work.parked")
async def test_the_same_number_in_another_system_is_another_visit(desk: Desk) -> None:
    agreed(desk, systems={"urn:other": "urn:visit"})
    desk.fault("match_all", None, methods=["GET"])  # a server that ignores what it is asked for
    posting = await desk.settle()
    await desk.work()
    assert ((await desk.posting(posting)).state, desk.there()) == ("parked", [])


@pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
@pytest.mark.parametrize("seen", [True, False])
async def test_one_whose_answer_is_lost_is_never_sent_again_but_by_a_person(desk: Desk, seen: bool) -> None:
    desk.fault("lost_answer" if seen else "cut", methods=["POST"])
    posting = await desk.settle()
    await desk.work()
    await desk.another()
    found = await desk.posting(posting)
    assert (found.state, desk.count()) == ("unknown", int(seen))
    assert named(found) == "pay1x1"
    said = {"found": desk.live(PAYMENT)[0].id, "absent": False} if seen else {"found": "", "absent": True}
    await resolve(desk.units, desk.clients, some_id=posting, **said)
    await desk.work()
    assert ((await desk.posting(posting)).state, desk.count()) == ("posted", 1)


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_refund_waits_for_a_person_as_long_as_no_alias_is_agreed_for_it(desk: Desk) -> None:
    agreed(desk, financial_transaction=FinancialTransaction(payment_alias="0111"))
    ids = [await desk.settle(), await desk.settle(refund=True)]
    await desk.work()
    assert [(await desk.posting(one)).state for one in ids] == ["posted", "parked"]
    agreed(desk, financial_transaction=FinancialTransaction(payment_alias="0111", refund_alias="0112"))
    await resolve(desk.units, desk.clients, some_id=ids[1], found="", absent=True)
    await desk.work()
    assert desk.count(refund_of(PAYMENT)) == 1


def connected(ehr: Running) -> Tenant:
    known = {"name": "ehr", "base_url": ehr.base_url, "token": TOKEN, "private_network": True, **TRANSACTIONS}
    return tenant().model_copy(update={"connections": (Connection(**known),)})


async def posted(database: Database, units: Units, ehr: Running, owner: Tenant) -> None:
    fhir_client = FhirClient("ehr", client(ehr.base_url, allow_private=True), FixedToken(TOKEN))
    post_back = PostBack(units, owner, {"ehr": fhir_client})
    handlers = {"writeback": post_back.run}
    await Worker(database, units, queue="outbox", handlers=handlers, on_parked=note_parked_call).drain()
    await fhir_client.aclose()


async def test_what_has_no_visit_is_paid_to_the_account_that_the_ehr_gave_its_id(
    database: Database, units: Units
) -> None:
    async with running_ehr(switches=oracle()) as ehr:
        ehr.ehr.chart({"resourceType": "Account", "id": "G1", "status": "active"})
        owner = connected(ehr)

        def all_of_it(tx: Tx) -> tuple[str, str]:
            built = charged(tx, owner)
            account = fhir.get(tx, *built.account.split("/"))
            assert account is not None
            over_fhir = f"urn:fhirpay:lab#{built.fhir}"
            fhir.put(tx, account.resource | {"id": "G1"}, source=over_fhir)
            invoice = fhir.get(tx, "Invoice", "inv-1")
            assert invoice is not None
            fhir.put(tx, invoice.resource | {"account": {"reference": "Account/G1"}}, source=over_fhir)
            reassess(tx, built.account, owner)
            reassess(tx, "Account/G1", owner)
            done = refunded(tx, owner, paid(tx, owner, replace(built, account="Account/G1")))
            return done.payment, done.refund

        payment, refund = await units.write(all_of_it)
        await posted(database, units, ehr, owner)
        first, second = ehr.stored("Basic")
    assert [one["identifier"][0]["value"] for one in (first, second)] == [f"{payment}x0", f"{refund}x1"]
    assert extension(first, "allocation")[0]["valueReference"] == {"reference": "Account/G1"}
    assert (extension(first, "date"), extension(first, "card-brand")) == ("2031-12", "VISA")


@pytest.mark.warns("call.parked", "work.parked")
async def test_an_account_that_the_ehr_knows_by_number_alone_is_for_a_person(database: Database, units: Units) -> None:
    async with running_ehr(switches=oracle()) as ehr:
        owner = connected(ehr)
        built = await units.write(lambda tx: paid(tx, owner, charged(tx, owner)))
        await posted(database, units, ehr, owner)
        assert ehr.stored("Basic") == []
    (found,) = await units.read(store.of_payment, built.payment)
    assert found.state == "parked"
    assert "is neither to us" in (found.reason or "")


async def test_a_line_is_of_the_visit_where_its_charge_was_made(units: Units) -> None:
    def visits(tx: Tx) -> list[str]:
        built = charged(tx, tenant())
        return [visit_of(tx, one).partition("/")[0] for one in (built.charge, built.invoice, "Encounter/e1", "")]

    assert await units.write(visits) == ["Encounter", "", "Encounter", ""]


async def test_asked_for_twice_it_is_posted_once(units: Units) -> None:
    owner = tenant().model_copy(
        update={"connections": (Connection(name="ehr", base_url="https://ehr.example", **TRANSACTIONS),)}
    )

    def twice(tx: Tx) -> list[list[str]]:
        payment = paid(tx, owner, charged(tx, owner)).payment
        return [enqueue(tx, payment_id=payment, tenant=owner) for _ in range(2)]

    first, second = await units.write(twice)
    assert first == second
    assert len(first) == 1


@pytest.mark.warns("call.parked")
async def test_a_visit_of_which_nothing_is_paid_any_more_is_for_a_person(desk: Desk) -> None:
    def nothing_left(tx: Tx, posting: Any, owner: Tenant) -> Any:
        return replace(facts(tx, posting, owner), amount=Money.zero("USD"), lines=[])

    desk.post_back = PostBack(desk.units, desk.tenant, desk.clients, facts=nothing_left)
    handlers = {"writeback": desk.post_back.run}
    desk.worker = Worker(desk.database, desk.units, queue="outbox", handlers=handlers, on_parked=note_parked_call)
    payment = await desk.settle()
    await desk.work()
    posting = await desk.posting(payment)
    assert posting.state == "parked"
    assert "there is nothing to post" in (posting.reason or "")
