"""What the standard's own tables call a field: name, data type, table, repetitions; by hl7apy, of version 2.5.1.

For people who read an interface's profile or check mapping files, never for reading messages: `reader` knows no
segment's meaning. `undefined` looks into every version, since a map serves senders of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES, load_library, load_reference
from hl7apy.exceptions import HL7apyException

VERSION = "2.5.1"
VERSIONS = (VERSION, *sorted(SUPPORTED_LIBRARIES.keys() - {VERSION}, reverse=True))
"""All that have tables; the one that most senders write first, so that the others are rarely loaded."""
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


def undefined(segment: str, number: int, component: int = 0, subcomponent: int = 0) -> str:
    """Why no version of the standard has FT1-11.1.2, in words; '' where one has it. A Z-segment is the sender's own."""
    if segment.startswith("Z"):
        return ""
    if not any(_children(segment, version) for version in VERSIONS):
        return f"no version of the standard has a segment {segment}"
    found = [about for version in VERSIONS if (about := _children(segment, version).get(number))]
    if not found and f"{segment}-{number}" not in _LATER:
        most = max(max(_children(segment, version), default=0) for version in VERSIONS)
        return f"{segment} has {most} fields at most"
    for part, inside in ((component, f"{segment}-{number}"), (subcomponent, f"{segment}-{number}.{component}")):
        if part > 1 and found:
            deeper = [_parts(about) for about in found]
            most = max(max(parts, default=1) for parts in deeper)
            found = [parts[part] for parts in deeper if part in parts]
            if not found and most < part:
                return f"{inside} has {most} part{'s' if most > 1 else ''} at most"
        else:
            found = [parts[1] for about in found if 1 in (parts := _parts(about))]
    return ""


def table(number: str) -> tuple[str, ...]:
    """The values of an HL7 table such as 0017, as that version of the standard lists them; none for a site's own."""
    listed: Any = load_library(VERSION).tables.TABLES.get(f"HL7{number}")
    return tuple(value for value in listed[1] if value) if listed else ()


@lru_cache(maxsize=1024)
def _children(segment: str, version: str) -> dict[int, Any]:
    try:
        reference: Any = load_reference(segment, "Segment", version)
    except HL7apyException:
        return {}
    return {int(name.rpartition("_")[2]): about for name, about, _, _ in reference[1]}


def _parts(about: Any) -> dict[int, Any]:
    """The components of a field, or the subcomponents of a component; none of a simple one."""
    if about[0] != "sequence":
        return {}
    return {int(str(name).rpartition("_")[2]): inner for name, inner, _, _ in about[1]}
