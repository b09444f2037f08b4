"""Tables of merges: what was merged into what, by which message, and everything that it moved. Written by merges.py.

The list of what was moved is what an undo goes by: nothing is guessed from the present state.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class MergeRow(Row, table=True):
    """One merge (or move of an account to another patient, or change of a number). Undone, never deleted."""

    __tablename__ = "party_merge"
    __table_args__ = (
        CheckConstraint("kind IN ('merge', 'move', 'number')", name="kind"),
        Index(None, "tenant_id", "old_ref"),
        Index(None, "tenant_id", "new_ref"),
        Index(None, "tenant_id", "merged_at", "merge_id"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merge_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    about: str = Field(sa_type=Text)  # the resource it is about: what was merged, the account that was moved
    old_ref: str = Field(sa_type=Text)  # merged away; of a move: the patient that the account was of
    new_ref: str = Field(sa_type=Text)
    event: str = Field(sa_type=Text)  # ADT^A40
    message_id: str = Field(sa_type=Text)
    interface: str = Field(sa_type=Text)
    merged_at: datetime = Field(sa_type=UtcDateTime)
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    undone_by: str | None = Field(default=None, sa_type=Text)
    undone_why: str | None = Field(default=None, sa_type=Text)


class MergeItemRow(Row, table=True):
    """One thing that a merge changed: a row moved from one account to the other, a resource's elements."""

    __tablename__ = "party_merge_item"
    __table_args__ = (Index(None, "tenant_id", "ref"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merge_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    what: str = Field(sa_type=Text)  # resource, replaced, obligation, payment, method, …
    ref: str = Field(sa_type=Text)  # its id
    before: str = Field(sa_type=Text)  # JSON
    after: str = Field(sa_type=Text)
