"""Searching over HTTP: both ways of asking, pages, strict and lenient."""

from __future__ import annotations

import pytest

from fhir_world import BASE, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir import store

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def world(units: Units) -> FhirWorld:
    made = FhirWorld(units)
    for number in range(5):
        invoice = {"resourceType": "Invoice", "id": f"i{number}", "status": "issued"}
        invoice |= {"identifier": [{"system": "urn:inv", "value": str(number)}], "subject": {"reference": "Patient/p"}}
        await units.write(store.put, invoice)
    return made


async def test_by_get_and_by_post(world: FhirWorld) -> None:
    got = await world.send("GET", "Invoice?identifier=urn:inv|3")
    form = b"identifier=urn%3Ainv%7C3"
    posted = await world.send("POST", "Invoice/_search", form, content_type="application/x-www-form-urlencoded")
    for answer in (got, posted):
        bundle = answer.resource
        assert (bundle["type"], bundle["total"]) == ("searchset", 1)
        assert bundle["entry"][0]["fullUrl"] == f"{BASE}/Invoice/i3"
        assert bundle["entry"][0]["search"] == {"mode": "match"}
        assert bundle["link"] == [{"relation": "self", "url": f"{BASE}/Invoice?identifier=urn:inv|3"}]


async def test_pages_by_the_next_link(world: FhirWorld) -> None:
    seen: list[str] = []
    url = "Invoice?patient=p&_count=2"
    while url:
        bundle = (await world.send("GET", url)).resource
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        url = links.get("next", "").removeprefix(BASE + "/")
    assert seen == ["i0", "i1", "i2", "i3", "i4"]
    none = (await world.send("GET", "Invoice?_count=0")).resource
    assert (none["total"], none.get("entry")) == (5, None)


async def test_an_unknown_parameter_is_an_error_unless_asked_otherwise(world: FhirWorld) -> None:
    strict = await world.send("GET", "Invoice?shoe=44&identifier=urn:inv|3")
    assert (strict.status, strict.issue) == (400, ("not-supported", "http.shoe"))
    lenient = await world.send("GET", "Invoice?shoe=44&identifier=urn:inv|3", prefer="handling=lenient")
    bundle = lenient.resource
    assert (bundle["total"], [entry["search"]["mode"] for entry in bundle["entry"]]) == (1, ["match", "outcome"])
    assert bundle["link"][0]["url"] == f"{BASE}/Invoice?identifier=urn:inv|3"
    assert bundle["entry"][1]["resource"]["issue"][0]["location"] == ["http.shoe"]


async def test_a_value_that_can_not_be_read(world: FhirWorld) -> None:
    bad = await world.send("GET", "Invoice?_lastUpdated=yesterday2")
    assert (bad.status, bad.issue[1]) == (400, "http._lastUpdated")


async def test_a_search_has_a_hundred_parameters_at_most(world: FhirWorld) -> None:
    for number, status in ((100, 200), (101, 400), (2_000, 400)):
        asked = b"&".join([b"_id=i1"] * number)
        answer = await world.send("POST", "Invoice/_search", asked, content_type=FORM)
        assert answer.status == status
    assert answer.issue == ("value", "http")


async def test_a_form_may_be_long_and_has_a_bound(world: FhirWorld) -> None:
    """Nothing else is answered while one is taken apart."""
    for length, status in ((240_000, 200), (260_000, 413)):
        answer = await world.send("POST", "Invoice/_search", b"_id=" + b"x" * length, content_type=FORM)
        assert answer.status == status
