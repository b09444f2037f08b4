"""The table of which payment a line of a payout is of: written by line_matches.py alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

_BY_RULE = text("rule <> 'reference'")
_OF_REFUND = text("refund_id <> ''")


class LineMatchRow(Row, table=True):
    """A line of a payout and what it was found to be of: by which rule, and how sure.

    Kept as lines stand in payouts: those of a payout are of payments of the same days, and their rows lie together.
    """

    __tablename__ = "line_match"
    __table_args__ = (
        Index(None, "tenant_id", "payment_id"),
        Index(
            "ix_line_match_of_refund", "tenant_id", "refund_id", sqlite_where=_OF_REFUND, postgresql_where=_OF_REFUND
        ),
        Index("ix_line_match_by_rule", "tenant_id", "rule", sqlite_where=_BY_RULE, postgresql_where=_BY_RULE),
        {"sqlite_with_rowid": False},
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    payout_ref: str = Field(primary_key=True, sa_type=Text)
    line_ref: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    refund_id: str = Field(sa_type=Text)  # of which refund; empty: of none
    rule: str = Field(sa_type=Text)  # rules.toml
    confidence: str = Field(sa_type=Text)
    matched_at: datetime = Field(sa_type=UtcDateTime)
