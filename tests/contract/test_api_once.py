"""Every POST that wants an Idempotency-Key, as the OpenAPI document lists them: its key decides before anything else.

What a key has led to is laid down beforehand, with an answer that no route gives: whoever gives that answer has read
the key and made nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.payments import answers
from fhirpay.security.blind_index import keyed_hash
from hooks_world import Hooks, hooked

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
KEPT = json.dumps({"kept": True})
MOST = 45  # there are more, and none is left out without a word


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        yield made


def wants_key(one: dict[str, Any]) -> bool:
    return any(each["name"] == "Idempotency-Key" and each["required"] for each in one.get("parameters", ()))


async def test_a_key_gets_its_first_answer_for_ever_and_for_another_body_a_conflict(world: Hooks) -> None:
    document = (await world.http.get("/openapi.json")).json()
    problem = Draft202012Validator(document["components"]["schemas"]["Problem"])
    posts = {
        re.sub(r"\{\w+\}", "x1", path): one["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, one in document["paths"].items()
        if "post" in one and wants_key(one["post"])
    }
    assert len(posts) > MOST

    def lay_down(tx: Tx) -> None:
        for path, example in posts.items():
            said = keyed_hash(b"k" * 32, f"POST {path}\n".encode() + json.dumps(example).encode())
            assert answers.claim(tx, "ehr", path, said) is None
            answers.made(tx, "ehr", path, "x1")
            answers.answered(tx, "ehr", path, 207, KEPT)

    await world.units.write(lay_down)
    world.clock.advance(timedelta(days=3650))
    wrong: dict[str, Any] = {}
    for path, example in posts.items():
        headers = {"authorization": "Bearer ehr-token", "idempotency-key": path}
        same = await world.http.post(path, content=json.dumps(example), headers=headers)
        if (same.status_code, same.text) != (207, KEPT):
            wrong[path] = same.text
        other = await world.http.post(path, content=json.dumps(example) + " ", headers=headers)
        problem.validate(other.json())
        if (other.status_code, other.json()["code"]) != (409, "conflict"):
            wrong[f"other {path}"] = other.text
        without = await world.http.post(
            path, content=json.dumps(example), headers={"authorization": headers["authorization"]}
        )
        if (without.status_code, without.json().get("location")) != (400, "Idempotency-Key"):
            wrong[f"without {path}"] = without.text
    assert sorted(wrong) == [], wrong
