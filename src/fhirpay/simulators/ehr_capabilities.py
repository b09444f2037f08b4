"""What the simulated EHR says of itself at `/fhir/metadata`: true of its switches, unless it is told to boast.

Used by `ehr.py`. A switch that is off makes the server behave so, not only say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .ehr_rules import TYPES

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
# a topic's URL → the type whose changes it tells of
TOPICS = {
    "https://ehr.example/topics/charge-changed": "ChargeItem",
    "https://ehr.example/topics/account-changed": "Account",
}


@dataclass
class Switches:
    """What this EHR can do. Vendors differ in exactly these."""

    update_create: bool = True  # PUT to an id of the client's choice
    update: bool = True  # PUT to what is there
    patch: bool = False  # JSON Patch
    versioning: bool = True  # If-Match
    conditional_create: bool = True  # If-None-Exist
    conditional_update: bool = True  # PUT [type]?identifier=…
    search: bool = True
    searched_with: dict[str, str] = field(default_factory=dict)  # a type → the parameter that its search needs
    references_checked: bool = False  # a literal reference must lead to something here
    page_max: int = 50  # most resources on one page of a search
    update_refusal: int = 405  # how it says that ids are its own to give
    subscriptions: str = ""  # how it tells of changes: not at all, by `criteria`, or by `topics` too
    fhir_version: str = "4.0.1"  # what it speaks: R5 where it is one of R5, and R4 whatever else it says
    notices: bool = True  # it takes PaymentNotice
    financial_transactions: bool = False  # payments are Basic, as at Oracle Health: created, never read or searched

    @property
    def r5(self) -> bool:
        return self.fhir_version.startswith("5.0.")


def capability_statement(switches: Switches, *, boast: bool = False) -> dict[str, Any]:
    """CapabilityStatement (the same in R4 and R5), of kind `instance`. `boast`: it announces all, true or not."""
    if boast:
        switches = replace(switches, **ALL_ANNOUNCED)
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "kind": "instance",
        "software": {"name": "Simulated EHR"},
        "implementation": {"description": "An EHR to try payments against"},
        "fhirVersion": switches.fhir_version,
        "format": ["json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"cors": False, "description": "Bearer token"},
                "resource": [
                    _resource(kind, patient, switches) for kind, patient in TYPES.items() if offered(kind, switches)
                ],
            }
        ],
    }


def offered(kind: str, switches: Switches) -> bool:
    """Whether it knows this type at all."""
    if kind == "Subscription":
        return bool(switches.subscriptions)
    absent = ("PaymentReconciliation", "PaymentNotice") if switches.financial_transactions else ("Basic",)
    if kind == "PaymentNotice" and not switches.notices:
        return False
    return kind in TYPES and kind not in absent


ALL_ANNOUNCED: dict[str, Any] = {
    "update_create": True,
    "conditional_create": True,
    "conditional_update": True,
    "search": True,
    "page_max": 50,
}


def _resource(kind: str, patient: str, switches: Switches) -> dict[str, Any]:
    if kind == "Basic":
        return {"type": kind, "interaction": [{"code": "create"}]}
    interactions = ["read", "vread", "history-instance", "create"]
    interactions += ["update"] * switches.update + ["patch"] * switches.patch
    parameters = [("_id", "token"), ("_lastUpdated", "date")]
    parameters += [("identifier", "token"), ("status", "token")] if kind != "Provenance" else []
    parameters += [("patient", "reference")] if patient else []
    parameters += [("account", "reference")] if kind in ("ChargeItem", "Invoice") else []
    parameters += [("context", "reference")] if kind == "ChargeItem" else []
    if needed := switches.searched_with.get(kind):
        parameters = [one for one in parameters if one[0] in ("_id", needed)]
    shown: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in interactions + ["search-type"] * switches.search],
        "versioning": "versioned-update" if switches.versioning else "no-version",
        "readHistory": True,
        "updateCreate": switches.update_create,
        "conditionalCreate": switches.conditional_create,
        "conditionalUpdate": switches.conditional_update,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical", *(["enforced"] if switches.references_checked else [])],
    }
    if kind == "Subscription":
        parameters.append(("url", "uri"))
        if switches.subscriptions == "topics":
            shown["supportedProfile"] = [_BACKPORT + "backport-subscription"]
            named = _BACKPORT + "capabilitystatement-subscriptiontopic-canonical"
            shown["extension"] = [{"url": named, "valueCanonical": topic} for topic in TOPICS]
    if switches.search:
        shown["searchParam"] = [{"name": name, "type": sort} for name, sort in parameters]
    return shown
