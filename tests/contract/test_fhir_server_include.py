"""`_include`: what the matches name comes with them, once, uncounted, and only to those who may read it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import BASE, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir import includes


@pytest.fixture
async def world(units: Units) -> FhirWorld:
    """Two charges on one account of one patient; one of them is part of a visit that nobody has told us of."""
    world = FhirWorld(units)
    charge = {
        "resourceType": "ChargeItem",
        "status": "billable",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/p1"},
        "account": [{"reference": "Account/a1"}],
    }
    for one in (
        {"resourceType": "Patient", "id": "p1"},
        {"resourceType": "Account", "id": "a1", "status": "active", "subject": [{"reference": "Patient/p1"}]},
        charge | {"id": "c1"},
        charge | {"id": "c2", "context": {"reference": "Encounter/e9"}},
    ):
        assert (await world.send("PUT", f"{one['resourceType']}/{one['id']}", one)).status == 201
    return world


def shown(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    assert all(
        entry["fullUrl"] == f"{BASE}/{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle["entry"]
    )
    return [(entry["resource"]["id"], entry["search"]["mode"]) for entry in bundle["entry"]]


async def test_what_is_named_comes_once_and_is_not_counted(world: FhirWorld) -> None:
    query = "ChargeItem?_include=ChargeItem:account&_include=ChargeItem:subject:Patient&_include=ChargeItem:context"
    page = (await world.send("GET", query)).resource
    assert shown(page) == [("c1", "match"), ("c2", "match"), ("a1", "include"), ("p1", "include")]
    assert page["total"] == 2
    assert page["link"][0]["url"] == f"{BASE}/{query}"
    none = (await world.send("GET", "ChargeItem?_include=ChargeItem:subject:Organization")).resource
    assert shown(none) == [("c1", "match"), ("c2", "match")]


async def test_each_page_brings_what_its_own_matches_name(world: FhirWorld) -> None:
    first = (await world.send("GET", "ChargeItem?_count=1&_include=ChargeItem:account")).resource
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = (await world.send("GET", following.removeprefix(BASE))).resource
    assert shown(first) == [("c1", "match"), ("a1", "include")]
    assert shown(second) == [("c2", "match"), ("a1", "include")]
    counted = (await world.send("GET", "ChargeItem?_count=0&_include=ChargeItem:account")).resource
    assert (counted["total"], counted.get("entry")) == (2, None)


async def test_in_a_batch_too(world: FhirWorld) -> None:
    asked = {"request": {"method": "GET", "url": "Account?_include=Account:patient"}}
    answer = await world.send("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [asked]})
    assert shown(answer.resource["entry"][0]["resource"]) == [("a1", "match"), ("p1", "include")]


@pytest.mark.parametrize(
    "value",
    ["ChargeItem:status", "Account:subject", "ChargeItem:part-of", "ChargeItem", "*", "ChargeItem:account:Basic"],
)
async def test_what_can_not_be_followed_is_refused(units: Units, value: str) -> None:
    answer = await FhirWorld(units).send("GET", f"ChargeItem?_include={value}")
    assert (answer.status, answer.issue) == (400, ("not-supported", "http._include"))
    for name in ("_include:iterate", "_revinclude"):
        assert (await FhirWorld(units).send("GET", f"ChargeItem?{name}=ChargeItem:account")).status == 400


async def test_more_than_a_page_should_hold_is_refused(world: FhirWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "INCLUDED_MAX", 1)
    answer = await world.send("GET", "ChargeItem?_include=ChargeItem:account&_include=ChargeItem:subject")
    assert (answer.status, answer.issue) == (413, ("too-long", "http._include"))
