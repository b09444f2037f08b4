"""Tables of the front desk: what was handed over for a payment, what was handed back of one, and its tills.

Written by tenders.py and bags.py alone. Money is BIGINT minor units.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


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


class HandedBackRow(Row, table=True):
    """How a desk gave a refund: out of a till, or by a check of the practice's own."""

    __tablename__ = "desk_refund"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    refund_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)  # cash, check
    till: str = Field(sa_type=Text)
    check_number: str = Field(default="", sa_type=Text)  # the practice's own check


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
