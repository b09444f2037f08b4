"""What is certain about a condition before any message is seen: that it can hold, and that it can fail.

`World` is what is known: the trigger events that reach the rule, the code tables, and the interface where one is meant.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...config import Interface
from ...hl7.standard import VERSIONS
from ..codes import Table
from ..versions import numbers
from .parts import several

_OLDEST, *_, _NEWEST = sorted(filter(None, map(numbers, VERSIONS)))


@dataclass(frozen=True, slots=True)
class World:
    event: str
    tables: Mapping[str, Table]


def can_hold(condition: dict[str, Any] | None, world: World) -> bool:
    if condition is None:
        return True
    if not all(_can_hold(word, value, world) for word, value in condition.items()):
        return False
    empty = set(several(condition.get("empty", ())))
    if empty & {*several(condition.get("valued", ())), *several(condition.get("deleted", ()))}:
        return False
    since, below = (numbers(str(condition.get(word, ""))) for word in ("version_from", "version_below"))
    return not (since and below and since >= below)


def can_fail(condition: dict[str, Any] | None, world: World) -> bool:
    return condition is not None and any(_can_fail(word, value, world) for word, value in condition.items())


def _can_hold(word: str, value: Any, world: World) -> bool:
    match word:
        case "event":
            return world.event in several(value)
        case "any":
            return any(can_hold(one, world) for one in value)
        case "not":
            return can_fail(value, world)
        case "interface":
            return all(setting_allows(name, wanted) for name, wanted in value.items())
        case "coded":
            given = {code.code for code in world.tables.get(value["by"], {}).values()}
            return any(given & set(several(wanted)) for name, wanted in value.items() if name != "by")
        case "version_from":
            return (numbers(str(value)) or ()) <= _NEWEST
        case "version_below":
            return (numbers(str(value)) or ()) > _OLDEST
        case _:
            return True


def _can_fail(word: str, value: Any, world: World) -> bool:
    match word:
        case "event":
            return world.event not in several(value)
        case "any":
            return all(can_fail(one, world) for one in value)
        case "not":
            return can_hold(value, world)
        case "version_from":
            return (numbers(str(value)) or ()) > _OLDEST
        case "version_below":
            return (numbers(str(value)) or ()) <= _NEWEST
        case _:
            return True


def setting_allows(name: str, wanted: Any) -> bool:
    """Whether an interface's setting can have this value."""
    choices = typing.get_args(Interface.model_fields[name].annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return wanted in choices
    return Interface.model_fields[name].annotation is not bool or isinstance(wanted, bool)


def implies(condition: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether `other` holds wherever `condition` does, as far as words show it."""
    return all(_implied(word, value, condition or {}) for word, value in (other or {}).items())


def _implied(word: str, value: Any, by: dict[str, Any]) -> bool:
    if word not in by:
        return False
    said = by[word]
    if word == "coded":
        fields = [name for name in value if name != "by"]
        return value["by"] == said.get("by") and all(
            name in said and set(several(said[name])) <= set(several(value[name])) for name in fields
        )
    if word in ("any", "not", "interface", "listed", "unmapped", "differs", "self", "account"):
        return said == value
    if word in ("valued", "deleted", "empty"):
        return set(several(value)) <= set(several(said))
    if word in ("version_from", "version_below"):
        return said == value
    return set(several(said)) <= set(several(value))  # a field, or events
