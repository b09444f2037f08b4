"""A batch: each entry by itself, with its own status, its own outcome and its own message."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_world import FhirWorld
from fhirpay.db.unit import Units
from fhirpay.errors import StorageUnavailable


@pytest.fixture
def world(units: Units) -> FhirWorld:
    return FhirWorld(units)


def account(name: str, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:a", "value": name}]
    return {"resourceType": "Account", "id": name, "identifier": identifier, "status": "active", **more}


def batch(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "batch", "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}, **({"resource": resource} if resource else {})}


def outcomes(bundle: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of each entry: its status, and of its first error the code and the address."""
    told = []
    for one in bundle["entry"]:
        issue = one["response"].get("outcome", {}).get("issue", [{}])[0]
        told.append((one["response"]["status"], issue.get("code", ""), (issue.get("expression") or [""])[0]))
    return told


async def test_each_entry_succeeds_or_fails_by_itself(world: FhirWorld) -> None:
    await world.send("PUT", "Account/a0", account("a0"))
    answer = await world.send(
        "POST",
        "",
        batch(
            entry("PUT", "Account/a1", account("a1")),
            entry("PUT", "Account/a0", account("a0"), ifMatch='W/"7"'),
            entry("POST", "Account", account("a0"), ifNoneExist="identifier=urn:a|a0"),
            entry("PUT", "Account/a2", account("a2", status="paid")),
            entry("GET", "Account/nobody"),
            entry("GET", "Account?identifier=urn:a|a0"),
            entry("GET", "Account?color=red"),
            entry("DELETE", "Account/a0"),
            entry("GET", "Observation/1"),
            {"resource": account("a3")},
            "no entry",
            entry("POST", "Account", account("a4", subject=[{"reference": "urn:uuid:a5"}])),
        ),
    )
    assert (answer.status, answer.resource["type"]) == (200, "batch-response")
    assert outcomes(answer.resource) == [
        ("201 Created", "", ""),
        ("412 Precondition Failed", "conflict", "Bundle.entry[1].request.ifMatch"),
        ("200 OK", "", ""),
        ("400 Bad Request", "code-invalid", "Bundle.entry[3].resource.status"),
        ("404 Not Found", "not-found", "Bundle.entry[4].request.url"),
        ("200 OK", "", ""),
        ("400 Bad Request", "not-supported", "Bundle.entry[6].request.url"),
        ("422 Unprocessable Entity", "not-supported", "Bundle.entry[7].request.method"),
        ("422 Unprocessable Entity", "not-supported", "Bundle.entry[8].request.url"),
        ("400 Bad Request", "required", "Bundle.entry[9].request"),
        ("400 Bad Request", "structure", "Bundle.entry[10]"),
        ("400 Bad Request", "structure", "Bundle.entry[11].resource.subject[0].reference"),
    ]
    assert answer.resource["entry"][5]["resource"]["total"] == 1
    assert (await world.send("GET", "Account/a1")).status == 200
    assert (await world.send("GET", "Account")).resource["total"] == 2


async def test_each_write_is_a_message_of_its_own_with_its_own_body(world: FhirWorld) -> None:
    pan = "4111111111111111"
    sent = batch(
        entry("PUT", "Account/a1", account("a1")),
        entry("PUT", "Account/a2", account("a2", description=f"paid by {pan}")),
        entry("GET", "Account/a1"),
    )
    answer = await world.send("POST", "", sent, prefer="return=minimal")
    assert [(request, changes) for request, changes, _ in world.took] == [
        ("PUT Account/a1", [("Account/a1", "created")]),
        ("PUT Account/a2", [("Account/a2", "created")]),
    ]
    assert all(b"Bundle" not in body and pan.encode() not in body for _, _, body in world.took)
    assert ["resource" in one for one in answer.resource["entry"]] == [False, False, True]
    warned = answer.resource["entry"][1]["response"]["outcome"]["issue"][0]
    assert warned["expression"] == ["Bundle.entry[1].resource.description"]


async def test_what_can_not_be_stored_now_is_told_of_its_entry(world: FhirWorld) -> None:
    world.trouble = StorageUnavailable("the disk is full")
    answer = await world.send("POST", "", batch(entry("PUT", "Account/a1", account("a1")), entry("GET", "Account")))
    assert [status for status, _, _ in outcomes(answer.resource)] == ["503 Service Unavailable", "200 OK"]
    assert (await world.send("GET", "Account/a1")).status == 404


async def test_every_entry_is_checked_however_many_have_faults(world: FhirWorld) -> None:
    """A Bundle's faults are counted to fifty; here they don't hide each other."""
    wrong = [entry("PUT", f"Account/w{n}", account(f"w{n}", status="paid")) for n in range(60)]
    answer = await world.send("POST", "", batch(*wrong, entry("PUT", "Account/a1", account("a1"))))
    assert [status for status, _, _ in outcomes(answer.resource)] == ["400 Bad Request"] * 60 + ["201 Created"]


async def test_more_than_five_hundred_entries_are_refused_as_a_whole(world: FhirWorld) -> None:
    sent = batch(*(entry("GET", "Account/a1") for _ in range(5_000)))
    answer = await world.send("POST", "", sent)
    assert (answer.status, answer.issue) == (413, ("too-long", "Bundle.entry"))
    for kind in ("history", "searchset"):
        assert (await world.send("POST", "", {"resourceType": "Bundle", "type": kind})).status == 422
    faulty = await world.send("POST", "", batch() | {"total": -1})
    assert (faulty.status, faulty.issue[1]) == (400, "Bundle.total")
