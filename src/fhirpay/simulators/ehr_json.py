"""JSON for the simulated EHR: numbers keep the digits they came with (FHIR R4 json.html, "decimal").

Used by every other `ehr_*` file. Nothing to change here when a resource type is added.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a property is there twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read(text: bytes | str) -> Any:
    """The value, with Decimal for every number that has a point. Raises ValueError for what is not JSON."""
    return json.loads(text, parse_float=Decimal, parse_constant=_constant, object_pairs_hook=_object)


def write(value: Any) -> str:
    """The text, with 125.00 as 125.00."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
