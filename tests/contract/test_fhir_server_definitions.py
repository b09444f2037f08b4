"""Our profiles and extensions as anybody reads them on our FHIR endpoint."""

from __future__ import annotations

import pytest

from fhir_world import FhirWorld
from fhirpay.data import data_root
from fhirpay.db.unit import Units
from fhirpay.domain import fhir_urls
from fhirpay.fhir.json import loads
from fhirpay.web.fhir_server.definitions import of_type

NOBODY = {"authorization": ""}
FILES = len(list(data_root("conformance").glob("StructureDefinition-*.json")))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_anybody_finds_the_definition_of_an_extension_by_its_url(units: Units) -> None:
    world = FhirWorld(units)
    every = (await world.send("GET", "StructureDefinition", **NOBODY)).resource
    assert every["total"] == FILES == len(every["entry"])
    for url in (fhir_urls.COPAY_DUE, fhir_urls.PAID_BY):
        found = (await world.send("GET", f"StructureDefinition?url={url}", **NOBODY)).resource
        (one,) = [entry["resource"] for entry in found["entry"]]
        assert one["url"] == url
        assert (await world.send("GET", f"StructureDefinition/{one['id']}", **NOBODY)).resource == one
    missing = await world.send("GET", "StructureDefinition/none", **NOBODY)
    assert (missing.status, missing.issue[0]) == (404, "not-found")


def test_the_profiles_that_are_stated_are_defined_and_of_that_type() -> None:
    statement = loads((data_root("conformance") / "CapabilityStatement-fhirpay.json").read_bytes())
    stated = {
        profile: one["type"]
        for one in statement["rest"][0]["resource"]
        for profile in one.get("supportedProfile", ())
        if profile.startswith(fhir_urls.EXTENSION)
    }
    profiles = [one for one in of_type("StructureDefinition").values() if one["kind"] == "resource"]
    assert stated == {one["url"]: one["type"] for one in profiles}
