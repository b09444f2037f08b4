"""Tables of settlement: payouts, the states that they were seen in, their lines, and how far each merchant was read.

Written by store.py and files.py alone. A line is unique by the processor's own id of it, so that lines which come
twice, late or out of order are harmless; what it is *for* (a payment, an entry) is noted once it is known.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class PayoutRow(Row, table=True):
    """A payout, or a batch of a rail that has none. `state` is the fold over `payout_fact`."""

    __tablename__ = "payout"
    __table_args__ = (
        UniqueConstraint("tenant_id", "merchant", "processor_ref"),
        Index(None, "tenant_id", "merchant", "created_at"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payout_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(sa_type=Text)
    processor_ref: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)  # below zero: taken from the bank
    currency: str = Field(sa_type=Text)
    itemised: bool
    complete: bool  # all of its lines are here
    arrives_on: str = Field(sa_type=Text)  # YYYY-MM-DD; empty: not said
    created_at: datetime = Field(sa_type=UtcDateTime)  # at the processor
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    trace: str = Field(sa_type=Text, sa_column_kwargs={"server_default": ""})  # what the bank calls it; empty: not said


class PayoutFactRow(Row, table=True):
    """A state in which a payout was seen, the first time. See domain/payout.py."""

    __tablename__ = "payout_fact"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payout_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(primary_key=True, sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class PayoutLineRow(Row, table=True):
    """A line of a payout, in the canonical form of payments/settlement_port.py."""

    __tablename__ = "payout_line"
    __table_args__ = (
        Index(None, "tenant_id", "merchant", "payout_ref", "line_ref", unique=True),
        Index(None, "tenant_id", "state", "merchant", "line_ref"),
        Index(None, "tenant_id", "payment_id"),
        Index(None, "tenant_id", "line_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    line_ref: str = Field(primary_key=True, sa_type=Text)  # the processor's id of it
    payout_ref: str = Field(sa_type=Text)  # and of its payout
    kind: str = Field(sa_type=Text)  # domain/settlement.py
    raw_type: str = Field(sa_type=Text)  # the processor's word
    gross_minor: int = Field(sa_type=BigInteger)
    fee_minor: int = Field(sa_type=BigInteger)
    net_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    payment_ref: str = Field(sa_type=Text)  # the processor's id of the payment; empty: of none
    of_ref: str = Field(sa_type=Text)  # of the capture, refund, return or dispute
    our_ref: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    available_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    raw: str = Field(sa_type=Text)  # what it was read from, by an allow-list of fields
    content_hash: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)  # waiting: what it is of isn't known yet; booked; noted: nothing to book
    payment_id: str = Field(sa_type=Text)  # ours; empty: of none, or not known yet
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    booked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    presentment_minor: int | None = Field(default=None, sa_type=BigInteger)  # as it was taken; none: as gross
    presentment_currency: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})


class SettlementFileRow(Row, table=True):
    """A report as a processor made it, kept before anything of it is read."""

    __tablename__ = "settlement_file"
    __table_args__ = (
        UniqueConstraint("tenant_id", "merchant", "content_hash"),
        Index(None, "tenant_id", "merchant", "name"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    file_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    content_hash: str = Field(sa_type=Text)  # keyed
    state: str = Field(sa_type=Text)  # received, kept, refused
    says: str = Field(sa_type=Text)  # why it was refused
    received_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    sealed: str = Field(sa_type=Text)  # its bytes (security/sealed.py)


class SettlementMarkRow(Row, table=True):
    """How far a merchant's payouts were read."""

    __tablename__ = "settlement_mark"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    watermark: datetime = Field(sa_type=UtcDateTime)  # all that was made before is here
    read_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the last time that all was read
