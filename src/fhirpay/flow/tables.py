"""Tables of the work queues. Written by `lane.py`, `places.py`, `aliases.py`, `lease.py` and `topics.py` alone.

A work item belongs to a set of lanes and has one `work_place` row in each, numbered under the lane's lock: the order
of sequences isn't the order of commits. `work.waits` counts the lanes in which something stands before it, so an item
is at the head of all its lanes exactly when `waits` is 0, and `claim_at` is null until then.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

_ONE_TREE = {"sqlite_with_rowid": False}  # small rows found by their key alone: no second tree to write


class PlaceRow(Row, table=True):
    """A place in a lane."""

    __tablename__ = "work_place"
    __table_args__ = (_ONE_TREE,)

    tenant_id: str = Field(primary_key=True)
    queue: str = Field(primary_key=True)
    lane_key: str = Field(primary_key=True)
    place: int = Field(sa_type=BigInteger, primary_key=True)
    work_id: str


class LaneAliasRow(Row, table=True):
    """Whoever enters a lane stands in this other one as well: two numbers of one account or patient, since a merge."""

    __tablename__ = "lane_alias"
    __table_args__ = (_ONE_TREE,)

    tenant_id: str = Field(primary_key=True)
    queue: str = Field(primary_key=True)
    lane_key: str = Field(primary_key=True)
    also: str
    ref: str  # of the message that says so


class WorkRow(Row, table=True):
    """Something to be done once, by a handler named `kind`, about `ref`."""

    __tablename__ = "work"
    __table_args__ = (
        Index(
            "uq_work_once",
            "tenant_id",
            "queue",
            "kind",
            "once_key",
            unique=True,
            sqlite_where=text("once_key IS NOT NULL"),
            postgresql_where=text("once_key IS NOT NULL"),
        ),
        Index(
            "ix_work_claim",
            "tenant_id",
            "queue",
            "claim_at",
            sqlite_where=text("claim_at IS NOT NULL"),
            postgresql_where=text("claim_at IS NOT NULL"),
        ),
        Index(
            "ix_work_parked",
            "tenant_id",
            "queue",
            "changed_at",
            sqlite_where=text("state = 'parked'"),
            postgresql_where=text("state = 'parked'"),
        ),
        _ONE_TREE,
    )

    tenant_id: str = Field(primary_key=True)
    work_id: str = Field(primary_key=True)
    queue: str
    kind: str
    ref: str
    once_key: str | None = None  # the business fact that may be asked for once; null: no limit
    state: str  # ready, parked, done
    due: datetime = Field(sa_type=UtcDateTime)
    claim_at: datetime | None = Field(sa_type=UtcDateTime, default=None)  # null: not at the head of all its lanes
    waits: int = Field(sa_type=BigInteger)
    attempt: int = Field(sa_type=BigInteger)
    fence: int = Field(sa_type=BigInteger)
    owner: str | None = None  # who holds the lease, for people
    error: str | None = None  # why the last attempt failed, or why it is parked
    places: str  # JSON: [[lane key, place], …], sorted by key
    topics: str | None = None  # JSON: {"needs": […], "blocks": […], "suspends": […]}
    held: bool = False  # has rows in work_topic
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class WorkTopicRow(Row, table=True):
    """What a parked item holds up: role `blocks` or `suspends` with a topic, or `waits` with the item waited for."""

    __tablename__ = "work_topic"
    __table_args__ = (Index(None, "tenant_id", "work_id"), _ONE_TREE)

    tenant_id: str = Field(primary_key=True)
    role: str = Field(primary_key=True)
    topic: str = Field(primary_key=True)
    work_id: str = Field(primary_key=True)
