"""The staff side of `/api/v1`: what waits for a person, holds and entries, each with who and why. On both engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from fhirpay import wiring
from fhirpay.billing import store as obligations
from fhirpay.billing import worklist
from fhirpay.config import ApiClient, Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.domain.operation import OperationState
from fhirpay.errors import StorageUnavailable
from fhirpay.fhir import store as fhir
from fhirpay.ledger.verify import verify
from fhirpay.payments import answers
from fhirpay.payments import store as payments
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.start_payment import NewPayment, start

Json = dict[str, Any]
ACCOUNT = "Account/ana"
BY = {"by": "jdoe"}


def tenant(name: str) -> Tenant:
    return Tenant(
        name=name,
        facilities=(Facility(name="main", zone="UTC"),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        clients=(
            ApiClient(name="desk", token=f"desk-{name}", scopes=("payments", "staff")),
            ApiClient(name="till", token=f"till-{name}"),
        ),
    )


@dataclass
class World:
    system: wiring.System
    http: httpx2.AsyncClient
    clock: FrozenClock

    @property
    def units(self) -> Units:
        return self.system.house("main").units

    async def get(self, path: str, token: str = "desk-main") -> httpx2.Response:
        return await self.http.get(f"/tenants/main/api/v1{path}", headers={"Authorization": f"Bearer {token}"})

    async def post(self, path: str, body: Json, key: str = "k", token: str = "desk-main") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return await self.http.post(f"/tenants/main/api/v1{path}", content=json.dumps(body), headers=headers)

    async def lines(self, query: str = "") -> list[Json]:
        answer = await self.get(f"/worklist{query}")
        assert answer.status_code == 200, answer.text
        return read(answer)["lines"]

    async def askable(self) -> int:
        return sum(one.askable.minor for one in await self.units.read(obligations.owed, ACCOUNT))


def read(answer: httpx2.Response) -> Json:
    return json.loads(answer.text, parse_float=Decimal)


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    settings = Settings(hash_key="k" * 32, tenants=(tenant("main"), tenant("other")))
    system = wiring.build(settings, clock=clock, ids=ids, database=database)
    transport = httpx2.ASGITransport(app=system.web, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ours") as http:
        made = World(system, http, clock)
        await made.units.write(owing, system.house("main").tenant, "ana")
        yield made
        assert (await made.units.read(verify)).ok
    await system.close()


def owing(tx: Tx, owner: Tenant, name: str, total: int = 80) -> None:
    """A patient whose account owes one Invoice."""
    who, amount = {"reference": f"Patient/{name}"}, {"value": total, "currency": "USD"}
    identifier = [{"system": "urn:clinic:account", "value": name.upper()}]
    resources: list[Json] = [
        {"resourceType": "Patient", "id": name, "birthDate": "1980-01-02"},
        {"resourceType": "Account", "id": name, "status": "active", "identifier": identifier, "subject": [who]},
        {
            "resourceType": "Invoice",
            "id": f"{name}-1",
            "status": "issued",
            "subject": who,
            "recipient": who,
            "account": {"reference": f"Account/{name}"},
            "date": "2026-11-01",
            "totalNet": amount,
            "totalGross": amount,
        },
    ]
    for resource in resources:
        fhir.put(tx, resource)
    reassess_accounts(tx, [f"Account/{name}"], owner)


# ── holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hold_stops_collection_until_somebody_releases_it(world: World) -> None:
    assert await world.askable() == 80_00
    body = {"account": "urn:clinic:account|ANA", "name": "dispute", "says": "the patient disputes it", **BY}
    answer = await world.post("/holds", body, "h1")
    hold = read(answer)
    assert (answer.status_code, hold["state"], hold["opened_by"]) == (201, "open", "client:desk/jdoe")
    assert await world.askable() == 0
    again = await world.post("/holds", body, "h1")
    assert (again.status_code, again.content) == (201, answer.content)
    assert read(await world.post("/holds", body, "h2"))["id"] == hold["id"]
    assert read(await world.get(f"/holds?account={ACCOUNT}"))["holds"] == [hold]
    refused = await world.post(f"/holds/{hold['id']}/release", BY, "r0")
    assert (refused.status_code, refused.json()["location"]) == (400, "why")
    why = {"why": "agreed by phone", **BY}
    released = await world.post(f"/holds/{hold['id']}/release", why, "r1")
    said = {"by": "client:desk/jdoe", "at": "2026-11-20T15:00:00+00:00", "why": "agreed by phone"}
    assert (read(released)["state"], read(released)["released"]) == ("released", said)
    assert await world.askable() == 80_00
    assert (await world.post(f"/holds/{hold['id']}/release", why, "r1")).content == released.content
    late = await world.post(f"/holds/{hold['id']}/release", why, "r2")
    assert (late.status_code, late.json()["code"], late.json()["hold_id"]) == (404, "not-found", hold["id"])
    assert [one["state"] for one in read(await world.get(f"/holds?account={ACCOUNT}"))["holds"]] == ["released"]


# ── entries ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_amount_that_staff_enter_counts_until_it_is_withdrawn(world: World) -> None:
    def cancelled(tx: Tx) -> None:
        known = fhir.get(tx, "Invoice", "ana-1")
        assert known is not None
        fhir.put(tx, {**known.resource, "status": "cancelled"})
        reassess_accounts(tx, [ACCOUNT], world.system.house("main").tenant)

    await world.units.write(cancelled)
    body = {"account": ACCOUNT, "amount": {"value": "33.50", "currency": "USD"}, "reason": "quoted before", **BY}
    first = read(await world.post("/staff-amounts", body, "a1"))
    assert (first["state"], first["reason"]) == ("in force", "quoted before")
    assert first["amount"] == {"value": Decimal("33.50"), "currency": "USD"}
    assert await world.askable() == 33_50
    more = {**body, "amount": {"value": "0", "currency": "USD"}, "reason": "waived"}
    second = read(await world.post("/staff-amounts", more, "a2"))
    assert await world.askable() == 0
    why = {"why": "not waived after all", **BY}
    assert read(await world.post(f"/staff-entries/{second['id']}/withdraw", why, "w"))["state"] == "withdrawn"
    assert await world.askable() == 33_50
    listed = read(await world.get(f"/staff-entries?account={ACCOUNT}"))["entries"]
    assert [(one["id"], one["state"]) for one in listed] == [(first["id"], "in force"), (second["id"], "withdrawn")]
    assert listed[1]["withdrawn"]["why"] == "not waived after all"
    gone = await world.post(f"/staff-entries/{second['id']}/withdraw", why, "w2")
    assert (gone.status_code, gone.json()["code"]) == (404, "not-found")


async def test_a_balance_is_given_up_once_and_is_owed_again_when_that_is_withdrawn(world: World) -> None:
    async def obligation() -> Json:
        answer = await world.get(f"/obligations?account={ACCOUNT}")
        return next(one for one in read(answer)["obligations"] if one["basis"]["kind"] == "invoice")

    owed = (await obligation())["id"]
    body = {"obligation": owed, "kind": "bad_debt", "reason": "no answer for a year", **BY}
    part = {**body, "amount": {"value": "30.00", "currency": "USD"}}
    entry = read(await world.post("/write-offs", part, "w1"))
    assert (entry["kind"], entry["write_off"], entry["obligation"]) == ("write_off", "bad_debt", owed)
    assert read(await world.post("/write-offs", part, "w1"))["id"] == entry["id"]
    assert await world.askable() == 50_00
    rest = read(await world.post("/write-offs", body, "w2"))
    shown = await obligation()
    assert (shown["state"], shown["written_off"]["value"]) == ("written_off", Decimal("80.00"))
    again = await world.post("/write-offs", body, "w3")
    assert (again.status_code, again.json()["code"]) == (422, "rule-broken")
    why = {"why": "they have paid after all", **BY}
    assert read(await world.post(f"/staff-entries/{rest['id']}/withdraw", why, "w4"))["state"] == "withdrawn"
    assert await world.askable() == 50_00


async def test_one_key_gives_up_a_balance_once_at_once_and_after_what_broke_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await world.units.read(obligations.owed, ACCOUNT)
    owed = next(one.obligation_id for one in found if one.askable.minor)
    part = {
        "obligation": owed,
        "kind": "charity",
        "amount": {"value": "30.00", "currency": "USD"},
        "reason": "so",
        **BY,
    }
    told = await asyncio.gather(*(world.post("/write-offs", part, "w1") for _ in range(4)))
    assert {(one.status_code, one.text) for one in told} == {(201, told[0].text)}
    assert await world.askable() == 50_00

    def cut_off(*_: Any) -> None:
        raise StorageUnavailable("the program ends here: what was made is kept, nobody was told")

    with monkeypatch.context() as broken:
        broken.setattr(answers, "answered", cut_off)
        assert (await world.post("/write-offs", part, "w2")).status_code == 503
    first, again = [await world.post("/write-offs", part, "w2") for _ in range(2)]
    assert (first.status_code, first.text) == (201, again.text)
    assert (await world.askable(), len(read(await world.get(f"/staff-entries?account={ACCOUNT}"))["entries"])) == (
        20_00,
        2,
    )


async def test_self_pay_is_confirmed_where_a_coverage_was_withdrawn(world: World) -> None:
    def charged(tx: Tx) -> None:
        for resource in (
            {"resourceType": "Patient", "id": "bea", "birthDate": "1980-01-02"},
            {"resourceType": "Account", "id": "bea", "status": "active", "subject": [{"reference": "Patient/bea"}]},
            {
                "resourceType": "ChargeItem",
                "id": "c1",
                "status": "billable",
                "code": {"text": "visit"},
                "subject": {"reference": "Patient/bea"},
                "account": [{"reference": "Account/bea"}],
                "occurrenceDateTime": "2026-11-01",
                "priceOverride": {"value": 60, "currency": "USD"},
            },
        ):
            fhir.put(tx, resource)
        reassess_accounts(tx, ["Account/bea"], world.system.house("main").tenant)

    await world.units.write(charged)
    assert await world.units.read(obligations.owed, "Account/bea") == []
    body = {"account": "Account/bea", "reason": "has no insurance", **BY}
    entry = read(await world.post("/self-pay", body))
    assert (entry["kind"], entry["amount"], entry["entered_by"]) == ("self_pay", None, "client:desk/jdoe")
    (owed,) = await world.units.read(obligations.owed, "Account/bea")
    assert owed.askable == Money(60_00, "USD")
    await world.post(f"/staff-entries/{entry['id']}/withdraw", {"why": "has insurance after all", **BY}, "w")
    assert await world.units.read(obligations.owed, "Account/bea") == []


# ── the worklist ──────────────────────────────────────────────────────────────────────────────────────────────────────


def unknown_and_a_break(tx: Tx, owner: Tenant) -> tuple[str, str]:
    """An operation that nobody knows the outcome of, and a break of its payment."""
    payment_id = start(tx, NewPayment(ACCOUNT, "test"), owner)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.move_operation(tx, operation, OperationState.UNKNOWN, says="no answer in time")
    key = f"{payment_id}:late:ch/1 2"
    payment = payments.get(tx, payment_id)
    payments.open_break(tx, key, "late_success", "it came late", payment=payment, amount=Money(80_00, "USD"))
    return operation.operation_id, key


async def test_one_list_of_all_that_waits_for_a_person(world: World) -> None:
    owner = world.system.house("main").tenant
    world.clock.advance(timedelta(days=1))
    operation, key = await world.units.write(unknown_and_a_break, owner)
    world.clock.advance(timedelta(days=2))
    await world.units.write(worklist.open_item, kind="recipient_unknown", subject="Invoice/x", says="who is it?")
    lines = await world.lines()
    assert [(one["kind"], one["account"], one["age_days"]) for one in lines] == [
        ("payment_due", ACCOUNT, 3),
        ("unknown_outcome", ACCOUNT, 2),
        ("late_success", ACCOUNT, 2),
        ("recipient_unknown", None, 0),
    ]
    assert [one["amount"] and one["amount"]["value"] for one in lines] == [80, 80, 80, None]
    assert (lines[1]["id"], lines[2]["id"]) == (operation, key)
    assert all(one["next"] and one["says"] and one["since"] for one in lines)
    assert [one["kind"] for one in await world.lines("?kind=late_success")] == ["late_success"]
    assert len(await world.lines("?account=urn:clinic:account|ANA")) == 3
    # Page by page, with nothing lost and nothing twice where two are of one moment.
    paged: list[Json] = []
    cursor = ""
    while cursor is not None:
        page = read(await world.get(f"/worklist?limit=1&cursor={cursor}"))
        paged += page["lines"]
        cursor = page["next_cursor"]
    assert paged == lines


async def test_what_is_done_is_off_the_list_with_who_and_why(world: World) -> None:
    operation, key = await world.units.write(unknown_and_a_break, world.system.house("main").tenant)
    item = await world.units.write(worklist.open_item, kind="recipient_unknown", subject="Invoice/x", says="who?")
    why = {"why": "her mother", **BY}
    for number, line in enumerate((item, key)):
        path = f"/worklist/{line.replace('/', '%2F').replace(' ', '%20')}/done"
        answer = await world.post(path, why, f"d{number}")
        said = {"id": line, "state": "done", "by": "client:desk/jdoe", "why": "her mother"}
        assert (answer.status_code, read(answer)) == (200, said)
        assert (await world.post(path, why, f"d{number}")).content == answer.content
        assert (await world.post(path, why, f"e{number}")).status_code == 404
    assert {one["kind"] for one in await world.lines()} == {"payment_due", "unknown_outcome"}
    unknown = await world.post(f"/worklist/{operation}/done", why, "u")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "rule-broken")


async def test_a_parked_message_is_not_done_by_saying_so(world: World) -> None:
    item = await world.units.write(worklist.open_item, kind="parked_message", subject="msg1", says="it waits")
    answer = await world.post(f"/worklist/{item}/done", {"why": "seen", **BY})
    assert (answer.status_code, answer.json()["code"]) == (422, "rule-broken")
    assert "fhirpay replay msg1" in answer.json()["detail"]


# ── no ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

HOLD = {"account": ACCOUNT, "name": "dispute", "says": "so", **BY}
SHARE = {"account": ACCOUNT, "amount": {"value": "5", "currency": "USD"}, "reason": "so", **BY}
OFF = {"obligation": "obl-nowhere", "kind": "charity", "reason": "why", **BY}
NO = [
    ("/holds", {**HOLD, "name": "whim"}, 422, "rule-broken", None),
    ("/holds", {**HOLD, "name": "refunded"}, 422, "rule-broken", None),
    ("/holds", {**HOLD, "says": "  "}, 400, "message-invalid", "says"),
    ("/holds", {**HOLD, "says": "card 4242 4242 4242 4242"}, 400, "value-invalid", "says"),
    ("/holds", {**HOLD, "by": "4242 4242 4242 4242"}, 400, "value-invalid", "by"),
    ("/holds", {**HOLD, "until": "2027"}, 400, "message-invalid", "until"),
    ("/holds", {**HOLD, "account": "Account/nobody"}, 404, "not-found", "account"),
    ("/holds", {name: value for name, value in HOLD.items() if name != "by"}, 400, "required-missing", "by"),
    ("/staff-amounts", {**SHARE, "amount": {"value": "-1", "currency": "USD"}}, 400, "value-invalid", "amount.value"),
    ("/staff-amounts", {**SHARE, "amount": {"value": "1.005", "currency": "USD"}}, 400, "value-invalid", None),
    ("/staff-amounts", {**SHARE, "reason": ""}, 400, "message-invalid", "reason"),
    ("/self-pay", {"account": ACCOUNT, **BY}, 400, "required-missing", "reason"),
    ("/write-offs", {**OFF, "kind": "contractual"}, 400, "message-invalid", "kind"),
    ("/write-offs", {**OFF, "amount": {"value": "0", "currency": "USD"}}, 400, "value-invalid", "amount.value"),
    ("/write-offs", OFF, 404, "not-found", None),
    ("/holds/hld-nowhere/release", {"why": "so", **BY}, 404, "not-found", None),
    ("/staff-entries/stf-nowhere/withdraw", {"why": "so", **BY}, 404, "not-found", None),
    ("/worklist/wrk-nowhere/done", {"why": "so", **BY}, 404, "not-found", None),
    ("/worklist/wrk-nowhere/done", {"why": " ", **BY}, 400, "message-invalid", "why"),
]


async def test_each_wrong_request_gets_its_own_answer_and_leaves_nothing(world: World) -> None:
    for number, (path, body, status, code, location) in enumerate(NO):
        answer = await world.post(path, body, f"n{number}")
        said = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, said["code"], said.get("location")) == (status, code, location), body
        assert "4242" not in answer.text
    for query in ("?cursor=nonsense", "?cursor=AAAA", "?limit=0", "?limit=201"):
        assert (await world.get(f"/worklist{query}")).status_code == 400
    missing = await world.http.post(
        "/tenants/main/api/v1/holds", json=HOLD, headers={"Authorization": "Bearer desk-main"}
    )
    assert (missing.status_code, missing.json()["location"]) == (400, "Idempotency-Key")
    assert read(await world.get(f"/holds?account={ACCOUNT}"))["holds"] == []
    assert read(await world.get(f"/staff-entries?account={ACCOUNT}"))["entries"] == []
    assert await world.askable() == 80_00


async def test_only_a_client_with_the_scope_of_this_tenant_gets_in(world: World) -> None:
    reads = ["/worklist", f"/holds?account={ACCOUNT}", f"/staff-entries?account={ACCOUNT}"]
    writes = ["/holds", "/holds/x/release", "/staff-amounts", "/self-pay", "/staff-entries/x/withdraw", "/write-offs"]
    writes.append("/worklist/x/done")
    for token, status, code in (("till-main", 403, "not-permitted"), ("desk-other", 401, "not-authenticated")):
        answers = [await world.get(path, token) for path in reads]
        answers += [await world.post(path, HOLD, path, token) for path in writes]
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(status, code)}
    assert await world.askable() == 80_00


async def test_one_tenant_decides_nothing_of_another(world: World) -> None:
    other = world.system.house("other")
    await other.units.write(owing, other.tenant, "zoe")
    headers = {"Authorization": "Bearer desk-other", "Idempotency-Key": "k"}
    theirs = {**HOLD, "account": "Account/zoe"}
    answer = await world.http.post("/tenants/other/api/v1/holds", content=json.dumps(theirs), headers=headers)
    hold = read(answer)["id"]
    assert (await world.post(f"/holds/{hold}/release", {"why": "so", **BY}, "r")).status_code == 404
    assert (await world.post("/holds", theirs, "h")).status_code == 404
    assert (await world.get("/holds?account=Account/zoe")).status_code == 404
    item = await other.units.write(worklist.open_item, kind="recipient_unknown", subject="Invoice/x", says="who?")
    assert (await world.post(f"/worklist/{item}/done", {"why": "so", **BY}, "d")).status_code == 404
    assert [one["account"] for one in await world.lines()] == [ACCOUNT]
    assert {one.item_id for one in await other.units.read(worklist.list_open)} == {item}


async def test_staff_say_over_the_api_that_a_charge_is_a_second_one(world: World) -> None:
    charge = {"resourceType": "ChargeItem", "status": "billable", "code": {"text": "Aspirin"}}
    charge |= {"subject": {"reference": "Patient/ana"}, "account": [{"reference": ACCOUNT}]}
    charge["priceOverride"] = {"value": 5, "currency": "USD"}

    def came_twice(tx: Tx) -> None:
        for name in ("c1", "c2"):
            said = [{"url": urls.UNNUMBERED, "valueString": f"of {name}"}]
            fhir.put(tx, {**charge, "id": name, "extension": said})
        reassess_accounts(tx, [ACCOUNT], world.system.house("main").tenant)

    await world.units.write(came_twice)
    (line,) = await world.lines("?kind=look_alike")
    assert line["subject"] == "ChargeItem/c2"
    body = {"charge": "ChargeItem/c2", "reason": "given twice", **BY}
    answer = await world.post("/second-charges", body, "s1")
    assert answer.status_code == 201, answer.text
    entry = read(answer)
    assert (entry["kind"], entry["charge"], entry["state"]) == ("second_charge", "ChargeItem/c2", "in force")
    assert await world.lines("?kind=look_alike") == []
    unknown = await world.post("/second-charges", {**body, "charge": "ChargeItem/c9"}, "s2")
    assert unknown.status_code == 404
