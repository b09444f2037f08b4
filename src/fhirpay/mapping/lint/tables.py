"""Code tables: files that nothing reads, codes that nobody takes or FHIR doesn't allow, values of the standard without
a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...fhir.bindings import REQUIRED
from ...fhir.models import element_of
from ...hl7 import standard
from ..codes import NONE, rows
from ..loader import Layers, Maps
from ..paths import parse_path
from .finding import Finding
from .parts import inner_conditions, parts, several, with_resources

BUILT_IN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "name-type": ("0200", ("HumanName.use",)),
    "address-use": ("0190", ("Address.use",)),
    "address-type": ("0190", ("Address.type",)),
    "telecom-use": ("0201", ("ContactPoint.use",)),
    "telecom-equipment": ("0202", ("ContactPoint.system", "ContactPoint.use")),
    "encounter-status": ("0004", ("Encounter.status",)),
    "encounter-event": ("", ()),
    "appointment-status": ("0278", ("Appointment.status",)),
    "appointment-event": ("", ("Appointment.status",)),
    "self-relationship": ("", ()),
    "coverage-type": ("0086", ()),
    "coding-systems": ("", ()),
    "transaction-type": ("", ()),
    "paid-by": ("", ()),
    "adjustment-kind": ("", ()),
}
"""Tables that datatypes and functions read by themselves: the HL7 table of their values, the element of their codes."""

SELECT = frozenset({"self-relationship", "encounter-event", "appointment-event"})
"""Tables that pick some of the values there are: one without a line means "not this"."""


@dataclass(slots=True)
class Use:
    """Who reads a table, over all rules."""

    asked: set[str] = field(default_factory=set[str])  # the codes that conditions ask for
    mapped: bool = False
    standard: set[str] = field(default_factory=set[str])  # numbers of HL7 tables
    fields: set[str] = field(default_factory=set[str])
    bound: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])  # element → its only codes


def check(maps: Maps, layers: Layers) -> Iterator[Finding]:
    uses = uses_of(maps)
    for name in sorted(maps.tables):
        files = [path for folder in layers.folders if (path := folder / "codes" / f"{name}.csv").is_file()]
        use = uses.get(name)
        if use is None and name not in BUILT_IN:
            yield from (
                Finding("error", "dead", f"{layers.name(path)}:1", "no line reads this table") for path in files
            )
            continue
        for path in files:
            yield from _rows(name, path, layers.name(path), use)
        yield from _standard(name, use, files, layers)
    for name in sorted(uses.keys() - maps.tables.keys()):
        where = layers.name(layers.folders[-1] / "codes" / f"{name}.csv")
        yield Finding(
            "error",
            "missing-code",
            f"{where}:1",
            f"there is no such code table, which is read for {', '.join(sorted(uses[name].fields))}",
        )


def uses_of(maps: Maps) -> dict[str, Use]:
    uses: dict[str, Use] = {}
    distinct = {id(rule): (rule, of) for rules in maps.all() for rule, of in with_resources(rules)}
    for part, made in ((part, of) for rule, of in distinct.values() for part in parts(rule)):
        if part.kind == "expression" and part.spec.map:
            use = uses.setdefault(part.spec.map, Use())
            use.mapped = True
            resource = part.within or made
            element = element_of(resource, part.path)
            if element is not None and element.codes is not None:
                use.bound[".".join((resource, *part.path))] = element.codes
            for text in (*part.spec.paths, *([part.spec.each] if part.spec.each else ())):
                _read(use, text)
            if part.spec.table:
                use.standard.add(part.spec.table)
        for condition in inner_conditions(part.raw) if part.kind == "condition" else ():
            for text, name in condition.get("unmapped", {}).items():
                _read(uses.setdefault(name, Use()), text)
            coded: dict[str, Any] = condition.get("coded", {})
            for text, wanted in coded.items():
                if text != "by":
                    use = uses.setdefault(coded["by"], Use())
                    use.asked |= set(several(wanted))
                    _read(use, text)
    return uses


def _read(use: Use, text: str) -> None:
    use.fields.add(text)
    if (path := parse_path(text)) and (number := standard.field(path.segment, path.field).table):
        use.standard.add(number)


def _rows(name: str, path: Path, called: str, use: Use | None) -> Iterator[Finding]:
    _, elements = BUILT_IN.get(name, ("", ()))
    bound = {element: REQUIRED[element] for element in elements} | (use.bound if use is not None else {})
    allowed = frozenset[str]().union(*bound.values())
    for row in rows(path):
        code = row.code.code
        if code == NONE:
            continue
        if allowed and code not in allowed:
            says = f"'{code}' is none of the codes of {' or '.join(bound)}: {', '.join(sorted(allowed))}"
            yield Finding("error", "wrong-code", f"{called}:{row.line}", says)
        if use is not None and use.asked and not use.mapped and code not in use.asked:
            says = f"no rule takes '{code}': write one of {', '.join(sorted(use.asked))}"
            yield Finding("error", "wrong-code", f"{called}:{row.line}", says)


def _standard(name: str, use: Use | None, files: list[Path], layers: Layers) -> Iterator[Finding]:
    numbers = set(filter(None, [BUILT_IN.get(name, ("",))[0]])) | (use.standard if use is not None else set())
    lines = {row.v2 for path in files for row in rows(path)}  # a row with `-` says: on purpose not
    for number in sorted(numbers):
        if missing := [value for value in standard.table(number) if value.upper() not in lines]:
            says = f"no line for {', '.join(missing)} of HL7 table {number}{_of(use)}"
            yield Finding("warning", "missing-code", f"{layers.name(files[-1])}:1", says)


def _of(use: Use | None) -> str:
    return f" ({', '.join(sorted(use.fields))})" if use is not None and use.fields else ""
