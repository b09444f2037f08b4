"""Tables of the front desk: what was handed over for a payment, what was handed back of one, and its tills.

Written by tenders.py, bags.py, till_sessions.py and splits.py alone. The database lets a till be open once. Money is
BIGINT minor units.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

_OPEN = text("closed_at IS NULL")


class TenderRow(Row, table=True):
    """What was handed over at a desk for one payment. A check's own number is kept, an account's never."""

    __tablename__ = "tender"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    till: str = Field(sa_type=Text)
    taken_by: str = Field(sa_type=Text)
    payer: str = Field(default="", sa_type=Text)  # whose money it is, where not the patient's or guarantor's
    currency: str = Field(sa_type=Text)
    tendered_minor: int = Field(sa_type=BigInteger)  # of cash, before the change
    change_minor: int = Field(default=0, sa_type=BigInteger)
    check_number: str = Field(default="", sa_type=Text)
    purpose: str = Field(default="", sa_type=Text)  # of a deposit: what it is for
    about: str = Field(default="", sa_type=Text)  # of a deposit: the Appointment
    deposited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of a check: when it went to the bank
    bag_id: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # and in which bag
    session_id: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # of the till


class HandedBackRow(Row, table=True):
    """How a desk gave a refund: out of a till, or by a check of the practice's own."""

    __tablename__ = "desk_refund"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    refund_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)  # cash, check
    till: str = Field(sa_type=Text)
    check_number: str = Field(default="", sa_type=Text)  # the practice's own check
    session_id: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # of the till


class BagRow(Row, table=True):
    """What has gone to the bank at once: the practice's side of a deposit slip. Its checks name it."""

    __tablename__ = "bank_bag"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    bag_id: str = Field(primary_key=True, sa_type=Text)
    facility: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    cash_minor: int = Field(sa_type=BigInteger)
    checks_minor: int = Field(sa_type=BigInteger)
    slip: str = Field(sa_type=Text)  # the deposit slip's own number
    packed_by: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
    business_date: str = Field(sa_type=Text)


class TillRow(Row, table=True):
    """Locked by whoever takes cash out of a till, so that no two take the same. What lies in it the ledger says."""

    __tablename__ = "till"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    till: str = Field(primary_key=True, sa_type=Text)


class TillSessionRow(Row, table=True):
    """From when a till is opened until it is counted and closed."""

    __tablename__ = "till_session"
    __table_args__ = (
        Index("uq_till_session_open", "tenant_id", "till", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    session_id: str = Field(primary_key=True, sa_type=Text)
    till: str = Field(sa_type=Text)
    facility: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    business_date: str = Field(sa_type=Text)  # of its opening
    opened_by: str = Field(sa_type=Text)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_by: str = Field(default="", sa_type=Text)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TillMoveRow(Row, table=True):
    """Cash put into a till or taken out of it by no payment."""

    __tablename__ = "till_move"
    __table_args__ = (Index(None, "tenant_id", "session_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    move_id: str = Field(primary_key=True, sa_type=Text)
    session_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)  # float, drop, pay_in, pay_out
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    moved_by: str = Field(sa_type=Text)
    reason: str = Field(default="", sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)


class TillCountRow(Row, table=True):
    """What somebody counted in a till, and what the books had there."""

    __tablename__ = "till_count"
    __table_args__ = (Index(None, "tenant_id", "session_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    count_id: str = Field(primary_key=True, sa_type=Text)
    session_id: str = Field(sa_type=Text)
    expected_minor: int = Field(sa_type=BigInteger)
    counted_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    counted_by: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)


class SafeMoveRow(Row, table=True):
    """Cash that came into a facility's safe from outside the house, or was there when the books began."""

    __tablename__ = "safe_move"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    move_id: str = Field(primary_key=True, sa_type=Text)
    facility: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)  # bank, opening
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    moved_by: str = Field(sa_type=Text)
    reason: str = Field(default="", sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)


class SplitRow(Row, table=True):
    """One bill paid by several payments at once. What has become of it the payments say."""

    __tablename__ = "payment_split"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    split_id: str = Field(primary_key=True, sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    requested_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class SplitPartRow(Row, table=True):
    """A payment of a split, and of no other."""

    __tablename__ = "split_part"
    __table_args__ = (UniqueConstraint("tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    split_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)  # as they were asked for
    payment_id: str = Field(sa_type=Text)
