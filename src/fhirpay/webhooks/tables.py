"""Tables of outgoing webhooks. Written by store.py and events.py alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class WebhookEndpointRow(Row, table=True):
    """An address of a client's that is told of events. Its secrets follow from `generation`: none is kept."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (CheckConstraint("state IN ('active', 'disabled')", name="state"),)

    tenant_id: str = Field(primary_key=True)
    endpoint_id: str = Field(primary_key=True)
    client: str
    url: str
    kinds: str  # JSON list of what it is told; empty list: everything
    state: str
    says: str  # why it is disabled
    generation: int  # of its secret
    previous_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the secret before signs too until then
    failures: int = Field(sa_type=BigInteger)  # in a row, of whatever event
    rests_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # it isn't called before
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class WebhookEventRow(Row, table=True):
    """Something that happened, as it is told: ids, a state and an amount, and nothing of a person."""

    __tablename__ = "webhook_event"
    __table_args__ = (Index(None, "tenant_id", "happened_at", "event_id"),)

    tenant_id: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    kind: str
    subject: str  # the id of the refund, dispute, return or payment
    payment_id: str
    account_ref: str  # whose order it keeps; not told
    state: str
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str
    happened_at: datetime = Field(sa_type=UtcDateTime)


class WebhookDeliveryRow(Row, table=True):
    """An event on its way to an endpoint."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'delivered', 'parked', 'skipped')", name="state"),
        Index(None, "tenant_id", "event_id"),
    )

    tenant_id: str = Field(primary_key=True)
    endpoint_id: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    work_id: str
    state: str
    tries: int = Field(sa_type=BigInteger)  # since it was queued, or queued anew
    says: str  # of the last try
    told_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
