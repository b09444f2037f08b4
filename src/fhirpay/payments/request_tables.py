"""Tables of payment requests. Written by payment_requests.py alone; what has become of one its payments say."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class PaymentRequestRow(Row, table=True):
    """So much is asked of a payer until `expires_at`, or until somebody takes that back."""

    __tablename__ = "payment_request"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    request_id: str = Field(primary_key=True, sa_type=Text)
    facility: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    obligations: str = Field(sa_type=Text)  # JSON: those that were named; none: whatever the account owes
    expires_at: datetime = Field(sa_type=UtcDateTime)
    requested_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    canceled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    canceled_by: str = Field(default="", sa_type=Text)
    canceled_why: str = Field(default="", sa_type=Text)


class RequestTryRow(Row, table=True):
    """A payment under a request, and under no other. The first one says whose account it is."""

    __tablename__ = "request_try"
    __table_args__ = (UniqueConstraint("tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    request_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    payment_id: str = Field(sa_type=Text)
