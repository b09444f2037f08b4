"""HL7 addresses in mapping files, and the place in a message that one leads to.

`Path` is `FT1-11.1.2` as written; `Slot` is one repetition (or component) found there, which the datatype functions
read part by part. Values come out clean: no delete marks, no control characters, no outer blanks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..hl7.reader import Segment

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})-(?P<field>[1-9]\d{0,2})(?:\[(?P<repetition>[1-9]\d{0,3})\])?"
    r"(?:\.(?P<component>[1-9]\d{0,2}))?(?:\.(?P<subcomponent>[1-9]\d{0,2}))?"
)
# FHIR strings hold no control characters but tab, CR, LF; a lone surrogate is no text at all.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
DELETE = '""'


def clean(text: str) -> str:
    """The text of a value; '' for a delete mark."""
    if text.isascii() and text.isprintable():  # nearly always: it holds nothing that is unwanted
        return "" if text == DELETE else text.strip()
    return "" if text == DELETE else _UNWANTED.sub("", text).strip()


@dataclass(frozen=True, slots=True)
class Path:
    text: str
    segment: str
    field: int
    repetition: int = 0  # 0: not written
    component: int = 0
    subcomponent: int = 0


def parse_path(text: str) -> Path | None:
    """The Path, or None when `text` isn't one."""
    found = _PATH.fullmatch(text)
    if not found:
        return None
    numbers = {name: int(found[name] or 0) for name in ("field", "repetition", "component", "subcomponent")}
    return Path(text, found["segment"], **numbers)


class Slot:
    """One repetition of a field, or a component of it. It is taken apart once, however often it is read."""

    __slots__ = ("_parts", "component", "field", "repetition", "segment", "subcomponent")

    def __init__(
        self, segment: Segment, field: int, repetition: int = 1, component: int = 0, subcomponent: int = 0
    ) -> None:
        self.segment = segment
        self.field = field
        self.repetition = repetition
        self.component = component
        self.subcomponent = subcomponent
        self._parts: list[str] | None = None

    @property
    def address(self) -> str:
        return self.segment.address(self.field, self.component, self.subcomponent, self.repetition)

    @property
    def text(self) -> str:
        """The value itself: the first component of a repetition."""
        parts = self._parts if self._parts is not None else self._taken_apart()
        at = self.subcomponent or 1 if self.component else 1
        return parts[at - 1] if at <= len(parts) else ""

    def part(self, component: int, subcomponent: int = 1) -> str:
        """A component of the datatype; where the slot is a component, its subcomponents are the parts."""
        if subcomponent == 1:
            parts = self._parts if self._parts is not None else self._taken_apart()
            return parts[component - 1] if component <= len(parts) else ""
        return "" if self.component else clean(self.segment.get(self.field, component, subcomponent, self.repetition))

    def _taken_apart(self) -> list[str]:
        self._parts = list(map(clean, self.segment.parts(self.field, self.repetition, self.component)))
        return self._parts

    @property
    def deleted(self) -> bool:
        """`""` was sent here: the sender takes the value away (HL7 2.5.1 §2.5.3)."""
        if self.component:
            return self.segment.get(self.field, self.component, self.subcomponent or 1, self.repetition) == DELETE
        return self.segment.repetition(self.field, self.repetition).strip() == DELETE

    @property
    def valued(self) -> bool:
        """Something is said here: `^^^` and `""` say nothing."""
        if not self.segment.raw(self.field):
            return False
        if self.component:
            return bool(self.text) or any(
                clean(part) for part in self.segment.subcomponents(self.field, self.component, self.repetition)
            )
        return bool(self.text) or any(
            clean(part)
            for component in range(1, len(self.segment.field(self.field, self.repetition)) + 1)
            for part in self.segment.subcomponents(self.field, component, self.repetition)
        )
