"""The OpenAPI document: sound by a stranger's word, with examples that are what is really sent and answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from desk_world import usd
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.payments import refunds, store
from fhirpay.web.api.examples import ANSWERS, BODIES
from hooks_world import Hooks, hooked

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        yield made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        if path.startswith("/api/v1/"):
            yield from ((f"{method} {path.removeprefix('/api/v1')}", one) for method, one in found.items())


def shape(said: Any) -> Any:
    """Names and kinds of value: what is there on one occasion and not on another, such as null, is anything."""
    if isinstance(said, dict):
        return {name: shape(value) for name, value in said.items() if name != "method"}
    if isinstance(said, list):
        return [shape(said[0])] if said else []
    return "number" if isinstance(said, int | float) else type(said).__name__


async def test_it_is_sound_and_says_of_each_operation_what_it_has_to(world: Hooks) -> None:
    document = json.loads(json.dumps((await world.http.get("/openapi.json")).json()))
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "$defs" not in json.dumps(document)
    names: list[str] = []
    written = 0
    for name, one in operations(document):
        names.append(one["operationId"])
        assert one["summary"], name
        assert one["tags"], name
        assert one["security"] == [{"bearer": []}], name
        answers = one["responses"]
        assert {"400", "401", "403", "503"} <= set(answers), name
        for status, answer in answers.items():
            if status[0] != "2":
                assert answer == {"$ref": f"#/components/responses/Problem{status}"}
        said = next((each for each in one.get("parameters", ()) if each["name"] == "Idempotency-Key"), None)
        assert ("409" in answers) is (said is not None), name
        if name.startswith("post"):
            free = ("post /messages/search", "post /messages/replay/preview")
            assert (said is not None) is (name not in free), name
        written += any("example" in json.dumps(each) for status, each in answers.items() if status[0] == "2")
    assert len(names) == len(set(names))
    assert written >= len(ANSWERS)
    resolved = json.dumps(document)
    for schema in document["components"]["schemas"]:
        assert f'"#/components/schemas/{schema}"' in resolved, f"nothing needs {schema}"


async def test_every_example_of_a_body_fits_its_schema(world: Hooks) -> None:
    document = (await world.http.get("/openapi.json")).json()
    missing: list[str] = []
    for name, one in operations(document):
        if "requestBody" not in one:
            continue
        content = one["requestBody"]["content"]["application/json"]
        if "example" not in content:
            missing.append(name)
            continue
        schema = {**content["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(content["example"])
    assert set(BODIES) <= {name for name, _ in operations(document)}
    assert missing == [], "write an example in web/api/examples.py"


async def test_problems_have_the_shape_that_is_documented(world: Hooks) -> None:
    document = (await world.http.get("/openapi.json")).json()
    schema = Draft202012Validator(document["components"]["schemas"]["Problem"])
    for path, params, status in (
        ("/payments/pay1", {}, 404),
        ("/payments", {"limit": "0"}, 400),
        ("/payments", {"account": "x"}, 404),
    ):
        answer = await world.http.get(f"/api/v1{path}", params=params, headers={"authorization": "Bearer ehr-token"})
        assert answer.status_code == status
        schema.validate(answer.json())
    for response in document["components"]["responses"].values():
        for example in response["content"]["application/problem+json"]["examples"].values():
            schema.validate(example["value"])


async def test_every_example_of_an_answer_is_one_that_is_given(world: Hooks) -> None:
    endpoint = await world.endpoint("payment.captured")
    await world.owes("bea", 5_00)
    (payment,) = await world.pays("ana", 50_00)
    await world.units.write(
        lambda tx: refunds.add(tx, store.get(tx, payment), usd(1_00), reason="twice", requested_by="client:ehr")
    )
    await world.work()
    last = (await world.api("GET", "/events")).json()["events"][1]["id"]
    (refund,) = (await world.api("GET", "/refunds")).json()["refunds"]
    ids = {"payment_id": payment, "refund_id": refund["id"], "endpoint_id": endpoint, "event_id": last}
    ids["name"] = "aging"
    for name, example in ANSWERS.items():
        if name.startswith("get "):
            path = name.removeprefix("get ").format(**ids)
            real = await world.api("GET", path)
            assert shape(real.json()) == shape(example), name
    again = await world.api("POST", f"/webhook-endpoints/{endpoint}/replay", {"event": last})
    assert shape(again.json()) == shape(ANSWERS["post /webhook-endpoints/{endpoint_id}/replay"])
