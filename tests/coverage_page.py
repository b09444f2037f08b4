"""docs/COVERAGE.md from the rows of conformance/hl7-v2-to-fhir.csv. Pure: rows in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from hl7_coverage import Row

_HEAD = """\
# How much of HL7's v2-to-FHIR guide is mapped

This page is generated from `conformance/hl7-v2-to-fhir.csv` by `tests/unit/mapping/test_hl7_coverage.py` (`make
golden`), which also proves it: for each row that is said to be mapped, a message of `tests/golden/hl7/` becomes its
golden Bundle, the values at the row's path change when its line of the map is removed, and they come from its field.
Against HL7's own files (HL7/v2-to-fhir, STU 1; see NOTICE) the list of rows is compared where those are at hand.

A row is a row of one of HL7's segment maps to which HL7 gives a FHIR element. What they say of a message as such (MSH,
EVN, PID-33 and PID-34: MessageHeader and Provenance) is made for `fhirpay map FILE --message` and not stored: the inbox
keeps the message itself. What HL7 makes resources of their own and a payment only names (Practitioner, Location, most
Organizations) is a reference with number and name. A diagnosis, a procedure and an episode stand inside their
Encounter, a case manager inside the Coverage: `Condition.code` below is that of such a contained resource.
"""


def page(rows: Sequence[Row]) -> str:
    targets = [row for row in rows if row.hl7]
    mapped = [row for row in targets if row.mapped]
    lines = [_HEAD]
    lines.append(f"**{len(mapped)} of {len(targets)} rows are mapped: {len(mapped) / len(targets):.1%}.**\n")
    lines += ["| map | rows | mapped | |", "|---|---|---|---|"]
    for name, found in groupby(targets, key=lambda row: row.map):
        own = list(found)
        count = sum(row.mapped for row in own)
        lines.append(f"| {name} | {len(own)} | {count} | {count / len(own):.0%} |")
    lines += [
        "",
        "## Rows that are not mapped",
        "",
        "| map | row | field | HL7's element | why |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {r.map} | {r.row} | {r.field} | {_code(r.hl7)} | {r.reason} |" for r in targets if not r.mapped]
    lines += ["", "## Rows that are mapped", "", "The line is the rule and the place in it, as in `mappings/base/`."]
    for name, found in groupby(mapped, key=lambda row: row.map):
        lines += [
            "",
            f"### {name}",
            "",
            "| row | field | HL7's element | ours | line | golden |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.row} | {r.field} | {_code(r.hl7)} | {_code(r.path)} | {_code(r.line)} | {r.message} |" for r in found
        ]
    lines += ["", "## Fields for which HL7 names no element", "", *_open(row for row in rows if not row.hl7)]
    return "\n".join(lines) + "\n"


def _open(rows: Iterable[Row]) -> list[str]:
    """By map; some of them are mapped all the same, by docs/mapping.md."""
    lines = ["HL7's guide leaves these open, or proposes an extension that nobody has defined (marked *).", ""]
    for name, found in groupby(rows, key=lambda row: row.map):
        fields = {row.field: "*" if row.reason else "" for row in found}
        lines.append(f"- {name}: {', '.join(field + mark for field, mark in fields.items())}")
    return lines


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"
