"""Our profiles, held to by Medplum's validator: all that we post and all that HL7v2 becomes is of them, and what goes
against one is refused. The pages of docs/profiles/ say what they say.

Medplum doesn't look into a profile's backbone elements (PaymentReconciliation.detail): their lines are ours to check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from emitted import Json, defined, mapped, posted_payments
from snapshots import with_snapshot

from fhir_world import FhirWorld
from fhirpay.db.unit import Units
from fhirpay.fhir.json import dumps, loads
from node_running import Node, needs_npm, node
from profile_pages import page_of, page_of_extensions

ROOT = Path(__file__).parents[2]
GOLDEN, PAGES = ROOT / "tests" / "golden", ROOT / "docs" / "profiles"
OF_WHAT_WE_TAKE = ("charge", "billing-account", "patient-invoice")
EXAMPLES = {
    "posting": GOLDEN / "writeback" / "b-split-with-rest-r4.json",
    **{name: GOLDEN / "profiles" / f"{name}.json" for name in OF_WHAT_WE_TAKE},
}
_POSTING: Json = loads(EXAMPLES["posting"].read_bytes())


@pytest.fixture(scope="module")
def stranger() -> Iterator[Node]:
    with node("validate.mjs", "R4", "PaymentReconciliation", "ChargeItem", "Account", "Invoice") as process:
        yield process


@cache
def profiles() -> dict[str, Json]:
    return {one["id"]: one for one in defined() if one.get("kind") == "resource" and "differential" in one}


def refusals(stranger: Node, name: str, resources: list[Any]) -> list[list[str]]:
    told = {"profile": with_snapshot(profiles()[name]), "resources": resources}
    return [found["medplum"] for found in stranger.tell(dumps(told))]


@needs_npm
def test_every_posting_is_of_its_profile(stranger: Node) -> None:
    every = list(posted_payments("R4").values())
    assert refusals(stranger, "posting", every) == [[]] * len(every)


@needs_npm
@pytest.mark.parametrize(("name", "type"), [("charge", "ChargeItem"), ("billing-account", "Account")])
def test_what_hl7v2_becomes_is_of_its_profile(stranger: Node, name: str, type: str) -> None:
    every = [one for one in mapped() if one["resourceType"] == type]
    assert len(every) > 100
    assert refusals(stranger, name, every) == [[]] * len(every)


def without(*urls: str) -> list[Any]:
    return [one for one in _POSTING["extension"] if not one["url"].endswith(urls)]


@needs_npm
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"identifier": None}, "identifier: Missing"),
        ({"identifier": [*_POSTING["identifier"], {"system": "urn:x", "value": "1"}]}, "expected 1..1, but found 2"),
        ({"identifier": [{"system": "urn:x", "value": "1"}]}, "system: Value did not match"),
        ({"identifier": [{"system": "https://fhirpay.dev/payment"}]}, "value: Missing"),
        ({"status": "cancelled"}, "status: Value did not match"),
        ({"outcome": "partial"}, "outcome: Value did not match"),
        ({"period": {"start": "2026-11-20"}}, "period: Invalid number"),
        ({"paymentIssuer": {"reference": "Organization/1"}}, "paymentIssuer: Invalid number"),
        ({"paymentAmount": {"value": 300}}, "currency: Missing"),
        ({"detail": None}, "detail: Missing"),
        ({"extension": without(".processor")}, "slice 'processor': expected 1..1, but found 0"),
        ({"extension": [*without(), *without()]}, "slice 'method': expected 1..1, but found 2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_a_posting_of_ours_is_refused(stranger: Node, wrong: dict[str, Any], says: str) -> None:
    changed = {name: value for name, value in {**_POSTING, **wrong}.items() if value is not None}
    (found,) = refusals(stranger, "posting", [changed])
    assert any(says in one for one in found), found


@needs_npm
@pytest.mark.parametrize("name", OF_WHAT_WE_TAKE)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_example_of_what_we_take_is_taken_and_is_of_its_profile(
    name: str, stranger: Node, units: Units
) -> None:
    example = loads(EXAMPLES[name].read_bytes())
    assert refusals(stranger, name, [example]) == [[]]
    answer = await FhirWorld(units).send("PUT", f"{example['resourceType']}/{example['id']}", example)
    assert answer.status == 201, answer.resource


def test_the_pages_of_the_profiles_say_what_they_say() -> None:
    assert set(profiles()) == set(EXAMPLES)
    made = {name: page_of(profiles()[name], path.read_text(encoding="utf-8")) for name, path in EXAMPLES.items()}
    made["extensions"] = page_of_extensions([one for one in defined() if one.get("type") == "Extension"])
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        for name, text in made.items():
            (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
    assert {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")} == made


def test_a_profile_narrows_elements_that_there_are() -> None:
    for name, one in profiles().items():
        assert one["url"] == f"https://fhirpay.dev/fhir/StructureDefinition/{name}"
        ids = [said["id"] for said in one["differential"]["element"]]
        assert len(ids) == len(set(ids))
