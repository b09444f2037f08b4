"""The EHR's Invoice that is paid in full → `balanced` there. Pure; called by usecases/post_invoice.py and check_ehr.py.

Only an `issued` Invoice is changed, and in nothing but its status; none is ever set back. FHIR's own words: `balanced`
is "the invoice has been balanced / closed" (hl7.org/fhir/valueset-invoice-status.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ..errors import RuleBroken
from ..fhir.json import dumps
from ..fhir.statement import Capability

RESOURCE_TYPE = "Invoice"
BALANCED, _ISSUED = "balanced", "issued"


class Way(StrEnum):
    """How one element of a resource of theirs is changed; best first."""

    UPDATE = "if-match"  # PUT of what was read, with the version that it was read in
    PATCH = "patch"  # JSON Patch, where that is all there is; also with the version


def way_of(capability: Capability) -> Way | None:
    """None: it can't be done safely there, `lacks` says why."""
    if lacks(capability):
        return None
    return Way.UPDATE if capability.update else Way.PATCH


def lacks(capability: Capability) -> str:
    """What is missing for it; empty: nothing."""
    if {"r", "u"} & set(capability.withheld):
        return "our scopes don't let us read and update it: system/Invoice.ru is needed"
    if not capability.read:
        return "it can't be read"
    if not (capability.update or capability.patch):
        return "it can't be updated"
    if not capability.versioned:
        return "it doesn't state versioning, so that what is changed meanwhile would be overwritten (If-Match)"
    return ""


def stands(invoice: Mapping[str, Any], *, named: str) -> bool:
    """Whether it is to be set to `balanced`; False: it is already. Raises RuleBroken for what a person has to see."""
    status = str(invoice.get("status", ""))
    if status not in (BALANCED, _ISSUED):
        raise RuleBroken(f"{named} is {status or 'without a status'} there, and was paid in full: look at it there")
    return status == _ISSUED


def balanced(invoice: Mapping[str, Any]) -> str:
    """The same Invoice, every other element as it was read."""
    return dumps({**invoice, "status": BALANCED})


PATCH = dumps(
    [
        {"op": "test", "path": "/status", "value": _ISSUED},
        {"op": "replace", "path": "/status", "value": BALANCED},
    ]
)
"""The same as a JSON Patch (RFC 6902)."""
