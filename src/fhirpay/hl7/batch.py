"""Files of messages: [FHS] {[BHS] {MSH…} [BTS]} [FTS], every header optional. Read here, whatever brings them.

Each message keeps its own fate: a piece that is no message comes out as a piece of its own, and fails alone. What
doesn't add up (BTS-1 messages, FTS-1 batches, BTS-3 amounts, a trailer that only the last one lacks) is worth a look,
never a refusal. `write_batch` makes the reply: a batch of acknowledgements.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

_ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
_BREAK = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,6})?")
_HEADER = re.compile(rb"\A(\xef\xbb\xbf)?[\s\x0b]*[FB]HS[^A-Za-z0-9\r\n]")
_SECOND = re.compile(rb"[\r\n][\r\n\x0b]*(MSH|BHS|FHS)[^A-Za-z0-9\r\n]")
_REFERENCE_MAX = 199


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in order, and what doesn't add up. `header` is the first FHS or BHS, as written; empty: there is none.

    `name` is by what its sender knows it: FHS-11 or BHS-11, else FHS-9 or BHS-9.
    """

    messages: list[bytes]
    warnings: list[str]
    header: str = ""

    @property
    def name(self) -> str:
        fields = _fields(self.header)
        return _at(fields, 10) or _at(fields, 8)


def is_batch(data: bytes) -> bool:
    """Whether this is more than one message: it has a header of its own, or a second MSH."""
    return _HEADER.match(data) is not None or (data.find(b"MSH", 4) > 0 and _SECOND.search(data) is not None)


def read_batch(data: bytes) -> Batch:
    """The messages of a file or of a batch on the wire, bytes untouched."""
    # Latin-1 maps each byte to one character and back: character sets are each message's own affair.
    read = _read(data.removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
    return Batch([piece.encode("latin-1") for piece in read.texts], read.warnings, read.header)


def split_batch(text: str) -> list[str]:
    """The messages in `text`, each with CR after every segment."""
    return _read(text.removeprefix("\ufeff")).texts


def write_batch(answers: Sequence[bytes], about: Batch, *, time: str = "") -> bytes:
    """The acknowledgements as one batch, which names the one that it answers (BHS-12)."""
    fields = _fields(about.header) if about.header[3:8] == "|^~\\&" else []
    sender, receiver = ("|".join(_at(fields, at) for at in pair) for pair in ((2, 3), (4, 5)))
    head = f"BHS|^~\\&|{receiver}|{sender}|{time}|||||{_at(fields, 10)[:_REFERENCE_MAX]}".rstrip("|")
    return head.encode("latin-1") + b"\r" + b"".join(answers) + b"BTS|%d\r" % len(answers)


@dataclass
class _Reading:
    pieces: list[list[str]] = field(default_factory=list[list[str]])
    warnings: list[str] = field(default_factory=list[str])
    header: str = ""
    batches: int = 0
    since: int = 0  # where the batch began
    in_file: bool = False
    in_batch: bool = False
    trailers: int = 0

    @property
    def texts(self) -> list[str]:
        return ["\r".join(lines) + "\r" for lines in self.pieces]


def _read(text: str) -> _Reading:
    read = _Reading()
    collecting = False
    for line in _BREAK.split(text):
        line = line.strip("\x0b\x1c\x1a")  # frames and the end mark of old file systems
        if not line.strip():
            continue
        name = line[:3]
        if name in _ENVELOPE and not line[3:4].isalnum():
            collecting = False
            _envelope(read, name, line)
            continue
        if (name == "MSH" and not line[3:4].isalnum()) or not collecting:
            read.pieces.append([])
            collecting = True
        read.pieces[-1].append(line)
    if read.in_batch and read.trailers:
        read.warnings.append("the last batch has no BTS, which others have: it may have been cut off")
    elif read.in_file and read.trailers:
        read.warnings.append("the file has no FTS: it may have been cut off")
    return read


def _envelope(read: _Reading, name: str, line: str) -> None:
    match name:
        case "FHS":
            read.in_file, read.batches = True, 0
            read.header = read.header or line
        case "BHS":
            read.batches += 1
            read.in_batch, read.since = True, len(read.pieces)
            read.header = read.header or line
        case "BTS":
            here = read.pieces[read.since :]
            read.warnings += [*_miscount("BTS-1", "messages", line, len(here)), *_mistotal(line, here)]
            read.trailers += 1
            read.in_batch, read.since = False, len(read.pieces)
        case _:
            # Without a BHS the whole file is one batch.
            read.warnings += _miscount("FTS-1", "batches", line, read.batches or 1)
            read.trailers += 1
            read.in_file = False


def _miscount(field: str, what: str, trailer: str, found: int) -> list[str]:
    stated = _at(_fields(trailer), 1).strip()
    if stated.isascii() and stated.isdigit() and int(stated[:18]) != found:
        return [f"{field} says {int(stated[:18])} {what}, {found} were found"]
    return []


def _mistotal(trailer: str, pieces: list[list[str]]) -> list[str]:
    """BTS-3 against FT1-11. Its meaning is the sender's own: with the signs as written, credits taken off, or none."""
    stated = [text.strip() for text in _at(_fields(trailer), 3).split("~")]
    amounts = [amount for piece in pieces for amount in _amounts(piece)]
    if not amounts or not all(_NUMBER.fullmatch(text) for text in stated):
        return []
    written = sum((amount for _, amount in amounts), Decimal())
    less = sum((-abs(amount) if credit else amount for credit, amount in amounts), Decimal())
    gross = sum((abs(amount) for _, amount in amounts), Decimal())
    if any(Decimal(text) in (written, less, gross) for text in stated):
        return []
    return [f"BTS-3 says {'~'.join(stated)}, the amounts of its FT1 sum to {written}"]


def _amounts(piece: list[str]) -> list[tuple[bool, Decimal]]:
    """Whether it is a credit, and FT1-11, of each FT1 of a message."""
    marks = piece[0][3:8].ljust(5) if piece[0].startswith("MSH") else "|^~\\&"
    found: list[tuple[bool, Decimal]] = []
    for line in piece:
        if line.startswith("FT1" + marks[0]):
            fields = line.split(marks[0])
            text = _at(fields, 11).split(marks[1])[0].split(marks[4])[0].strip()
            if _NUMBER.fullmatch(text):
                found.append((_at(fields, 6).strip() == "CD", Decimal(text)))
    return found


def _fields(segment: str) -> list[str]:
    return segment.split(segment[3:4]) if len(segment) > 3 else []


def _at(fields: Sequence[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""
