"""An entry's text as its rows spell it. Pure; used by check.py, for which it is the short way.

An entry is stored twice: as the text that is hashed, and as the rows that queries read. Reading the text and comparing
it value by value is slow. Spelling it out of the rows and comparing the two texts once says the same: that the text is
canonical, that it stands at its place in this tenant's chain, and that every row repeats it. Whatever can't be spelled,
for any reason, is no verdict: it has to be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .chain import FORMAT

_REF = r'"(?:\w+)":"[^"]*"'
_REFS = re.compile(rf"\{{(?:{_REF}(?:,{_REF})*)?\}}", re.ASCII)
_NAME = re.compile(r'"(\w+)":"[^"]*"', re.ASCII)
# Quotation marks: those of an entry without its refs, of one leg, of one dimension. A value can't hold one unseen.
_ENTRY_QUOTES, _LEG_QUOTES, _DIM_QUOTES = 36, 16, 4
_ESCAPED = bytes(range(32)) + b'"\\'
DIMS = ("account_ref", "merchant", "obligation", "payment", "refund", "till")  # as a text has them: sorted


class EntryRow(NamedTuple):
    """A row of `ledger_entry` as it is stored: moments are microseconds."""

    seq: int
    entry_id: str
    key: str
    kind: str
    occurred_at: int
    recorded_at: int
    business_date: str
    body: str
    hash: str


class PostingRow(NamedTuple):
    """A row of `ledger_posting` without its tenant; its dimensions are in the order of a text."""

    entry_id: str
    line: int
    account: str
    side: str
    minor: int
    currency: str
    account_ref: str | None
    merchant: str | None
    obligation: str | None
    payment: str | None
    refund: str | None
    till: str | None


def spells(entry: EntryRow, postings: Sequence[PostingRow], tenant: str, last: int, prev: str) -> bool:
    """Whether the text is exactly what the store writes of these rows, as the entry after number `last` of hash `prev`.

    They may be any rows of the driver's: where a column holds what isn't of its type, False.
    """
    seq, entry_id, key, kind, occurred_at, recorded_at, business_date, body, _ = entry
    if not (seq == last + 1 and int is seq.__class__ is occurred_at.__class__ is recorded_at.__class__):
        return False
    try:  # adding texts, not formatting them: what is no text raises
        legs, quotes = _legs(postings)
        begin = '{"business_date":"' + business_date + '","entry_id":"' + entry_id + '","key":"' + key
        begin += '","kind":"' + kind + f'","occurred_at":{occurred_at},"postings":[{legs}],"prev":"{prev}",'
        begin += f'"recorded_at":{recorded_at},"refs":'
        end = f',"seq":{seq},"tenant":"{tenant}","v":{FORMAT}}}'
        if not (body.startswith(begin) and body.endswith(end)):
            return False
        refs = body[len(begin) : -len(end)]
    except (TypeError, AttributeError):
        return False
    if refs != "{}":
        if not _REFS.fullmatch(refs):
            return False
        names = _NAME.findall(refs)
        if len(names) > 1 and sorted(set(names)) != names:
            return False
        quotes += refs.count('"')
    try:
        data = body.encode("ascii")
    except UnicodeEncodeError:
        return False
    # One character more that JSON would write in another way, and the text has to be read.
    return len(data) - len(data.translate(None, _ESCAPED)) == _ENTRY_QUOTES + quotes


def _legs(postings: Sequence[PostingRow]) -> tuple[str, int]:
    """The postings as they stand in a text, and how many quotation marks that takes. Raises TypeError."""
    legs, quotes, number = "", 0, 0
    for _, line, account, side, minor, currency, account_ref, merchant, obligation, payment, refund, till in postings:
        number += 1
        if line != number or minor.__class__ is not int or minor < 0 or (side != "debit" and side != "credit"):
            raise TypeError
        dims = ""
        if account_ref is not None:
            dims += ',"account_ref":"' + account_ref + '"'
            quotes += _DIM_QUOTES
        if merchant is not None:
            dims += ',"merchant":"' + merchant + '"'
            quotes += _DIM_QUOTES
        if obligation is not None:
            dims += ',"obligation":"' + obligation + '"'
            quotes += _DIM_QUOTES
        if payment is not None:
            dims += ',"payment":"' + payment + '"'
            quotes += _DIM_QUOTES
        if refund is not None:
            dims += ',"refund":"' + refund + '"'
            quotes += _DIM_QUOTES
        if till is not None:
            dims += ',"till":"' + till + '"'
            quotes += _DIM_QUOTES
        legs += (
            ',{"account":"' + account + '","currency":"' + currency + '","dims":{' + dims[1:]
        ) + f'}},"minor":{minor},"side":"{side}"}}'
    return legs[1:], quotes + _LEG_QUOTES * number
