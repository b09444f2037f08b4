"""What a compiled rule sees while one message is mapped: the message, the feed's profile, and what was made so far.

One Context per message, thrown away with it. Rules read through `slots` and `first`, and say what they noticed by
`warn`; the engine sets where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from ..config import Facility, Interface
from ..hl7.reader import Message, Segment
from .codes import Table
from .paths import Path, Slot
from .trace import Trace
from .versions import version_of


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


class _Here:
    """`values[key]` is `value` inside a `with`, and what it was before after it."""

    __slots__ = ("_before", "_key", "_value", "_values")

    def __init__(self, values: dict[Any, Any], key: Any, value: Any) -> None:
        self._values, self._key, self._value = values, key, value

    def __enter__(self) -> None:
        self._before = self._values.get(self._key)
        self._values[self._key] = self._value

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            del self._values[self._key]
        else:
            self._values[self._key] = self._before


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
        self.version = version_of(message)
        self.interface = interface
        self.system = interface.system  # of identifiers that name none
        self.facility = facility
        self.zone = ZoneInfo(interface.zone or facility.zone)
        self.self_pay_words = frozenset(word.upper() for word in interface.self_pay_classes)
        self.tables = tables
        self.trace = trace
        self.warnings: dict[str, None] = {}
        self.warned = 0  # how often, repeats too
        self.converted: dict[tuple[Any, ...], Any] = {}  # by text; see values.remembered
        self.notes = Notes()
        self.target = ""  # what the current rule makes, for the trace
        self.now = ""  # when it is mapped, for message_view alone: what is stored must not hang on a clock
        self.said: list[str] = []  # what the message was mapped to, by fullUrl; for message_view
        self.patient = ""
        self._worked_out: dict[tuple[Any, ...], Any] = {}
        self._made: dict[str, dict[int, Entry]] = {}
        self._standing: dict[str, Segment] = {}
        self._repetition: dict[tuple[str, int], int] = {}
        self._segments: dict[str, list[Segment]] = {}
        self._first: dict[str, Segment | None] = {}
        self._slots: dict[tuple[Segment, int, int, int, int], Slot] = {}

    # where we stand

    def at(self, segment: Segment) -> _Here:
        """Paths that name this kind of segment mean this one, inside the `with`."""
        return _Here(self._standing, segment.name, segment)

    def repeating(self, slot: Slot) -> _Here:
        """Paths that name this field without a repetition mean this one, inside the `with`."""
        return _Here(self._repetition, (slot.segment.name, slot.field), slot.repetition)

    @property
    def standing(self) -> Segment | None:
        """The segment that the current rule stands on, the innermost."""
        return next(reversed(self._standing.values()), None)

    def segments(self, name: str) -> list[Segment]:
        """The message's segments of this name, in order. The list is kept: don't change it."""
        found = self._segments.get(name)
        if found is None:
            found = self._segments[name] = self.message.segments(name)
        return found

    def segment(self, name: str) -> Segment | None:
        """The segment that a path means: the one a rule stands on, else the message's first."""
        if (standing := self._standing.get(name)) is not None:
            return standing
        if name not in self._first:
            self._first[name] = next(iter(self.segments(name)), None)
        return self._first[name]

    def slot(self, path: Path) -> Slot | None:
        """The place that `path` leads to, if its segment was sent."""
        segment = self.segment(path.segment)
        return None if segment is None else self._slot(segment, path)

    def sent(self, path: Path) -> Slot | None:
        """The place that `path` leads to, where anything was sent in its field."""
        segment = self._standing.get(path.segment) or self.segment(path.segment)
        return self._slot(segment, path) if segment is not None and segment.raw(path.field) else None

    def _slot(self, segment: Segment, path: Path, repetition: int = 0) -> Slot:
        if not repetition:
            repetition = path.repetition or self._repetition.get((path.segment, path.field), 1)
        key = (segment, path.field, repetition, path.component, path.subcomponent)
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = Slot(*key)
        return found

    def repetitions(self, path: Path) -> list[Slot]:
        """Every repetition of the field that `path` leads to."""
        segment = self._standing.get(path.segment) or self.segment(path.segment)
        if segment is None:
            return []
        if path.repetition:
            return [self._slot(segment, path)]
        return [self._slot(segment, path, number + 1) for number in range(segment.repetitions(path.field))]

    def valued(self, paths: Sequence[Path]) -> Slot | None:
        """The first of these places that says something."""
        for path in paths:
            slot = self.sent(path)
            if slot is not None and slot.valued:
                return slot
        return None

    def text(self, path: Path) -> str:
        slot = self.sent(path)
        return slot.text if slot is not None else ""

    # what was noticed and made

    def warn(self, text: str) -> None:
        self.warnings.setdefault(text)
        self.warned += 1

    def once(self, make: Callable[..., Any], paths: Sequence[Path], *more: Any) -> Any:
        """What `make` gives for these fields of the segment that they mean, worked out once, however many ask."""
        key = (make, self.segment(paths[0].segment), *(path.text for path in paths))
        if key not in self._worked_out:
            self._worked_out[key] = make(self, *more)
        return self._worked_out[key]

    def withdraw(self, warned: Collection[str]) -> None:
        """A line came to nothing: what was noticed at it goes with it. `warned` is what had been said before."""
        self.warnings = {text: None for text in self.warnings if text in warned}
        self._worked_out.clear()

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
