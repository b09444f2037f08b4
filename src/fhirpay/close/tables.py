"""The tables of day closes: what was signed off, what it counted as a whole, and what was opened again.

Written by store.py alone. No row is ever changed or deleted, which the database itself sees to; a close that was wrong
is opened again by a row of its own, and closed once more. The unique key of (facility, till, number) is what two clerks
at once queue up at; that of a part is the law "each session is counted in one close".
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row, table
from ..db.types import UtcDateTime
from ..ledger.triggers import keep

_FINAL = "a close is never changed: open it again, and close once more"


class DayCloseRow(Row, table=True):
    """A close of one business day: of a till, or (`till` empty) of the facility. `hash` is of `body`, as it stands."""

    __tablename__ = "day_close"
    __table_args__ = (UniqueConstraint("tenant_id", "facility", "till", "number"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    close_id: str = Field(primary_key=True, sa_type=Text)
    facility: str = Field(sa_type=Text)
    till: str = Field(sa_type=Text)
    number: int = Field(sa_type=BigInteger)  # of this facility and till, from 1 on without gaps
    business_date: str = Field(sa_type=Text)  # 2026-03-02
    seq: int = Field(sa_type=BigInteger)  # the last entry of the ledger that it could count
    replaces: str = Field(sa_type=Text)  # the close of that day that was opened again; empty: none
    signed_by: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    signed_at: datetime = Field(sa_type=UtcDateTime)
    body: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)


class DayCloseReopenedRow(Row, table=True):
    """A close that was opened again: once."""

    __tablename__ = "day_close_reopened"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    close_id: str = Field(primary_key=True, sa_type=Text)
    reopened_by: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)


class DayClosePartRow(Row, table=True):
    """What a close has counted as a whole: a session of a till, or (a facility's) the close of a till."""

    __tablename__ = "day_close_part"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    part: str = Field(primary_key=True, sa_type=Text)  # ses…, cls…
    close_id: str = Field(sa_type=Text)


for _one in (DayCloseRow, DayCloseReopenedRow, DayClosePartRow):
    keep(table(_one), final=_FINAL)
