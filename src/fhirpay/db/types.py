"""Column types that mean the same on both engines. Used by every `tables.py`; add a kind of column here, not there.

SQLite keeps no zones and rounds decimals, so a moment is an integer of microseconds, money an integer of minor units
(`BigInteger`, with the currency beside it) and a quantity its decimal text. `Numeric`, `DateTime`, `JSON` and `Float`
columns are refused by a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNKEPT = re.compile("[\x00\ud800-\udfff]")  # no text of PostgreSQL, or of UTF-8
INDEXED_MAX = 200  # characters; an index entry of PostgreSQL has room for 2704 bytes


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC, exact. A naive moment is refused: guessing its zone would be a lie."""
    if moment.tzinfo is None:
        raise ValueError("a stored moment needs its zone; this one has none")
    return (moment - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The aware UTC moment that `micros` made this number of."""
    return _EPOCH + timedelta(microseconds=stored)


def text_list(texts: Iterable[str]) -> str:
    """The texts as a JSON list: what `json.dumps` gives, in a fraction of its time (it stands on the ACK path)."""
    return f"[{', '.join(map(encode_basestring_ascii, texts))}]"


def fitted(text: str) -> str:
    """`text` as it stands in an index: itself, or its hash where an index has no room for it or can't hold it.

    Whatever is looked up by text from outside goes through here on both sides, so that no text is one too many.
    """
    if len(text) <= INDEXED_MAX and not _UNKEPT.search(text):
        return text
    return "sha256:" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def legible(text: str) -> str:
    """`text` for people, such as the words of an error, without what no database can keep."""
    return _UNKEPT.sub("�", text)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


class DecimalText(TypeDecorator[Decimal]):
    """An exact decimal, kept as the digits it was written with (125.00 stays 125.00)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise ValueError("a decimal column takes a finite Decimal and nothing else")
        return format(value, "f")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)
