"""Where one message departs from its interface's profile, and from the standard's own tables: by kind and location.

Called for real traffic, in a process of its own (`checker.py`). A departure is a word of a closed list and an address:
what the message says can't get into it, so it may be counted, kept and shown to anyone. To add a kind: a word in
`SAYS`, and who finds it here or in `hl7/strict.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..hl7.reader import Message
from ..hl7.standard import undefined
from ..hl7.strict import check
from .profile import FieldProfile, Profile

SAYS = {
    # against the profile, that is, what was agreed with the sender
    "required-missing": "is required and empty",
    "unwanted": "is filled, and it was agreed to leave it out",
    "repeats": "has repetitions of which only the first is read",
    "segment-repeats": "stands there several times, and is read once",
    # against the tables of the version that the message names
    "not-in-table": "holds a value that its table doesn't list",
    "missing": "is required by the standard and missing",
    "too-many": "stands there more often than the standard has it",
    "too-long": "is longer than the standard has it",
    "wrong-datatype": "isn't of its data type",
    "unexpected": "has no place there by the standard",
    "unreadable": "can't be taken apart by the standard's structure",
    "no-tables": "names a version without tables",
    "other": "departs from the standard",
    "unchecked": "is too large, or takes too long, to be checked",
    "more": "departs in more places than are counted apart",
}
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:-(\d{1,3})(?:\.\d{1,3})?)?")


@dataclass(frozen=True, slots=True, order=True)
class Departure:
    """`agreed`: from the interface's profile; else from the standard's tables alone."""

    agreed: bool
    location: str  # PID-8, PV1; empty where the standard knows no such place
    kind: str

    def __str__(self) -> str:
        return f"{self.location or 'a segment'} {SAYS[self.kind]}"


def departures(message: Message, profile: Profile) -> set[Departure]:
    """All of one message, each once however often it stands there. Never raises for what a message holds."""
    found = {Departure(True, place, kind) for place, kind in _from_profile(message, profile)}
    return found | {Departure(False, _known(one.location), one.kind) for one in check(message)}


def _known(location: str) -> str:
    """An address of the standard; what hl7apy says of a segment that there isn't may be a word of the message."""
    place = _PLACE.fullmatch(location)
    return location if place and not undefined(place[1], int(place[2] or 1)) else ""


def _from_profile(message: Message, profile: Profile) -> Iterator[tuple[str, str]]:
    for segment in profile.segments:
        there = message.segments(segment.name)
        if len(there) > 1 and segment.cardinality.endswith("..1"):
            yield segment.name, "segment-repeats"
        for field in segment.fields:
            number = int(field.address.partition("-")[2])
            texts = [one.raw(number) for one in there]
            if not all(texts or [""]) and _required(field, message):
                yield field.address, "required-missing"
            if field.usage == "X" and any(text not in ("", '""') for text in texts):
                yield field.address, "unwanted"
            once = field.cardinality.endswith("..1") and field.address not in ("MSH-1", "MSH-2")
            if once and any(one.repetitions(number) > 1 for one in there):
                yield field.address, "repeats"


def _required(field: FieldProfile, message: Message) -> bool:
    return (
        field.usage == "R"
        and (not field.required_in or message.type in field.required_in)
        and (not field.messages or message.label in field.messages)
    )
