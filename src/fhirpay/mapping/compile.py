"""A rule of a mapping file → a Rule that the engine runs, once, at load. Whatever is wrong with it is found here.

What its elements are is `values.py`, when it holds is `conditions.py`. To give rules a new key: a field in
`spec.RuleSpec`, its meaning here and in `engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigInvalid
from .conditions import Test, compile_condition
from .context import Context
from .paths import Path, parse_path
from .spec import ParkSpec, RuleSpec, WarnSpec
from .values import Here, Value, compile_value
from .yaml_source import Place, Source

_OF_A_MESSAGE = frozenset({"Bundle", "MessageHeader", "Provenance"})  # message_view makes them; none is stored


@dataclass(frozen=True, slots=True)
class Warn:
    when: Test
    says: str
    at: Path | None


@dataclass(frozen=True, slots=True)
class Park:
    code: str
    reason: str
    at: Path | None
    table: str


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    each: str | None
    sort: Path | None
    when: Test
    claims: bool
    adds: Test | None
    clears: Test | None
    resource: str | None
    into: str | None
    park: Park | None
    ignore: str | None
    warns: tuple[Warn, ...]
    build: Callable[[Context], dict[str, Any]]
    file: str
    why: str
    written: RuleSource  # for those who tell people what the rule reads


@dataclass(frozen=True, slots=True, eq=False)
class RuleSource:
    """A rule as written, with the file that says each of its elements (an overlay may say some of them).

    It is itself alone, whatever another one says: so what is compiled of it can be kept.
    """

    spec: RuleSpec
    source: Source
    place: Place
    elements: dict[str, tuple[Any, Source, Place]] = field(default_factory=dict)

    def at(self, *more: str | int) -> str:
        return f"{self.source.at((*self.place, *more))}, rule {self.spec.rule}"


def compile_rule(found: RuleSource, made: dict[str, str | None]) -> Rule:
    """`made` are the rules that stand before it. Raises ConfigInvalid with file, line, rule and what to write."""
    spec = found.spec
    targets = [name for name in ("resource", "into", "park", "ignore") if getattr(spec, name) is not None]
    if len(targets) != 1:
        raise ConfigInvalid("a rule has one of resource, into, park, ignore", location=found.at())
    if (spec.park is not None or spec.ignore is not None) and found.elements:
        says = f"a rule that parks or ignores makes no elements: {', '.join(found.elements)}"
        raise ConfigInvalid(says, location=found.at())
    if spec.into is not None and spec.into not in made:
        raise ConfigInvalid(f"'into: {spec.into}': no rule of that name stands before this one", location=found.at())
    if spec.resource is not None and spec.resource not in _OF_A_MESSAGE and "identifier" not in found.elements:
        raise ConfigInvalid(f"a {spec.resource} needs an identifier: it is stored under the first", location=found.at())
    if spec.claims and spec.each is None:
        raise ConfigInvalid("a rule that claims says which segment: each", location=found.at())
    values = {
        name: compile_value(raw, Here(spec.rule, source, place, name, name, made))
        for name, (raw, source, place) in found.elements.items()
    }
    return Rule(
        name=spec.rule,
        each=spec.each,
        sort=_path(spec.sort, found.at("sort")),
        when=compile_condition(spec.when, found.at("when")),
        claims=spec.claims,
        adds=compile_condition(spec.adds, found.at("adds")) if spec.adds is not None else None,
        clears=compile_condition(spec.clears, found.at("clears")) if spec.clears is not None else None,
        resource=spec.resource,
        into=spec.into,
        park=_park(spec.park, found.at("park")) if spec.park else None,
        ignore=spec.ignore,
        warns=tuple(_warn(warn, found.at("warn", number)) for number, warn in enumerate(spec.warn)),
        build=_build({name: value for name, (value, _) in values.items()}),
        file=found.source.at(found.place),
        why=spec.why,
        written=found,
    )


def _warn(spec: WarnSpec, at: str) -> Warn:
    return Warn(compile_condition(spec.when, at), spec.says, _path(spec.at, at))


def _park(spec: ParkSpec, at: str) -> Park:
    if spec.table and not spec.at:
        raise ConfigInvalid("'table' needs 'at': the field whose code has no line there", location=at)
    return Park(spec.code, spec.reason, _path(spec.at, at), spec.table)


def _path(text: str | None, at: str) -> Path | None:
    if not text:
        return None
    path = parse_path(text)
    if path is None:
        raise ConfigInvalid(f"'{text}' is no HL7 field; write one such as FT1-11.1", location=at)
    return path


def _build(values: dict[str, Value]) -> Callable[[Context], dict[str, Any]]:
    members = tuple(values.items())

    def build(ctx: Context) -> dict[str, Any]:
        return {name: found for name, value in members if (found := value(ctx)) is not None}

    return build
