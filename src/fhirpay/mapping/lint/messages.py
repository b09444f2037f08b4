"""What a set of messages shows: rules and lines that none of them reaches, values without a line in a code table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...config import Facility, Interface
from ...errors import FhirpayError
from ...hl7.batch import read_batch
from ...hl7.reader import Message
from ..codes import NONE, Code, Table, rows
from ..compile import Rule
from ..context import Context
from ..engine import map_message
from ..loader import Layers, Maps
from ..preview import files_in, read_file
from ..trace import Trace
from .finding import Finding
from .parts import parts
from .tables import SELECT, uses_of


@dataclass(frozen=True, slots=True)
class Given:
    """A message to try, and how people call it: its file and its place there."""

    name: str
    data: bytes


def messages_in(path: Path) -> Iterator[Given]:
    """Of a file, or of the files of a folder. Raises ConfigInvalid when there is nothing to read."""
    for file in files_in(path) if path.is_dir() else [path]:
        for number, piece in enumerate(read_batch(read_file(file)).messages, start=1):
            yield Given(f"{file.name} message {number}", piece)


class _Watched(dict[str, Code]):
    """A code table that notes what it was asked for and doesn't have."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.missed: dict[str, None] = {}

    def get(self, key: str, default: Code | None = None) -> Code | None:  # type: ignore[override]  # as codes.find calls it
        if key and key not in self:
            self.missed.setdefault(key)
        return super().get(key, default)


@dataclass(slots=True)
class Reached:
    """What the messages reached, by file and line."""

    rules: set[str] = field(default_factory=set[str])
    lines: set[str] = field(default_factory=set[str])
    missed: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])  # table, value → first seen
    unread: dict[str, str] = field(default_factory=dict[str, str])  # message → why it can't be mapped
    messages: int = 0


def run(maps: Maps, interface: Interface, facility: Facility, given: Iterable[Given], reached: Reached) -> None:
    """Map each of them, noting in `reached` what that took."""
    tables = {name: _Watched(table) for name, table in maps.tables.items()}
    rules = {label: tuple(_watched(rule, reached) for rule in of) for label, of in maps.rules.items()}
    watched = Maps(rules, tables, maps.accounts)
    for one in given:
        reached.messages += 1
        trace = Trace()
        try:
            message = Message.parse(one.data, charset_fallback=interface.charset_fallback, charset=interface.charset)
            map_message(message, interface, facility, maps=watched, trace=trace)
        except FhirpayError as error:
            reached.unread[one.name] = error.code
        reached.lines.update(step.file for step in trace.steps)
        for name, table in tables.items():
            for value in table.missed:
                reached.missed.setdefault((name, value), one.name)
            table.missed.clear()


def _watched(rule: Rule, reached: Reached) -> Rule:
    def when(ctx: Context) -> bool:
        holds = rule.when(ctx)
        if holds:
            reached.rules.add(rule.file)
        return holds

    return replace(rule, when=when)


def check(maps: Maps, layers: Layers, reached: Reached) -> Iterator[Finding]:
    yield from _unreached(maps, reached)
    passed_over = {
        (path.stem, row.v2)
        for folder in layers.folders
        for path in (folder / "codes").glob("*.csv")
        for row in rows(path)
        if row.code.code == NONE
    }
    uses = uses_of(maps)
    for (table, value), where in reached.missed.items():
        if table not in SELECT and (table, value) not in passed_over:
            fields = sorted(uses[table].fields) if table in uses else []
            yield _missing(table, value, where, fields, layers)


def _unreached(maps: Maps, reached: Reached) -> Iterator[Finding]:
    rules = {rule.file: rule for of in maps.rules.values() for rule in of}
    for at, rule in rules.items():
        if at not in reached.rules:
            yield Finding("warning", "unreached", at, f"no message given reaches the rule {rule.name}")
            continue
        for part in parts(rule):
            if part.kind == "expression" and part.at not in reached.lines and "is" not in part.raw:
                name = ".".join((rule.name, *part.path))
                yield Finding("note", "unreached", part.at, f"no message given says {name}")


_CODE = re.compile(r"(?!.*\d{5})[\w.+*-]{1,12}")  # what else stands where a code belongs may be anybody's number

DECIDES = frozenset({"transaction-type", "patient-class"})
"""Tables whose value says what a line is, or whether a visit is one: without a row it waits for a person."""


def _missing(table: str, value: str, where: str, fields: list[str], layers: Layers) -> Finding:
    severity = "error" if table in DECIDES else "note" if table == "coding-systems" else "warning"
    at = layers.name(layers.folders[-1] / "codes" / f"{table}.csv")
    of = f" of {', '.join(fields)}" if fields else ""
    shown = f"'{value}'" if _CODE.fullmatch(value) else f"a value of {len(value)} characters"
    return Finding(severity, "missing-code", f"{at}:1", f"no line for {shown}{of}, which {where} says")
