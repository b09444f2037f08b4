"""A compiled rule → the parts it was written of, each with its file and line. Read by the checks beside it.

A part is one object of the YAML (or a scalar) at one element of the resource. It says nothing of what it means: that
is known to `values.py` and `conditions.py` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..compile import Rule
from ..spec import ExpressionSpec, is_expression
from ..yaml_source import Place, Source

PartKind = Literal["literal", "expression", "object", "list", "condition"]


@dataclass(frozen=True, slots=True)
class Part:
    rule: Rule
    kind: PartKind
    raw: Any
    path: tuple[str, ...]  # of the element: identifier, value; () of the rule's own condition
    source: Source
    place: Place
    listed: bool = False  # it is one of a list
    within: str = ""  # the type of the contained resource that it is in; `path` begins there

    @property
    def at(self) -> str:
        return self.source.at(self.place)

    @property
    def spec(self) -> ExpressionSpec:
        """Of an expression."""
        return ExpressionSpec.model_validate(self.raw)


def with_resources(rules: Iterable[Rule]) -> Iterator[tuple[Rule, str]]:
    """The rules of a message with what each makes or adds to; '' where it parks or passes over."""
    made: dict[str, str] = {}
    for rule in rules:
        made[rule.name] = rule.resource or made.get(rule.into or "", "")
        yield rule, made[rule.name]


def parts(rule: Rule) -> Iterator[Part]:
    spec, source, place = rule.written.spec, rule.written.source, rule.written.place
    if spec.when is not None:
        yield Part(rule, "condition", spec.when, (), source, (*place, "when"))
    for number, warn in enumerate(spec.warn):
        yield Part(rule, "condition", warn.when, (), source, (*place, "warn", number))
    for name, (raw, own, at) in rule.written.elements.items():
        yield from _value(Part(rule, "literal", raw, (name,), own, at))


def _value(part: Part) -> Iterator[Part]:
    raw = part.raw
    if isinstance(raw, list):
        yield _as(part, "list")
        for number, item in enumerate(raw):
            yield from _value(_inside(part, item, number, part.path, listed=True))
    elif not isinstance(raw, dict):
        yield part
    elif is_expression(raw):
        yield _as(part, "expression")
        for name in ("is", "else"):
            if name in raw:
                yield from _value(_inside(part, raw[name], name, part.path, listed=part.listed))
        for name in ("when", "clear"):
            if raw.get(name) is not None:
                yield _as(_inside(part, raw[name], name, part.path), "condition")
    else:
        yield _as(part, "object")
        if "when" in raw:
            yield _as(_inside(part, raw["when"], "when", part.path), "condition")
        contained = raw.get("resourceType") if part.path == ("contained",) else None
        if contained:
            part = replace(part, path=(), within=str(contained))
        for name, item in raw.items():
            if name not in ("when", "each", "why", "resourceType" if contained else ""):
                yield from _value(_inside(part, item, name, (*part.path, name)))


def _as(part: Part, kind: PartKind) -> Part:
    return replace(part, kind=kind)


def _inside(part: Part, raw: Any, key: str | int, path: tuple[str, ...], *, listed: bool = False) -> Part:
    return replace(part, kind="literal", raw=raw, path=path, place=(*part.place, key), listed=listed)


def inner_conditions(condition: Any) -> Iterator[dict[str, Any]]:
    """The condition and those inside it (`any`, `not`)."""
    yield condition
    for one in (*condition.get("any", ()), *([condition["not"]] if "not" in condition else ())):
        yield from inner_conditions(one)


def several(value: Any) -> list[str]:
    """What may be written as one or as a list."""
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
