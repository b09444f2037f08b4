"""Matrices that the suite prints: what was tried, under what, and what came of it.

A test names its cell first (`Cell(record_property, …)`) and says its outcome at the end; one that fails in between
shows as FAILED. `conftest.py` takes the hook below: it prints each matrix at the end of the run, also under xdist, and
writes `build/<name>-matrix.md`. A cell without a meaning says `– ` and why: the reasons stand below the table. To make
another matrix: another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PROPERTY = "matrix"
_BUILD = Path(__file__).resolve().parent.parent / "build"


class Cell:
    """One cell of the matrix `name`. `row` and `column` are shown in the order in which they first come."""

    def __init__(self, record_property: Callable[[str, Any], None], name: str, *, row: str, column: str) -> None:
        self._says = lambda text: record_property(_PROPERTY, [name, row, column, text])
        self._says("")

    def says(self, outcome: str) -> None:
        self._says(outcome)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, cells in _found(terminalreporter).items():
        lines = list(_table(cells))
        terminalreporter.section(f"{name} matrix")
        for line in lines:
            terminalreporter.write_line(line)
        _BUILD.mkdir(exist_ok=True)
        (_BUILD / f"{name}-matrix.md").write_text("\n".join([f"# {name}", "", *lines, ""]), encoding="utf-8")


def _found(terminalreporter: Any) -> dict[str, dict[tuple[str, str], str]]:
    """By name: (row, column) → outcome."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for key, value in getattr(report, "user_properties", ()):
                if key == _PROPERTY:
                    name, row, column, text = value
                    found.setdefault(name, {})[row, column] = "**FAILED**" if outcome == "failed" else text
    return found


def _table(cells: dict[tuple[str, str], str]) -> Iterator[str]:
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    notes = list(dict.fromkeys(text[2:] for text in cells.values() if text.startswith("– ")))
    short = {f"– {note}": f"– ({number})" for number, note in enumerate(notes, start=1)}
    cells = {at: short.get(text, text) for at, text in cells.items()}
    shown = [["", *columns], *([row, *(cells.get((row, column), "·") for column in columns)] for row in rows)]
    widths = [max(len(line[at]) for line in shown) for at in range(len(columns) + 1)]
    for number, line in enumerate(shown):
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    if notes:
        yield ""
        yield from (f"({number}) {note}" for number, note in enumerate(notes, start=1))
