"""R5 at our endpoint: what is sent there is owed as the same in R4, comes back as it was, and is sound R5."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fhir.resources import get_fhir_model_class

from fhir_world import Answer, FhirWorld
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.fhir import store as fhir
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.web.fhir_server.spoken import R5
from fhirpay.writeback import store as writeback
from intake_world import World as Program
from intake_world import world as program

Json = dict[str, Any]
USD = {"value": Decimal("40.50"), "currency": "USD"}
KEPT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
CHARGE: Json = {
    "resourceType": "ChargeItem",
    "identifier": [{"system": "urn:c", "value": "1"}],
    "status": "billable",
    "code": {"text": "visit"},
    "subject": {"reference": "Patient/p"},
    "encounter": {"reference": "Encounter/v"},
    "account": [{"reference": "Account/a"}],
    "totalPriceComponent": {"type": "base", "amount": USD},
    "overrideReason": {"coding": [{"code": "L", "display": "late"}]},
}


@pytest.fixture
def world(units: Units) -> FhirWorld:
    return FhirWorld(units, spoken=R5)


async def r4(world: FhirWorld, method: str, path: str, body: Json | None = None) -> Answer:
    here, world.spoken = world.spoken, FhirWorld.spoken
    try:
        return await world.send(method, path, body)
    finally:
        world.spoken = here


def sound(answer: Answer) -> Json:
    """What was answered, by our definitions of R5 and by those of fhir.resources."""
    resource = answer.resource
    assert [(one.location, one.message) for one in problems(resource, version=FhirVersion.R5)] == []
    get_fhir_model_class(resource["resourceType"]).model_validate_json(dumps(resource))
    return resource


def content(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


async def test_a_charge_comes_back_as_it_was_sent_and_is_an_r4_one_there(world: FhirWorld) -> None:
    made = await world.send("POST", "ChargeItem", CHARGE)
    charge = sound(made)
    assert (made.status, content(charge)) == (201, CHARGE)
    at = f"http://us/fhir/R5/ChargeItem/{charge['id']}"
    assert made.headers["location"] == f"{at}/_history/1"
    (took,) = world.took
    assert loads(took[2]) == CHARGE
    kept = (await r4(world, "GET", f"ChargeItem/{charge['id']}")).resource
    assert problems(kept) == []
    assert (kept["context"], kept["priceOverride"], kept["overrideReason"]) == (CHARGE["encounter"], USD, "late")
    again = await world.send("POST", "ChargeItem", CHARGE)
    assert (again.status, again.resource) == (200, charge)
    changed = {**charge, "totalPriceComponent": {"type": "base", "amount": {"value": 50, "currency": "USD"}}}
    assert (await world.send("PUT", f"ChargeItem/{charge['id']}", changed, if_match='W/"7"')).status == 412
    assert (await world.send("PUT", f"ChargeItem/{charge['id']}", changed, if_match='W/"1"')).status == 200
    assert content(sound(await world.send("GET", f"ChargeItem/{charge['id']}/_history/1"))) == CHARGE
    for path in (f"ChargeItem/{charge['id']}/_history", "ChargeItem/_history", "_history"):
        entries = sound(await world.send("GET", path))["entry"]
        assert [entry["resource"]["totalPriceComponent"]["amount"]["value"] for entry in entries] == [50, 40.5], path


async def test_a_patch_is_of_what_r5_says(world: FhirWorld) -> None:
    charge = (await world.send("POST", "ChargeItem", CHARGE)).resource
    patch = b'[{"op":"replace","path":"/totalPriceComponent/amount/value","value":60.10}]'
    media = "application/json-patch+json"
    patched = await world.send("PATCH", f"ChargeItem/{charge['id']}", patch, content_type=media)
    assert sound(patched)["totalPriceComponent"]["amount"]["value"] == Decimal("60.10")
    assert (await r4(world, "GET", f"ChargeItem/{charge['id']}")).resource["priceOverride"]["value"] == Decimal("60.10")
    of_r4 = b'[{"op":"add","path":"/priceOverride","value":{"value":1,"currency":"USD"}}]'
    refused = await world.send("PATCH", f"ChargeItem/{charge['id']}", of_r4, content_type=media)
    assert (refused.status, refused.issue) == (400, ("structure", "ChargeItem.priceOverride"))


async def test_it_is_searched_in_the_words_of_r5(world: FhirWorld) -> None:
    await world.send("PUT", "Patient/p", {"resourceType": "Patient", "id": "p"})
    await world.send("PUT", "ChargeItem/c", {**CHARGE, "id": "c"})
    await world.send("PUT", "ChargeItem/d", {**CHARGE, "id": "d", "identifier": [{"value": "2"}]})
    query = "encounter=Encounter/v&_include=ChargeItem:subject&_count=1"
    page = sound(await world.send("GET", f"ChargeItem?{query}"))
    assert page["total"] == 2
    assert [entry["resource"]["resourceType"] for entry in page["entry"]] == ["ChargeItem", "Patient"]
    links = {link["relation"]: link["url"] for link in page["link"]}
    assert links["self"].startswith("http://us/fhir/R5/ChargeItem?encounter=Encounter/v&_include=ChargeItem:subject")
    following = sound(await world.send("GET", links["next"].removeprefix("http://us/fhir/R5")))
    assert following["entry"][0]["resource"]["id"] == "d"
    form = {"content_type": "application/x-www-form-urlencoded"}
    by_form = await world.send("POST", "ChargeItem/_search", b"encounter:Encounter=v", **form)
    assert by_form.resource["total"] == 2
    for bad, place in (
        ("context=Encounter/v", "http.context"),
        ("encounter:missing=true", "http.encounter"),
        ("_include=ChargeItem:context", "http._include"),
    ):
        refused = await world.send("GET", f"ChargeItem?{bad}")
        assert (refused.status, refused.issue[1]) == (400, place)
        assert place.removeprefix("http.") in refused.response.text
    lenient = sound(await world.send("GET", "ChargeItem?context=x&_id=c", prefer="handling=lenient"))
    assert lenient["total"] == 1
    assert lenient["issues"]["issue"][0]["location"] == ["http.context"]
    condition = "identifier=urn:c|1&encounter=Encounter/v"
    assert (await world.send("POST", "ChargeItem", CHARGE, if_none_exist=condition)).resource["id"] == "c"
    assert (await world.send("PUT", f"ChargeItem?{condition}", CHARGE)).resource["id"] == "c"
    with_context = "identifier=urn:c|1&context=Encounter/v"
    assert (await world.send("PUT", f"ChargeItem?{with_context}", CHARGE)).status == 400


BAD = {"type": "discount", "amount": USD}
REFUSED = {**CHARGE, "totalPriceComponent": BAD}


async def test_what_r4_can_not_hold_is_refused_by_name_and_nothing_is_kept(world: FhirWorld) -> None:
    place = "ChargeItem.totalPriceComponent.type"
    for method, path in (("POST", "ChargeItem"), ("PUT", "ChargeItem/x"), ("PUT", "ChargeItem?identifier=urn:c|1")):
        body = {**REFUSED, "id": "x"} if path.endswith("/x") else REFUSED
        refused = await world.send(method, path, body)
        assert (refused.status, refused.issue) == (422, ("not-supported", place))
    request = {"method": "POST", "url": "ChargeItem"}
    entries = [{"resource": CHARGE, "request": request}, {"resource": REFUSED, "request": request}]
    bundle: Json = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    refused = await world.send("POST", "", bundle)
    where = "Bundle.entry[1].resource.totalPriceComponent.type"
    assert (refused.status, refused.issue) == (422, ("not-supported", where))
    assert sound(await world.send("GET", "ChargeItem"))["total"] == 0
    batch = sound(await world.send("POST", "", {**bundle, "type": "batch"}))
    made, failed = (entry["response"] for entry in batch["entry"])
    assert (made["status"], failed["status"]) == ("201 Created", "422 Unprocessable Entity")
    assert failed["outcome"]["issue"][0]["expression"] == [where]
    assert content(batch["entry"][0]["resource"]) == CHARGE
    assert len(world.took) == 1


async def test_a_transaction_is_in_r5_from_end_to_end(world: FhirWorld) -> None:
    patient, account = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:c757873d-ec9a-4326-a141-556f43239521"
    balance = [{"amount": USD, "estimate": True}]
    entries: list[Json] = [
        {"fullUrl": patient, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {
            "fullUrl": account,
            "resource": {
                "resourceType": "Account",
                "status": "active",
                "subject": [{"reference": patient}],
                "balance": balance,
            },
            "request": {"method": "POST", "url": "Account", "ifNoneExist": "identifier=urn:a|1"},
        },
        {
            "resource": {
                **CHARGE,
                "subject": {"reference": patient},
                "account": [{"reference": "http://us/fhir/R5/Account/z"}],
            },
            "request": {"method": "PUT", "url": "ChargeItem?encounter=Encounter/v&identifier=urn:c|1"},
        },
        {"request": {"method": "GET", "url": "ChargeItem?encounter=Encounter/v"}},
    ]
    entries[1]["resource"]["identifier"] = [{"system": "urn:a", "value": "1"}]
    answer = sound(await world.send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    made = [entry["resource"] for entry in answer["entry"]]
    assert made[1]["balance"] == balance
    assert made[2]["subject"] == {"reference": f"Patient/{made[0]['id']}"}
    assert made[2]["account"] == [{"reference": "Account/z"}]
    assert made[2]["totalPriceComponent"] == CHARGE["totalPriceComponent"]
    assert made[3]["entry"][0]["resource"]["encounter"] == CHARGE["encounter"]
    for kind, url in (("Encounter", "Encounter/v"), ("Coverage", "Coverage")):
        alone = [{"request": {"method": "GET", "url": url}}]
        refused = await world.send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": alone})
        assert (refused.status, refused.issue) == (422, ("not-supported", "Bundle.entry[0].request.url")), kind


async def test_what_r5_has_no_words_for_is_named_where_it_would_stand(world: FhirWorld) -> None:
    contained = [{"resourceType": "Organization", "id": "o", "name": "x"}]
    charge = {"resourceType": "ChargeItem", "status": "billable", "code": {"text": "x"}}
    charge |= {"subject": {"reference": "Patient/p"}, "contained": contained, "costCenter": {"reference": "#o"}}
    assert (await r4(world, "PUT", "ChargeItem/odd", {**charge, "id": "odd"})).status == 201
    await world.send("PUT", "ChargeItem/plain", {**CHARGE, "id": "plain"})
    for path in ("ChargeItem/odd", "ChargeItem/odd/_history/1"):
        refused = await world.send("GET", path)
        assert (refused.status, refused.issue) == (422, ("not-supported", "ChargeItem.contained[0]"))
    page = sound(await world.send("GET", "ChargeItem"))
    assert (page["total"], [entry["resource"]["id"] for entry in page["entry"]]) == (2, ["plain"])
    assert "ChargeItem/odd" in page["issues"]["issue"][0]["details"]["text"]
    entries = {entry["fullUrl"][-3:]: entry for entry in sound(await world.send("GET", "ChargeItem/_history"))["entry"]}
    assert "resource" not in entries["odd"]
    assert entries["odd"]["response"]["outcome"]["issue"][0]["code"] == "not-supported"
    for kind in ("Encounter", "Coverage", "Organization", "Appointment"):
        assert (await world.send("GET", kind)).status == 404


@pytest.mark.parametrize(("base", "wrong", "right"), [("R5", "4.0", "5.0"), ("R4", "5.0", "4.0")])
async def test_the_other_version_is_asked_for_at_its_own_base(
    world: FhirWorld, base: str, wrong: str, right: str
) -> None:
    async def ask(version: str, *, of_body: bool) -> httpx2.Response:
        media = f"application/fhir+json; fhirVersion={version}"
        headers = {"content-type": media} if of_body else {"content-type": "application/fhir+json", "accept": media}
        return await world.http.post(f"/fhir/{base}/Patient", content='{"resourceType":"Patient"}', headers=headers)

    assert (await ask(wrong, of_body=True)).status_code == 415
    assert (await ask(wrong, of_body=False)).status_code == 406
    for of_body in (True, False):
        assert (await ask(right, of_body=of_body)).status_code == 201
    by_format = f"/fhir/{base}/Patient?_format=application/fhir%2Bjson;fhirVersion="
    assert (await world.http.get(by_format + wrong)).status_code == 406
    assert (await world.http.get(by_format + right)).status_code == 200


async def test_scopes_and_tenants_hold_there_too(world: FhirWorld, database: Database) -> None:
    await world.send("PUT", "Patient/p", {"resourceType": "Patient", "id": "p"})
    other = FhirWorld(database.units("other"), spoken=R5)
    assert (await other.send("GET", "Patient/p")).status == 404
    assert (await world.send("GET", "Patient/p", authorization="Bearer 0ther")).status == 403
    assert (await world.send("GET", "Patient/p", authorization="Bearer none")).status == 401


async def test_a_payment_that_was_posted_as_r5_is_read_as_it_went_out(world: FhirWorld) -> None:
    body: Json = {
        "resourceType": "PaymentReconciliation",
        "status": "active",
        "created": "2026-11-20T10:00:00Z",
        "type": {"text": "payment"},
        "date": "2026-11-20",
        "amount": USD,
        "cardBrand": "visa",
        "allocation": [{"target": {"reference": "ChargeItem/c"}, "type": {"text": "payment"}, "amount": USD}],
    }

    def posted(tx: Any) -> str:
        made, _ = writeback.add(
            tx, connection="north", subject="pay1", payment_id="pay1", resource_type="PaymentReconciliation"
        )
        writeback.posted(tx, made, remote_id="x", remote_version="1", body=dumps(body))
        return made

    made = await world.units.write(posted)
    assert content(sound(await world.send("GET", f"PaymentReconciliation/{made}"))) == body
    kept = (await r4(world, "GET", f"PaymentReconciliation/{made}")).resource
    assert problems(kept) == []
    assert (kept["paymentDate"], kept["detail"][0]["request"]) == ("2026-11-20", {"reference": "ChargeItem/c"})
    assert (await world.send("PUT", f"PaymentReconciliation/{made}", {**body, "id": made})).status == 405


# ── owed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def site(database: Database, clock: FrozenClock, ids: Ids) -> AsyncIterator[Program]:
    async with program(database, clock, ids) as made:
        yield made


def told(version: str, name: str) -> list[Json]:
    """A patient who is billed, and is charged for more than the bill has, as each version says it."""
    five = version == "R5"
    patient, account, visit = f"Patient/p{name}", f"Account/a{name}", f"Encounter/v{name}"
    price: Json = {"totalPriceComponent": {"type": "base", "amount": USD}} if five else {"priceOverride": USD}
    where: Json = {"encounter" if five else "context": {"reference": visit}}
    component = [{"type": "base", "amount": USD}]
    line = {"chargeItemReference": {"reference": f"ChargeItem/c{name}"}, "priceComponent": component}

    def charge(id: str) -> Json:
        about = {"code": {"text": "x"}, "subject": {"reference": patient}, "account": [{"reference": account}]}
        return {"resourceType": "ChargeItem", "id": id, "status": "billable", **about, **where, **price}

    return [
        {"resourceType": "Patient", "id": f"p{name}", "birthDate": "1980-01-02"},
        {"resourceType": "Account", "id": f"a{name}", "status": "active", "subject": [{"reference": patient}]},
        charge(f"c{name}"),
        charge(f"d{name}"),
        {
            "resourceType": "Invoice",
            "id": f"i{name}",
            "status": "issued",
            "subject": {"reference": patient},
            "recipient": {"reference": patient},
            "account": {"reference": account},
            "date": "2026-11-20",
            "lineItem": [line],
            "totalNet": USD,
            "totalGross": USD,
        },
    ]


async def test_what_is_sent_in_r5_is_owed_as_the_same_in_r4(site: Program) -> None:
    from fhirpay.billing import store as billing

    transport = httpx2.ASGITransport(app=site.system.web)
    owed: dict[str, list[Any]] = {}
    async with httpx2.AsyncClient(transport=transport, base_url="http://us") as http:
        for version in ("R4", "R5"):
            for resource in told(version, version):
                answer = await http.put(
                    f"/fhir/{version}/{resource['resourceType']}/{resource['id']}",
                    content=dumps(resource),
                    headers={"content-type": "application/fhir+json", "authorization": "Bearer reader"},
                )
                assert answer.status_code == 201, answer.text
            await site.work()
            found = await site.house.units.read(billing.obligations_of, f"Account/a{version}")
            owed[version] = sorted(
                (
                    one.basis_kind,
                    one.basis_key.replace(version, ""),
                    str(one.state),
                    str(one.patient),
                    str(one.pending),
                    str(one.askable),
                    [why.kind for why in one.statement],
                )
                for one in found
            )
    assert owed["R5"] == owed["R4"]
    assert ("40.50 USD", "40.50 USD") in {(one[3], one[5]) for one in owed["R5"]}  # the bill
    assert any(one[4] == "40.50 USD" for one in owed["R5"])  # the charge beside it, pending


async def test_the_store_keeps_r4_alone(world: FhirWorld) -> None:
    made = (await world.send("POST", "ChargeItem", CHARGE)).resource
    kept = await world.units.read(fhir.get, "ChargeItem", made["id"])
    assert kept is not None
    assert {one["url"] for one in kept.resource["extension"]} == {f"{KEPT}ChargeItem.overrideReason"}
    assert not {"encounter", "totalPriceComponent"} & kept.resource.keys()
