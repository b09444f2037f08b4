"""A bank's CSV, by the mapping of its account (config_bank.py). Pure. Raises MessageInvalid with the line.

A line that can't be read refuses the whole file: what a bank's text holds is never repeated in the error.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from io import StringIO

from ..config_bank import BankAccount
from ..domain.money import Money
from ..errors import MessageInvalid, ValueInvalid
from .statement import Statement, StatementLine


def read(data: bytes, account: BankAccount) -> list[Statement]:
    """Its one statement, without balances: a CSV tells none."""
    mapping = account.csv
    try:
        text = data.decode(mapping.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise MessageInvalid(f"byte {error.start} is not {mapping.encoding}: set encoding", location="file") from None
    if text and not text.endswith(("\n", "\r")):
        raise MessageInvalid("its last line has no end: the file was cut off, or is still being written")
    if '"' in text and text.count('"') % 2:
        raise MessageInvalid("a quotation that begins in it doesn't end: the file was cut off")
    rows = csv.reader(StringIO(text, newline=""), delimiter=mapping.delimiter, strict=True)
    try:
        lines = tuple(_lines(rows, account))
    except csv.Error as error:
        raise MessageInvalid(str(error), location=f"line {rows.line_num}") from None
    if not lines:
        raise MessageInvalid("there is no line in it but the names of its columns")
    days = [line.booked_on for line in lines]
    return [Statement("", account.currency, lines, min(days), max(days), "line 1")]


def _lines(rows: Iterator[list[str]], account: BankAccount) -> Iterator[StatementLine]:
    mapping, number = account.csv, 0
    for _ in range(mapping.skip_lines):
        next(rows, None)
        number += 1
    names = [name.strip() for name in next(rows, [])]
    wanted = [mapping.day, mapping.amount, mapping.credit, mapping.debit, mapping.reference, mapping.currency_column]
    wanted += mapping.text
    if missing := [name for name in wanted if name and name not in names]:
        says = f"there is no column '{missing[0]}', which the mapping of '{account.name}' names"
        raise MessageInvalid(says, location=f"line {number + 1}")
    for cells in rows:
        at = f"line {rows.line_num}"  # type: ignore[attr-defined]  (of csv.reader; typeshed hides it behind Iterator)
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise MessageInvalid(f"it has {len(cells)} columns, the first line {len(names)}", location=at)
        yield _line(dict(zip(names, (cell.strip() for cell in cells), strict=True)), account, at)


def _line(cells: Mapping[str, str], account: BankAccount, at: str) -> StatementLine:
    mapping = account.csv
    if mapping.currency_column and (found := cells[mapping.currency_column]) != account.currency:
        shown = found if len(found) == 3 and found.isalpha() else "something else"
        says = f"its currency is {shown}, and account '{account.name}' is in {account.currency}"
        raise MessageInvalid(says, location=f"{at}, {mapping.currency_column}")
    if mapping.amount:
        amount = _money(cells, mapping.amount, account, at)
        amount = -amount if mapping.negated else amount
    else:
        came, went = (cells[name] for name in (mapping.credit, mapping.debit))
        if bool(came) == bool(went):
            says = "one of credit and debit has to be there, and not both"
            raise MessageInvalid(says, location=f"{at}, {mapping.credit}")
        amount = _money(cells, mapping.credit, account, at) if came else -abs(_money(cells, mapping.debit, account, at))
    text = " ".join(cells[name] for name in mapping.text)
    reference = cells[mapping.reference] if mapping.reference else ""
    return StatementLine(
        _day(cells[mapping.day], mapping.day_format, f"{at}, {mapping.day}"), amount, text, at, reference
    )


def _day(text: str, written: str, at: str) -> date:
    try:
        return datetime.strptime(text, written).date()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        raise ValueInvalid(f"this is no day as {written} writes it", location=at) from None


def _money(cells: Mapping[str, str], column: str, account: BankAccount, at: str) -> Money:
    at = f"{at}, {column}"
    text = cells[column].replace(" ", "").replace("$", "")
    less = text.startswith("(") and text.endswith(")")
    text = text[1:-1] if less else text
    text = _plain(text, account.csv.decimal_sign, at)
    try:
        found = Money.of(text, account.currency)
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
