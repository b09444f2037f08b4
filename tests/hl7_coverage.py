"""HL7's segment maps, row by row, against ours: what `conformance/hl7-v2-to-fhir.csv` says, and whether it is so.

A row of that file is a row of one of HL7's segment maps (`map` and `row`: the file, and the line below its two header
lines). Mapped rows name our FHIR `path`, the `line` of the map that fills it (rule, then the place in it) and the
`message` of tests/golden/hl7 that shows it; the others give a `reason`. Used by the coverage test and by the page that
it keeps, docs/COVERAGE.md.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fhirpay.config import Facility
from fhirpay.data import data_root
from fhirpay.errors import ConfigInvalid, FhirpayError
from fhirpay.hl7.reader import Message
from fhirpay.mapping.compile import Rule, RuleSource, compile_rule
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.loader import Maps, load
from fhirpay.mapping.message_view import message_bundle
from golden_messages import GOLDEN, profile_of

TABLE = data_root("conformance") / "hl7-v2-to-fhir.csv"
FACILITY = Facility(name="main")
NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
Place = tuple[str | int, ...]
Leaves = Counter[tuple[str, str]]  # path without indexes, value


@dataclass(frozen=True, slots=True)
class Row:
    map: str  # PV1[Encounter]
    row: int  # below the header lines
    field: str  # PV1-7; PV1 for what HL7 says of the segment as a whole
    hl7: str  # HL7's FHIR path; empty: HL7 names none
    path: str = ""  # ours
    line: str = ""  # rule: place in it
    message: str = ""  # folder/name below tests/golden/hl7
    reason: str = ""

    @property
    def mapped(self) -> bool:
        return bool(self.line)

    @property
    def id(self) -> str:
        return f"{self.map} {self.row} {self.field}"


@cache
def rows() -> tuple[Row, ...]:
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return tuple(Row(**{**one, "row": int(one["row"])}) for one in csv.DictReader(lines))


class Shown:
    """One golden message and what comes of it, with the map as it is or with a line taken out."""

    def __init__(self, name: str) -> None:
        self.file = GOLDEN / f"{name}.hl7"
        self._text = self.file.read_bytes()
        self._interface = profile_of(self.file)
        self._maps = load(self._interface.mapping)
        message = Message.parse(self._text)
        self._label = message.label
        self.rules = (*self._maps.of(message.type, message.event), *self._maps.about)
        self.bundle = self._bundle(self._text, self._maps)
        self.leaves = leaves(self.bundle)

    def _bundle(self, text: bytes, maps: Maps) -> dict[str, Any]:
        message = Message.parse(text)
        mapped = map_message(message, self._interface, FACILITY, maps=maps)
        return message_bundle(message, mapped, self._interface, FACILITY, maps=maps, now=NOW)

    def without_line(self, line: str) -> Leaves:
        """What is left when this line of the map is removed."""
        name, _, text = line.partition(": ")
        (rule,) = (one for one in self.rules if one.name == name)
        changed = without(rule, place_of(text), self._before(rule))
        rules = {
            label: _changed(found, rule, changed) for label, found in self._maps.rules.items() if label == self._label
        }
        maps = replace(self._maps, rules=rules, about=_changed(self._maps.about, rule, changed))
        return self._leaves(self._text, maps)

    def without_field(self, field: str) -> Leaves:
        """What is left when the sender leaves this field empty."""
        name, _, number = field.partition("-")
        lines = self._text.decode().split("\n")
        for at, text in enumerate(lines):
            parts = text.split("|")
            index = int(number) - (1 if name == "MSH" else 0)
            if parts[0] == name and index < len(parts):
                parts[index] = ""
                lines[at] = "|".join(parts)
        return self._leaves("\n".join(lines).encode(), self._maps)

    def says(self, field: str) -> bool:
        """Whether the message has a value in this field; of a segment as a whole nothing can be left empty."""
        return "-" in field and bool(Message.parse(self._text).get(field))

    def _leaves(self, text: bytes, maps: Maps) -> Leaves:
        try:
            return leaves(self._bundle(text, maps))
        except ConfigInvalid:
            raise
        except FhirpayError:  # the message can't be mapped at all then
            return Leaves()

    def _before(self, rule: Rule) -> dict[str, str | None]:
        made: dict[str, str | None] = {}
        for one in self.rules:
            if one is rule:
                break
            if one.resource is not None:
                made[one.name] = one.each
        return made


def _changed(rules: Sequence[Rule], old: Rule, new: Rule | None) -> tuple[Rule, ...]:
    return tuple(kept for one in rules if (kept := new if one is old else one) is not None)


def without(rule: Rule, place: Place, made: dict[str, str | None]) -> Rule | None:
    """The rule without this part, or without what can't be without it; None when that is the rule itself."""
    written = rule.written
    while place:
        elements = dict(written.elements)
        first, *rest = place
        if rest:
            raw, source, at = elements[str(first)]
            elements[str(first)] = (_without(deepcopy(raw), rest), source, at)
        else:
            elements.pop(str(first))
        try:
            return compile_rule(RuleSource(written.spec, written.source, written.place, elements), made)
        except ConfigInvalid:
            place = place[:-1]
    return None


def _without(raw: Any, place: Sequence[str | int]) -> Any:
    inner = raw
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return raw


def place_of(text: str) -> Place:
    """`participant[0].type` as keys."""
    return tuple(int(found[1]) if found[1] else found[2] for found in re.finditer(r"\[(\d+)\]|([^.\[\]]+)", text))


def leaves(bundle: dict[str, Any]) -> Leaves:
    """Each value of a Bundle with its path: `Patient.contact.name.family`; an extension by the end of its url, what is
    contained by its own type."""
    found = Leaves()
    for path, value in _walk("Bundle", {name: one for name, one in bundle.items() if name != "entry"}):
        found[path, value] += 1
    for entry in bundle.get("entry", ()):
        resource = entry["resource"]
        for path, value in _walk(resource["resourceType"], resource):
            found[path, value] += 1
    return found


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "resourceType" in value:
            path = str(value["resourceType"])
        if "url" in value and path.endswith("extension"):
            path = f"{path}({str(value['url']).rsplit('/', 1)[-1]})"
        for name, inner in value.items():
            if name != "resourceType":
                yield from _walk(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(path, inner)
    else:
        yield path, str(value)


def at(path: str, found: Leaves) -> Leaves:
    """The values at `path` and below it."""
    return Leaves({key: n for key, n in found.items() if key[0] == path or key[0].startswith((f"{path}.", f"{path}("))})


def top(path: str) -> str:
    """The element of a resource that this path is in."""
    found = re.match(r"[A-Z]\w+\.\w+(\([^)]*\))?", path)
    return found[0] if found else path
