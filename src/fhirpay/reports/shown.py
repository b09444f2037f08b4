"""A report as CSV or as JSON: one way for the command and the API. Amounts have as many decimals as their currency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from ..domain.csv_text import csv_lines
from ..domain.money import Money
from .frame import Asked, Column, Report


def as_csv(header: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Its lines, the names of its columns first. What there is none of is empty."""
    yield from csv_lines([[one.name for one in header]])
    yield from csv_lines([_plain(cell) for cell in row] for row in rows)


def as_object(header: Sequence[Column], row: Sequence[Any]) -> dict[str, Any]:
    """A row by the names of its columns: amounts as text, so that no reader rounds them; counts as numbers."""
    return {one.name: _text(cell) for one, cell in zip(header, row, strict=True)}


def about(report: Report, asked: Asked) -> dict[str, Any]:
    """What the figures are: the sentence, what they are parts of, and the limits that they were counted by."""
    days = {"from": asked.first.isoformat() if asked.first else None, "to": asked.day.isoformat()}
    known = asked.books.seq if asked.books.seq is not None else asked.known_at and asked.known_at.isoformat()
    return {
        "report": report.name,
        "says": report.says,
        "denominators": report.denominators,
        **({"as_of": asked.day.isoformat()} if report.span == "as_of" else days),
        "recorded_by": known,
    }


def described(report: Report, by: Sequence[str] = ()) -> dict[str, Any]:
    """What can be asked of it, and its columns with their units."""
    return {
        "name": report.name,
        "says": report.says,
        "denominators": report.denominators,
        "span": report.span,
        "by": [{"name": name, "says": says} for name, says in report.by.items()],
        "columns": [{"name": one.name, "unit": one.unit, "says": one.says} for one in report.header(by)],
    }


def _plain(cell: Any) -> Any:
    if isinstance(cell, Money):
        return cell.decimal
    return "" if cell is None else cell


def _text(cell: Any) -> Any:
    if isinstance(cell, Money):
        return str(cell.decimal)
    return str(cell) if isinstance(cell, Decimal) else cell
