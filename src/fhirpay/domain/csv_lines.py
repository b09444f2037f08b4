"""The lines of somebody's CSV as cells by column, and what a cell says: a day, an amount. Pure.

Called by bank/csv_file.py, writeback/report_file.py and payments/adapters/adyen_report.py. Raises MessageInvalid and
ValueInvalid with line and column; what a cell holds is never repeated in an error.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from io import StringIO

from ..config_csv import CsvForm
from ..errors import MessageInvalid, ValueInvalid
from .money import Money

Cells = Mapping[str, str]


def read_lines(data: bytes, form: CsvForm, wanted: Collection[str], whose: str) -> Iterator[tuple[str, Cells]]:
    """Each line with where it stands; `wanted` are the columns that the mapping of `whose` names. A file that was cut
    off is refused before its first line is given."""
    try:
        text = data.decode(form.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise MessageInvalid(f"byte {error.start} is not {form.encoding}: set encoding", location="file") from None
    if text and not text.endswith(("\n", "\r")):
        raise MessageInvalid("its last line has no end: the file was cut off, or is still being written")
    if '"' in text and text.count('"') % 2:
        raise MessageInvalid("a quotation that begins in it doesn't end: the file was cut off")
    rows = csv.reader(StringIO(text, newline=""), delimiter=form.delimiter, strict=True)
    try:
        yield from _lines(rows, form, wanted, whose)
    except csv.Error as error:
        raise MessageInvalid(str(error), location=f"line {rows.line_num}") from None


def _lines(
    rows: Iterator[list[str]], form: CsvForm, wanted: Collection[str], whose: str
) -> Iterator[tuple[str, Cells]]:
    for _ in range(form.skip_lines):
        next(rows, None)
    names = [name.strip() for name in next(rows, list[str]())]
    if missing := [name for name in wanted if name and name not in names]:
        says = f"there is no column '{missing[0]}', which the mapping of '{whose}' names"
        raise MessageInvalid(says, location=f"line {form.skip_lines + 1}")
    if twice := [name for name in wanted if name and names.count(name) > 1]:
        raise MessageInvalid(f"two columns are '{twice[0]}'", location=f"line {form.skip_lines + 1}")
    for cells in rows:
        at = f"line {rows.line_num}"  # type: ignore[attr-defined]  (of csv.reader; typeshed hides it behind Iterator)
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise MessageInvalid(f"it has {len(cells)} columns, the first line {len(names)}", location=at)
        yield at, dict(zip(names, (cell.strip() for cell in cells), strict=True))


def check_currency(cells: Cells, form: CsvForm, currency: str, whose: str, at: str) -> None:
    """Raises MessageInvalid where the line says another one."""
    if form.currency_column and (found := cells[form.currency_column]) != currency:
        shown = found if len(found) == 3 and found.isalpha() else "something else"
        says = f"its currency is {shown}, and {whose} is in {currency}"
        raise MessageInvalid(says, location=f"{at}, {form.currency_column}")


def day_in(cells: Cells, column: str, form: CsvForm, at: str) -> date:
    try:
        return datetime.strptime(cells[column], form.day_format).date()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        raise ValueInvalid(f"this is no day as {form.day_format} writes it", location=f"{at}, {column}") from None


def money_in(cells: Cells, column: str, form: CsvForm, currency: str, at: str) -> Money:
    """With its sign; what stands in brackets is below zero."""
    at = f"{at}, {column}"
    text = cells[column].replace(" ", "").replace("$", "")
    less = text.startswith("(") and text.endswith(")")
    text = text[1:-1] if less else text
    text = _plain(text, form.decimal_sign, at)
    try:
        found = Money.of(text, currency)
    except ValueInvalid as error:
        raise ValueInvalid("this is no amount: " + _without_value(error), location=at) from None
    return -found if less else found


def _plain(text: str, sign: str, at: str) -> str:
    """Without what groups thousands, which stands where it may and nowhere else: 1,5 is not 15."""
    group = "," if sign == "." else "."
    whole, point, part = text.partition(sign)
    first, *others = whole.lstrip("+-").split(group)
    if others and (not 1 <= len(first) <= 3 or any(len(one) != 3 for one in others)):
        raise ValueInvalid(f"this is no amount with '{sign}' before its decimals", location=at)
    return whole.replace(group, "") + ("." if point else "") + part


def _without_value(error: ValueInvalid) -> str:
    return "it has more decimals than its currency" if "decimals" in error.message else "it can't be read"
