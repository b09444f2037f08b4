"""Which search parameters each resource type has, and the index rows that they are found by. Read by store.py (to
write the index), by search.py, and by the test that holds the CapabilityStatement against it.

To offer another one: a row here, a line in conformance/CapabilityStatement-fhirpay.json; rows already stored are
found by it once they are written again. Rows that are not `public` serve our own lookups only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..db.types import fitted
from .moments import as_text, span

_HISTORY = re.compile(r"/_history/[^/]+\Z")


@dataclass(frozen=True, slots=True)
class Param:
    """A search parameter: where its values are (`|` between places), and what kind they are. `only` keeps references
    of one type."""

    path: str
    kind: Literal["token", "reference", "date"]
    system: str = ""  # of a plain code
    only: str = ""
    public: bool = True


_HL7 = "http://hl7.org/fhir/"
_IDENTIFIER = Param("identifier", "token")


def _reference(path: str, only: str = "", *, public: bool = True) -> Param:
    return Param(path, "reference", only=only, public=public)


def _code(path: str, system: str = "") -> Param:
    return Param(path, "token", system=f"{_HL7}{system}" if system else "")


_SUBJECT = {"subject": _reference("subject"), "patient": _reference("subject", "Patient")}

PARAMS: dict[str, dict[str, Param]] = {
    "ChargeItem": {
        "identifier": _IDENTIFIER,
        **_SUBJECT,
        "account": _reference("account"),
        "context": _reference("context"),
        "part-of": _reference("partOf", public=False),
    },
    "Account": {
        "identifier": _IDENTIFIER,
        **_SUBJECT,
        "owner": _reference("owner"),
        "status": _code("status", "account-status"),
        "coverage": _reference("coverage.coverage", public=False),
        "guarantor": _reference("guarantor.party", public=False),
    },
    "Invoice": {
        "identifier": _IDENTIFIER,
        **_SUBJECT,
        "account": _reference("account"),
        "recipient": _reference("recipient"),
        "issuer": _reference("issuer"),
        "status": _code("status", "invoice-status"),
        "charge-item": _reference("lineItem.chargeItemReference", public=False),
    },
    "Patient": {
        "identifier": _IDENTIFIER,
        "active": _code("active"),
        "link": _reference("link.other"),
        "organization": _reference("managingOrganization"),
    },
    "Encounter": {
        "identifier": _IDENTIFIER,
        **_SUBJECT,
        "account": _reference("account"),
        "class": Param("class", "token"),
        "status": _code("status", "encounter-status"),
    },
    "Appointment": {
        "identifier": _IDENTIFIER,
        "actor": _reference("participant.actor"),
        "patient": _reference("participant.actor", "Patient"),
        "status": _code("status", "appointmentstatus"),
        "bears-on": _reference("supportingInformation|extension.valueReference", public=False),
        "starts": Param("start", "date", public=False),
    },
    "Coverage": {
        "identifier": _IDENTIFIER,
        "beneficiary": _reference("beneficiary"),
        "patient": _reference("beneficiary", "Patient"),
        "payor": _reference("payor"),
        "policy-holder": _reference("policyHolder"),
        "subscriber": _reference("subscriber"),
        "status": _code("status", "fm-status"),
    },
    "RelatedPerson": {
        "identifier": _IDENTIFIER,
        "patient": _reference("patient"),
        "active": _code("active"),
    },
    "Organization": {
        "identifier": _IDENTIFIER,
        "active": _code("active"),
        "partof": _reference("partOf"),
    },
    "PaymentReconciliation": {
        "identifier": _IDENTIFIER,
        "account": _reference("extension.valueReference", "Account", public=False),
        "created": Param("created", "date"),
        "outcome": _code("outcome", "remittance-outcome"),
        "payment-issuer": _reference("paymentIssuer"),
        "request": _reference("request|detail.request"),  # R4 has the former alone; what is paid stands in the lines
        "requestor": _reference("requestor"),
        "status": _code("status", "fm-status"),
    },
}
TYPES = tuple(PARAMS)
OWN = frozenset({"PaymentReconciliation"})  # what was paid, as an EHR said it or was told it: never taken from clients
WRITABLE = tuple(name for name in TYPES if name not in OWN)

# (param, system, value)
IndexRow = tuple[str, str, str]


def index_rows(resource: dict[str, Any]) -> set[IndexRow]:
    """Everything that `resource` is found by."""
    rows: set[IndexRow] = set()
    for name, param in PARAMS.get(str(resource.get("resourceType")), {}).items():
        for value in (one for path in param.path.split("|") for one in _at(resource, path.split("."))):
            rows.update(_rows(name, param, value))
    return {(name, fitted(system), fitted(value)) for name, system, value in rows}


def _rows(name: str, param: Param, value: Any) -> Iterator[IndexRow]:
    match param.kind:
        case "reference":
            return _references(name, param, value)
        case "date":
            return _moments(name, value)
        case "token":
            return _tokens(name, param, value)


def plain_reference(reference: str) -> str:
    """A literal reference without the version it names."""
    return _HISTORY.sub("", reference)


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _tokens(name: str, param: Param, value: Any) -> Iterator[IndexRow]:
    if isinstance(value, bool):
        yield name, "", "true" if value else "false"
    elif isinstance(value, str):
        yield name, param.system, value
    elif isinstance(value, dict):
        code = value.get("value", value.get("code"))
        if isinstance(code, str):
            yield name, str(value.get("system") or ""), code


def _moments(name: str, value: Any) -> Iterator[IndexRow]:
    """A moment in UTC, always of one length, so that texts stand in the order of moments."""
    try:
        yield name, "", as_text(span(value)[0])
    except (TypeError, ValueError, OverflowError):  # of a year that no calendar has
        return


def _references(name: str, param: Param, value: Any) -> Iterator[IndexRow]:
    if not isinstance(value, dict):
        return
    literal = value.get("reference")
    if isinstance(literal, str) and not literal.startswith("#"):
        plain = plain_reference(literal)
        if not param.only or f"/{plain}".rsplit("/", 2)[-2] == param.only:
            yield name, "", plain
    for _, system, code in _tokens(name, param, value.get("identifier")):
        yield f"{name}:identifier", system, code
        if not isinstance(literal, str):
            yield f"{name}:logical", system, code
