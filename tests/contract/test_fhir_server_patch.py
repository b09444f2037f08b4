"""PATCH: a JSON Patch is carried out as an update would be, to the last digit, or leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import Answer, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir.json import dumps

CHARGE = (
    b'{"resourceType":"ChargeItem","id":"c1","identifier":[{"system":"urn:c","value":"1"}],"status":"billable",'
    b'"code":{"text":"x"},"subject":{"reference":"Patient/1"},"priceOverride":{"value":40.00,"currency":"USD"}}'
)


@pytest.fixture
async def world(units: Units) -> FhirWorld:
    world = FhirWorld(units)
    assert (await world.send("PUT", "ChargeItem/c1", CHARGE)).status == 201
    world.took.clear()
    return world


async def patch(world: FhirWorld, *operations: dict[str, Any], body: str = "", **headers: str) -> Answer:
    headers = {"content_type": "application/json-patch+json", **headers}
    return await world.send("PATCH", "ChargeItem/c1", (body or dumps(list(operations))).encode(), **headers)


async def test_it_changes_what_it_names_and_nothing_else(world: FhirWorld) -> None:
    answer = await patch(
        world, body='[{"op":"replace","path":"/priceOverride/value","value":125.500}]', if_match='W/"1"'
    )
    assert (answer.status, answer.headers["etag"]) == (200, 'W/"2"')
    assert str(answer.resource["priceOverride"]["value"]) == "125.500"
    kept = (await world.send("GET", "ChargeItem/c1")).response.content
    assert kept.partition(b'"identifier"')[2] == CHARGE.partition(b'"identifier"')[2].replace(b"40.00", b"125.500")
    [(request, changes, body)] = world.took
    assert (request, changes) == ("PATCH ChargeItem/c1", [("ChargeItem/c1", "updated")])
    assert b'"value":125.500' in body
    same = await patch(world, {"op": "test", "path": "/status", "value": "billable"}, prefer="return=minimal")
    assert (same.status, same.response.content, same.headers["etag"]) == (200, b"", 'W/"2"')


@pytest.mark.parametrize(
    ("operation", "status", "code", "place"),
    [
        ({"op": "replace", "path": "/status", "value": "paid"}, 400, "code-invalid", "ChargeItem.status"),
        ({"op": "remove", "path": "/code"}, 400, "required", "ChargeItem.code"),
        ({"op": "replace", "path": "/id", "value": "c2"}, 400, "value", "ChargeItem.id"),
        ({"op": "replace", "path": "/resourceType", "value": "Account"}, 400, "value", "ChargeItem.resourceType"),
        ({"op": "replace", "path": "", "value": 1}, 422, "business-rule", "patch"),
        ({"op": "test", "path": "/status", "value": "billed"}, 422, "business-rule", "patch[0].path"),
        ({"op": "add", "path": "no", "value": 1}, 400, "value", "patch[0].path"),
    ],
)
async def test_what_is_refused_changes_nothing(
    world: FhirWorld, operation: dict[str, Any], status: int, code: str, place: str
) -> None:
    answer = await patch(world, operation)
    assert (answer.status, *answer.issue) == (status, code, place)
    assert (await world.send("GET", "ChargeItem/c1")).headers["etag"] == 'W/"1"'
    assert world.took == []


async def test_who_has_seen_another_version_and_what_is_not_there(world: FhirWorld) -> None:
    status = {"op": "replace", "path": "/status", "value": "billed"}
    assert (await patch(world, status, if_match='W/"7"')).issue == ("conflict", "http.If-Match")
    assert (await patch(world, status, content_type="application/json")).status == 415
    assert (await patch(world, status, content_type="application/fhir+json")).status == 415
    gone = await world.send("PATCH", "ChargeItem/c9", b"[]", content_type="application/json-patch+json")
    assert (gone.status, gone.issue[0]) == (404, "not-found")


async def test_a_card_number_is_masked_wherever_it_is_put(world: FhirWorld) -> None:
    pan = "4111111111111111"
    answer = await patch(world, {"op": "add", "path": "/overrideReason", "value": f"paid by {pan}"})
    assert answer.status == 200
    assert "ChargeItem.overrideReason" in answer.headers["warning"]
    assert pan not in answer.response.text
    assert all(pan.encode() not in body for _, _, body in world.took)
