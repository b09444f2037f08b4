"""Lines that do nothing, whatever message comes: conditions that can't hold, what stands behind them, claimed lines.

A rule is read by many messages, so a condition is dead only when it is dead in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..compile import Rule
from ..loader import Maps
from .certainty import World, can_fail, can_hold, implies
from .finding import Finding
from .parts import Part, inner_conditions, parts, several


@dataclass(slots=True)
class _Seen:
    """One condition of one line, over the messages that its rule is in."""

    raw: dict[str, Any]
    at: str
    holds: bool = False
    fails: bool = False
    inner: dict[int, bool] = field(default_factory=dict[int, bool])  # which of those inside can hold


def check(maps: Maps) -> Iterator[Finding]:
    seen: dict[tuple[str, str], _Seen] = {}
    expressions: dict[str, tuple[Part, list[World]]] = {}
    worlds = {label: World(label.partition("^")[2], maps.tables) for label in maps.rules}
    written: dict[int, list[Part]] = {}  # most messages share most rules
    for label, rules in maps.rules.items():
        for rule in rules:
            if id(rule) not in written:
                written[id(rule)] = list(parts(rule))
            for part in written[id(rule)]:
                if part.kind == "condition":
                    _look(seen.setdefault((part.at, repr(part.raw)), _Seen(part.raw, part.at)), worlds[label])
                elif part.kind == "expression":
                    expressions.setdefault(part.at, (part, []))[1].append(worlds[label])
    for one in seen.values():
        yield from _conditions(one)
    for part, behind in expressions.values():
        yield from _expression(part, behind)
    yield from _events(maps, list(seen.values()))
    yield from _claimed(maps)


def _look(seen: _Seen, world: World) -> None:
    seen.holds |= can_hold(seen.raw, world)
    seen.fails |= can_fail(seen.raw, world)
    for number, inner in enumerate(inner_conditions(seen.raw)):
        seen.inner[number] = seen.inner.get(number, False) or can_hold(inner, world)


def _conditions(seen: _Seen) -> Iterator[Finding]:
    if not seen.holds:
        # The base asks for codes that only a site's table gives, such as `ignore`.
        severity = "note" if seen.at.startswith("base/") and "coded" in seen.raw else "error"
        yield Finding(severity, "dead", seen.at, f"this condition never holds: {_words(seen.raw)}")
    elif not seen.fails:
        yield Finding("error", "dead", seen.at, f"this condition always holds: {_words(seen.raw)}")
    else:
        for number, inner in enumerate(inner_conditions(seen.raw)):
            if number and not seen.inner[number]:
                yield Finding("error", "dead", seen.at, f"this part of a condition never holds: {_words(inner)}")


def _events(maps: Maps, seen: Sequence[_Seen]) -> Iterator[Finding]:
    known = {label.partition("^")[2] for label in maps.rules}
    for one in seen:
        for inner in inner_conditions(one.raw):
            if missing := [event for event in several(inner.get("event", ())) if event not in known]:
                yield Finding("error", "dead", one.at, f"there is no map for the event {', '.join(missing)}")


def _expression(part: Part, worlds: Sequence[World]) -> Iterator[Finding]:
    spec = part.spec
    behind = [name for name, value in (("default", spec.default), ("assume", spec.assume)) if value is not None]
    if spec.else_ is not None and behind:
        yield Finding("error", "dead", part.at, f"`{behind[0]}` is never reached: `else` stands before it")
    elif len(behind) == 2:
        yield Finding("error", "dead", part.at, "`assume` is never reached: `default` stands before it")
    constant = spec.is_ is not None and not isinstance(spec.is_, dict | list)
    if constant and (spec.else_ is not None or behind) and not any(can_fail(spec.when, world) for world in worlds):
        yield Finding("error", "dead", part.at, f"`{(['else'] if spec.else_ is not None else behind)[0]}` never counts")
    if len(set(spec.paths)) < len(spec.paths):
        yield Finding("error", "dead", part.at, f"the same field twice: {', '.join(spec.paths)}")


def _claimed(maps: Maps) -> Iterator[Finding]:
    """A segment goes to the first claiming rule that takes it: what a later one would take must be something else."""
    dead: dict[str, str] = {}
    alive: set[str] = set()
    for label, rules in maps.rules.items():
        world = World(label.partition("^")[2], maps.tables)
        claiming = [rule for rule in rules if rule.claims]
        for number, rule in enumerate(claiming):
            before = (one for one in claiming[:number] if one.each == rule.each)
            taken = next((one for one in before if _takes_all(one, rule, world)), None)
            if taken is None:
                alive.add(rule.file)
            else:
                dead[rule.file] = f"rule {rule.name} is never reached: {taken.name} takes every {rule.each} before it"
    for at, says in dead.items():
        if at not in alive:
            yield Finding("error", "dead", at, says)


def _takes_all(before: Rule, rule: Rule, world: World) -> bool:
    when = before.written.spec.when
    return not can_fail(when, world) or implies(rule.written.spec.when, when)


def _words(condition: dict[str, Any]) -> str:
    return ", ".join(f"{word}: {value}" for word, value in condition.items())
