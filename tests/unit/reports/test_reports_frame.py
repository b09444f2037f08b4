"""Every report: its sentence stands in the docs, and it runs by whatever it can be split, on both engines."""

from __future__ import annotations

import re
from pathlib import Path

from desk_world import TENANT, account, cash, take
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.csv_text import csv_lines
from fhirpay.reports.frame import Wish, asked, rows
from fhirpay.reports.registry import REPORTS

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")


def test_the_docs_say_what_each_report_says() -> None:
    said = re.sub(r"\s+", " ", DOCS)
    for report in REPORTS.values():
        for sentence in (report.says, report.denominators):
            assert sentence in said, report.name
        for column in (*report.fixed, *report.columns):
            assert f"| `{column.name}` | {column.unit} | {column.says} |" in DOCS, (report.name, column.name)


async def test_each_can_be_split_by_all_that_it_names(units: Units) -> None:
    def found(tx: Tx) -> None:
        for report in REPORTS.values():
            for by in ((), tuple(report.by)):
                for recorded_by in ("", "1"):
                    about = asked(tx, report, Wish(by=by, recorded_by=recorded_by), TENANT)
                    mine = list(rows(tx, report, about))
                    keys = [row[: len(report.keys(about.by))] for row in mine]
                    assert keys == sorted(keys), report.name
                    assert list(rows(tx, report, about, after=keys[0] if keys else None, limit=200)) == mine[1:]

    await units.write(account, "ana", 100_00)
    await take(units, "Account/ana", cash(), 60_00)
    await units.read(found)


def test_a_spreadsheet_runs_nothing_and_numbers_stay_numbers() -> None:
    cells = ["=1+1", "+1", "-1", "@x", "\tx", "a,b", 'say "so"', "two\nlines", "", -5]
    (line,) = csv_lines([cells])
    assert line == '\'=1+1,\'+1,\'-1,\'@x,\'\tx,"a,b","say ""so""","two\nlines",,-5\r\n'
