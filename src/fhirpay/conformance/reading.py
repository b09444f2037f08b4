"""Which fields the maps of an interface read, and what each becomes: found in the rules as they are written.

`profile` puts it beside what the gate asks for. Nothing here runs a rule; an address is whatever `parse_path` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import Interface
from ..domain.fhir_urls import EXTENSION
from ..mapping.compile import Rule
from ..mapping.loader import Maps
from ..mapping.paths import Path, parse_path

_CONDITIONS = frozenset({"when"})
_OURS = "ext:"
_IMPLIED = {"following_notes": "NTE-3"}  # what a function reads without being told the address
_TABLES = {"coverage_type": "coverage-type"}  # the code table that a function looks into


@dataclass
class FieldRead:
    """One field (FT1-11) over all rules of all messages."""

    segment: str
    number: int
    becomes: set[str] = field(default_factory=set[str])  # ChargeItem.priceOverride
    decides: set[str] = field(default_factory=set[str])  # what a condition on it decides about
    tables: set[str] = field(default_factory=set[str])  # code tables that its codes go through
    repeats: bool = False  # every repetition is read
    messages: set[str] = field(default_factory=set[str])

    @property
    def address(self) -> str:
        return f"{self.segment}-{self.number}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one FT1-6 code does: the first rule that takes it by this interface's settings."""

    code: str  # as the sender writes it
    means: str  # CG, CD, PY, AJ, CO: by the site's code table
    makes: str  # ChargeItem, Account; '' where it waits or is passed over
    waits: str  # why it waits for a person
    ignored: str  # why it is passed over


def fields_read(maps: Maps, interface: Interface) -> dict[str, FieldRead]:
    """By address, every field that a rule reads or decides by."""
    found: dict[str, FieldRead] = {}

    def note(path: Path, label: str) -> FieldRead:
        one = found.setdefault(f"{path.segment}-{path.field}", FieldRead(path.segment, path.field))
        one.messages.add(label)
        return one

    for label, rules in maps.rules.items():
        resources = {rule.name: rule.resource or "" for rule in rules}
        for rule in rules:
            if not applies(rule.written.spec.when, interface):
                continue
            target = rule.resource or resources.get(rule.into or "", "") or "a line that waits"
            spec = rule.written.spec
            for path in _paths([spec.when, spec.sort, spec.adds, spec.clears]):
                note(path, label).decides.add(target)
            for name, (raw, _, _) in rule.written.elements.items():
                for path, to, hints in _values(raw, f"{target}.{name}"):
                    one = note(path, label)
                    (one.decides if hints.get("condition") else one.becomes).add(to)
                    if table := hints.get("map"):
                        one.tables.add(table)
                    one.repeats |= bool(hints.get("each"))
    return found


def transactions(rules: tuple[Rule, ...], maps: Maps, interface: Interface) -> list[Transaction]:
    """What becomes of each FT1-6 code that a rule or its code table names; the last line is for all others."""
    found: dict[str, Transaction] = {}
    for rule in rules:
        when = rule.written.spec.when
        if rule.each != "FT1" or not rule.claims or not applies(when, interface):
            continue
        makes = rule.resource or ("Account" if rule.into else "")
        waits = rule.park.reason if rule.park else ""
        for code, means in _codes(when or {}, maps):
            found.setdefault(code, Transaction(code, means, makes, waits, rule.ignore or ""))
    return list(found.values())


def _codes(when: Mapping[str, Any], maps: Maps) -> Iterator[tuple[str, str]]:
    """The codes that a rule's condition takes, each with what it means by the code table."""
    coded = when.get("coded")
    if not isinstance(coded, Mapping) or "FT1-6" not in coded:
        yield from ((str(one), str(one)) for one in _list(when.get("FT1-6", "any other")))
        return
    wanted = {str(one) for one in _list(coded["FT1-6"])}
    for code, row in maps.tables.get(str(coded.get("by")), {}).items():
        if row.code in wanted:
            yield code, row.code


def applies(when: Mapping[str, Any] | None, interface: Interface) -> bool:
    """Whether a rule can hold at all by the interface's settings."""
    wanted = (when or {}).get("interface", {})
    return all(getattr(interface, name) == value for name, value in wanted.items())


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _paths(raw: Any) -> Iterator[Path]:
    """Every address in a condition, as word or as value."""
    if isinstance(raw, Mapping):
        for name, value in raw.items():
            if path := parse_path(str(name)):
                yield path
            yield from _paths(value)
    elif isinstance(raw, list | tuple):
        for one in raw:
            yield from _paths(one)
    elif isinstance(raw, str) and (path := parse_path(raw)):
        yield path


def _values(raw: Any, to: str) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """The addresses of an element's value, each with the element and what is said of it there."""
    if isinstance(raw, list | tuple):
        for one in raw:
            yield from _values(one, to)
    elif isinstance(raw, Mapping):
        here = _within(raw, to)
        hints = {"map": raw.get("map") or _TABLES.get(str(raw.get("function"))), "each": raw.get("each")}
        if implied := parse_path(_IMPLIED.get(str(raw.get("function")), "")):
            yield implied, here, hints
        for name, value in raw.items():
            if name in _CONDITIONS:
                yield from ((path, here, {"condition": True}) for path in _paths(value))
            elif name in ("from", "of", "key", "each"):
                yield from ((path, here, hints) for path in _paths(value))
            elif name not in ("why", "is"):
                yield from _values(value, here)
    elif isinstance(raw, str) and (path := parse_path(raw)):
        yield path, to, {}


def _within(raw: Mapping[str, Any], to: str) -> str:
    url = raw.get("url")
    if not isinstance(url, str) or "(" in to:
        return to
    name = url.removeprefix(_OURS).removeprefix(EXTENSION).rpartition("/")[2]
    return f"{to}({name})"
