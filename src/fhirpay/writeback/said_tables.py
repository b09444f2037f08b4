"""Tables of what EHRs say was posted there: a row a posting, and each time that an EHR was read.

Written by said.py alone. A row is unique by who says it and its id there, so that what comes again, by an overlapping
report, say, is the same row.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class EhrPostingRow(Row, table=True):
    """One posting as an EHR says it. `subject` is what of ours it was found to be, by which rule."""

    __tablename__ = "ehr_posting"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "said_by", "source_ref"),
        Index(None, "tenant_id", "source", "said_by", "day"),
        Index(None, "tenant_id", "subject"),
        Index(None, "tenant_id", "said_by", "number"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    entry_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(sa_type=Text)  # message, read_back, report
    said_by: str = Field(sa_type=Text)  # the interface, or whoever is posted to
    source_ref: str = Field(sa_type=Text)  # its id there; keyed where it is made of what it says
    number: str = Field(sa_type=Text)  # the EHR's, as its staff know it; empty: it has none
    our_number: str = Field(sa_type=Text)  # the payment or refund of ours that it names; empty: none
    account_ref: str = Field(sa_type=Text)  # ours; empty: it isn't known here
    amount_minor: int = Field(sa_type=BigInteger)  # below zero: taken back
    currency: str = Field(sa_type=Text)
    day: str = Field(sa_type=Text)  # YYYY-MM-DD
    touched_on: str = Field(sa_type=Text)  # by which day a later reading has to show it again; empty: never
    said_at: str = Field(sa_type=Text)  # where it stands: the resource, or the line of the file
    reading_id: str = Field(sa_type=Text)  # the last one that had it; empty: a message
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    gone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # it isn't said any more
    subject: str = Field(sa_type=Text)  # ours, or the row that says the same; empty: nothing yet
    rule: str = Field(sa_type=Text)  # ehr_match.py
    confidence: str = Field(sa_type=Text)
    matched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class EhrReadingRow(Row, table=True):
    """A time that an EHR was read: a report that came as a file, kept before anything of it is read, or a search."""

    __tablename__ = "ehr_reading"
    __table_args__ = (
        UniqueConstraint("tenant_id", "said_by", "content_hash"),
        Index(None, "tenant_id", "source", "said_by", "first_day"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    reading_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(sa_type=Text)  # read_back, report
    said_by: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)  # of the file
    content_hash: str = Field(sa_type=Text)  # keyed; of a search, its own id
    state: str = Field(sa_type=Text)  # received, kept, refused
    says: str = Field(sa_type=Text)  # why it was refused
    first_day: str = Field(sa_type=Text)  # of these days it has all that is there; empty: of none
    last_day: str = Field(sa_type=Text)
    received_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    sealed: str = Field(sa_type=Text)  # a file's bytes (security/sealed.py)
