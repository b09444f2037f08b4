"""The table of payments on card readers. Written by terminals.py alone.

The partial unique index is the law "one active payment for each reader", whichever process asks.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

_ACTIVE = text("freed_at IS NULL")


class TerminalPaymentRow(Row, table=True):
    """A payment on a reader. `freed_at` null: the reader is its own, until its outcome is known."""

    __tablename__ = "terminal_payment"
    __table_args__ = (
        Index(
            "uq_terminal_payment_active",
            "tenant_id",
            "merchant",
            "reader",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    terminal: str = Field(sa_type=Text)  # as it was called then
    merchant: str = Field(sa_type=Text)
    reader: str = Field(sa_type=Text)  # the processor's id of it
    till: str = Field(sa_type=Text)
    entry_mode: str = Field(sa_type=Text)  # chip, contactless, swipe, manual; empty: not read yet
    network_ref: str = Field(sa_type=Text)  # the card network's id of the payment
    started_at: datetime = Field(sa_type=UtcDateTime)
    freed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
