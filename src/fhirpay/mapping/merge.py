"""A stored resource and what a message says of it → the resource as it stands now.

HL7 v2 speaks in changes, FHIR's PUT in whole resources; this is the step between. Called by whoever applies a Mapped
Bundle, for each entry, after its references were resolved. Pure. The rules are those of `mapped.py`:

* what isn't stated stays; what `deletes` names goes; what is `assumed` gives way to what is stored;
* a list that is stated replaces the stored one, but identifiers are only added (an old number is how a late message
  finds its resource), extensions replace those of their own url, copays those of their own number;
* start and end of a period are two statements; a guarantor who is still named keeps a hold that isn't mentioned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ..domain.fhir_urls import COPAY_DUE, COPAY_IDENTIFIER
from .mapped import Mapped

Resource = dict[str, Any]

# Elements that may be stated in several types hold one of them (FHIR R4 formats.html#choice).
_CHOICES = ("deceased", "multipleBirth", "occurrence", "product")


def merged(stored: Resource | None, full_url: str, stated: Resource, mapped: Mapped) -> Resource:
    """`stated` (the entry with `full_url`) laid over `stored`. Without a stored resource it is the stated one."""
    if stored is None:
        return stated
    assumed = {ref.element for ref in mapped.assumed if ref.full_url == full_url}
    deletes = [ref.element for ref in mapped.deletes if ref.full_url == full_url]
    result = dict(stored)
    for element in deletes:
        _delete(result, element)
    for name, value in stated.items():
        if name in assumed and name in stored:
            continue
        for other in _other_choices(name, result):
            del result[other]
        result[name] = _element(name, result.get(name), value)
    return result


def _delete(resource: Resource, element: str) -> None:
    if not element.startswith("extension:"):
        resource.pop(element, None)
        return
    url = element.removeprefix("extension:")
    kept = [one for one in resource.get("extension", []) if one.get("url") != url]
    resource.pop("extension", None)
    if kept:
        resource["extension"] = kept


def _other_choices(name: str, resource: Resource) -> list[str]:
    family = next((base for base in _CHOICES if name.startswith(base) and name[len(base) :][:1].isupper()), None)
    if family is None:
        return []
    return [one for one in resource if one != name and one.startswith(family) and one[len(family) :][:1].isupper()]


def _element(name: str, stored: Any, stated: Any) -> Any:
    if stored is None:
        return stated
    match name:
        case "identifier":
            return _united(stored, stated, key=lambda one: (one.get("system"), one.get("value")))
        case "extension":
            return _extensions(stored, stated)
        case "guarantor":
            return [_guarantor(one, stored) for one in stated]
        case "period" | "servicePeriod":
            return {**stored, **stated}
        case "hospitalization":
            return {**stored, **stated}
        case _:
            return stated


def _united(stored: list[Resource], stated: list[Resource], *, key: Any) -> list[Resource]:
    """Stored order first, so that the identifier a resource is known by stays the first; stated content wins."""
    by_key = {key(one): one for one in stated}
    kept = [by_key.pop(key(one), one) for one in stored]
    return kept + list(by_key.values())


def _extension_key(one: Resource) -> tuple[str, str]:
    """Extensions of a url replace each other as a set, except copays: each is known by its own identifier."""
    if one.get("url") != COPAY_DUE:
        return one.get("url", ""), ""
    for inner in one.get("extension", []):
        if inner.get("url") == COPAY_IDENTIFIER:
            identifier = inner.get("valueIdentifier", {})
            return COPAY_DUE, f"{identifier.get('system')}|{identifier.get('value')}"
    return COPAY_DUE, ""


def _extensions(stored: Iterable[Resource], stated: list[Resource]) -> list[Resource]:
    replaced: Collection[tuple[str, str]] = {_extension_key(one) for one in stated}
    return [one for one in stored if _extension_key(one) not in replaced] + stated


def _guarantor(stated: Resource, stored: Iterable[Resource]) -> Resource:
    for one in stored:
        if one.get("party", {}).get("reference") == stated.get("party", {}).get("reference"):
            return {**one, **stated}
    return stated
