"""A calendar month: the ledger's period. Pure; written 2026-03."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from ..errors import ValueInvalid

_WRITTEN = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """By its first day."""

    first: date

    @classmethod
    def parse(cls, text: str) -> Month:
        """Raises ValueInvalid."""
        try:
            if found := _WRITTEN.fullmatch(text.strip()):
                return cls(date(int(found[1]), int(found[2]), 1))
        except ValueError:
            pass
        raise ValueInvalid(f"'{text}' is no month: write one as 2026-03")

    @classmethod
    def of(cls, day: date) -> Month:
        """The month that this day is in."""
        return cls(day.replace(day=1))

    @property
    def last(self) -> date:
        """Its last day."""
        return (self.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"
