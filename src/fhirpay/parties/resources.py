"""What a merge means for FHIR resources: who refers to the old one refers to the survivor, which carries its numbers.

Called by usecases/merge.py; each function says what it has changed, element by element, and `put_back` undoes exactly
that. FHIR R4 has a link for a merged Patient; for an Account and an Encounter it has none: those carry our extension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..errors import NotFound
from ..fhir import store
from ..fhir.merge import gaps_alone, merged
from ..subscriptions.events import tell
from .merges import Item

Resource = dict[str, Any]

# what may name a Patient, an Account, an Encounter, by the store's own index
_NAMING = {
    "Patient": {
        "Account": ("subject", "guarantor"),
        "Appointment": ("actor",),
        "ChargeItem": ("subject",),
        "Coverage": ("beneficiary", "payor", "policy-holder", "subscriber"),
        "Encounter": ("subject",),
        "Invoice": ("subject", "recipient"),
        "RelatedPerson": ("patient",),
    },
    "Account": {
        "Appointment": ("bears-on",),
        "ChargeItem": ("account",),
        "Encounter": ("account",),
        "Invoice": ("account",),
        "PaymentReconciliation": ("account",),
    },
    "Encounter": {"Appointment": ("bears-on",), "ChargeItem": ("context",)},
}
# extensions that name one, too
_SAID_IN = frozenset({urls.ACCOUNT, urls.APPOINTMENT_ACCOUNT, urls.APPOINTMENT_SUBJECT})
# what the survivor takes over where it says nothing itself; of a person only what stops collection
_TAKEN_OVER = {
    "Patient": ("birthDate", "deceasedBoolean", "deceasedDateTime"),
    "Account": ("type", "subject", "owner", "servicePeriod", "guarantor", "extension"),
    "Encounter": ("subject", "period", "serviceProvider", "account"),
}


def naming(tx: Tx, reference: str) -> list[store.Stored]:
    """The resources that name it literally."""
    found: dict[str, store.Stored] = {}
    for kind, params in _NAMING[reference.partition("/")[0]].items():
        for param in params:
            found |= {one.reference: one for one in store.referring(tx, kind, param, reference)}
    return [one for _, one in sorted(found.items()) if _names(one.resource, reference)]


def repoint(tx: Tx, old: str, new: str, *, source: str, only: Callable[[Resource], bool] | None = None) -> list[Item]:
    """Whatever names `old` names `new` from now on (of these, what `only` says yes to)."""
    items: list[Item] = []
    for one in naming(tx, old):
        if only is None or only(one.resource):
            items += change(tx, one, _renamed(one.resource, old, new), source=source)
    return items


def rename(tx: Tx, reference: str, old: str, new: str, *, source: str) -> list[Item]:
    """In this one resource, as it is now."""
    stored = _get(tx, reference)
    return change(tx, stored, _renamed(stored.resource, old, new), source=source)


def accounts_in(resource: Resource) -> list[str]:
    """The accounts that a ChargeItem, an Encounter, an Invoice or an Appointment names."""
    named: Any = resource.get("account", [])
    said = [one.get("valueReference", {}) for one in resource.get("extension", ()) if one.get("url") in _SAID_IN]
    return [str(one.get("reference", "")) for one in (*(named if isinstance(named, list) else [named]), *said)]


def merge(tx: Tx, old: str, new: str, *, source: str) -> list[Item]:
    """`old` says that `new` stands for it; `new` carries its numbers, and what only `old` had said."""
    kind = old.partition("/")[0]
    was, survivor = _get(tx, old), _get(tx, new)
    gone, stays = deepcopy(was.resource), deepcopy(survivor.resource)
    match kind:
        case "Patient":
            gone["active"] = False
            gone["link"] = [*gone.get("link", ()), _link(new, "replaced-by")]
            stays["link"] = [*stays.get("link", ()), _link(old, "replaces")]
        case "Account":
            gone["status"] = "inactive"
            kept = [one for one in gone.get("extension", ()) if one.get("url") != urls.COPAY_DUE]
            gone["extension"] = [*kept, {"url": urls.REPLACED_BY, "valueReference": {"reference": new}}]
        case _:
            gone["extension"] = [
                *gone.get("extension", ()),
                {"url": urls.REPLACED_BY, "valueReference": {"reference": new}},
            ]
    stays = _filled(stays, was.resource)
    stays = with_numbers(stays, was.resource.get("identifier", ()))
    return [*change(tx, was, gone, source=source), *change(tx, survivor, stays, source=source)]


def _filled(stays: Resource, was: Resource) -> Resource:
    """What was said of the old one holds for the survivor where nothing else was said of it."""
    over = {name: deepcopy(was[name]) for name in _TAKEN_OVER[stays["resourceType"]] if name in was}
    copays = [one for one in over.get("extension", ()) if one.get("url") == urls.COPAY_DUE]
    if "extension" in over:
        over["extension"] = [
            one for one in over["extension"] if one.get("url") not in (urls.COPAY_DUE, urls.REPLACED_BY)
        ]
    filled = merged(stays, {**over, "resourceType": stays["resourceType"]}, gaps_alone(over))
    if copays:
        known = [one for one in filled.get("extension", ()) if one.get("url") == urls.COPAY_DUE]
        filled["extension"] = [*filled.get("extension", ()), *(one for one in copays if one not in known)]
    if was.get("status") == "on-hold" and filled.get("status") == "active" and stays["resourceType"] == "Account":
        filled["status"] = "on-hold"  # a hold is lifted by whoever set it, not by a merge
    if stays["resourceType"] == "Account":
        known = [one.get("coverage") for one in filled.get("coverage", ())]
        more = [one for one in was.get("coverage", ()) if one.get("coverage") not in known]
        if more:
            filled["coverage"] = [*filled.get("coverage", ()), *deepcopy(more)]
    return filled


def with_numbers(resource: Resource, identifiers: Iterable[Resource], *, first: bool = False) -> Resource:
    """With these among its identifiers: as old ones behind its own, or `first`, before those, which then are old."""
    own = list(resource.get("identifier", ()))
    known = {(one.get("system", ""), one.get("value")) for one in own}
    new = [one for one in identifiers if (one.get("system", ""), one.get("value")) not in known]
    if not new:
        return resource
    if first:
        return {**resource, "identifier": [*deepcopy(new), *({**one, "use": "old"} for one in own)]}
    return {**resource, "identifier": [*own, *({**deepcopy(one), "use": "old"} for one in new)]}


def change(tx: Tx, stored: store.Stored, resource: Resource, *, source: str) -> list[Item]:
    """Write it, if it says something else than before; what that changes."""
    before = {name: value for name, value in stored.resource.items() if name != "meta"}
    after = {name: value for name, value in resource.items() if name != "meta"}
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not names:
        return []
    tell(tx, [store.put(tx, resource, source=source)[0]])
    was, now = ({name: one[name] for name in names if name in one} for one in (before, after))
    return [Item("resource", stored.reference, was, now)]


def put_back(tx: Tx, item: Item, *, source: str) -> None:
    """Each element as it was, unless it says something newer by now; of a list, what was added is taken out again."""
    stored = _get(tx, item.ref)
    resource = deepcopy(stored.resource)
    for name in item.before.keys() | item.after.keys():
        before, after, current = item.before.get(name), item.after.get(name), resource.get(name)
        if current == after:
            value = before
        elif isinstance(current, list) and isinstance(after, list):
            had = before if isinstance(before, list) else []
            added = [one for one in after if one not in had]
            value = [one for one in current if one not in added]
        else:
            continue
        if value:
            resource[name] = value
        else:
            resource.pop(name, None)
    change(tx, stored, resource, source=source)


def _get(tx: Tx, reference: str) -> store.Stored:
    stored = store.locked(tx, *reference.split("/"))
    if stored is None:
        raise NotFound(f"there is no {reference}")
    return stored


def _link(reference: str, kind: str) -> Resource:
    return {"other": {"reference": reference}, "type": kind}


def _renamed(resource: Resource, old: str, new: str) -> Resource:
    renamed = deepcopy(resource)
    for place in _places(renamed, old):
        place["reference"] = new
    for name, value in renamed.items():
        if isinstance(value, list) and name in ("account", "subject"):
            renamed[name] = [one for at, one in enumerate(value) if one not in value[:at]]
    return renamed


def _names(resource: Resource, reference: str) -> bool:
    return next(_places(resource, reference), None) is not None


def _places(resource: Resource, reference: str) -> Iterator[Resource]:
    rest = {name: value for name, value in resource.items() if name not in ("link", "extension")}
    yield from _within(rest, reference)
    yield from _within([one for one in resource.get("extension", ()) if one.get("url") in _SAID_IN], reference)


def _within(value: Any, reference: str) -> Iterator[Resource]:
    if isinstance(value, dict):
        if value.get("reference") == reference:
            yield value
        for inner in value.values():
            yield from _within(inner, reference)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner, reference)
