"""Errors and acceptances → HL7 acknowledgements, in the sender's own version, delimiters and character set.

The intake asks `plan` what the sender wants to hear and `build` for the bytes. What stands where by version is in
`_err` and `_msa`; the texts of table 0357 are in `ERROR_TEXTS`. Nothing here decides whether a message is good.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ..errors import FhirpayError
from .charsets import encode
from .delimiters import DEFAULT, Delimiters, escape
from .reader import Message
from .writer import SegmentValues, compose

ERROR_TEXTS = {  # HL7 table 0357
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
ACCEPT_CODES = {"AA": "CA", "AE": "CE", "AR": "CR"}  # enhanced mode's first answer for the same verdict
_ADDRESS = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+)(?:\.(\d+))?)?)?")
_OLDEST = (2, 1)
_NEWEST = (2, 8, 2)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that the sender should know about a message that was accepted."""

    text: str
    location: str = ""


@dataclass(frozen=True, slots=True)
class AckPlan:
    """What the sender wants to hear. Original mode: one application ack. Enhanced: by MSH-15 and MSH-16."""

    mode: str
    accept_when: str
    application_when: str

    def accept(self, code: str) -> bool:
        """Whether an accept ack with CA, CE or CR is sent."""
        return _wanted(self.accept_when, code)

    def application(self, code: str) -> bool:
        """Whether an application ack with AA, AE or AR is sent (in enhanced mode later, as its own message)."""
        return _wanted(self.application_when, code)


ORIGINAL = AckPlan("original", "NE", "AL")


def plan(message: Message | None, rules: Literal["by-message", "original", "enhanced"] = "by-message") -> AckPlan:
    """The answers that `message` asks for (HL7 2.5.1 §2.9.2, table 0155), or that its sender has agreed to.

    By agreement MSH-15 and 16 don't count ('original'), or are read as AL and NE where they are empty ('enhanced').
    An acknowledgement is never acknowledged.
    """
    if message is None:
        return ORIGINAL
    if message.type == "ACK":
        return AckPlan("original", "NE", "NE")
    if rules == "original":
        return ORIGINAL
    accept, application = message.get("MSH-15").upper(), message.get("MSH-16").upper()
    if rules == "enhanced":
        return AckPlan("enhanced", accept or "AL", application or "NE")
    if not accept and not application:
        return ORIGINAL
    return AckPlan("enhanced", accept or "NE", application or "NE")


def _wanted(when: str, code: str) -> bool:
    good = code in ("AA", "CA")
    # An unknown condition is read as "always": an answer too many does less harm than a sender that waits.
    return when == "AL" or (when == "SU" and good) or (when == "ER" and not good) or when not in ("NE", "SU", "ER")


def header_of(data: bytes, charset_fallback: str = "windows-1252", charset: str = "") -> Message | None:
    """The MSH alone, for answering a message that can't be read as a whole; None when not even that is there.

    Where MSH-2 can't be used, the standard's separators stand for it, so that the answer still names MSH-10.
    """
    start = data.find(b"MSH")
    if start < 0 or data[:start].strip(b"\xef\xbb\xbf \r\n"):
        return None
    first = re.split(rb"[\r\n]", data[start : start + 4096], maxsplit=1)[0]
    # A byte that can't be read is written as '?', and never becomes a separator: those are ASCII in `first` itself.
    text = first.decode("ascii", errors="replace")
    separator = text[3:4]
    names, _, rest = text[4:].partition(separator or " ")
    standard = "^~\\&".replace(separator or " ", "|")
    for attempt in (
        first,
        text[:4] + names + separator + rest.replace("\ufffd", "?"),
        text[:4] + (names and standard) + separator + rest.replace("\ufffd", "?"),
    ):
        try:
            return Message.parse(attempt, charset_fallback=charset_fallback, charset=charset)
        except FhirpayError:
            continue
    return None


def build(
    message: Message | None,
    code: str,
    *,
    control_id: str,
    now: datetime,
    error: FhirpayError | None = None,
    remarks: Sequence[Remark] = (),
    accept: str = "",
    expected: str = "",
) -> bytes:
    """An acknowledgement with MSA-1 `code`. `control_id` becomes its MSH-10; `message` None: an unreadable header.

    `accept` is its MSH-15: what we want to hear of it, where it is a message of its own. `expected` is its MSA-4.
    """
    version = version_of(message)
    marks = message.delimiters if message else DEFAULT
    errors: list[SegmentValues] = []
    if error:
        errors = [_err(version, error.location or "", error.hl7_error, "E", error.code, error.message)]
    elif version >= (2, 5):
        errors = [_err(version, remark.location, "0", "W", "", remark.text) for remark in remarks]
    says = error.message if error else "; ".join(remark.text for remark in remarks)
    header = _msh(message, marks, control_id, now, version, accept) + _msa(
        message, marks, code, version, says, expected
    )
    return encode(header + compose(errors, marks), message.encoding if message else "ascii")


def version_of(message: Message | None) -> tuple[int, ...]:
    """MSH-12 as numbers, for deciding what stands where; unreadable: 2.5.1, unknown: the nearest that we know."""
    text = message.version if message else ""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,3}", text, re.ASCII):
        return (2, 5, 1)
    return min(max(tuple(int(part) for part in text.split(".")), _OLDEST), _NEWEST)


# MSH and MSA stand in every answer, on the sender's waiting time: they are what the sender wrote, echoed as it is, and
# words of ours that need no escaping, so they are joined here. Text of any other kind goes through `compose`.


def _msh(
    message: Message | None, marks: Delimiters, control_id: str, now: datetime, version: tuple[int, ...], accept: str
) -> str:
    sent = message.fields_of("MSH") if message else []
    sent = [*sent, *[""] * (19 - len(sent))]
    event = escape(message.event, marks) if message else ""
    kind = "ACK"
    if event and version >= (2, 3, 1):
        kind = (marks.component or " ").join(("ACK", event, "ACK"))  # the structure became a component in 2.3.1
    elif event and version >= (2, 2):
        kind = (marks.component or " ").join(("ACK", event))
    stamp = now.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    fields = (
        "MSH",
        marks.encoding_characters,
        sent[5],
        sent[6],
        sent[3],
        sent[4],
        stamp,
        "",
        kind,
        escape(control_id, marks),
    )
    rest = (sent[11] or "P", sent[12] or "2.5.1", "", "", accept, "NE" if accept else "", "", sent[18])
    return marks.field.join((*fields, *rest)).rstrip(marks.field) + "\r"


def _msa(
    message: Message | None, marks: Delimiters, code: str, version: tuple[int, ...], text: str, expected: str
) -> str:
    about = message.first("MSH") if message else None
    # MSA-3 is the only place for words before 2.5 (ERR-8 since) and was 80 characters long.
    says = escape(text[:80], marks) if text and version < (2, 5) else ""
    return marks.field.join(("MSA", code, about.raw(10) if about else "", says, expected)).rstrip(marks.field) + "\r"


def _err(
    version: tuple[int, ...], location: str, number: str, severity: str, own_code: str, text: str
) -> SegmentValues:
    place = _ADDRESS.fullmatch(location)
    segment, sequence, field, repetition, component, subcomponent = place.groups() if place else ("",) * 6
    sequence = (sequence or "1") if segment else ""
    meaning = (number, ERROR_TEXTS.get(number, ""), "HL70357")
    if version < (2, 5):
        return ("ERR", (segment, sequence, field or "", meaning))
    erl = (segment, sequence, field or "", (repetition or "1") if field else "", component or "", subcomponent or "")
    return ("ERR", "", erl, meaning, severity, (own_code, "", "L") if own_code else "", "", location, text[:250])
