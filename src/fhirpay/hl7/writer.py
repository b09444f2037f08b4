"""Values → HL7 v2 text. Used for acknowledgements, for what we send, and to write a message again after a change.

A segment is a tuple: its name, then its fields. A field is a string, a tuple (components; a component that is a
tuple has subcomponents), or a list of those (repetitions). Strings are escaped here, so callers never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .delimiters import DEFAULT, HEADER_SEGMENTS, Delimiters, escape
from .reader import Message

Component = str | tuple[str, ...]
Repetition = str | tuple[Component, ...]
Field = str | tuple[Component, ...] | list[Repetition]
SegmentValues = tuple[Field, ...]


class Raw(str):
    """A field already written in the message's own delimiters, such as one echoed from the sender."""

    __slots__ = ()


def compose(segments: Iterable[Sequence[Field]], delimiters: Delimiters = DEFAULT) -> str:
    """The message's text, CR after each segment. MSH (and FHS, BHS) values begin with field 3: 1 and 2 are ours."""
    return "".join(_segment(values, delimiters) + "\r" for values in segments)


def _segment(values: Sequence[Field], marks: Delimiters) -> str:
    name = str(values[0])
    fields = [_field(value, marks) for value in values[1:]]
    while fields and not fields[-1]:
        fields.pop()
    head = [name, marks.encoding_characters] if name in HEADER_SEGMENTS else [name]
    return marks.field.join(head + fields)


def _field(value: Field, marks: Delimiters) -> str:
    if isinstance(value, Raw):
        return value
    repetitions = value if isinstance(value, list) else [value]
    return (marks.repetition or " ").join(_repetition(repetition, marks) for repetition in repetitions)


def _repetition(value: Repetition, marks: Delimiters) -> str:
    if isinstance(value, str):
        return escape(value, marks)
    return _joined([_component(component, marks) for component in value], marks.component)


def _component(value: Component, marks: Delimiters) -> str:
    if isinstance(value, str):
        return escape(value, marks)
    return _joined([escape(part, marks) for part in value], marks.subcomponent)


def _joined(parts: list[str], separator: str) -> str:
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return (separator or " ").join(parts)


def values_of(message: Message) -> list[SegmentValues]:
    """The message as `compose` takes it, decoded; what a simple string can say is a simple string."""
    return [_values(message, line) for line in message.lines]


def _values(message: Message, line: str) -> SegmentValues:
    name, *fields = line.split(message.delimiters.field)
    if name in HEADER_SEGMENTS:
        fields = fields[1:]
    return (name, *(_read_field(message, field) for field in fields))


def _read_field(message: Message, raw: str) -> Field:
    parts = [_read_repetition(message, part) for part in _split(raw, message.delimiters.repetition)]
    return parts[0] if len(parts) == 1 else parts


def _read_repetition(message: Message, raw: str) -> Repetition:
    parts = tuple(_read_component(message, part) for part in _split(raw, message.delimiters.component))
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _read_component(message: Message, raw: str) -> Component:
    parts = tuple(message.decoded(part) for part in _split(raw, message.delimiters.subcomponent))
    return parts[0] if len(parts) == 1 else parts


def _split(raw: str, separator: str) -> list[str]:
    return raw.split(separator) if separator else [raw]
