"""A sound resource → resources that are wrong in one way each, by HL7's definitions of what may stand where.

Of values that have the same definition (each line's amount) one is spoiled. To spoil in another way: a function that
yields, and its line in `_WAYS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from definitions import Place, places

_DATES = ("date", "dateTime", "instant")
_MISSING = object()


@dataclass(frozen=True)
class Mutant:
    """`where` has no repetitions: `PaymentReconciliation.detail.amount.value`."""

    way: str
    where: str
    resource: Any


def mutants(version: str, resource: Mapping[str, Any], seen: set[tuple[str, str]] | None = None) -> Iterator[Mutant]:
    """One of each way and place. With `seen`, one of each way and definition not yet in it: an Identifier's system is
    spoiled once, wherever there are any."""
    done: set[tuple[str, str]] = set() if seen is None else seen
    for place in places(version, resource):
        where = ".".join([resource["resourceType"], *(part for part in place.way if isinstance(part, str))])
        known = where if seen is None else place.element.path
        for way, spoil in _WAYS.items():
            if (way, known) not in done and (spoiled := spoil(resource, place)) is not _MISSING:
                done.add((way, known))
                yield Mutant(way, where, spoiled)


def _with(owner: Any, way: tuple[str | int, ...], value: Any) -> Any:
    """A copy where `value` stands there, or nothing, with `_MISSING`. What lies beside the way is the same object."""
    made = owner.copy()
    name, *rest = way
    if rest:
        made[name] = _with(owner[name], tuple(rest), value)
    elif value is _MISSING:
        del made[name]
    else:
        made[name] = value
    return made


def _whole(place: Place) -> tuple[str | int, ...]:
    """The way to the element with all its repetitions."""
    return place.way[:-1] if isinstance(place.way[-1], int) else place.way


def _required_missing(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), _whole(place), _MISSING) if place.element.min else _MISSING


def _unknown_element(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), (*place.way, "bogus"), "x") if isinstance(place.value, dict) else _MISSING


def _another_type(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), place.way, "text" if isinstance(place.value, dict) else {"start": "2026-01-01"})


def _no_such_code(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), place.way, "bogus") if place.element.required_binding else _MISSING


def _another_target(resource: Mapping[str, Any], place: Place) -> Any:
    if place.type != "Reference" or not place.element.targets or "Resource" in place.element.targets:
        return _MISSING
    return _with(dict(resource), place.way, {"reference": "Basic/1"})


def _twice(resource: Mapping[str, Any], place: Place) -> Any:
    return _MISSING if place.element.many else _with(dict(resource), place.way, [place.value, place.value])


def _no_list(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), _whole(place), place.value) if place.element.many else _MISSING


def _empty_list(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), _whole(place), []) if place.element.many else _MISSING


def _no_date(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), place.way, "2026-13-40") if place.type in _DATES else _MISSING


def _no_number(resource: Mapping[str, Any], place: Place) -> Any:
    return (
        _with(dict(resource), place.way, json.dumps(place.value, default=str)) if place.type == "decimal" else _MISSING
    )


def _null(resource: Mapping[str, Any], place: Place) -> Any:
    return _with(dict(resource), place.way, None)


_WAYS: dict[str, Callable[[Mapping[str, Any], Place], Any]] = {
    "a required element is missing": _required_missing,
    "an element that isn't there": _unknown_element,
    "another type": _another_type,
    "no such code": _no_such_code,
    "a reference to another type": _another_target,
    "given twice": _twice,
    "no list": _no_list,
    "an empty list": _empty_list,
    "no such date": _no_date,
    "a number as text": _no_number,
    "null": _null,
}
