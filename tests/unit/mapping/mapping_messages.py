"""Messages for mapping tests, made of segments by field number, and the interface they come from."""

from __future__ import annotations

from typing import Any

from fhirpay.config import Facility, Interface
from fhirpay.hl7.reader import Message
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.mapped import Mapped

FACILITY = Facility(name="main", zone="America/New_York")


def interface(**settings: Any) -> Interface:
    known = {"account_key": "PID-18", "co_means": "due", "carries_coverage": True, "self_pay_classes": ("SP",)}
    return Interface.model_validate({"name": "test", **known, **settings})


def segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields, default=0) + 1))])


def message(*lines: str, label: str = "DFT^P03", version: str = "2.5.1", pid: dict[int, str] | None = None) -> Message:
    msh = rf"MSH|^~\&|BILLING|MAPLE|FHIRPAY|MAPLE|20260302101500||{label}|M1|P|{version}"
    known = {3: "100234^^^MAPLE^MR", 5: "Ngata^Ruth", 18: "V0001^^^MAPLE^AN"}
    return Message.parse("\r".join([msh, segment("PID", {**known, **(pid or {})}), *lines]))


def ft1(kind: str = "CG", **fields: str) -> str:
    """`ft1(_11="1.00")`: a line with these fields beside the usual ones."""
    known = {1: "1", 2: "T-1", 4: "20260302", 6: kind, 7: "99213^Office visit^C4"}
    return segment("FT1", {**known, **{int(name[1:]): value for name, value in fields.items()}})


def mapped(*lines: str, settings: dict[str, Any] | None = None, **of: Any) -> Mapped:
    return map_message(message(*lines, **of), interface(**(settings or {})), FACILITY)


def only(found: Mapped, kind: str) -> dict[str, Any]:
    """The one resource of this type."""
    (resource,) = found.resources(kind)
    return resource


def extension(resource: dict[str, Any], url: str) -> Any:
    """The value of the one extension of this url; None when it isn't there."""
    found = [one for one in resource.get("extension", []) if one["url"] == url]
    if not found:
        return None
    (one,) = found
    return next(value for name, value in one.items() if name != "url")
