"""Which currency each amount is in, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator

from ..domain.money import EXPONENTS
from ..errors import RuleBroken
from .finding import Hit, Severity, finds, finds_lines
from .sample import Line, Sample

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_MISPLACED = "belongs after & in component 1"


@finds(
    "currency-missing",
    NOTE,
    "Amounts name no currency; the interface's is taken ({what}).",
    "Is every amount of this feed in that currency?",
    "currency",
)
def currency_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.total is not None and not any(line.text(field, 1, 2) or line.text(field, 2) for field in (11, 12)):
            yield Hit(line.at(11), sample.interface.currency)


@finds(
    "currencies-mixed",
    ASK,
    "Amounts are in several currencies: {what}. Each is kept and asked for in its own.",
    "Is that meant? An account in two currencies gets two bills.",
    "currency",
)
def currencies_mixed(sample: Sample) -> Iterator[Hit]:
    lines = {line.currency: line for line in reversed(sample.lines) if line.currency}
    if len(lines) > 1:
        yield from (Hit(line.at(11), currency) for currency, line in sorted(lines.items()))


@finds(
    "currency-unknown",
    BLOCKS,
    "A currency is none of ISO 4217: {what}.",
    "Please write the three letters: USD.",
)
def currency_unknown(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        for field in (11, 12):
            if (said := line.text(field, 1, 2)) and said not in EXPONENTS:
                yield Hit(line.at(field), said[:10])


@finds_lines(
    "currency-conflict",
    BLOCKS,
    "FT1-11 and FT1-12 are in different currencies: the line waits for a person.",
    "Which is right?",
    at=11,
)
def currency_conflict(line: Line) -> str | None:
    conflict = isinstance(line.error, RuleBroken) and " is in " in line.error.message
    return line.error.message if conflict and line.error is not None else None


@finds_lines(
    "currency-misplaced",
    NOTE,
    "The currency stands in the wrong place (125.50^USD instead of 125.50&USD); it is read all the same.",
    "Can it be sent as 125.50&USD?",
    at=11,
)
def currency_misplaced(line: Line) -> str | None:
    return "" if any(_MISPLACED in warning for warning in line.warnings) else None
