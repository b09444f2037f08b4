"""An EHR's report of what is posted there, as a CSV by the mapping of its receiver (config_report.py). Pure.

A line that can't be read refuses the whole file, with line and column: MessageInvalid, ValueInvalid. What a cell holds,
such as an account's number, is never repeated in an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ..config_report import PostingReport
from ..domain.csv_lines import Cells, check_currency, day_in, money_in, read_lines
from ..domain.money import Money
from ..errors import MessageInvalid


@dataclass(frozen=True, slots=True)
class ReportLine:
    """`amount` is below zero where money is taken back; `at` is where it stands."""

    at: str
    day: date
    amount: Money
    account: str
    number: str
    our_number: str


def read(data: bytes, report: PostingReport, whose: str) -> tuple[list[ReportLine], date, date]:
    """Its lines of patients' payments, but those of nothing; and the days that it is of, by all of its lines."""
    lines: list[ReportLine] = []
    days: list[date] = []
    for at, cells in read_lines(data, report, report.columns, whose):
        line = _line(cells, report, whose, at)
        days.append(line.day)
        if line.amount and (not report.kind or cells[report.kind] in report.kinds):
            lines.append(line)
    if not days:
        raise MessageInvalid("there is no line in it but the names of its columns: which days it is of isn't said")
    return lines, min(days), max(days)


def _line(cells: Cells, report: PostingReport, whose: str, at: str) -> ReportLine:
    check_currency(cells, report, report.report_currency, f"the report of '{whose}'", at)
    amount = money_in(cells, report.amount, report, report.report_currency, at)
    if not cells[report.account]:
        raise MessageInvalid("there is no account number", location=f"{at}, {report.account}")
    return ReportLine(
        at,
        day_in(cells, report.day, report, at),
        -amount if report.negated else amount,
        cells[report.account],
        cells[report.number] if report.number else "",
        cells[report.our_number] if report.our_number else "",
    )
