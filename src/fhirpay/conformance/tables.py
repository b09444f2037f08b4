"""Tables of what was found in real traffic, written by `counts.py`: counts and addresses, no value of a message."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class TrafficLookRow(Row, table=True):
    """Up to which message anybody has looked: whoever moves it on checks what lies between."""

    __tablename__ = "traffic_look"

    tenant_id: str = Field(primary_key=True)
    message_id: str


class TrafficFeedRow(Row, table=True):
    """How many messages of an interface were checked, and how many of those that should have been were not."""

    __tablename__ = "traffic_feed"

    tenant_id: str = Field(primary_key=True)
    interface: str = Field(primary_key=True)
    checked: int = Field(sa_type=BigInteger)
    shed: int = Field(sa_type=BigInteger)
    first_at: datetime = Field(sa_type=UtcDateTime)
    last_at: datetime = Field(sa_type=UtcDateTime)


class TrafficFindingRow(Row, table=True):
    """One kind of departure at one place of one interface, and in how many messages it was found."""

    __tablename__ = "traffic_finding"

    tenant_id: str = Field(primary_key=True)
    interface: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    location: str = Field(primary_key=True)
    agreed: bool  # from the interface's profile; else from the standard's tables alone
    messages: int = Field(sa_type=BigInteger)
    first_at: datetime = Field(sa_type=UtcDateTime)
    last_at: datetime = Field(sa_type=UtcDateTime)
    first_message: str  # ids, to look at
    last_message: str
