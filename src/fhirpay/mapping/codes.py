"""Code tables: what a v2 code is in FHIR, as CSV that an analyst edits (`mappings/base/codes/*.csv`).

Columns `v2,code,display,system` (the last two may be empty) and, if wanted, `why`. A site's file of the same name is
laid over the base row by row: the same `v2` replaces it. A row with the code `-` says that a code maps to nothing, on
purpose: a site's takes the base's row away. Codes are compared without regard to case.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigInvalid

_COLUMNS = ("v2", "code", "display", "system")


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    display: str = ""
    system: str = ""

    def coding(self) -> dict[str, str]:
        found = {"system": self.system, "code": self.code, "display": self.display}
        return {name: value for name, value in found.items() if value}


Table = Mapping[str, Code]  # by v2 code in upper case
NONE = "-"


def laid_over(under: Table, over: Table) -> dict[str, Code]:
    """A site's rows on those of the base."""
    return {v2: code for v2, code in {**under, **over}.items() if code.code != NONE}


def find(table: Table, v2: str) -> Code | None:
    return table.get(v2.upper())


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    v2: str  # as it is compared
    code: Code


def rows(path: Path) -> Iterator[Row]:
    """The rows of one file, as they stand there. Raises ConfigInvalid with file and line."""
    with path.open(encoding="utf-8", newline="") as lines:
        found = csv.DictReader(lines)
        if not set(_COLUMNS) <= set(found.fieldnames or ()):
            raise ConfigInvalid(f"the first line must name the columns {','.join(_COLUMNS)}", location=f"{path}:1")
        for row in found:
            v2 = (row["v2"] or "").strip().upper()
            if not v2 or not (row["code"] or "").strip():
                raise ConfigInvalid("'v2' and 'code' must both be filled", location=f"{path}:{found.line_num}")
            yield Row(found.line_num, v2, Code(*((row[column] or "").strip() for column in _COLUMNS[1:])))


def read(path: Path) -> dict[str, Code]:
    """One file. Raises ConfigInvalid with file and line."""
    table: dict[str, Code] = {}
    for row in rows(path):
        if row.v2 in table:
            raise ConfigInvalid(f"'{row.v2}' is there twice: keep one row", location=f"{path}:{row.line}")
        table[row.v2] = row.code
    return table


def read_folder(folder: Path) -> dict[str, dict[str, Code]]:
    """Every table of a folder by file name; none when there is no such folder."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}
