"""The CapabilityStatement is true: each line of it is exercised, and what isn't declared doesn't work."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import BASES, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir.models import structure_of
from fhirpay.fhir.params import PARAMS, TYPES, Param
from fhirpay.fhir.validation import problems
from fhirpay.smart.front_door import endpoints
from fhirpay.web.fhir_server.definitions import TYPES as DEFINITIONS
from fhirpay.web.fhir_server.definitions import types_of
from fhirpay.web.fhir_server.metadata import capability_statement
from fhirpay.web.fhir_server.spoken import R4, R5, Spoken

STATEMENTS = {
    spoken: capability_statement(base, endpoints("http://us"), spoken)
    for spoken, base in zip((R4, R5), BASES, strict=True)
}


def rest(spoken: Spoken) -> dict[str, Any]:
    return STATEMENTS[spoken]["rest"][0]


def declared_in(spoken: Spoken) -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in rest(spoken)["resource"] if one["type"] not in (*DEFINITIONS, "Subscription")}


MINIMAL: dict[str, dict[str, Any]] = {
    "ChargeItem": {"status": "billable", "code": {"text": "x"}, "subject": {"reference": "Patient/1"}},
    "Account": {"status": "active"},
    "Invoice": {"status": "issued"},
    "Patient": {},
    "Encounter": {"status": "planned", "class": {"code": "AMB"}},
    "Appointment": {"status": "booked", "participant": [{"actor": {"reference": "Patient/9"}, "status": "accepted"}]},
    "Coverage": {"status": "active", "beneficiary": {"reference": "Patient/1"}, "payor": [{"display": "x"}]},
    "RelatedPerson": {"patient": {"reference": "Patient/1"}},
    "Organization": {},
}


def sample(resource_type: str, value: str = "1") -> dict[str, Any]:
    identifier = [{"system": "urn:s", "value": value}]
    return {"resourceType": resource_type, "identifier": identifier, **MINIMAL[resource_type]}


@pytest.fixture(params=[R4, R5], ids=["R4", "R5"])
def world(units: Units, request: pytest.FixtureRequest) -> FhirWorld:
    return FhirWorld(units, spoken=request.param)


def params_of(spoken: Spoken, kind: str) -> dict[str, Param]:
    """The public parameters of a type, by the names that they have in this version."""
    names = {kept: said for said, kept in spoken.renamed.get(kind, {}).items()}
    return {names.get(name, name): param for name, param in PARAMS[kind].items() if param.public}


async def test_it_is_served_openly_and_is_sound(world: FhirWorld) -> None:
    prefix = world.spoken.prefix
    answer = await world.http.get(f"{prefix}/metadata", headers={"authorization": ""})
    assert answer.status_code == 200
    statement = answer.json()
    assert statement["implementation"]["url"] == f"http://us{prefix}"
    assert statement["fhirVersion"] in world.spoken.numbers
    assert problems(STATEMENTS[world.spoken], version=world.spoken.version) == []
    assert prefix not in str(STATEMENTS[R4 if world.spoken is R5 else R5])


@pytest.mark.parametrize("spoken", STATEMENTS, ids=["R4", "R5"])
def test_it_declares_the_types_and_parameters_that_there_are(spoken: Spoken) -> None:
    assert set(declared_in(spoken)) == set(spoken.types)
    assert R4.types == TYPES
    others = {"Subscription"} if spoken is R4 else set[str]()  # which test_fhir_server_subscriptions.py holds to it
    assert {one["type"] for one in rest(spoken)["resource"]} == {*spoken.types, *types_of(spoken), *others}
    for resource_type, declared in declared_in(spoken).items():
        found = {one["name"]: one["type"] for one in declared["searchParam"]}
        params = params_of(spoken, resource_type)
        assert found == {name: param.kind for name, param in params.items()}
        assert tuple(declared.get("searchInclude", ())) == tuple(
            f"{resource_type}:{name}" for name, param in params.items() if param.kind == "reference"
        )
        writable = resource_type in spoken.writable
        for flag in ("readHistory", "updateCreate", "conditionalCreate", "conditionalUpdate"):
            assert declared[flag] is (flag == "readHistory" or writable)
        assert declared["conditionalDelete"] == "not-supported"
        known = set(INTERACTIONS) - (set() if writable else {"create", "update", "patch"})
        assert {one["code"] for one in declared["interaction"]} == known


async def _create(world: FhirWorld, kind: str) -> bool:
    return (await world.send("POST", kind, sample(kind))).status == 201


async def _update(world: FhirWorld, kind: str, name: str = "u") -> bool:
    created = await world.send("PUT", f"{kind}/{name}", sample(kind, name) | {"id": name})
    updated = await world.send("PUT", f"{kind}/{name}", sample(kind, "2") | {"id": name}, if_match='W/"1"')
    return (created.status, updated.status) == (201, 200)


async def _read(world: FhirWorld, kind: str) -> bool:
    await _update(world, kind, "r")
    return (await world.send("GET", f"{kind}/r")).status == 200


async def _vread(world: FhirWorld, kind: str) -> bool:
    await _update(world, kind, "v")
    return (await world.send("GET", f"{kind}/v/_history/1")).resource["identifier"][0]["value"] == "v"


async def _history(world: FhirWorld, kind: str) -> bool:
    await _update(world, kind, "h")
    return (await world.send("GET", f"{kind}/h/_history")).resource["total"] == 2


async def _history_of_type(world: FhirWorld, kind: str) -> bool:
    await _update(world, kind, "zz")
    entries = (await world.send("GET", f"{kind}/_history?_count=2")).resource["entry"]
    return [entry["response"]["location"] for entry in entries] == [
        f"http://us{world.spoken.prefix}/{kind}/zz/_history/{n}" for n in (2, 1)
    ]


async def _search(world: FhirWorld, kind: str) -> bool:
    await world.send("POST", kind, sample(kind, "s"))
    return (await world.send("GET", f"{kind}?identifier=urn:s|s")).resource["total"] == 1


async def _patch(world: FhirWorld, kind: str) -> bool:
    await _update(world, kind, "p")
    media = STATEMENTS[world.spoken]["patchFormat"][0]
    patch = b'[{"op":"add","path":"/language","value":"en"}]'
    return (await world.send("PATCH", f"{kind}/p", patch, content_type=media)).resource["language"] == "en"


INTERACTIONS = {
    "create": _create,
    "patch": _patch,
    "update": _update,
    "read": _read,
    "vread": _vread,
    "history-instance": _history,
    "history-type": _history_of_type,
    "search-type": _search,
}


async def test_each_interaction_works(world: FhirWorld) -> None:
    for kind in world.spoken.writable:
        for interaction in declared_in(world.spoken)[kind]["interaction"]:
            assert await INTERACTIONS[interaction["code"]](world, kind), (kind, interaction)


async def test_conditions_work(world: FhirWorld) -> None:
    for kind in world.spoken.writable:
        await _conditions(world, kind)


async def _conditions(world: FhirWorld, kind: str) -> None:
    made = await world.send("POST", kind, sample(kind), if_none_exist="identifier=urn:s|1")
    same = await world.send("PUT", f"{kind}?identifier=urn:s|1", sample(kind))
    not_again = await world.send("POST", kind, sample(kind), if_none_exist="identifier=urn:s|1")
    assert (made.status, same.status, not_again.status) == (201, 200, 200)
    not_changed = await world.send("GET", f"{kind}/{made.resource['id']}", if_none_match='W/"1"')
    assert not_changed.status == 304


async def test_each_parameter_finds_and_leaves_out(world: FhirWorld) -> None:
    """Each element that a parameter reads is filled; the parameter finds it by that value, and by no other."""
    for kind in world.spoken.writable:
        await _parameters(world, kind)


async def _parameters(world: FhirWorld, kind: str) -> None:
    for name, param in params_of(world.spoken, kind).items():
        if name == "identifier":
            continue
        path = name if param.path in world.spoken.renamed.get(kind, {}).values() else param.path
        resource, value = _filled(kind, path, param.only, world.spoken)
        made = await world.send("PUT", f"{kind}/{name}", resource | {"id": name, "identifier": [{"value": name}]})
        assert made.status == 201, (name, made.response.text)
        hit = await world.send("GET", f"{kind}?{name}={value}&_id={name}")
        miss = await world.send("GET", f"{kind}?{name}={value}x&_id={name}")
        assert (hit.resource["total"], miss.resource["total"]) == (1, 0), name
        if param.kind == "reference":
            named = value.partition("/")[0]
            taken = named in world.spoken.types
            known = await world.send("PUT", value, sample(named, "0") | {"id": "1"}) if taken else None
            with_it = await world.send("GET", f"{kind}?_id={name}&_include={kind}:{name}")
            shown = [entry["resource"]["resourceType"] for entry in with_it.resource["entry"]]
            assert shown == [kind, *([named] if known else [])], name


def _filled(kind: str, path: str, only: str, spoken: Spoken) -> tuple[dict[str, Any], str]:
    resource = sample(kind)
    name, _, below = path.partition(".")
    element = (structure_of(kind, spoken.version) or {})[name]
    if element.kind == "boolean":
        return resource | {name: True}, "true"
    if element.kind == "code":
        return resource, resource[name]
    if element.kind == "Coding":
        return resource, resource[name]["code"]
    targets = element.targets or frozenset({"Patient"})
    reference = f"{only or sorted(targets)[0]}/1"
    value: Any = {"reference": reference}
    if below:
        value = {below: value, **({"type": "seealso"} if kind == "Patient" else {"status": "accepted"})}
    return resource | {name: [value] if element.many else value}, reference


async def test_common_parameters_work(world: FhirWorld) -> None:
    assert {one["name"] for one in rest(world.spoken)["searchParam"]} == {"_id", "_lastUpdated", "_count", "_sort"}
    await world.send("PUT", "Patient/a", sample("Patient") | {"id": "a"})
    for params, total in (
        ("_id=a", 1),
        ("_id=b", 0),
        ("_lastUpdated=2026-11-20", 1),
        ("_lastUpdated=lt2026-11-20", 0),
        ("_sort=-_lastUpdated&_count=1", 1),
    ):
        assert (await world.send("GET", f"Patient?{params}")).resource["total"] == total


async def test_transactions_and_batches_are_all_that_the_base_takes(world: FhirWorld) -> None:
    declared = [one["code"] for one in rest(world.spoken)["interaction"]]
    assert declared == ["transaction", "batch", "history-system"]
    assert (await world.send("GET", "_history")).resource["type"] == "history"
    for kind in declared[:2]:
        answer = await world.send("POST", "", {"resourceType": "Bundle", "type": kind})
        assert (answer.status, answer.resource["type"]) == (200, f"{kind}-response")
    assert (await world.send("POST", "", {"resourceType": "Bundle", "type": "collection"})).status == 422


async def test_what_is_not_declared_does_not_work(world: FhirWorld) -> None:
    for kind in world.spoken.writable:
        await _undeclared(world, kind)


async def _undeclared(world: FhirWorld, kind: str) -> None:
    await world.send("PUT", f"{kind}/x", sample(kind) | {"id": "x"})
    for method, path in (
        ("DELETE", f"{kind}/x"),
        ("PATCH", kind),
        ("DELETE", f"{kind}?identifier=urn:s|1"),
        ("DELETE", f"{kind}/_history"),
        ("GET", f"{kind}/x/$everything"),
        ("POST", "_history"),
    ):
        assert (await world.send(method, path)).status in (404, 405), (method, path)
    undeclared = [name for name in PARAMS[kind] if name not in params_of(world.spoken, kind)]
    for name in [*undeclared, "_include", "_revinclude", "_summary", "_elements", "_has:Observation:patient:code"]:
        assert (await world.send("GET", f"{kind}?{name}=1")).status == 400, name
    assert (await world.send("GET", f"{kind}/x")).status == 200
