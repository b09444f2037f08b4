"""HL7 addresses that no version of the standard has: `FT1-144`, `PID-3.27`. Z-segments are the sender's own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ...hl7.standard import undefined
from ..compile import Rule
from ..paths import parse_path
from .finding import Finding
from .parts import Part, inner_conditions, parts, several

_FIELDS = ("valued", "empty", "deleted", "differs", "self")


def check(rule: Rule) -> Iterator[Finding]:
    spec, written = rule.written.spec, rule.written
    own = [(spec.each, "each"), (spec.sort, "sort"), (spec.park.at if spec.park else None, "park")]
    for text, key in own:
        if text:
            yield from _found(text, written.source.at((*written.place, key)))
    for number, warn in enumerate(spec.warn):
        if warn.at:
            yield from _found(warn.at, written.source.at((*written.place, "warn", number)))
    for part in parts(rule):
        for text in _addresses(part):
            yield from _found(text, part.at)


def _found(text: str, at: str) -> Iterator[Finding]:
    if why := _why(text):
        yield Finding("error", "unknown-path", at, f"{text}: {why}")


@lru_cache(maxsize=4096)
def _why(text: str) -> str:
    path = parse_path(text)
    if path is None:  # a segment alone
        return undefined(text, 1)
    return undefined(path.segment, path.field, path.component, path.subcomponent)


def _addresses(part: Part) -> Iterator[str]:
    if part.kind == "condition":
        for condition in inner_conditions(part.raw):
            yield from fields_of(condition)
    elif part.kind == "object" and part.raw.get("each"):
        yield str(part.raw["each"])
    elif part.kind == "expression":
        spec = part.spec
        yield from (*spec.paths, *spec.of, *([spec.each] if spec.each else ()))
        yield from _of_key(spec.key or ())


def _of_key(key: Any) -> Iterator[str]:
    for one in key:
        if isinstance(one, list | tuple):
            yield from _of_key(one)
        elif parse_path(str(one)):
            yield str(one)


def fields_of(condition: dict[str, Any]) -> Iterator[str]:
    """The fields that a condition itself reads, without those inside `any` and `not`."""
    for word, value in condition.items():
        if parse_path(word):
            yield word
        elif word in _FIELDS:
            yield from several(value)
        elif word == "coded":
            yield from (name for name in value if name != "by")
        elif word == "unmapped":
            yield from value
        elif word == "listed":
            yield from several(value["self_pay_classes"])
