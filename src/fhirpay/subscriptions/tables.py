"""Tables of the Subscriptions that clients have at our FHIR endpoint. Written by store.py and events.py alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class SubscriptionRow(Row, table=True):
    """A Subscription as its client put it, and how far it was told. Events up to `delivered` are told, in order."""

    __tablename__ = "subscription"
    __table_args__ = (CheckConstraint("state IN ('requested', 'active', 'error', 'off')", name="state"),)

    tenant_id: str = Field(primary_key=True)
    subscription_id: str = Field(primary_key=True)
    client: str
    version: int
    state: str
    content: str  # JSON: the resource, with its headers' names alone
    headers: str  # JSON, sealed (security/sealed.py); empty: none
    criteria: str  # a query string; empty: every payment
    scopes: str  # what its client might read when it asked, to the letter
    events: int = Field(sa_type=BigInteger)
    delivered: int = Field(sa_type=BigInteger)
    failures: int = Field(sa_type=BigInteger)  # in a row
    error: str
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    told_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # when its endpoint last said that it heard
    updated_at: datetime = Field(sa_type=UtcDateTime)


class SubscriptionEventRow(Row, table=True):
    """Something that a Subscription is to be told: a version of a PaymentReconciliation."""

    __tablename__ = "subscription_event"

    tenant_id: str = Field(primary_key=True)
    subscription_id: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    resource_id: str
    version: int
    happened_at: datetime = Field(sa_type=UtcDateTime)
