"""HL7 v2 text → values by position, split no further than asked. The gate and the mapping read through this.

`Message.parse` finds the segments; fields, repetitions and components are split when `get` wants them and escapes
decoded when there are any. Positions are the standard's, 1-based, and hold in every version, so nothing here knows
a segment's meaning: keep it so. Only FhirpayError leaves this module, whatever the bytes.
"""

from __future__ import annotations

import re

from ..errors import ConfigInvalid, MessageInvalid
from .charsets import decode
from .delimiters import HEADER_SEGMENTS, read_delimiters, unescape

# Written without [1]: a message (of the kinds we take) holds one of each.
_SINGLE = frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2", "MRG", "ACC", "DRG", "MSA", "BHS", "BTS", "FHS", "FTS"})
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_PATH = re.compile(
    r"(?P<name>[A-Z][A-Z0-9]{2})(?:\[(?P<index>[1-9]\d{0,5})\])?-(?P<field>[1-9]\d{0,2})"
    r"(?:\[(?P<repetition>[1-9]\d{0,5})\])?(?:\.(?P<component>[1-9]\d{0,2})(?:\.(?P<subcomponent>[1-9]\d{0,2}))?)?"
)
_NEVER = "\r"  # no segment holds one: stands for a delimiter that the message doesn't use

# (segment key, verbatim, field, repetition, component, subcomponent), zero-based from repetition on
_Path = tuple[str, bool, int, int, int, int]
_paths: dict[str, _Path] = {}


def compile_path(path: str) -> _Path:
    """`FT1[2]-11.1.2` in numbers, remembered. Raises ConfigInvalid: paths come from code, mappings and profiles."""
    found = _PATH.fullmatch(path)
    if not found:
        raise ConfigInvalid(f"'{path}' is no HL7 field address; write one such as PID-3.1 or FT1[2]-11.1.2")
    name, field = found["name"], int(found["field"])
    compiled = (
        name if found["index"] in (None, "1") else f"{name}[{found['index']}]",
        name in HEADER_SEGMENTS and field < 3,
        field,
        int(found["repetition"] or 1) - 1,
        int(found["component"] or 1) - 1,
        int(found["subcomponent"] or 1) - 1,
    )
    if len(_paths) > 5000:  # paths may be built with a message's own numbers: keep the memory bounded
        _paths.clear()
    _paths[path] = compiled
    return compiled


class Segment:
    """One segment: `name`, and `index` counted from 1 among those of the same name."""

    __slots__ = ("_message", "index", "name")

    def __init__(self, message: Message, name: str, index: int) -> None:
        self._message = message
        self.name = name
        self.index = index

    def __repr__(self) -> str:
        return f"<Segment {self.name}[{self.index}]>"  # never its content: it is health information

    @property
    def _fields(self) -> list[str]:
        key = self.name if self.index == 1 else f"{self.name}[{self.index}]"
        return self._message.fields_of(key)

    @property
    def _verbatim(self) -> int:
        return 2 if self.name in HEADER_SEGMENTS else 0

    @property
    def count(self) -> int:
        """How many fields were sent."""
        return len(self._fields) - 1

    def raw(self, field: int) -> str:
        """The field as received, all its repetitions, escapes not decoded; '' when absent."""
        fields = self._fields
        return fields[field] if field < len(fields) else ""

    def repetitions(self, field: int) -> int:
        """How many repetitions the field has: 0 when empty."""
        raw = self.raw(field)
        if not raw or field <= self._verbatim:
            return 1 if raw else 0
        return raw.count(self._message.delimiters.repetition or _NEVER) + 1

    def repetition(self, field: int, repetition: int = 1) -> str:
        """One repetition as received."""
        raw = self.raw(field)
        if field <= self._verbatim:
            return raw
        parts = raw.split(self._message.delimiters.repetition or _NEVER)
        return parts[repetition - 1] if repetition <= len(parts) else ""

    def get(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str:
        """The decoded value at this position, '' when absent. `""` (delete it) stays `""`."""
        fields = self._fields
        if field >= len(fields):
            return ""
        if field <= self._verbatim:
            return fields[field]
        return self._message.value(fields[field], repetition - 1, component - 1, subcomponent - 1, "")

    def field(self, field: int, repetition: int = 1) -> list[str]:
        """The components of one repetition, each decoded as a whole; an empty list when absent."""
        raw = self.repetition(field, repetition)
        if not raw or field <= self._verbatim:
            return [raw] if raw else []
        return [self._message.decoded(part) for part in raw.split(self._message.delimiters.component or _NEVER)]

    def subcomponents(self, field: int, component: int = 1, repetition: int = 1) -> list[str]:
        """The decoded subcomponents of one component; an empty list when absent."""
        raw = self.repetition(field, repetition)
        parts = raw.split(self._message.delimiters.component or _NEVER)
        if not raw or component > len(parts) or not parts[component - 1]:
            return []
        separator = self._message.delimiters.subcomponent or _NEVER
        return [self._message.decoded(part) for part in parts[component - 1].split(separator)]

    def address(self, field: int = 0, component: int = 0, subcomponent: int = 0, repetition: int = 1) -> str:
        """Where this is, as an analyst writes it: `FT1[2]-11.1`, `PID-3[2].4`, `OBX[1]`."""
        text = self.name if self.index == 1 and self.name in _SINGLE else f"{self.name}[{self.index}]"
        if field:
            text += f"-{field}"
            text += f"[{repetition}]" if repetition > 1 else ""
            text += f".{component}" if component else ""
            text += f".{subcomponent}" if component and subcomponent else ""
        return text


class Message:
    """A message that has an MSH and well-formed segment names; nothing more is promised before it is asked for."""

    __slots__ = (
        "_all",
        "_component",
        "_escape",
        "_fields",
        "_lines",
        "_repetition",
        "_subcomponent",
        "delimiters",
        "encoding",
        "lines",
        "text",
    )

    def __init__(self, text: str, encoding: str = "utf-8") -> None:
        self.text = text
        self.encoding = encoding
        lines = _lines(text)
        first = lines[0]
        if first[:3] != "MSH":
            raise MessageInvalid("the first segment must be MSH", location="MSH")
        separator = first[3:4]
        self.delimiters = marks = read_delimiters(separator, first[4:].split(separator, 1)[0] if separator else "")
        self._component = marks.component or _NEVER
        self._repetition = marks.repetition or _NEVER
        self._escape = marks.escape or _NEVER
        self._subcomponent = marks.subcomponent or _NEVER
        self.lines = lines
        self._lines = _index(lines, separator)
        self._fields: dict[str, list[str]] = {}
        self._all: list[Segment] | None = None

    @classmethod
    def parse(cls, data: bytes | str, *, charset_fallback: str = "windows-1252") -> Message:
        """Read one message; CR, LF or CRLF ends a segment. Raises MessageInvalid with the place that is wrong."""
        if isinstance(data, str):
            return cls(data.removeprefix("\ufeff"))
        return cls(*decode(data, charset_fallback))

    def __repr__(self) -> str:
        return f"<Message {self.type}^{self.event} of {len(self.lines)} segments>"

    def get(self, path: str, default: str = "") -> str:
        """The decoded value at `FT1[2]-11.1.2`, or `default` when nothing was sent there. `""` stays `""`.

        A path without component or subcomponent means the first one. Raises ConfigInvalid for what is no path.
        """
        # The hot path of the whole intake: flat on purpose.
        try:
            key, verbatim, field, repetition, component, subcomponent = _paths[path]
        except KeyError:
            key, verbatim, field, repetition, component, subcomponent = compile_path(path)
        try:
            fields = self._fields[key]
        except KeyError:
            fields = self.fields_of(key)
        if field >= len(fields):
            return default
        raw = fields[field]
        if verbatim:
            return raw
        if self._repetition in raw:
            parts = raw.split(self._repetition)
            raw = parts[repetition] if repetition < len(parts) else ""
        elif repetition:
            return default
        if self._component in raw:
            parts = raw.split(self._component)
            raw = parts[component] if component < len(parts) else ""
        elif component:
            return default
        if self._subcomponent in raw:
            parts = raw.split(self._subcomponent)
            raw = parts[subcomponent] if subcomponent < len(parts) else ""
        elif subcomponent:
            return default
        if self._escape in raw:
            raw = unescape(raw, self.delimiters, self.encoding)
        return raw or default

    def value(self, raw: str, repetition: int, component: int, subcomponent: int, default: str) -> str:
        """Part of a raw field by zero-based positions: `get`, where the field is at hand."""
        for separator, position in (
            (self._repetition, repetition),
            (self._component, component),
            (self._subcomponent, subcomponent),
        ):
            if separator in raw:
                parts = raw.split(separator)
                raw = parts[position] if position < len(parts) else ""
            elif position:
                return default
        return self.decoded(raw) or default

    def decoded(self, raw: str) -> str:
        """`raw` with its escape sequences resolved."""
        return unescape(raw, self.delimiters, self.encoding) if self._escape in raw else raw

    def fields_of(self, key: str) -> list[str]:
        """Fields of the segment `FT1` or `FT1[2]`, numbered as the standard does ([0] is the name); [] when absent."""
        fields = self._fields.get(key)
        if fields is None:
            lines = self._lines.get(key[:3], ())
            index = int(key[4:-1]) if len(key) > 3 else 1
            fields = lines[index - 1].split(self.delimiters.field) if index <= len(lines) else []
            if fields and key[:3] in HEADER_SEGMENTS:
                fields.insert(1, self.delimiters.field)
            self._fields[key] = fields
        return fields

    def all_segments(self) -> list[Segment]:
        """Every segment in the order received."""
        if self._all is None:
            counts: dict[str, int] = {}
            self._all = []
            for line in self.lines:
                name = line[:3]
                counts[name] = counts.get(name, 0) + 1
                self._all.append(Segment(self, name, counts[name]))
        return self._all

    def segments(self, name: str) -> list[Segment]:
        """The segments of this name, in order."""
        return [Segment(self, name, index + 1) for index in range(len(self._lines.get(name, ())))]

    def first(self, name: str) -> Segment | None:
        return Segment(self, name, 1) if name in self._lines else None

    def line_of(self, segment: Segment) -> str:
        """The segment as received."""
        return self._lines[segment.name][segment.index - 1]

    @property
    def type(self) -> str:
        """MSH-9.1: `DFT`."""
        return self.get("MSH-9.1")

    @property
    def event(self) -> str:
        """MSH-9.2: `P03`; older senders name it in EVN-1 alone."""
        return self.get("MSH-9.2") or self.get("EVN-1")

    @property
    def label(self) -> str:
        """`DFT^P03`."""
        return f"{self.type}^{self.event}" if self.event else self.type

    @property
    def control_id(self) -> str:
        return self.get("MSH-10")

    @property
    def processing_id(self) -> str:
        return self.get("MSH-11")

    @property
    def version(self) -> str:
        return self.get("MSH-12")


def _lines(text: str) -> list[str]:
    """The segments' text without blank lines. Raises MessageInvalid when there is none."""
    if "\n" in text:
        if "\r" in text:
            # CR ends a segment. A lone LF between them is a line break inside a text field, unless what follows
            # is a segment again (files put together from both kinds).
            text = text.replace("\r\n", "\r")
            text = re.sub(r"\n(?=[A-Z][A-Z0-9]{2}[^A-Za-z0-9\s]|[\r\n]|\Z)", "\r", text)
        else:
            text = text.replace("\n", "\r")
    lines = text.split("\r")
    while lines and not lines[-1].strip():
        lines.pop()
    if "" in lines:
        lines = [line for line in lines if line]
    if not lines:
        raise MessageInvalid("the message is empty", location="MSH")
    return lines


def _index(lines: list[str], separator: str) -> dict[str, list[str]]:
    """Lines by segment name. Raises MessageInvalid at the segment before the one that has no proper name."""
    by_head: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for position, line in enumerate(lines):
        head = line[:4]
        if head in by_head:
            by_head[head].append(line)
            continue
        name = head[:3]
        if head[3:] not in (separator, "") or not _NAME.fullmatch(name):
            before = lines[position - 1][:3]
            index = sum(earlier[:3] == before for earlier in lines[:position])
            place = before if before in _SINGLE and index == 1 else f"{before}[{index}]"
            raise MessageInvalid(f"what follows {place} is not a segment: was the message cut off?", location=place)
        by_head[head] = by_name.setdefault(name, [])
        by_name[name].append(line)
    if len(by_name["MSH"]) > 1:
        raise MessageInvalid("a second MSH: this is a batch, or two messages in one frame", location="MSH[2]")
    return by_name
