"""What processors said that they hold for a merchant, with its moment, beside what the books had.

Written by balances.py alone.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class ProcessorBalanceRow(Row, table=True):
    """`total` = `books` + the parts that explain themselves + `remainder`, of one merchant, currency and moment."""

    __tablename__ = "processor_balance"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    read_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)  # when it was asked for
    pending_minor: int = Field(sa_type=BigInteger)
    available_minor: int = Field(sa_type=BigInteger)
    reserved_minor: int | None = Field(default=None, sa_type=BigInteger)  # null: the processor doesn't say
    books_minor: int = Field(sa_type=BigInteger)
    parts: str = Field(sa_type=Text)  # JSON, by label in minor units
    remainder_minor: int = Field(sa_type=BigInteger)
    open_since: datetime = Field(sa_type=UtcDateTime)  # of the oldest line that no payout has taken: where to read from
