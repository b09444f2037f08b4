"""Files of messages: [FHS] {[BHS] {MSH…} [BTS]} [FTS], every header optional. Read here, whatever brings them.

Each message keeps its own fate: a piece that is no message comes out as a piece of its own, and fails alone. What
doesn't add up (BTS-1 messages, FTS-1 batches, BTS-3 amounts, a trailer that only the last one lacks) is worth a look,
never a refusal. The reply is a batch of acknowledgements: `reply_head`, each of them, `reply_trailer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

_ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
_LINE = re.compile(rb"[^\r\n]+")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,6})?")
_HEADER = re.compile(rb"\A(\xef\xbb\xbf)?[\s\x0b]*[FB]HS[^A-Za-z0-9\r\n]")
_SECOND = re.compile(rb"[\r\n][\r\n\x0b]*(MSH|BHS|FHS)[^A-Za-z0-9\r\n]")
_BOM = b"\xef\xbb\xbf"
_REFERENCE_MAX = 199
_WARNINGS_MAX = 10  # then only their number: a person reads them


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in order, and what doesn't add up. `header` is the first FHS or BHS, as written; or empty."""

    messages: list[bytes]
    warnings: list[str]
    header: str = ""


def is_batch(data: bytes) -> bool:
    """Whether this is more than one message: it has a header of its own, or a second MSH."""
    return _HEADER.match(data) is not None or (data.find(b"MSH", 4) > 0 and _SECOND.search(data) is not None)


def read_batch(data: bytes) -> Batch:
    """All messages of a file or of a batch on the wire, bytes untouched."""
    reader = BatchReader(data)
    return Batch(list(reader), reader.warnings, reader.header)


def name_of(header: str) -> str:
    """By what the sender of a batch knows it: FHS-11 or BHS-11, else FHS-9 or BHS-9."""
    fields = _fields(header)
    return _at(fields, 10) or _at(fields, 8)


def reply_head(header: str, *, time: str = "") -> bytes:
    """The BHS of a batch of acknowledgements, which names the batch that it answers (BHS-12)."""
    fields = _fields(header) if header[3:8] == "|^~\\&" else []
    sender, receiver = ("|".join(_at(fields, at) for at in pair) for pair in ((2, 3), (4, 5)))
    head = f"BHS|^~\\&|{receiver}|{sender}|{time}|||||{_at(fields, 10)[:_REFERENCE_MAX]}".rstrip("|")
    return head.encode("latin-1") + b"\r"


def reply_trailer(count: int) -> bytes:
    return b"BTS|%d\r" % count


class BatchReader:
    """The messages one after the other, read as they are asked for, once; `header` and `warnings` as far as it is read.

    A file may hold a million of them: no more than the one in hand is copied.
    """

    def __init__(self, data: bytes) -> None:
        self.header = ""
        self.warnings: list[str] = []
        self._data = data
        self._more_warnings = 0
        self._in_file = self._in_batch = False
        self._trailers = self._batches = 0
        self._found = 0  # messages of the batch
        self._amounts: tuple[Decimal, Decimal, Decimal] | None = None  # of its FT1: as written, less credits, gross

    def __iter__(self) -> Iterator[bytes]:
        piece: list[str] = []
        for match in _LINE.finditer(self._data, len(_BOM) if self._data.startswith(_BOM) else 0):
            # Latin-1 maps each byte to one character and back: character sets are each message's own affair.
            line = match.group().decode("latin-1").strip("\x0b\x1c\x1a")  # frames and the end mark of old file systems
            if not line.strip():
                continue
            name = line[:3]
            envelope = name in _ENVELOPE and not line[3:4].isalnum()
            if piece and (envelope or (name == "MSH" and not line[3:4].isalnum())):
                yield self._whole(piece)
                piece = []
            if envelope:
                self._envelope(name, line)
            else:
                piece.append(line)
        if piece:
            yield self._whole(piece)
        if self._in_batch and self._trailers:
            self._warn("the last batch has no BTS, which others have: it may have been cut off")
        elif self._in_file and self._trailers:
            self._warn("the file has no FTS: it may have been cut off")
        if self._more_warnings:
            self.warnings.append(f"and {self._more_warnings} more")

    def _whole(self, piece: list[str]) -> bytes:
        self._found += 1
        for credit, amount in _amounts(piece):
            written, less, gross = self._amounts or (Decimal(), Decimal(), Decimal())
            less += -abs(amount) if credit else amount
            self._amounts = (written + amount, less, gross + abs(amount))
        return ("\r".join(piece) + "\r").encode("latin-1")

    def _envelope(self, name: str, line: str) -> None:
        match name:
            case "FHS":
                self._in_file, self._batches = True, 0
                self.header = self.header or line
            case "BHS":
                self._batches += 1
                self._in_batch, self._found, self._amounts = True, 0, None
                self.header = self.header or line
            case "BTS":
                self._count("BTS-1", "messages", line, self._found)
                self._total(line)
                self._trailers += 1
                self._in_batch, self._found, self._amounts = False, 0, None
            case _:
                # Without a BHS the whole file is one batch.
                self._count("FTS-1", "batches", line, self._batches or 1)
                self._trailers += 1
                self._in_file = False

    def _count(self, field: str, what: str, trailer: str, found: int) -> None:
        stated = _at(_fields(trailer), 1).strip()
        if stated.isascii() and stated.isdigit() and int(stated[:18]) != found:
            self._warn(f"{field} says {int(stated[:18])} {what}, {found} were found")

    def _total(self, trailer: str) -> None:
        """BTS-3 against FT1-11. Its meaning is the sender's own: signs as written, less credits, or all added up."""
        stated = [text.strip() for text in _at(_fields(trailer), 3).split("~")]
        if self._amounts is None or not all(_NUMBER.fullmatch(text) for text in stated):
            return
        if not any(Decimal(text) in self._amounts for text in stated):
            self._warn(f"BTS-3 says {'~'.join(stated)[:100]}, the amounts of its FT1 sum to {self._amounts[0]}")

    def _warn(self, says: str) -> None:
        if len(self.warnings) < _WARNINGS_MAX:
            self.warnings.append(says)
        else:
            self._more_warnings += 1


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
