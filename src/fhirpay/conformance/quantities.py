"""FT1-10, and repetitions of what should stand there once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Hit, Severity, finds, finds_lines
from .sample import Line, Sample

ASK, NOTE = Severity.ASK, Severity.NOTE

_NUMBER_ONLY = re.compile(r"[+-]?\d*\.?\d*")


@finds_lines(
    "quantity-negative",
    NOTE,
    "FT1-10 is negative: the amount alone says how much, its sign is read with the amount's.",
    "Does a negative quantity always come with a credit?",
    "credit_sign",
    at=10,
)
def quantity_negative(line: Line) -> str | None:
    return "" if line.text(10).startswith("-") else None


@finds_lines(
    "quantity-units",
    ASK,
    "FT1-10 says a unit ({what}), or counts something else than the charge's units: only the number is read.",
    "Is the price for one of these units (minutes, milligrams, days)? How many make one charge?",
    at=10,
)
def quantity_units(line: Line) -> str | None:
    unit = line.text(10, 2) or line.text(10, 1, 2)
    return unit[:20] or None


@finds_lines(
    "quantity-broken",
    NOTE,
    "FT1-10 is no whole number ({what}); it is multiplied as it is.",
    "Is a half unit a thing that is charged?",
    at=10,
)
def quantity_broken(line: Line) -> str | None:
    text = line.text(10)
    broken = _NUMBER_ONLY.fullmatch(text) and text.partition(".")[2].strip("0")
    return text[:20] if broken else None


@finds(
    "amount-repeats",
    ASK,
    "FT1-10, FT1-11 or FT1-12 has repetitions: only the first is read.",
    "What are the others: the price for another unit, another currency?",
)
def amount_repeats(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        for field in (10, 11, 12):
            if line.segment.repetitions(field) > 1:
                yield Hit(line.at(field))
