"""Files of messages: [FHS] {[BHS] {MSH…} [BTS]} [FTS], every header optional. `fhirpay ingest` reads through this.

Each message keeps its own fate: a piece that is no message comes out as a piece of its own, and fails alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in order, and what doesn't add up: a count mismatch is worth a look, not a refusal."""

    messages: list[bytes]
    warnings: list[str]


def read_batch(data: bytes) -> Batch:
    """The messages of a file or of a batch on the wire, bytes untouched."""
    # Latin-1 maps each byte to one character and back: character sets are each message's own affair.
    pieces, warnings = _split(data.removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
    return Batch([piece.encode("latin-1") for piece in pieces], warnings)


def split_batch(text: str) -> list[str]:
    """The messages in `text`, each with CR after every segment."""
    return _split(text.removeprefix("\ufeff"))[0]


def _split(text: str) -> tuple[list[str], list[str]]:
    pieces: list[list[str]] = []
    warnings: list[str] = []
    collecting = False
    since_header = 0
    for line in _BREAK.split(text):
        line = line.strip("\x0b\x1c\x1a")  # frames and the end mark of old file systems
        if not line.strip():
            continue
        name = line[:3]
        if name in _ENVELOPE and not line[3:4].isalnum():
            collecting = False
            if name == "BHS":
                since_header = len(pieces)
            elif name == "BTS":
                warnings += _miscount(line, len(pieces) - since_header)
                since_header = len(pieces)
            continue
        if (name == "MSH" and not line[3:4].isalnum()) or not collecting:
            pieces.append([])
            collecting = True
        pieces[-1].append(line)
    return ["\r".join(lines) + "\r" for lines in pieces], warnings


def _miscount(trailer: str, found: int) -> list[str]:
    stated = (trailer.split(trailer[3:4]) if len(trailer) > 3 else [""])[1:2]
    if stated and stated[0].strip().isdigit() and int(stated[0]) != found:
        return [f"BTS-1 says {int(stated[0])} messages, {found} were found"]
    return []
