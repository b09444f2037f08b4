"""The separators that a message declares in MSH-1 and MSH-2, and its escape sequences, both ways.

Used by `reader` and `writer`. To read another escape sequence, add it to `_SEQUENCE` and `_replacement`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from functools import lru_cache

from ..errors import DelimitersInvalid, RequiredMissing
from .charsets import switched

HEADER_SEGMENTS = frozenset({"MSH", "FHS", "BHS"})  # their field 1 is the separator itself


@dataclass(frozen=True, slots=True)
class Delimiters:
    """One character each, or '' where MSH-2 is too short to name it: then the message doesn't use it."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    letters: Mapping[str, str] = _field(init=False, repr=False, compare=False)
    """The escape sequences of one letter and what each stands for."""

    def __post_init__(self) -> None:
        letters = {"F": self.field, "S": self.component, "T": self.subcomponent, "R": self.repetition}
        letters |= {"E": self.escape, "P": self.truncation or "#", "H": "", "N": ""}  # highlighting is dropped
        object.__setattr__(self, "letters", letters)

    @property
    def encoding_characters(self) -> str:
        """MSH-2 as written."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


DEFAULT = Delimiters()


@lru_cache(maxsize=64)
def read_delimiters(separator: str, encoding_characters: str) -> Delimiters:
    """The Delimiters of a header segment. Raises DelimitersInvalid at MSH-1 or MSH-2 when they can't be told apart."""
    if not _usable(separator):
        raise DelimitersInvalid("the field separator must be a printable ASCII punctuation character", location="MSH-1")
    if not encoding_characters:
        raise RequiredMissing("the encoding characters are missing; write ^~\\&", location="MSH-2")
    used = separator + encoding_characters
    if len(encoding_characters) > 5 or len(set(used)) != len(used) or not all(map(_usable, encoding_characters)):
        raise DelimitersInvalid(
            "the encoding characters must be one to five different ASCII punctuation characters, such as ^~\\&",
            location="MSH-2",
        )
    if encoding_characters[2:] == "&":
        # By position this would be the escape character. No sender escapes with &; those that write ^~& left the
        # escape out, and still separate 100&USD with it.
        component, repetition = encoding_characters[:2]
        return Delimiters(separator, component, repetition, "", "&", "")
    padded = (*encoding_characters, "", "", "", "")
    return Delimiters(separator, *padded[:5])


def _usable(character: str) -> bool:
    # Beyond ASCII it may be two bytes, or what stands for a byte that can't be read.
    return len(character) == 1 and "!" <= character <= "~" and not character.isalnum() and character != '"'


# \F\ \S\ \T\ \R\ \E\ \P\ delimiters, \H\ \N\ highlighting, \X0D\ bytes, \.br\ and kin (HL7 2.5.1 §2.7). Others,
# such as \Zxx\ (a site's own), stay as received. \Cxxyy\ \Mxxyyzz\ switch the character set: see `_switch`.
_SEQUENCE = r"([FSTREPHN]|X(?:[0-9A-Fa-f]{2})+|\.(?:br|ce|fi|nf|sp|sk|in|ti)[+-]?[0-9]{0,3})"


@lru_cache(maxsize=64)
def _escapes(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}{_SEQUENCE}{mark}")


def unescape(text: str, delimiters: Delimiters, encoding: str = "utf-8") -> str:
    """The text that was meant. What is no escape sequence stays as it is, so a lone backslash does no harm."""
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    parts = text.split(mark)
    if len(parts) == 3 and (letter := delimiters.letters.get(parts[1])) is not None:
        return parts[0] + letter + parts[2]  # one sequence, as nearly always
    if (mark + "C" in text or mark + "M" in text) and _switches(mark).search(text):
        return _switch(text, delimiters, encoding)
    return _escapes(mark).sub(lambda found: _replacement(found[1], delimiters, encoding), text)


@lru_cache(maxsize=64)
def _switches(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([CM](?:[0-9A-Fa-f]{{2}}){{2,3}}){mark}")


def _switch(text: str, delimiters: Delimiters, encoding: str) -> str:
    """Text with escape sequences that stand for those of ISO 2022: what follows is of that character set."""
    first, *rest = _switches(delimiters.escape).split(text)
    read = [unescape(first, delimiters, encoding)]
    for switch, part in zip(rest[::2], rest[1::2], strict=True):
        meant = unescape(part, delimiters, encoding)
        found = switched(bytes.fromhex(switch[1:]), meant)
        read.append(f"{delimiters.escape}{switch}{delimiters.escape}{meant}" if found is None else found)
    return "".join(read)


def strange_escapes(text: str, delimiters: Delimiters) -> bool:
    """Whether an escape character stands in `text` that begins no sequence known here: it would stay as it is."""
    mark = delimiters.escape
    return bool(mark) and mark in _escapes(mark).sub("", text)


def _replacement(sequence: str, delimiters: Delimiters, encoding: str) -> str:
    letter = delimiters.letters.get(sequence)
    if letter is not None:
        return letter
    if sequence[0] == "X":
        data = bytes.fromhex(sequence[1:])
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            return data.decode("latin-1")
    return _layout(sequence[1:3], sequence[3:])


def _layout(command: str, argument: str) -> str:
    """Formatting commands as plain text: new lines and skipped spaces are kept, indents and fill modes are not."""
    times = min(int(argument), 100) if argument.isdigit() else 1
    match command:
        case "br" | "ce":
            return "\n"
        case "sp":
            return "\n" * times
        case "sk":
            return " " * times
        case _:
            return ""


_CONTROLS = {code: f"X{code:02X}" for code in (*range(0x20), 0x7F)} | {0x0A: ".br"}


@lru_cache(maxsize=64)
def _escape_table(delimiters: Delimiters) -> dict[int, str]:
    named = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        delimiters.escape: "E",
        delimiters.truncation: "P",
    }
    sequences = _CONTROLS | {ord(character): name for character, name in named.items() if character}
    if "." in named:
        sequences[0x0A] = "X0A"  # .br would be taken apart
    if not delimiters.escape:
        return dict.fromkeys(sequences, " ")  # a message without an escape character can't carry them at all
    return {code: f"{delimiters.escape}{name}{delimiters.escape}" for code, name in sequences.items()}


def escape(text: str, delimiters: Delimiters = DEFAULT) -> str:
    """`text` as it may stand inside a subcomponent: separators and control characters become escape sequences."""
    return text.translate(_escape_table(delimiters))
