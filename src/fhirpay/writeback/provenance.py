"""Where a PaymentReconciliation that the EHR has comes from → FHIR Provenance, the same in R4, R4B and R5. Pure; called
by renderers.py.

A Provenance has no `identifier` (hl7.org/fhir/R4/provenance.html), so by its id alone it is known again: it is put at
one that follows from ours, or isn't sent. It names that PaymentReconciliation in the version that we made, when the EHR
took it, the practice as its `author` and fhirpay as its `assembler` (provenance-participant-type), named by display,
since no Device of ours is there. No person, account or amount stands in it. To change the shape, change it here and
look at the difference in tests/golden/writeback.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..fhir.loose import objects
from .payment_reconciliation import RESOURCE_TYPE as TARGET

RESOURCE_TYPE = "Provenance"
OURS = "fhirpay"
_PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATIONS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def render(*, id: str, version: str, at: datetime, zone: str, organization: str) -> dict[str, Any]:
    """The resource. `id` and `version` (empty: not known) are the EHR's of the PaymentReconciliation, `at` when it took
    that one; `organization` the practice's id there (empty: it isn't named)."""
    practice = {"reference": f"Organization/{organization}"}
    assembler: dict[str, Any] = {"type": _participant("assembler"), "who": {"type": "Device", "display": OURS}}
    named = [{"type": _participant("author"), "who": practice}, assembler | {"onBehalfOf": practice}]
    return {
        "resourceType": RESOURCE_TYPE,
        "target": [{"reference": f"{TARGET}/{id}" + (f"/_history/{version}" if version else "")}],
        "recorded": at.astimezone(ZoneInfo(zone)).replace(microsecond=0).isoformat(),
        "activity": {"coding": [{"system": _OPERATIONS, "code": "CREATE"}]},
        "agent": named if organization else [assembler],
    }


def is_ours(resource: Mapping[str, Any], id: str) -> bool:
    """Whether it stands at that id, and we are among its agents."""
    agents = [agent.get("who") for agent in objects(resource.get("agent"))]
    return resource.get("id") == id and any(who.get("display") == OURS for who in agents if isinstance(who, dict))


def _participant(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _PARTICIPANTS, "code": code}]}
