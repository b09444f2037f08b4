"""What the standard's own tables say about a message, by hl7apy: `fhirpay map --strict`, `fhirpay conformance traffic`.

Off the ACK path: it takes tens of milliseconds, and real messages that are good enough rarely pass. Known defects of
hl7apy's tables are worked around in `_text_for`; a finding never quotes a value, since values are health information.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, Literal

from hl7apy import SUPPORTED_LIBRARIES
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hl7apy.validation import Validator

from .reader import Message

# What hl7apy raises on texts that it can't take apart, besides its own exceptions.
_ACCIDENTS = (HL7apyException, ValueError, KeyError, IndexError, AttributeError, TypeError)
# Its tables of 2.6 and 2.8 leave out FT1-8 and 9, so that all later fields of FT1 are two places off.
_BROKEN_FT1 = frozenset({"2.6", "2.8"})
_FT1_SOUND_FIELDS = 7
# Events that share another's structure; hl7apy looks for one of their own when MSH-9.3 doesn't say (or says wrongly).
_STRUCTURES = {"ADT^A04": "ADT_A01", "ADT^A08": "ADT_A01"}
_WITHDRAWN = "Datatype None is not correct"  # said beside "Child limit exceeded" of a field that was withdrawn
# How hl7apy begins, and what that is in one word.
_KINDS = {
    "the value is not in table": "not-in-table",
    "Missing required child": "missing",
    "Child limit exceeded": "too-many",
    "Exceeded max length": "too-long",
    "Datatype ": "wrong-datatype",
    "Invalid ": "unexpected",
    "Unknown element": "unexpected",
    "the message can't be taken apart": "unreadable",
    "there are no tables": "no-tables",
}
_ELEMENT = re.compile(r"\b([A-Z][A-Z0-9]{2})_(\d+)\b")
_TABLE = re.compile(r"Value .* not in table (\S+) in element \S+?\.(\S+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure from the standard; `location` is as exact as hl7apy says: segment and field, no repetition."""

    severity: Literal["error", "warning"]
    location: str
    text: str

    @property
    def kind(self) -> str:
        """One word of a closed list, for counting."""
        return next((kind for begins, kind in _KINDS.items() if self.text.startswith(begins)), "other")


def check(message: Message) -> list[Finding]:
    """All findings for the message's own version; Z-segments are ignored. Never raises for what a message holds."""
    if message.version not in SUPPORTED_LIBRARIES:
        return [Finding("warning", "MSH-12", f"there are no tables for version '{message.version[:20]}'")]
    try:
        parsed = parse_message(_text_for(message), validation_level=VALIDATION_LEVEL.TOLERANT)
        findings = _validated(parsed)
    except _ACCIDENTS as error:
        return [Finding("error", "MSH", f"the message can't be taken apart by its version: {type(error).__name__}")]
    # MSH-9 is ours where the structure was filled in.
    return [finding for finding in findings if finding.location != "MSH-9" or message.label not in _STRUCTURES]


def _text_for(message: Message) -> str:
    lines: list[str] = []
    for line in message.lines:
        if line.startswith("Z"):
            continue
        if line.startswith("MSH") and message.label in _STRUCTURES:
            line = _with_structure(message, line)
        if line.startswith("FT1") and message.version in _BROKEN_FT1:
            separator = message.delimiters.field
            line = separator.join(line.split(separator)[: _FT1_SOUND_FIELDS + 1])
        lines.append(line)
    return "\r".join(lines) + "\r"  # CR alone: it doesn't split at LF


def _with_structure(message: Message, line: str) -> str:
    separator = message.delimiters.field
    fields = line.split(separator)
    fields[8] = message.delimiters.component.join((message.type, message.event, _STRUCTURES[message.label]))
    return separator.join(fields)


def _validated(parsed: object) -> list[Finding]:
    # The validator raises its first finding and writes all of them to a file: values of the message stand in it, so it
    # is one in memory where the system has such files, and one without a name elsewhere.
    with _report() as report:
        copy = os.dup(report.fileno())  # the validator closes what it is given
        try:
            Validator.validate(parsed, report_file=copy)
        except _ACCIDENTS:
            if not os.fstat(report.fileno()).st_size:
                with contextlib.suppress(OSError):
                    os.close(copy)
                raise
        report.seek(0)
        lines = report.read().decode("utf-8", "replace").split("\n")
    return list(dict.fromkeys(_finding(line) for line in _joined(lines) if _WITHDRAWN not in line))


def _report() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("fhirpay-strict"), "w+b")
    return tempfile.TemporaryFile()  # type: ignore[return-value]  (a wrapper with the same methods)


def _joined(lines: list[str]) -> list[str]:
    """One string a finding: a value may hold line breaks."""
    joined: list[str] = []
    for line in lines:
        if line.startswith(("Error: ", "Warning: ")):
            joined.append(line)
        elif joined and line:
            joined[-1] += " " + line
    return joined


def _finding(line: str) -> Finding:
    kind, _, text = line.partition(": ")
    severity: Literal["error", "warning"] = "error" if kind == "Error" else "warning"
    table = _TABLE.fullmatch(text)
    if table:
        return Finding(severity, _place(table[2]), f"the value is not in table {table[1]}")
    text = re.sub(r"<(\w+) (\w+)[^>]*>", r"\2", text)
    return Finding(severity, _place(text), text)


def _place(text: str) -> str:
    """`FT1-11` from hl7apy's `FT1.FT1_11`, `EVN-5.7` from `EVN_5.XCN_7`; else the segment or group named first."""
    elements = _ELEMENT.findall(text)
    if elements:
        (name, number), *rest = elements
        return f"{name}-{number}" + (f".{rest[0][1]}" if rest else "")
    found = re.search(r"\b[A-Z][A-Z0-9]{2}\b", text)
    return found[0] if found else "MSH"
