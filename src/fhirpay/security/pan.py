"""The screen for card numbers in what comes in. A hit is stored with all but its last four digits gone.

Many NPIs, MRNs and claim numbers pass the check digit, so three things are asked together: an issuer's range, that
issuer's length, and Luhn; and fields that hold identifiers are exempt by position. A held charge would be lost
revenue, so no text is refused: the intake accepts and tells the sender. Only a JSON number that is a card number is no
number any more once it is masked: nothing that could be taken for an amount stands in its place. Between the digits
may be blanks and dashes of any kind; stops and slashes only in the groups that are embossed on cards, since versions,
OIDs, dates and paths have them too. To exempt a field, add it to `_IDENTIFIERS`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ..hl7.charsets import encode
from ..hl7.delimiters import escape
from ..hl7.reader import Message, Segment

_BLANKS = "\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff"  # of any width, and of none
_DASHES = "\u00ad\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_WIDE = "\uff0e-\uff19"  # stop, slash and digits as East Asian keyboards write them
_USUAL = {
    ord(char): " " if blank else "-" if dash else chr(ord(char) - 0xFEE0)
    for char, blank, dash in re.findall(
        f"(([{_BLANKS}])|([{_DASHES}])|[{_WIDE}])", "".join(map(chr, range(0x00A0, 0x10000)))
    )
}
_UNUSUAL = tuple(map(chr, _USUAL))
# These see every message and are cheap: their first characters are few. What they find is looked at by `_found`.
_RUN = re.compile(r"[2-6][0-9 \-]{12,}+")
_STOPPED = re.compile(r"[./] ?[0-9]{4,6} ?[./] ?[0-9]")
_POWER = re.compile(r"[2-6]\.[0-9]{9,}+[eE]")  # 4.111111111111111E15, as a JSON number
_POWERS = ("E1", "e1", "E+1", "e+1")
_EMBOSSED = re.compile(
    r"[2-6](?<![0-9].)(?<![0-9][./].)[0-9]{3}( ?[./] ?)"
    r"(?:[0-9]{4}\1[0-9]{4}\1(?:[0-9]{4}(?:\1[0-9]{3})?|[0-9])|[0-9]{6}\1[0-9]{4,5})"
    r"(?![0-9]|[./][0-9])"
)
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
_GROUP = re.compile(r"[0-9]+")
_VISA = "4"
_MASTERCARD = "5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"
_AMEX = "3[47]"
_DISCOVER = "6011|65|64[4-9]"
_DINERS = "36|38|30[0-5]"
_JCB = "35(?:2[89]|[3-8])"
_ISSUERS: dict[int, re.Pattern[str]] = {
    13: re.compile(_VISA),
    14: re.compile(_DINERS),
    15: re.compile(_AMEX),
    16: re.compile(f"{_VISA}|{_MASTERCARD}|{_DISCOVER}|{_JCB}"),
    17: re.compile(_DISCOVER),
    18: re.compile(_DISCOVER),
    19: re.compile(f"{_VISA}|{_DISCOVER}"),
}


def _is_card_number(digits: str) -> bool:
    issuers = _ISSUERS.get(len(digits))
    if issuers is None or not issuers.match(digits):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        doubled = value * 2
        total += value if place % 2 == 0 else doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def screen_text(text: str) -> tuple[str, int]:
    """`text` with each card number masked but for its last four digits, and how many there were."""
    if len(text) < 13:  # the shortest card number
        return text, 0
    spans = _found(_as_usual(text))
    for start, end in spans:
        text = text[:start] + _mask(text[start:end]) + text[end:]
    return text, len(spans)


def _as_usual(text: str) -> str:
    """With the usual digits, blanks and dashes, each where it was."""
    return text if text.isascii() or not any(one in text for one in _UNUSUAL) else text.translate(_USUAL)


def _found(text: str) -> list[tuple[int, int]]:
    """Where in the text card numbers are."""
    spans = [span for run in _RUN.finditer(text) for span in _spans(run)]
    for written in _EMBOSSED.finditer(text) if _STOPPED.search(text) else ():
        if _is_card_number(re.sub("[^0-9]", "", written[0])):
            spans.append(written.span())
    if spans:
        named = [found.span() for found in _UUID.finditer(text)]
        spans = [span for span in spans if not any(at <= span[0] and span[1] <= to for at, to in named)]
    return spans


def _spans(run: re.Match[str]) -> list[tuple[int, int]]:
    """Where in the text card numbers are. A group of digits is whole or not in it at all."""
    text, start = run.string, run.start()
    if run[0].isdigit() and not _is_card_number(run[0]):
        return []  # nearly always: a time, or an identifier
    groups = [found.span() for found in _GROUP.finditer(text, start, run.end())]
    # What follows a digit is the tail of a longer number.
    first = 1 if start and text[start - 1] in "0123456789" else 0
    spans: list[tuple[int, int]] = []
    while first < len(groups):
        best = -1
        digits = ""
        for last in range(first, len(groups)):
            # Dates and phone numbers have short groups and no wide gaps; card numbers end with one at most (4-4-4-1).
            if last > first and (
                groups[last - 1][1] - groups[last - 1][0] < 4 or groups[last][0] - groups[last - 1][1] > 3
            ):
                break
            digits += text[slice(*groups[last])]
            if len(digits) > 19:
                break
            if len(digits) > 12 and _is_card_number(digits):
                best = last
        if best >= 0:
            spans.append((groups[first][0], groups[best][1]))
            first = best
        first += 1
    return spans


def _mask(span: str) -> str:
    keep = len(span)
    seen = 0
    while seen < 4:
        keep -= 1
        seen += span[keep].isdigit()
    return re.sub("[0-9\uff10-\uff19]", "X", span[:keep]) + span[keep:]


# ------------------------------------------------------------------ HL7 v2

_HEXED = "X(?:[0-9A-Fa-f]{2})*?(?:2[0DEFdef]|[3A-Fa-f])"
_WHOLE_SEGMENTS = frozenset({"MSH", "EVN", "MRG", "MSA"})
# Fields whose first component is an identifier or a code. Names and texts beside it are still read.
_IDENTIFIERS: dict[str, frozenset[int]] = {
    "PID": frozenset({2, 3, 4, 18, 19, 20, 21}),
    "PD1": frozenset({3, 4, 12}),
    "NK1": frozenset({12, 33, 37}),
    "PV1": frozenset({5, 7, 8, 9, 17, 19, 50, 52}),
    "ORC": frozenset({2, 3, 4, 10, 11, 12}),
    "OBR": frozenset({2, 3, 4, 10, 16, 28}),
    "OBX": frozenset({3, 16, 21}),
    "DG1": frozenset({3, 16, 20}),
    "PR1": frozenset({3, 8, 11, 12}),
    "FT1": frozenset({2, 3, 7, 14, 20, 21, 23, 24, 25, 29, 30, 43}),
    "GT1": frozenset({2, 12, 19}),
    "IN1": frozenset({2, 3, 8, 10, 36, 46, 49}),
    "IN2": frozenset({1, 2, 6, 8, 10, 25, 26, 61}),
    "PRT": frozenset({1, 5, 10}),
    "ROL": frozenset({1, 4}),
}
_ORGANISATION_IDS = frozenset({("PD1", 3), ("IN1", 4), ("NK1", 13), ("GT1", 21), ("FT1", 32), ("FT1", 33)})  # XON-10


def _exempt(name: str, field: int, component: int) -> bool:
    if component == 1:
        return field in _IDENTIFIERS.get(name, ())
    return component in (3, 10) and (name, field) in _ORGANISATION_IDS


def screen_hl7(message: Message, original: bytes | None = None) -> tuple[bytes, list[str]]:
    """The message's bytes without card numbers, and where they were. Without a hit, `original` comes back as it is."""
    hits: list[str] = []
    lines = message.lines
    # One look at the whole text settles nearly every message.
    if screen_text(message.text)[1] or _hides_digits(message, message.text):
        segments = zip(message.all_segments(), lines, strict=True)
        lines = [_screened_line(message, segment, line, hits) for segment, line in segments]
    if not hits:
        return original if original is not None else encode(message.text, message.encoding), []
    return encode("\r".join(lines) + "\r", message.encoding), hits


def _hides_digits(message: Message, text: str) -> bool:
    """Whether digits, or what may stand between them, are written as `\\X31\\`; line ends are written so often."""
    mark = message.delimiters.escape
    return bool(mark) and f"{mark}X" in text and re.search(re.escape(mark) + _HEXED, text) is not None


def _screened_line(message: Message, segment: Segment, line: str, hits: list[str]) -> str:
    marks = message.delimiters
    if segment.name in _WHOLE_SEGMENTS or not (screen_text(line)[1] or _hides_digits(message, line)):
        return line
    fields = line.split(marks.field)
    for field in range(1, len(fields)):
        fields[field] = _screened_field(message, segment, field, fields[field], hits)
    return marks.field.join(fields)


def _screened_field(message: Message, segment: Segment, field: int, raw: str, hits: list[str]) -> str:
    marks = message.delimiters
    repetitions = raw.split(marks.repetition) if marks.repetition else [raw]
    for number, repetition in enumerate(repetitions):
        components = repetition.split(marks.component) if marks.component else [repetition]
        for position, component in enumerate(components):
            if _exempt(segment.name, field, position + 1):
                continue
            parts = component.split(marks.subcomponent) if marks.subcomponent else [component]
            for place, part in enumerate(parts):
                clean, count = screen_text(message.decoded(part))
                if count:
                    parts[place] = escape(clean, marks)
                    hits.append(segment.address(field, position + 1 if len(components) > 1 else 0, 0, number + 1))
            components[position] = (marks.subcomponent or "").join(parts)
        repetitions[number] = (marks.component or "").join(components)
    return (marks.repetition or "").join(repetitions)


# ------------------------------------------------------------------ FHIR

_NOT_TEXT = frozenset({"id", "reference", "system", "url", "fullUrl", "versionId", "subscriberId", "resourceType"})
_IDENTIFIER_ELEMENTS = frozenset(
    {"identifier", "paymentIdentifier", "predecessor", "masterIdentifier", "groupIdentifier", "valueIdentifier"}
)


def screen_json(resource: dict[str, Any], written: str = "") -> tuple[dict[str, Any], list[str]]:
    """A FHIR resource without card numbers in its texts and numbers, and where they were; unchanged objects are shared.

    `written` is the JSON that it was read from: where no run of digits is as long as a card number, and none can hide
    behind an escape, none of its texts has one.
    """
    hits: list[str] = []
    if written and "\\" not in written:
        usual = _as_usual(written)
        power = any(one in usual for one in _POWERS) and _POWER.search(usual)
        if not (power or _RUN.search(usual) or _STOPPED.search(usual)):
            return resource, hits
    clean = _screened(resource, str(resource.get("resourceType", "")), "", hits)
    return (clean if hits else resource), hits


def _screened(value: Any, path: str, element: str, hits: list[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: inner
            if key in _NOT_TEXT or (key == "value" and element in _IDENTIFIER_ELEMENTS)
            else _screened(inner, f"{path}.{key}", key, hits)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_screened(inner, f"{path}[{index}]", element, hits) for index, inner in enumerate(value)]
    if isinstance(value, str):
        clean, count = screen_text(value)
        if count:
            hits.append(path)
        return clean
    if isinstance(value, int | Decimal) and 10**12 <= value < 10**19 and value == int(value):
        digits = str(int(value))
        if _is_card_number(digits):
            hits.append(path)
            return _mask(digits)
    return value
