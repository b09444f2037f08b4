"""What a compiled rule sees while one message is mapped: the message, the feed's profile, and what was made so far.

One Context per message, thrown away with it. Rules read through `slots` and `first`, and say what they noticed by
`warn`; the engine sets where they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from ..config import Facility, Interface
from ..hl7.reader import Message, Segment
from .codes import Table
from .paths import Path, Slot
from .trace import Trace


@dataclass(slots=True)
class Entry:
    """A resource in the making, with what the message takes away from it, only assumes, or adds to what is kept."""

    full_url: str
    system: str
    value: str
    resource: dict[str, Any]
    deletes: set[str] = field(default_factory=set)
    assumed: set[str] = field(default_factory=set)
    adds: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Notes:
    """What one building of a resource noticed; kept only when the building succeeds."""

    deletes: set[str] = field(default_factory=set)
    assumed: set[str] = field(default_factory=set)
    adds: set[str] = field(default_factory=set)


class Context:
    def __init__(
        self,
        message: Message,
        interface: Interface,
        facility: Facility,
        tables: Mapping[str, Table],
        trace: Trace | None = None,
    ) -> None:
        self.message = message
        self.interface = interface
        self.facility = facility
        self.zone = ZoneInfo(interface.zone or facility.zone)
        self.self_pay_words = frozenset(word.upper() for word in interface.self_pay_classes)
        self.tables = tables
        self.trace = trace
        self.warnings: dict[str, None] = {}
        self.notes = Notes()
        self.target = ""  # what the current rule makes, for the trace
        self.now = ""  # when it is mapped, for message_view alone: what is stored must not hang on a clock
        self.said: list[str] = []  # what the message was mapped to, by fullUrl; for message_view
        self.patient = ""
        self._made: dict[str, dict[int, Entry]] = {}
        self._standing: dict[str, Segment] = {}
        self._repetition: dict[tuple[str, int], int] = {}

    # where we stand

    @contextmanager
    def at(self, segment: Segment) -> Iterator[None]:
        """Paths that name this kind of segment mean this one."""
        before = self._standing.get(segment.name)
        self._standing[segment.name] = segment
        try:
            yield
        finally:
            if before is None:
                del self._standing[segment.name]
            else:
                self._standing[segment.name] = before

    @contextmanager
    def repeating(self, slot: Slot) -> Iterator[None]:
        """Paths that name this field without a repetition mean this one."""
        key = (slot.segment.name, slot.field)
        before = self._repetition.get(key, 0)
        self._repetition[key] = slot.repetition
        try:
            yield
        finally:
            self._repetition[key] = before

    @property
    def standing(self) -> Segment | None:
        """The segment that the current rule stands on, the innermost."""
        return next(reversed(self._standing.values()), None)

    def segment(self, name: str) -> Segment | None:
        """The segment that a path means: the one a rule stands on, else the message's first."""
        return self._standing.get(name) or self.message.first(name)

    def slot(self, path: Path) -> Slot | None:
        """The place that `path` leads to, if its segment was sent."""
        segment = self.segment(path.segment)
        if segment is None:
            return None
        repetition = path.repetition or self._repetition.get((path.segment, path.field), 0) or 1
        return Slot(segment, path.field, repetition, path.component, path.subcomponent)

    def repetitions(self, path: Path) -> list[Slot]:
        """Every repetition of the field that `path` leads to."""
        segment = self.segment(path.segment)
        if segment is None:
            return []
        if path.repetition:
            return [Slot(segment, path.field, path.repetition, path.component, path.subcomponent)]
        return [
            Slot(segment, path.field, number + 1, path.component, path.subcomponent)
            for number in range(segment.repetitions(path.field))
        ]

    def valued(self, paths: Sequence[Path]) -> Slot | None:
        """The first of these places that says something."""
        for path in paths:
            segment = self._standing.get(path.segment) or self.message.first(path.segment)
            if segment is None or not segment.raw(path.field):
                continue
            slot = self.slot(path)
            if slot is not None and slot.valued:
                return slot
        return None

    def text(self, path: Path) -> str:
        slot = self.slot(path)
        return slot.text if slot is not None else ""

    # what was noticed and made

    def warn(self, text: str) -> None:
        self.warnings.setdefault(text)

    def table(self, name: str) -> Table:
        return self.tables.get(name, {})

    def made(self, rule: str, segment: Segment | None, entry: Entry) -> None:
        self._made.setdefault(rule, {})[segment.index if segment else 0] = entry

    def entry(self, rule: str, each: str | None) -> Entry | None:
        """What a rule made: from the segment we stand on if it is of the rule's kind, else its first."""
        made = self._made.get(rule)
        if not made:
            return None
        standing = self._standing.get(each) if each else None
        if standing is not None:
            return made.get(standing.index)
        return next(iter(made.values()))
