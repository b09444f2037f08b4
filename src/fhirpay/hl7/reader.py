"""HL7 v2 text → values by position, split no further than asked. The gate and the mapping read through this.

`Message.parse` finds the segments; fields, repetitions and components are split when they are wanted and escapes
decoded where there are any. Positions are the standard's, 1-based, and hold in every version, so nothing here knows
a segment's meaning: keep it so. Only FhirpayError leaves this module, whatever the bytes.
"""

from __future__ import annotations

import re
import sys

from ..errors import ConfigInvalid, MessageInvalid
from .charsets import decode
from .delimiters import read_delimiters, unescape

# Written without [1]: a message (of the kinds we take) holds one of each.
_SINGLE = frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2", "MRG", "ACC", "DRG", "MSA", "BHS", "BTS", "FHS", "FTS"})
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_PATH = re.compile(
    r"(?P<name>[A-Z][A-Z0-9]{2})(?:\[(?P<index>[1-9]\d{0,5})\])?-(?P<field>[1-9]\d{0,2})"
    r"(?:\[(?P<repetition>[1-9]\d{0,5})\])?(?:\.(?P<component>[1-9]\d{0,2})(?:\.(?P<subcomponent>[1-9]\d{0,2}))?)?"
)
_NEVER = "\r"  # no segment holds one: stands for a delimiter that the message doesn't use

# (segment key, field, repetition, component, subcomponent), zero-based from repetition on
_Path = tuple[str, int, int, int, int]
Paths = tuple[_Path, ...]
_VERBATIM = -1  # as repetition: MSH-1 and MSH-2 are taken as they are


_paths: dict[str, _Path] = {}


def compile_path(path: str) -> _Path:
    """`FT1[2]-11.1.2` in numbers, remembered. Raises ConfigInvalid: paths come from code, mappings and profiles."""
    compiled = _paths.get(path)
    if compiled is None:
        found = _PATH.fullmatch(path)
        if not found:
            raise ConfigInvalid(f"'{path}' is no HL7 field address; write one such as PID-3.1 or FT1[2]-11.1.2")
        name, field = found["name"], int(found["field"])
        compiled = (
            sys.intern(name if found["index"] in (None, "1") else f"{name}[{found['index']}]"),
            field,
            _VERBATIM if name == "MSH" and field < 3 else int(found["repetition"] or 1) - 1,
            int(found["component"] or 1) - 1,
            int(found["subcomponent"] or 1) - 1,
        )
        if len(_paths) > 5000:  # addresses may be built with a message's own numbers: keep the memory bounded
            _paths.clear()
        _paths[path] = compiled
    return compiled


def compile_paths(*paths: str) -> Paths:
    """For `Message.take`: made once, where the paths are written."""
    return tuple(compile_path(path) for path in paths)


class Segment:
    """One segment: `name`, and `index` counted from 1 among those of the same name."""

    __slots__ = ("_fields", "_message", "_verbatim", "index", "name")

    def __init__(self, message: Message, name: str, index: int) -> None:
        self._message = message
        self._fields = message.fields_of(name if index == 1 else f"{name}[{index}]")
        self._verbatim = 2 if name == "MSH" else 0  # MSH-1 and MSH-2 are the delimiters themselves
        self.name = name
        self.index = index

    def __repr__(self) -> str:
        return f"<Segment {self.name}[{self.index}]>"  # never its content: it is health information

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
        return self._message.value(fields[field], repetition - 1, component - 1, subcomponent - 1)

    def field(self, field: int, repetition: int = 1) -> list[str]:
        """The components of one repetition, each decoded as a whole; an empty list when absent."""
        raw = self.repetition(field, repetition)
        if not raw or field <= self._verbatim:
            return [raw] if raw else []
        return [self._message.decoded(part) for part in raw.split(self._message.delimiters.component or _NEVER)]

    def parts(self, field: int, repetition: int = 1, component: int = 0) -> list[str]:
        """What `get` gives for each component of one repetition, or for each subcomponent of one component."""
        fields, message = self._fields, self._message
        raw = fields[field] if field < len(fields) else ""
        if not raw or field <= self._verbatim:
            return [raw] if raw else []
        tilde, ampersand = message.delimiters.repetition or _NEVER, message.delimiters.subcomponent or _NEVER
        if repetition > 1 or tilde in raw:
            repetitions = raw.split(tilde)
            raw = repetitions[repetition - 1] if repetition <= len(repetitions) else ""
        parts = raw.split(message.delimiters.component or _NEVER)
        if component:
            raw = parts[component - 1] if component <= len(parts) else ""
            parts = raw.split(ampersand)
        elif ampersand in raw:
            parts = [part.split(ampersand, 1)[0] for part in parts]
        return list(map(message.decoded, parts)) if (message.delimiters.escape or _NEVER) in raw else parts

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
        "_event",
        "_repetition",
        "_rows",
        "_subcomponent",
        "_type",
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
        # Segments by `FT1` and `FT1[2]`: as received, or as fields once they were wanted; none where it is absent.
        self._rows = _rows_of(lines, separator)
        self._all: list[Segment] | None = None
        self._type: str | None = None
        self._event: str | None = None

    @classmethod
    def parse(cls, data: bytes | str, *, charset_fallback: str = "windows-1252", charset: str = "") -> Message:
        """Read one message; CR, LF or CRLF ends a segment. Raises MessageInvalid with the place that is wrong."""
        if isinstance(data, str):
            return cls(data.removeprefix("\ufeff"))
        return cls(*decode(data, charset_fallback, charset))

    def __repr__(self) -> str:
        return f"<Message {self.type}^{self.event} of {len(self.lines)} segments>"

    def get(self, path: str, default: str = "") -> str:
        """The decoded value at `FT1[2]-11.1.2`, or `default` when nothing was sent there. `""` stays `""`.

        A path without component or subcomponent means the first one. Raises ConfigInvalid for what is no path.
        """
        key, field, repetition, component, subcomponent = _paths.get(path) or compile_path(path)
        fields = self.fields_of(key)
        if field >= len(fields):
            return default
        return self.value(fields[field], repetition, component, subcomponent) or default

    def take(self, paths: Paths) -> list[str]:
        """`get` for each of many paths, in half the time: `value` written out, without calls."""
        rows, separator, letters = self._rows, self.delimiters.field, self.delimiters.letters
        tilde, caret, ampersand, backslash = self._repetition, self._component, self._subcomponent, self._escape
        values: list[str] = []
        last, fields = "", []
        for key, field, repetition, component, subcomponent in paths:
            if key is not last:  # keys are interned; neighbours are often of one segment
                last, fields = key, rows.get(key)
                if isinstance(fields, str):
                    fields = rows[key] = fields.split(separator)
            if not fields:
                values.append("")
                continue
            raw = fields[field] if field < len(fields) else ""
            if repetition:
                if repetition == _VERBATIM:
                    values.append(raw)
                    continue
                parts = raw.split(tilde)
                raw = parts[repetition] if repetition < len(parts) else ""
            elif tilde in raw:
                raw = raw.split(tilde, 1)[0]
            if component:
                parts = raw.split(caret)
                raw = parts[component] if component < len(parts) else ""
            elif caret in raw:
                raw = raw.split(caret, 1)[0]
            if subcomponent:
                parts = raw.split(ampersand)
                raw = parts[subcomponent] if subcomponent < len(parts) else ""
            elif ampersand in raw:
                raw = raw.split(ampersand, 1)[0]
            if backslash in raw:
                parts = raw.split(backslash)
                if len(parts) == 3 and parts[1] in letters:
                    raw = parts[0] + letters[parts[1]] + parts[2]
                else:
                    raw = unescape(raw, self.delimiters, self.encoding)
            values.append(raw)
        return values

    def value(self, raw: str, repetition: int, component: int, subcomponent: int) -> str:
        """The decoded part of a raw field by zero-based positions; flat, since nearly every value comes by here."""
        if repetition:
            if repetition == _VERBATIM:
                return raw
            parts = raw.split(self._repetition)
            raw = parts[repetition] if repetition < len(parts) else ""
        elif self._repetition in raw:
            raw = raw.split(self._repetition, 1)[0]
        if component:
            parts = raw.split(self._component)
            raw = parts[component] if component < len(parts) else ""
        elif self._component in raw:
            raw = raw.split(self._component, 1)[0]
        if subcomponent:
            parts = raw.split(self._subcomponent)
            raw = parts[subcomponent] if subcomponent < len(parts) else ""
        elif self._subcomponent in raw:
            raw = raw.split(self._subcomponent, 1)[0]
        return unescape(raw, self.delimiters, self.encoding) if self._escape in raw else raw

    def decoded(self, raw: str) -> str:
        """`raw` with its escape sequences resolved."""
        return unescape(raw, self.delimiters, self.encoding) if self._escape in raw else raw

    def fields_of(self, key: str) -> list[str]:
        """Fields of the segment `FT1` or `FT1[2]`, numbered as the standard does ([0] is the name); [] when absent."""
        fields = self._rows.get(key)
        if fields is None:
            fields = self._rows[key] = []
        elif isinstance(fields, str):
            fields = self._rows[key] = fields.split(self.delimiters.field)
        return fields

    def all_segments(self) -> list[Segment]:
        """Every segment in the order received, as `lines`."""
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
        rows = self._rows
        if not rows.get(name):
            return []
        found = [Segment(self, name, 1)]
        while rows.get(f"{name}[{len(found) + 1}]"):
            found.append(Segment(self, name, len(found) + 1))
        return found

    def has(self, name: str, index: int) -> bool:
        """Whether there are so many segments of this name."""
        return bool(self._rows.get(name if index == 1 else f"{name}[{index}]"))

    def first(self, name: str) -> Segment | None:
        return Segment(self, name, 1) if self._rows.get(name) else None

    # Asked again and again, by everyone who has to do with the message.

    @property
    def type(self) -> str:
        """MSH-9.1: `DFT`."""
        if self._type is None:
            self._type = self.get("MSH-9.1")
        return self._type

    @property
    def event(self) -> str:
        """MSH-9.2: `P03`; older senders name it in EVN-1 alone."""
        if self._event is None:
            self._event = self.get("MSH-9.2") or self.get("EVN-1")
        return self._event

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


# What a proper segment begins with, by separator: {"|": {"FT1|": "FT1"}}. Looked at once a process.
_known: dict[str, dict[str, str]] = {}


def _rows_of(lines: list[str], separator: str) -> dict[str, str | list[str]]:
    """Each line by its key. Raises MessageInvalid at the segment before the one that has no proper name."""
    known = _known.setdefault(separator, {})
    rows: dict[str, str | list[str]] = {}
    counts: dict[str, int] = {}
    for line in lines:
        try:
            name = known[line[:4]]
        except KeyError:
            name = _name_of(lines, line, separator, known)
        if name in rows:
            counts[name] = count = counts.get(name, 1) + 1
            rows[f"{name}[{count}]"] = line
        else:
            rows[name] = line
    if "MSH" in counts:
        raise MessageInvalid("a second MSH: this is a batch, or two messages in one frame", location="MSH[2]")
    header = lines[0].split(separator)
    header.insert(1, separator)
    rows["MSH"] = header
    return rows


def _name_of(lines: list[str], line: str, separator: str, known: dict[str, str]) -> str:
    name = line[:3]
    if line[3:4] not in (separator, "") or not _NAME.fullmatch(name):
        place = _place_before(lines, line)
        raise MessageInvalid(f"what follows {place} is not a segment: was the message cut off?", location=place)
    if len(known) < 2000:
        known[line[:4]] = name
    return name


def _place_before(lines: list[str], line: str) -> str:
    position = lines.index(line)
    name = lines[position - 1][:3]
    index = sum(earlier[:3] == name for earlier in lines[:position])
    return name if name in _SINGLE and index == 1 else f"{name}[{index}]"
