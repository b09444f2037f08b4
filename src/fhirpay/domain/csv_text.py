"""Rows as CSV for people's spreadsheets: RFC 4180, lines that end in CR LF, nothing that a spreadsheet would run.

Called by whoever shows a list as CSV. Files for machines have a layout of their own (writeback/layout.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_RUN = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Each row as its line, its text inert; a number stays a number, below zero too."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([inert(cell) if isinstance(cell, str) else cell for cell in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def inert(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_RUN) else text
