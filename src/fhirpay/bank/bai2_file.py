"""A BAI2 file (BAI's cash management balance reporting, version 2), by the library `bai2`. Pure.

The library counts records and control totals, and knows which type codes are credits; amounts are whole numbers of the
currency's smallest unit to it and to us. What it doesn't stand is seen to first: a file without its last record (99),
on which it never ends, and a second file behind that record, which it would not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from bai2.constants import AsOfDateModifier, GroupStatus, TypeCodeTransaction
from bai2.exceptions import IntegrityException, NotSupportedYetException, ParsingException
from bai2.helpers import IteratorHelper
from bai2.parsers import Bai2FileParser

from ..domain.money import Money
from ..errors import MessageInvalid, MessageUnsupported
from .statement import Statement, StatementLine, shortened

_RECORDS = ("01", "02", "03", "16", "49", "88", "98", "99")
_OPENING, _CLOSING = "010", "015"
_FINAL = (None, AsOfDateModifier.final_previous_day, AsOfDateModifier.final_same_day)


def read(data: bytes) -> list[Statement]:
    """One statement for each account of each group. Raises MessageInvalid, MessageUnsupported with the line."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise MessageInvalid(f"byte {error.start} is no ASCII, of which a BAI2 file is made") from None
    written = [(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    _check_frame(written)
    counted = _Counted(written)
    try:
        file: Any = Bai2FileParser(IteratorHelper(counted)).parse()
    except (IntegrityException, ParsingException) as error:
        raise MessageInvalid(f"it doesn't add up: {_legible(error)}", location=counted.at) from None
    except NotSupportedYetException as error:
        raise MessageUnsupported(_legible(error), location=counted.at) from None
    except (ValueError, IndexError, TypeError, RuntimeError):
        raise MessageInvalid("this record, or the one before it, is not as BAI2 has it", location=counted.at) from None
    found = list(_statements(file, iter(_numbers(written, "03")), iter(_numbers(written, "16"))))
    if counted.left:
        raise MessageInvalid("records stand where none may", location=counted.at)
    return found


def _check_frame(written: list[tuple[int, str]]) -> None:
    if not written:
        raise MessageInvalid("it is empty")
    for number, line in written:
        if line[:2] not in _RECORDS or line[2:3] not in (",", "/"):
            raise MessageInvalid("this is no BAI2 record: 01, 02, 03, 16, 49, 88, 98 or 99", location=f"line {number}")
    codes = [line[:2] for _, line in written]
    if codes[0] != "01":
        raise MessageInvalid("it doesn't begin with a file header (01)", location=f"line {written[0][0]}")
    if "01" in codes[1:]:
        again = written[codes.index("01", 1)][0]
        raise MessageInvalid("a second file begins here: give them one by one", location=f"line {again}")
    if codes[-1] != "99":
        raise MessageInvalid("its last record is no file trailer (99): the file was cut off, or goes on after it")
    if codes.count("99") > 1:
        raise MessageInvalid("it ends twice (99)", location=f"line {written[codes.index('99')][0]}")


def _numbers(written: list[tuple[int, str]], code: str) -> Iterable[int]:
    return [number for number, line in written if line.startswith(code)]


class _Counted:
    """The lines, and how far they were read: the library names no line."""

    def __init__(self, written: list[tuple[int, str]]) -> None:
        self.left = list(written)
        self._at = 0

    @property
    def at(self) -> str:
        return f"line {self._at}"

    def __iter__(self) -> Iterator[str]:
        while self.left:
            self._at, line = self.left.pop(0)
            yield line


def _legible(error: Exception) -> str:
    return str(error).rstrip(".")[:200]


def _statements(file: Any, accounts: Iterator[int], details: Iterator[int]) -> Iterator[Statement]:
    for group in file.children:
        for account in group.children:
            yield _statement(group.header, account, next(accounts), details)


def _statement(group: Any, account: Any, number: int, details: Iterator[int]) -> Statement:
    at = f"line {number}"
    whose: str = account.header.customer_account_number or ""
    if not whose:
        raise MessageInvalid("an account identifier (03) without its number", location=at)
    about = f"account {shortened(whose)}"
    if group.group_status is not GroupStatus.update:
        raise MessageUnsupported(f"{about}: the group's status is not 1 (update)", location=at)
    if group.as_of_date_modifier not in _FINAL:
        raise MessageUnsupported(f"{about}: an interim report (not 2 or 4), whose lines may go again", location=at)
    day: date | None = group.as_of_date
    if day is None:
        raise MessageInvalid(f"{about}: the group has no as-of date", location=at)
    currency: str = account.header.currency or group.currency
    balances = {one.type_code.code: one.amount for one in account.header.summary_items if one.amount is not None}
    lines = tuple(_line(one, day, currency, f"line {next(details)}") for one in account.children)
    opening, closing = (Money(balances[code], currency) if code in balances else None for code in (_OPENING, _CLOSING))
    return Statement(whose, currency, tuple(one for one in lines if one), day, day, at, opening, closing)


def _line(detail: Any, day: date, currency: str, at: str) -> StatementLine | None:
    """None for what moves no money (890)."""
    code, amount = detail.type_code, detail.amount
    if not amount:
        return None
    if amount < 0:
        raise MessageInvalid("an amount below zero: its type code says which way it goes", location=at)
    if code.transaction not in (TypeCodeTransaction.credit, TypeCodeTransaction.debit):
        raise MessageUnsupported(f"type code {code.code} says neither credit nor debit of an amount", location=at)
    money = Money(amount if code.transaction is TypeCodeTransaction.credit else -amount, currency)
    text = " ".join(filter(None, (detail.customer_reference, detail.text)))
    return StatementLine(day, money, text, at, detail.bank_reference or "", code.code)
