"""A partial statement about a resource, laid over what is kept. Called by conditional.py for HL7v2-sourced writes.

In HL7v2 an empty field means "no change", so an element that a message doesn't state stays. A stated one replaces the
kept one whole (Account.coverage and .guarantor are sets that the sender states anew, unless it adds to them), but for
lists which several senders share: identifiers, by system and value, and extensions, by url (and the identifier nested
in them, where one url names several things: two copays due), and what it contains, by id. A period is joined end by
end, a guarantor keeps a hold that isn't lifted.
FHIR writes don't come here: a PUT says all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..domain.fhir_urls import REMOVED
from .models import structure_of


@dataclass(frozen=True, slots=True)
class Partial:
    """How a statement is to be read. Elements are top-level names; `extension:<url>` is one extension, `period.end`
    one end of a period."""

    deletes: tuple[str, ...] = ()  # HL7v2 `""`: dropped from what is kept, unless stated as well
    assumed: tuple[str, ...] = ()  # stated only because FHIR requires it: never laid over what is kept
    adds: tuple[str, ...] = ()  # a list that is laid into the kept one, member by member, instead of in its place


def gaps_alone(stated: dict[str, Any]) -> Partial:
    """How an older statement is read where a younger one has been laid down: it overwrites and drops nothing."""
    urls = {str(one.get("url")) for one in stated.get("extension", ())}
    names = stated.keys() - {"resourceType", "id", "identifier", "extension"}
    return Partial(assumed=(*sorted(names), *(f"extension:{url}" for url in sorted(urls))))


def merged(kept: dict[str, Any], stated: dict[str, Any], how: Partial) -> dict[str, Any]:
    """`kept` as changed by `stated`."""
    result = _without(kept, how.deletes)
    stated = _without(stated, (name for name in how.assumed if _has(result, name)))
    result = _without(result, _other_choices(stated))
    for key, value in stated.items():
        if key in _SHARED and isinstance(result.get(key), list) and isinstance(value, list):
            result[key] = _joined(result[key], value, _SHARED[key])
        elif key in _BY_PART and isinstance(value, dict):
            result[key] = {**result.get(key, {}), **value}
        elif key in _MEMBERS and isinstance(value, list):
            result[key] = _members(key, result.get(key, []), value, how)
        else:
            result[key] = value
    result = {name: value for name, value in result.items() if name not in _MEMBERS or value}
    return _held_together(result) if "contained" in result else result


def _held_together(resource: dict[str, Any]) -> dict[str, Any]:
    """Without what it contains and no longer names (dom-3): a diagnosis goes with the set that it stood in."""
    inside = {str(one.get("id")): one for one in resource["contained"]}
    named: set[str] = set()
    waiting = [value for name, value in resource.items() if name != "contained"]
    while waiting:
        for name in set(_local(waiting.pop())) - named:
            named.add(name)
            waiting.append(inside.get(name))
    kept = [one for one in resource["contained"] if one.get("id") in named]
    rest = {name: value for name, value in resource.items() if name != "contained"}
    return {**rest, "contained": kept} if kept else rest


def _local(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        literal = value.get("reference")
        if isinstance(literal, str) and literal.startswith("#"):
            yield literal[1:]
        for inner in value.values():
            yield from _local(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _local(inner)


def _by_value(identifier: dict[str, Any]) -> Any:
    return identifier.get("system", ""), identifier.get("value")


def _by_id(contained: dict[str, Any]) -> Any:
    return contained.get("id")


def _by_url(extension: dict[str, Any]) -> Any:
    nested = (one.get("valueIdentifier") for one in extension.get("extension", ()))
    return extension.get("url"), *(_by_value(one) for one in nested if one is not None)


_SHARED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "identifier": _by_value,
    "extension": _by_url,
    "contained": _by_id,
}


# A start without an end says nothing about the end: a discharge that is known stays known.
JOINED = frozenset({"period", "servicePeriod"})
_BY_PART = JOINED | {"meta"}


# a list of the Account → what names each of its members; empty: the member itself does
_MEMBERS = {"coverage": "coverage", "guarantor": "party", "subject": ""}


def _members(key: str, kept: list[dict[str, Any]], stated: list[dict[str, Any]], how: Partial) -> list[dict[str, Any]]:
    """A set that is stated anew, or what is new, changed and removed of it."""

    def named(one: dict[str, Any]) -> Any:
        return (one.get(_MEMBERS[key], {}) if _MEMBERS[key] else one).get("reference")

    if key == "guarantor":
        stated = _still_on_hold(kept, stated)
    joined = _joined(kept, stated, named) if key in how.adds else stated
    return [one for one in joined if all(said.get("url") != REMOVED for said in one.get("extension", ()))]


def named_coverages(account: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The members of Account.coverage by the Coverage that they name."""
    return {str(one.get("coverage", {}).get("reference", "")): one for one in account.get("coverage", ())}


def _still_on_hold(kept: Iterable[dict[str, Any]], stated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The guarantors as stated; one who doesn't say whether they are on hold stays as they were (empty GT1-22)."""
    held = {str(one.get("party", {}).get("reference")): one["onHold"] for one in kept if "onHold" in one}
    return [
        {**one, "onHold": held[party]}
        if "onHold" not in one and (party := str(one.get("party", {}).get("reference"))) in held
        else one
        for one in stated
    ]


def _joined(
    kept: list[dict[str, Any]], stated: list[dict[str, Any]], key: Callable[[dict[str, Any]], Any]
) -> list[dict[str, Any]]:
    """What was kept, replaced in its place by what has the same key, then what is new."""
    new: dict[Any, list[dict[str, Any]]] = {}
    for one in stated:
        new.setdefault(key(one), []).append(one)
    keys = set(new)
    joined: list[dict[str, Any]] = []
    for one in kept:
        joined += [_still_old(one, stated) for stated in new.pop(key(one), [])] if key(one) in keys else [one]
    return joined + [one for rest in new.values() for one in rest]


def _still_old(kept: dict[str, Any], stated: dict[str, Any]) -> dict[str, Any]:
    """A number that was replaced stays one, also where a late message uses it."""
    return {"use": "old", **stated} if kept.get("use") == "old" else stated


def _other_choices(stated: dict[str, Any]) -> set[str]:
    """deceasedDateTime, when deceasedBoolean is stated: a choice has one value."""
    structure = structure_of(str(stated.get("resourceType"))) or {}
    choices = {structure[name].choice for name in stated if name in structure} - {""}
    return {name for name, element in structure.items() if element.choice in choices}


def _has(resource: dict[str, Any], element: str) -> bool:
    period, _, end = element.partition(".")
    if end and period in JOINED:
        return end in resource.get(period, {})
    name, _, url = element.partition(":")
    return name in resource and (not url or any(one.get("url") == url for one in resource[name]))


def _without(resource: dict[str, Any], elements: Iterable[str]) -> dict[str, Any]:
    result = dict(resource)
    for element in elements:
        period, _, end = element.partition(".")
        if period in JOINED and end:
            rest = {name: value for name, value in result.get(period, {}).items() if name != end}
            result = {**result, period: rest} if rest else {key: one for key, one in result.items() if key != period}
            continue
        name, _, url = element.partition(":")
        rest = [one for one in result.get(name, ()) if one.get("url") != url] if url else []
        if rest:
            result[name] = rest
        else:
            result.pop(name, None)
            result.pop(f"_{name}", None)
    return result
