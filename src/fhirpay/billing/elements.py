"""Reading FHIR elements for billing: what can't be read counts as not stated. Pure; used by intake.py.

No element is validated here: the FHIR endpoint has done that, and what came in before a rule existed is still read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ..domain.money import Money
from ..errors import FhirpayError
from ..fhir.params import plain_reference

Resource = Mapping[str, Any]


def money_of(element: Any) -> Money | None:
    """A FHIR Money; None when it is absent, incomplete, or finer than its currency."""
    value = element.get("value") if isinstance(element, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        return Money.of(Decimal(value), str(element.get("currency", "")))
    except FhirpayError:
        return None


def day_of(text: Any, zone: ZoneInfo, *, first: bool = False) -> date | None:
    """The facility's day of a FHIR date or dateTime; of a year or month its last day (`first`: its first one)."""
    if not isinstance(text, str):
        return None
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(zone).date()
        parts = [int(part) for part in text.split("-")]
        if len(parts) == 3:
            return date(*parts)
        year, month = (*parts, 1 if first else 12)[:2]
        if first:
            return date(year, month, 1)
        return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    except (ValueError, TypeError, OverflowError):
        return None


def own_ref(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}" if resource.get("id") else ""


def reference(element: Any) -> str:
    literal = element.get("reference") if isinstance(element, Mapping) else None
    return plain_reference(literal) if isinstance(literal, str) else ""


def subject_of(resource: Resource) -> str:
    return next(iter(subjects_of(resource)), "")


def subjects_of(resource: Resource) -> tuple[str, ...]:
    """An account may be of several patients: of all whom one guarantor answers for."""
    return tuple(ref for one in listed(resource.get("subject")) if (ref := reference(one)))


def identifiers_of(resource: Resource) -> set[str]:
    found = [one for one in resource.get("identifier", ()) if isinstance(one, Mapping) and one.get("value")]
    return {f"{one.get('system', '')}|{one['value']}" for one in found}


def flag(resource: Resource, url: str) -> bool:
    return any(one.get("url") == url and one.get("valueBoolean") is True for one in resource.get("extension", ()))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
