"""How somebody's CSV is written, whatever its columns mean. Part of `config`; read by domain/csv_lines.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .config_section import Section


class CsvForm(Section):
    """Columns are named by the first line that is not skipped."""

    day_format: str = Field(default="%Y-%m-%d", description="how the day is written, such as %m/%d/%Y")
    currency_column: str = Field(default="", description="the column of the currency; empty: there is none")
    decimal_sign: Literal[".", ","] = Field(default=".", description="before the cents; the other one groups thousands")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="between two columns")
    skip_lines: int = Field(default=0, ge=0, le=100, description="lines before the one with the names of the columns")
    encoding: Literal["utf-8", "cp1252"] = Field(default="utf-8", description="of its text")
