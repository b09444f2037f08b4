"""What the standard's own tables call a field: name, data type, table, repetitions; by hl7apy, of version 2.5.1.

For people who read an interface's profile, never for reading messages: `reader` knows no segment's meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hl7apy import load_reference
from hl7apy.exceptions import HL7apyException

VERSION = "2.5.1"
_SHORT = frozenset({"ID", "SSN", "NDC", "DRG", "VIP", "EMP", "COB"})
_SEGMENTS = frozenset({"PID", "PV1", "FT1", "GT1", "IN1", "NTE", "ACC", "MRG"})
_LATER = {  # withdrawn before, or younger than that version
    "PID-40": ("Patient Telecommunication Information", "XTN"),
    "FT1-31": ("Transaction Reference (Set ID)", "SI"),
    "FT1-32": ("Performing Facility", "XON"),
    "FT1-33": ("Ordering Facility", "XON"),
    "FT1-41": ("Revenue Code", "CWE"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """`repeats`: the standard lets the field have more than one repetition."""

    name: str
    datatype: str
    table: str
    repeats: bool


@lru_cache(maxsize=64)
def _fields(segment: str) -> tuple[Named, ...]:
    try:
        reference: Any = load_reference(segment, "Segment", VERSION)
    except HL7apyException:
        return ()
    return tuple(_named(about, limits) for _, about, limits, _ in reference[1])


def _named(about: Any, limits: tuple[int, int]) -> Named:
    name = _spelled(str(about[3] or ""))
    table = str(about[4] or "").removeprefix("HL7")
    return Named(name, str(about[2] or ""), table, limits[1] != 1)


def _spelled(name: str) -> str:
    """`INSURED_S_ID_NUMBER` → `Insured's ID number`; the segment's own name at the end is left out."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in _SEGMENTS:
        words.pop()
    spelled = " ".join(word if word in _SHORT else word.lower() for word in words)
    spelled = spelled.replace(" s ", "'s ").replace("date time", "date/time")
    return spelled[:1].upper() + spelled[1:]


def field(segment: str, number: int) -> Named:
    """What FT1-11 is called. A field that isn't in the tables has no name."""
    known = _fields(segment)
    if number <= len(known) and known[number - 1].name:
        return known[number - 1]
    name, datatype = _LATER.get(f"{segment}-{number}", ("", ""))
    return Named(name, datatype, "", False)
