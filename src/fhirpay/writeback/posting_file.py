"""Payments and refunds → a posting file, by the receiver's settings and layout. Pure; called by usecases/make_files.py.

One detail for each allocation, in the words that the layout asks for and in no others: no name of anybody is among
them. A refund's lines have the other sign, or a type of their own (`sign`), and `takes_back` names what they take back.
The trailer's total is that of the lines; of `unsigned` ones it is payments less refunds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ..config_destination import MONEY_SIGNS
from ..config_posting_file import PostingFile
from ..domain.money import Money
from ..errors import InvariantBroken, RuleBroken
from .layout import DATES, Column, Layout
from .posted import Line, PostedPayment, all_lines, allocation_id, takes

RESOURCE_TYPE = "PostingFile"
"""In a posting: it goes out in a file."""

Value = str | Money | datetime


@dataclass(frozen=True, slots=True)
class Numbers:
    """Whom and what a line is about, as the receiver numbers it; empty where there is no such number."""

    account: str = ""
    guarantor: str = ""
    visit: str = ""
    charge: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """A line, before it is written. `booked` is what the books have of it: below zero it takes back."""

    booked: Money
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Made:
    """A file's content, and what its trailer says."""

    body: bytes
    total: Money
    lines: int


def details(posted: PostedPayment, numbers: Mapping[int, Numbers], to: PostingFile, layout: Layout) -> list[Detail]:
    """Its lines; `numbers` are by line. Raises RuleBroken for what the layout can't say, so that it waits for a person
    before a file is made, and not the file for it.
    """
    found = [_detail(posted, line, numbers.get(line.number, Numbers()), to) for line in all_lines(posted)]
    for one in found:
        # What isn't known before the file is made is what every layout has room for.
        _checked_line(layout, one.values | {"file_number": "1", "line_number": "1", "made_at": posted.at})
    return found


def render(
    parts: Sequence[Sequence[Detail]],
    to: PostingFile,
    layout: Layout,
    *,
    number: int,
    made_at: datetime,
    currency: str,
) -> Made:
    """The file of these payments and refunds, in this order, all of one currency.

    Raises RuleBroken where its header or trailer can't say what it has to.
    """
    lines = [one for part in parts for one in part]
    booked = sum((one.booked for one in lines), Money.zero(currency))
    total = -booked if to.sign == "payment_negative" else booked
    said = sum((_amount_of(one) for one in lines), Money.zero(currency))
    if to.sign != "unsigned" and said != total:
        raise InvariantBroken(f"the lines of a file for '{to.name}' say {said}, and its trailer {total}")
    of_file: dict[str, Value] = {"file_number": str(number), "made_at": made_at, "receiver": to.receiver}
    of_file |= {"currency": currency, "line_count": str(len(lines)), "payment_count": str(len(parts)), "total": total}
    zone = ZoneInfo(to.zone)
    records = [[one.name for one in layout.detail]] if layout.titles else []
    records += [_record(layout, layout.header, of_file, zone)] if layout.header else []
    for count, one in enumerate(lines, start=1):
        records.append(_record(layout, layout.detail, one.values | of_file | {"line_number": str(count)}, zone))
    records += [_record(layout, layout.trailer, of_file, zone)] if layout.trailer else []
    return Made(_encoded("".join(_written(layout, one) for one in records), layout), total, len(lines))


def _detail(posted: PostedPayment, line: Line, numbers: Numbers, to: PostingFile) -> Detail:
    back = takes(posted, line)
    sign = MONEY_SIGNS[to.sign][back]
    values: dict[str, Value] = {
        "transaction": allocation_id(posted.id, line.number),
        "takes_back": line.takes_back,
        "payment": posted.refund_of or posted.restores or posted.id,
        "type": (to.payment_code, to.refund_code)[back],
        "amount": Money(sign * line.amount.minor, line.amount.currency),
        "currency": line.amount.currency,
        "paid_at": posted.at,
        "account": numbers.account,
        "guarantor": numbers.guarantor,
        "visit": numbers.visit,
        "charge": numbers.charge,
        "medium": _medium(posted, to),
        "reference": posted.reference,
        "processor": posted.processor,
        "facility": posted.facility,
        "receiver": to.receiver,
    }
    return Detail(-line.amount if back else line.amount, values)


def _medium(posted: PostedPayment, to: PostingFile) -> str:
    return next((to.media[key] for key in (posted.brand, posted.method, "default") if key in to.media), posted.method)


def _amount_of(detail: Detail) -> Money:
    amount = detail.values["amount"]
    assert isinstance(amount, Money)
    return amount


# ── columns ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _checked_line(layout: Layout, values: Mapping[str, Value]) -> None:
    _encoded("".join(_record(layout, layout.detail, values, ZoneInfo("UTC"))), layout)


def _record(layout: Layout, columns: Sequence[Column], values: Mapping[str, Value], zone: ZoneInfo) -> list[str]:
    return [_column(layout, one, values, zone) for one in columns]


def _column(layout: Layout, column: Column, values: Mapping[str, Value], zone: ZoneInfo) -> str:
    value = values[column.source] if column.source else column.value
    if isinstance(value, Money):
        return _amount(layout, column, value)
    text = value.astimezone(zone).strftime(DATES[column.form]) if isinstance(value, datetime) else value
    if column.required and not text:
        raise RuleBroken(f"there is no {column.source or column.name} for the column '{column.name}'")
    if any(character < " " or character == "\x7f" for character in text):
        raise RuleBroken(f"what is to stand in the column '{column.name}' has control characters in it")
    if column.width and len(text) > column.width:
        if not column.cut:
            raise RuleBroken(f"the column '{column.name}' has {column.width} characters, and {len(text)} are needed")
        text = text[: column.width] if column.cut == "right" else text[-column.width :]
    return _padded(column, text) if layout.shape == "fixed" else text


def _amount(layout: Layout, column: Column, amount: Money) -> str:
    """A sign is outside of what fills the column: -0003000, or 0003000-."""
    size = abs(amount)
    text = str(size.minor) if column.form == "minor" else f"{size.decimal:f}"
    sign = "-" if amount.minor < 0 else ""
    if column.width and len(text) + len(sign) > column.width:
        raise RuleBroken(f"the column '{column.name}' is too narrow for {amount}")
    if layout.shape == "fixed" and column.pad != " ":
        text = _padded(column, text, column.width - len(sign))
    signed = sign + text if column.sign == "leading" else text + sign
    return _padded(column, signed) if layout.shape == "fixed" else signed


def _padded(column: Column, text: str, width: int | None = None) -> str:
    to = column.width if width is None else width
    return text.rjust(to, column.pad) if column.align == "right" else text.ljust(to, column.pad)


def _written(layout: Layout, record: Sequence[str]) -> str:
    if layout.shape == "fixed":
        return "".join(record) + layout.line_end
    line = io.StringIO()
    csv.writer(line, delimiter=layout.delimiter, lineterminator=layout.line_end).writerow(record)
    return line.getvalue()


def _encoded(text: str, layout: Layout) -> bytes:
    try:
        return text.encode(layout.encoding)
    except UnicodeEncodeError as error:
        letter = text[error.start : error.start + 1]
        raise RuleBroken(f"the file is {layout.encoding}, which has no '{letter}'") from None
