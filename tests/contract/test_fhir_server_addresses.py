"""References inside a Bundle whose entries have addresses of a server, and addresses that no database takes."""

from __future__ import annotations

import hashlib

import pytest

from fhir_world import BASE, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.errors import ValueInvalid
from fhirpay.fhir.store import find
from fhirpay.web.api.bodies import checked_url

SCATTERED = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(100))  # not to be compressed


@pytest.mark.parametrize("root", ["http://ehr.example/fhir", BASE])
@pytest.mark.parametrize("absolute", [True, False])
async def test_posted_resources_keep_their_links_though_they_get_new_ids(
    units: Units, root: str, absolute: bool
) -> None:
    """FHIR R4, bundle.html#references. Else the charge lands on whatever account has that id here."""
    world = FhirWorld(units)
    stranger = {"resourceType": "Account", "id": "77", "status": "active"}
    assert (await world.send("PUT", "Account/77", stranger)).status == 201
    charge = {
        "resourceType": "ChargeItem",
        "status": "billable",
        "code": {"text": "visit"},
        "subject": {"reference": "Patient/1"},
        "account": [{"reference": f"{root}/Account/77" if absolute else "Account/77"}],
    }
    entries = [
        {"fullUrl": f"{root}/Account/77", "resource": stranger, "request": {"method": "POST", "url": "Account"}},
        {"fullUrl": f"{root}/ChargeItem/1", "resource": charge, "request": {"method": "POST", "url": "ChargeItem"}},
    ]
    answer = await world.send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    account, item = (entry["resource"] for entry in answer.resource["entry"])
    assert account["id"] != "77"
    assert item["account"] == [{"reference": f"Account/{account['id']}"}]
    assert item["subject"] == {"reference": "Patient/1"}


@pytest.mark.parametrize("path", ["Patient/%00", "Patient/a%00/_history", "Patient?identifier=%00", "Patient?_id=a%00"])
async def test_address_with_nul_is_refused(units: Units, path: str) -> None:
    assert (await FhirWorld(units).send("GET", path)).status == 400


@pytest.mark.parametrize("after", ["999999999999999999_a", "x", "1_"])
async def test_page_that_we_never_named_is_refused(units: Units, after: str) -> None:
    assert (await FhirWorld(units).send("GET", f"Patient?_after={after}")).status == 400


@pytest.mark.parametrize("value", ["long " * 900, "naïve " * 700])
async def test_identifier_of_any_length_is_taken_and_found(units: Units, value: str) -> None:
    account = {
        "resourceType": "Account",
        "id": "a",
        "status": "active",
        "identifier": [
            {
                "system": "urn:x",
                "value": value.strip() + SCATTERED,
            }
        ],
    }
    world = FhirWorld(units)
    assert (await world.send("PUT", "Account/a", account)).status == 201
    assert [one.id for one in await units.read(find, "Account", "urn:x", account["identifier"][0]["value"])] == ["a"]


async def test_condition_with_nul_is_refused(units: Units) -> None:
    patient = {"resourceType": "Patient"}
    answer = await FhirWorld(units).send("POST", "Patient", patient, if_none_exist="identifier=a|%00")
    assert answer.status == 400


def test_return_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueInvalid):
        checked_url("http://[x")


@pytest.mark.parametrize(("method", "path", "status"), [("OPTIONS", "R4/Patient/1", 405), ("GET", "R6/Patient", 404)])
async def test_what_no_route_answers_is_an_operation_outcome_too(
    units: Units, method: str, path: str, status: int
) -> None:
    answer = await FhirWorld(units).http.request(method, f"/fhir/{path}")
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_the_parameters_of_a_search_are_read_only_so_far(units: Units) -> None:
    form = "application/x-www-form-urlencoded"
    world = FhirWorld(units)
    assert (await world.send("POST", "Patient/_search", b"a=b&" * 100_000, content_type=form)).status == 413
