"""HL7's segment maps for what a billing message holds: at least three rows in four are really mapped.

`conformance/hl7-v2-to-fhir.csv` says it row by row (hl7_coverage.py). For each mapped row its message becomes its
golden Bundle, the values at its path change when its line of the map is removed, and the field is where they come
from. Each other row says why. docs/COVERAGE.md is made of the same file; `make golden` writes it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coverage_page import page
from fhirpay.data import data_root
from fhirpay.fhir.json import dumps
from fhirpay.fhir.validation import validate
from golden_messages import GOLDEN
from hl7_coverage import Row, Shown, at, rows, top

SEGMENTS = ("MSH", "EVN", "PID", "PD1", "PV1", "PV2", "NK1", "DG1", "PR1", "IN1", "IN3", "MRG", "NTE")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "v2-to-fhir" / "segments"  # HL7's files, where they are
PAGE = data_root("docs") / "COVERAGE.md"
MESSAGES = sorted({row.message for row in rows() if row.mapped})
UPDATE = os.environ.get("FHIRPAY_UPDATE_GOLDEN") == "1"


def test_three_rows_in_four_are_mapped_and_the_rest_say_why() -> None:
    targets = [row for row in rows() if row.hl7]
    assert {row.map[:3] for row in targets} == set(SEGMENTS)
    assert sum(row.mapped for row in targets) / len(targets) >= 0.75
    assert [row.id for row in targets if row.mapped == bool(row.reason)] == []
    assert len({(row.map, row.row) for row in rows()}) == len(rows())


@pytest.mark.parametrize("message", MESSAGES)
def test_golden_rows_of_a_message_fail_when_their_line_is_removed(message: str) -> None:
    shown = Shown(message)
    for entry in shown.bundle["entry"]:
        validate(entry["resource"])
    file = GOLDEN / f"{message}.message.json"
    text = dumps(shown.bundle, indent=2) + "\n"
    if UPDATE:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert list(_unproven(shown, [row for row in rows() if row.message == message])) == []


def _unproven(shown: Shown, own: list[Row]) -> Iterator[str]:
    for row in own:
        here = at(row.path, shown.leaves)
        if not here:
            yield f"{row.id}: nothing at {row.path}"
        if at(row.path, shown.without_line(row.line)) == here:
            yield f"{row.id}: {row.path} is the same without '{row.line}'"
        element = top(row.path)
        if shown.says(row.field) and at(element, shown.without_field(row.field)) == at(element, shown.leaves):
            yield f"{row.id}: {element} is the same without {row.field}"


def test_golden_page_says_what_the_table_says() -> None:
    text = page(rows())
    if UPDATE:
        PAGE.write_text(text, encoding="utf-8")
    assert text == PAGE.read_text(encoding="utf-8")


@pytest.mark.skipif(not SHARED.is_dir(), reason="HL7's own files are not beside this checkout")
def test_the_table_has_every_row_of_hl7s_files() -> None:
    assert [(row.map, row.row, row.field, row.hl7) for row in rows()] == list(_hl7_rows())


def _hl7_rows() -> Iterator[tuple[str, int, str, str]]:
    for segment in SEGMENTS:
        for path in sorted(one for one in SHARED.iterdir() if f"R4_ {segment}[" in one.name):
            name = path.name.split("R4_ ")[1].split(" - ")[0]
            with path.open(encoding="utf-8-sig", newline="") as lines:
                for number, row in enumerate(list(csv.reader(lines))[2:], start=1):
                    if any(cell.strip() for cell in row):
                        yield name, number, row[1].strip() or segment, " ".join(row[9].split())
