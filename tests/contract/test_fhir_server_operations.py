"""`$collect` and `$explain` as a client sees them, with the workers running: on both engines, over real calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from fhirpay.billing import store as billing
from fhirpay.config import ApiClient
from fhirpay.data import data_root
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.validation import problems
from fhirpay.payments import store as payments
from fhirpay.security.pan import screen_json
from fhirpay.smart.callers import Callers
from fhirpay.smart.front_door import endpoints
from fhirpay.smart.issuers import Issuers
from fhirpay.smart.scopes import Scopes
from fhirpay.usecases import explain_nodes
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.receive_fhir import FhirIntake
from fhirpay.web.fhir_server import metadata
from fhirpay.web.fhir_server.deps import Deps
from fhirpay.web.fhir_server.pay_operations import pay_operations
from fhirpay.web.fhir_server.router import fhir_router
from fhirpay.web.patience import Patience
from fhirpay.writeback import store as writeback
from fhirpay.writeback.tables import PostingRow
from payments_world import World, payments_world

Json = dict[str, Any]
BASE = "http://us/fhir/R4"
SCOPES = {
    "desk": ("system/*.rs", "payments"),
    "reader": ("system/*.rs",),
    "payer": ("payments", "system/Patient.r"),
    "narrow": ("system/Invoice.r?status=issued", "payments"),
}


@dataclass
class Site:
    """The endpoint beside the processor, whose pages are paid on."""

    world: World
    http: httpx2.AsyncClient

    async def ask(self, method: str, path: str, body: Json | None = None, *, who: str = "desk") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {who}-token"} if who else {}
        content = None if body is None else dumps({"resourceType": "Parameters", **body})
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        return await self.http.request(method, f"/fhir/R4/{path}", content=content, headers=headers)


def site_of(world: World, tenant: str = "main") -> Site:
    units = world.database.units(tenant)
    clients = [ApiClient(name=name, token=f"{name}-token", scopes=scopes) for name, scopes in SCOPES.items()]
    read = {client.name: Scopes.read(client.scopes) for client in clients}
    callers = Callers(units, clients, read, Issuers([], lambda: datetime.now(UTC)))
    patience = Patience(units, world.database.wakeups, 20)
    deps = Deps(
        units=units,
        caller=callers.caller,
        accepted=FhirIntake(b"k" * 32, world.tenant),
        screen=screen_json,
        base_url=BASE,
        endpoints=endpoints("http://us"),
        body_max_bytes=10_000,
        operations=pay_operations(units, world.tenant, patience),
    )
    app = FastAPI()
    app.include_router(fhir_router(deps))
    return Site(world, httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://us"))


@pytest.fixture
async def site(database: Database, clock: FrozenClock) -> AsyncIterator[Site]:
    async with payments_world(database, clock, live=True) as world:
        yield site_of(world)


def parts(parameters: Json, name: str) -> list[dict[str, Any]]:
    """The parts of each parameter of that name, wherever it stands, by name: the first value of each."""
    found: list[dict[str, Any]] = []
    for one in parameters.get("parameter", parameters.get("part", ())):
        if one["name"] == name and "part" in one:
            values = {part["name"]: next((v for k, v in part.items() if k != "name"), None) for part in one["part"]}
            found.append({**values, "": one})
        found += parts(one, name)
    return found


def answered(answer: httpx2.Response) -> Json:
    assert answer.status_code == 200, answer.text
    body = loads(answer.content)
    assert problems(body) == []
    return body


def refused(answer: httpx2.Response) -> tuple[int, str, str]:
    issue = loads(answer.content)["issue"][0]
    return answer.status_code, issue["code"], issue["details"]["text"]


async def captured(world: World, payment_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            if await world.state(payment_id) == "captured":
                return
            await asyncio.sleep(0.05)


async def pending_charge(world: World) -> str:
    """A charge of whose payer nothing is known."""

    def charged(tx: Tx) -> str:
        account = {"reference": "Account/ana"}
        price = {"value": 70, "currency": "USD"}
        kept, _ = fhir.put(
            tx,
            {
                "resourceType": "ChargeItem",
                "id": "c1",
                "status": "billable",
                "code": {"text": "x"},
                "subject": {"reference": "Patient/ana"},
                "account": [account],
                "priceOverride": price,
            },
        )
        reassess_accounts(tx, [account["reference"]], world.tenant)
        return kept.reference

    return await world.units.write(charged)


async def test_an_invoice_is_asked_for_once_and_paid_on_the_page(site: Site) -> None:
    world = site.world
    await world.invoiced("ana", 80_00, 45_50)
    body = {"parameter": [{"name": "returnUrl", "valueUrl": "https://desk.example.org/done"}]}
    first = answered(await site.ask("POST", "Invoice/ana-1/$collect", body))
    (asked,) = parts(first, "request")
    assert (asked["status"], asked["amount"]) == ("requires_action", {"value": 80, "currency": "USD"})
    assert asked["share"] == asked["amount"]
    assert answered(await site.ask("POST", "Invoice/ana-1/$collect")) == first
    assert len(await world.units.read(payments.of_account, "Account/ana")) == 1
    back = await world.processor.pay_page(asked["url"])
    assert back.headers["location"] == f"https://pay.example.org/api/v1/return/main/{asked['payment']}"
    await world.deliver_events()
    await captured(world, asked["payment"])
    status, code, text = refused(await site.ask("POST", "Invoice/ana-1/$collect"))
    assert (status, code) == (422, "business-rule")
    assert "80.00 USD paid" in text
    assert await world.askable("Account/ana") == 45_50
    await world.sweep()


async def test_two_at_once_make_one_payment(site: Site) -> None:
    await site.world.invoiced("ana", 80_00)
    both = await asyncio.gather(*(site.ask("POST", "Invoice/ana-1/$collect") for _ in range(2)))
    ids = {parts(answered(one), "request")[0]["payment"] for one in both}
    assert len(ids) == 1
    assert len(await site.world.units.read(payments.of_account, "Account/ana")) == 1


async def test_what_the_desk_asks_for_already_is_answered_as_it_is(site: Site) -> None:
    account = await site.world.invoiced("ana", 80_00, 20_00)
    payment_id = await site.world.start(account)
    (asked,) = parts(answered(await site.ask("POST", "Invoice/ana-2/$collect")), "request")
    assert (asked["payment"], asked["amount"]["value"], asked["share"]["value"]) == (payment_id, 100, 20)


async def test_pending_insurance_is_never_asked_for_and_the_refusal_says_what_explain_says(site: Site) -> None:
    await site.world.invoiced("ana")
    reference = await pending_charge(site.world)
    status, code, text = refused(await site.ask("POST", f"{reference}/$collect"))
    assert (status, code) == (422, "business-rule")
    (owed,) = await site.world.units.read(billing.resting_on, reference)
    assert owed.pending == Money(70_00, "USD")
    node = explain_nodes.obligation(owed, ())
    assert all(line in text for line in (node.says, *node.notes))
    assert await site.world.units.read(payments.of_account, "Account/ana") == []
    status, code, text = refused(await site.ask("POST", "Invoice/none/$collect"))
    assert (status, code) == (404, "not-found")


async def test_the_type_is_asked_by_identifier(site: Site) -> None:
    await site.world.invoiced("ana", 80_00)

    def named(tx: Tx) -> None:
        found = fhir.get(tx, "Invoice", "ana-1")
        assert found is not None
        fhir.put(tx, {**found.resource, "identifier": [{"system": "urn:i", "value": "7"}]})

    await site.world.units.write(named)
    body = {"parameter": [{"name": "identifier", "valueString": "urn:i|7"}]}
    by_type = answered(await site.ask("POST", "Invoice/$collect", body))
    assert answered(await site.ask("POST", "Invoice/ana-1/$collect")) == by_type
    assert answered(await site.ask("GET", "Invoice/$explain?identifier=urn:i|7"))["parameter"][0]["valueReference"] == {
        "reference": "Invoice/ana-1"
    }
    none = {"parameter": [{"name": "identifier", "valueString": "urn:i|8"}]}
    assert refused(await site.ask("POST", "Invoice/$collect", none))[:2] == (404, "not-found")
    assert refused(await site.ask("POST", "Invoice/$collect"))[:2] == (400, "required")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "Invoice/ana-1/$collect", None, 405),
        ("PUT", "Invoice/ana-1/$explain", None, 405),
        ("POST", "Account/ana/$collect", None, 404),
        ("POST", "Invoice/ana-1/$pay", None, 404),
        ("POST", "Invoice/ana-1/$collect?returnUrl=https://x.example", None, 400),
        ("POST", "Invoice/ana-1/$collect", {"parameter": [{"name": "amount", "valueString": "1"}]}, 400),
        ("POST", "Invoice/ana-1/$collect", {"parameter": [{"name": "returnUrl", "valueString": "https://x"}]}, 400),
        ("POST", "Invoice/ana-1/$collect", {"parameter": [{"name": "returnUrl", "valueUrl": "javascript:1"}]}, 400),
        ("POST", "Invoice/ana-1/$collect", {"parameter": [{"value": 1}]}, 400),
        ("POST", "Invoice/ana-1/$collect", {"resourceType": "Invoice"}, 400),
        (
            "POST",
            "Invoice/ana-1/$collect",
            {"parameter": [{"_name": {"id": "n"}, "valueUrl": "https://x.example"}]},
            400,
        ),
        ("GET", "Invoice/ana-1/$explain?depth=1", None, 400),
    ],
)
async def test_what_an_operation_does_not_take_is_refused_and_asks_for_nothing(
    site: Site, method: str, path: str, body: Json | None, status: int
) -> None:
    await site.world.invoiced("ana", 80_00)
    answer = await site.ask(method, path, body)
    assert answer.status_code == status, answer.text
    assert loads(answer.content)["issue"][0]["severity"] == "error"
    assert await site.world.askable("Account/ana") == 80_00


async def test_an_operation_takes_the_scope_of_reading_and_the_one_of_payments(site: Site) -> None:
    await site.world.invoiced("ana", 80_00)
    for operation in ("$collect", "$explain"):
        for who, status in (("", 401), ("reader", 403), ("payer", 403), ("narrow", 200), ("desk", 200)):
            answer = await site.ask("POST", f"Invoice/ana-1/{operation}", who=who)
            assert answer.status_code == status, (operation, who, answer.text)
        assert (await site.ask("POST", f"Invoice/none/{operation}", who="payer")).status_code == 403

    def draft(tx: Tx) -> None:
        found = fhir.get(tx, "Invoice", "ana-1")
        assert found is not None
        fhir.put(tx, {**found.resource, "status": "draft"})

    await site.world.units.write(draft)
    for operation in ("$collect", "$explain"):
        assert (await site.ask("POST", f"Invoice/ana-1/{operation}", who="narrow")).status_code == 403


async def test_another_tenant_has_no_such_resource(site: Site) -> None:
    await site.world.invoiced("ana", 80_00)
    other = site_of(site.world, "other")
    for operation in ("$collect", "$explain"):
        assert (await other.ask("POST", f"Invoice/ana-1/{operation}")).status_code == 404


async def test_the_chain_is_told_from_what_came_in_to_what_was_posted(site: Site) -> None:
    world = site.world
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await captured(world, payment_id)
    told = answered(await site.ask("GET", "Invoice/ana-1/$explain"))
    assert answered(await site.ask("POST", "Invoice/ana-1/$explain")) == told
    (owed,) = parts(told, "obligation")
    assert (owed["patient"], owed["paid"]) == ({"value": 80, "currency": "USD"},) * 2
    assert parts(told, "why")[0]["says"]
    (paid,) = parts(told, "payment")
    assert (paid["id"], paid["state"], paid["captured"]["value"]) == (payment_id, "captured", 80)
    assert parts(told, "operation")[0]["operation"] == "sale"
    assert {leg["side"] for leg in parts(told, "postings")} == {"debit", "credit"}
    (posting,) = parts(told, "posting")
    assert posting["connection"] == "ehr"
    made = (await world.units.read(writeback.of_payment, payment_id))[0]

    def posted(tx: Tx) -> None:
        body = {"resourceType": "PaymentReconciliation", "status": "active", "created": "2026-11-20"}
        body |= {"paymentDate": "2026-11-20", "paymentAmount": {"value": 80, "currency": "USD"}}
        writeback.posted(tx, made.posting_id, remote_id="x", remote_version="1", body=dumps(body))

    await world.units.write(posted)
    of_posting = answered(await site.ask("GET", f"PaymentReconciliation/{made.posting_id}/$explain"))
    assert [one["id"] for one in parts(of_posting, "payment")] == [payment_id]
    of_account = answered(await site.ask("GET", "Account/ana/$explain"))
    assert [one["id"] for one in parts(of_account, "payment")] == [payment_id]


async def test_a_chain_shows_nothing_of_resources_that_the_caller_may_not_read(site: Site) -> None:
    await site.world.invoiced("ana", 80_00)
    told = answered(await site.ask("GET", "Invoice/ana-1/$explain", who="narrow"))
    shown = {one["reference"]["reference"]: one for one in parts(told, "resource")}
    assert "identifiers" in answered_account(answered(await site.ask("GET", "Invoice/ana-1/$explain")))
    assert set(shown["Account/ana"]) - {""} <= {"reference", "says", "obligation"}
    assert shown["Invoice/ana-1"]["version"] == 1


async def test_who_of_the_staff_decided_about_a_posting_and_why_is_not_told(site: Site) -> None:
    world = site.world
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await captured(world, payment_id)
    (posting,) = await world.units.read(writeback.of_payment, payment_id)

    def decided(tx: Tx) -> None:
        of = table(PostingRow)
        said = {"state": "rejected", "decided_by": "joy", "decided_at": tx.now, "decided_why": "her mother called"}
        tx.execute(update(of).where(of.c.tenant_id == tx.tenant, of.c.posting_id == posting.posting_id).values(said))

    await world.units.write(decided)
    answer = await site.ask("GET", "Invoice/ana-1/$explain")
    assert parts(answered(answer), "posting")[0]["state"] == "rejected"
    assert "joy" not in answer.text
    assert "her mother called" not in answer.text


def answered_account(told: Json) -> Json:
    return next(one for one in parts(told, "resource") if one["reference"]["reference"] == "Account/ana")


async def test_the_definitions_are_served_openly_and_say_what_there_is(site: Site) -> None:
    statement = metadata.capability_statement(BASE, endpoints("http://us"))
    declared = {one["type"]: one for one in statement["rest"][0]["resource"]}
    operations = pay_operations(site.world.units, site.world.tenant, Patience(site.world.units, None))  # type: ignore[arg-type]
    found = loads((await site.ask("GET", "OperationDefinition", who="")).content)
    by_code = {entry["resource"]["code"]: entry["resource"] for entry in found["entry"]}
    assert set(by_code) == set(operations)
    assert len(list(data_root("conformance").glob("OperationDefinition-*.json"))) == len(operations)
    for name, operation in operations.items():
        definition = by_code[name]
        assert problems(definition) == []
        taken = {one["name"]: one["type"] for one in definition["parameter"] if one["use"] == "in"}
        assert taken == {**operation.inputs, "identifier": "string"}
        assert (definition["affectsState"], tuple(definition["resource"])) == (
            operation.affects_state,
            operation.types,
        )
        of_types = {
            kind
            for kind, one in declared.items()
            for said in one.get("operation", ())
            if (said["name"], said["definition"]) == (name, definition["url"])
        }
        assert of_types == set(operation.types)
        one = await site.ask("GET", f"OperationDefinition/{definition['id']}", who="")
        assert loads(one.content) == definition
        for query in (f"url={definition['url']}", f"name={definition['name'][:4].lower()}", f"_id={definition['id']}"):
            assert loads((await site.ask("GET", f"OperationDefinition?{query}", who="")).content)["total"] == 1
    assert loads((await site.ask("GET", "OperationDefinition?url=urn:x", who="")).content)["total"] == 0
    assert refused(await site.ask("GET", "OperationDefinition?code=collect", who=""))[:2] == (400, "not-supported")
    assert refused(await site.ask("GET", "OperationDefinition/none", who=""))[:2] == (404, "not-found")
    assert refused(await site.ask("POST", "OperationDefinition", {}))[0] == 405
