"""A close as CSV (RFC 4180): one table below the other, each row led by its section. Pure; the same bytes for ever.

A cell that people wrote and that begins with = + - @ or a control character gets an apostrophe before it: a spreadsheet
shows it and computes nothing. Amounts of ours stay as they are, with their sign.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from ..domain.csv_text import inert
from .sheet import Table, tables


def render(document: Mapping[str, Any], close_hash: str) -> bytes:
    """UTF-8, lines end in CRLF."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n")
    for table in tables(document, close_hash):
        write.writerow([table.name, *table.columns])
        for row in table.rows:
            write.writerow([table.name, *(_cell(table, number, text) for number, text in enumerate(row))])
    return out.getvalue().encode("utf-8")


def _cell(table: Table, number: int, text: str) -> str:
    return inert(text) if number in table.said else text
