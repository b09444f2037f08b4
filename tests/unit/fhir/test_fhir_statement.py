"""What a server says of itself is read as it stands, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhirpay.errors import MessageInvalid
from fhirpay.fhir.statement import Capability, FhirVersion, name_of, read_statement, version_of

VERSIONS = {
    "4.0.1": FhirVersion.R4,
    "4.0.0": FhirVersion.R4,
    "4.3.0": FhirVersion.R4B,
    "4.3.0-cibuild": FhirVersion.R4B,
    "5.0.0": FhirVersion.R5,
    "4.6.0": None,
    "3.0.2": None,
    "6.0.0-ballot2": None,
    "4": None,
    "R4": None,
    "": None,
}


@pytest.mark.parametrize("stated", VERSIONS)
def test_a_version_is_known_by_its_number(stated: str) -> None:
    assert version_of(stated) is VERSIONS[stated]


def test_a_version_is_called_as_people_call_it() -> None:
    assert (name_of("6.0.0-ballot2"), name_of("3.0.2"), name_of("4.0.1")) == (
        "6.0.0-ballot2 (R6)",
        "3.0.2 (STU3)",
        "4.0.1 (R4)",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b'{"resourceType": "OperationOutcome", "issue": []}',
        b'{"resourceType": "Conformance"}',
        b'{"resourceType": 7}',
        b"{}",
    ],
)
def test_what_is_no_statement_says_nothing(body: bytes) -> None:
    with pytest.raises(MessageInvalid):
        read_statement(body)


ODD: list[dict[str, Any]] = [
    {"rest": {"mode": "server"}},
    {"rest": [None, "server", {"mode": "client", "resource": [{"type": "Account"}]}]},
    {"rest": [{"mode": "server", "resource": "all", "security": [], "interaction": 5}]},
    {"rest": [{"mode": "server", "resource": [{"type": ["Account"], "interaction": {"code": "read"}}]}]},
    {"fhirVersion": 4.0, "software": "x", "format": "json", "rest": [{"mode": "server", "security": {"service": [1]}}]},
]


@pytest.mark.parametrize("doc", ODD)
def test_what_stands_there_in_the_wrong_form_is_not_offered(doc: dict[str, Any]) -> None:
    body = json.dumps({"resourceType": "CapabilityStatement", **doc}).encode()
    assert read_statement(body).of("Account") == Capability()


def test_scopes_narrow_what_is_offered() -> None:
    everything = Capability(True, True, True, True, True)
    assert everything.within(None) == everything
    assert everything.within(frozenset("crus")) == everything
    assert everything.within(frozenset("u")) == Capability(withheld="crs")
    assert Capability(read=True).within(frozenset()) == Capability(withheld="r")
