"""What a site's files lay over the base: lines without effect, and which lines of the base no longer count there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..codes import NONE, Code, Row, rows
from ..compile import RuleSource
from ..loader import PROFILE, Layers
from ..spec import RuleSpec
from ..yaml_source import Place, Source
from .finding import Finding


def check(layers: Layers) -> Iterator[Finding]:
    yield from _unread(layers)
    if len(layers.folders) > 1:
        base, site = layers.folders
        yield from _laid_over(layers)
        yield from _tables(base / "codes", site / "codes", layers)


def _unread(layers: Layers) -> Iterator[Finding]:
    for folder in layers.folders:
        for path in sorted(folder.rglob("*.yaml")):
            if path not in layers.read and path.name != PROFILE:
                yield Finding("error", "dead", f"{layers.name(path)}:1", "no message includes this file")


def _laid_over(layers: Layers) -> Iterator[Finding]:
    base: dict[str, list[RuleSource]] = {}
    for found in (one for rules in layers.messages.values() for one in rules):
        base.setdefault(found.spec.rule, []).append(found)
    said: dict[tuple[str, str], str] = {}  # rule and element → where an overlay said it first
    for over in layers.overlays:
        under = base.get(over.spec.rule, [])
        yield from _twice(over, said)
        if not under:
            continue
        if over.spec.drop:
            says = f"the site drops this rule: {over.source.at(over.place)}"
            yield from (Finding("note", "overridden", one.source.at(one.place), says) for one in _once(under))
            continue
        yield from _elements(over, _once(under))


def _once(found: list[RuleSource]) -> list[RuleSource]:
    return list({one.source.at(one.place): one for one in found}.values())


def _twice(over: RuleSource, said: dict[tuple[str, str], str]) -> Iterator[Finding]:
    if over.spec.message is not None:
        return  # for some messages only: another may be for others
    for name, (_, source, place) in over.elements.items():
        key = (over.spec.rule, name)
        if key in said:
            yield Finding("error", "dead", said[key], f"{name} is laid over again by {source.at(place)}")
        said[key] = source.at(place)


def _elements(over: RuleSource, under: list[RuleSource]) -> Iterator[Finding]:
    for name, (raw, source, place) in over.elements.items():
        had = [one.elements[name] for one in under if name in one.elements]
        if raw is None and not had:
            yield Finding("error", "dead", source.at(place), f"rule {over.spec.rule} says no {name} to take away")
        elif had and all(one[0] == raw for one in had):
            yield Finding("error", "dead", source.at(place), f"the base says the same of {name}: {_at(had[0])}")
        else:
            says = f"the site says otherwise: {source.at(place)}"
            yield from (Finding("note", "overridden", _at(one), says) for one in had)
    for name in over.spec.model_fields_set & (RuleSpec.model_fields.keys() - {"rule", "why", "message", "after"}):
        if all(getattr(one.spec, name) == getattr(over.spec, name) for one in under):
            at = over.source.at((*over.place, name))
            yield Finding("error", "dead", at, f"the base says the same: {name}")


def _at(element: tuple[Any, Source, Place]) -> str:
    _, source, place = element
    return source.at(place)


def _tables(base: Path, site: Path, layers: Layers) -> Iterator[Finding]:
    for path in sorted(site.glob("*.csv")):
        under: dict[str, tuple[Row, Code]] = {}
        if (base / path.name).is_file():
            under = {row.v2: (row, row.code) for row in rows(base / path.name)}
        for row in rows(path):
            at = f"{layers.name(path)}:{row.line}"
            had = under.get(row.v2)
            if had is None:
                if row.code.code == NONE:
                    yield Finding("error", "dead", at, f"the base has no row {row.v2} to take away")
            elif had[1] == row.code:
                yield Finding("error", "dead", at, f"the base says the same of {row.v2}: line {had[0].line}")
            else:
                where = f"{layers.name(base / path.name)}:{had[0].line}"
                yield Finding("note", "overridden", where, f"the site says otherwise: {at}")
