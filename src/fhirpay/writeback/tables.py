"""The table of postings: one row for each payment or refund and each EHR it is written back to; and posting files.

Written by store.py, files.py and told_lines.py alone. The unique key is the business fact: an EHR gets a payment once,
whoever asks how often.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

OPEN = text("state NOT IN ('posted', 'shadow', 'rejected')")
"""As a query has to say it for SQLite to take the index of what is unfinished: with its values in it."""
_IN_A_FILE = text("file IS NOT NULL")


class PostingRow(Row, table=True):
    """`body` is rendered once and sent again byte for byte; `sent` means that the EHR may have it."""

    __tablename__ = "posting"
    __table_args__ = (
        UniqueConstraint("tenant_id", "connection", "subject", "part"),
        CheckConstraint(
            "state IN ('shadow', 'proposed', 'rejected', 'pending', 'sent', 'posted', 'unknown', 'parked')",
            name="state",
        ),
        Index(None, "tenant_id", "payment_id"),
        Index(None, "tenant_id", "subject"),
        Index(None, "tenant_id", "remote_id"),
        Index(None, "tenant_id", "connection", "sent_at"),
        Index("ix_posting_unfinished", "tenant_id", "connection", sqlite_where=OPEN, postgresql_where=OPEN),
        Index(
            "ix_posting_file", "tenant_id", "connection", "file", sqlite_where=_IN_A_FILE, postgresql_where=_IN_A_FILE
        ),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    posting_id: str = Field(primary_key=True, sa_type=Text)
    work_id: str = Field(sa_type=Text)  # in the outbox
    connection: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)  # the payment's id, the refund's, or the adjustment's
    payment_id: str = Field(sa_type=Text)  # the payment, or the one that the refund takes back; empty: an adjustment
    state: str = Field(sa_type=Text)
    resource_type: str = Field(sa_type=Text)
    remote_id: str | None = Field(default=None, sa_type=Text)
    remote_version: str | None = Field(default=None, sa_type=Text)
    body: str | None = Field(default=None, sa_type=Text)
    attempts: int = Field(sa_type=BigInteger)
    reason: str | None = Field(default=None, sa_type=Text)  # why it is parked or unknown, for a person
    created_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the last time that it may have arrived
    posted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    way: str | None = Field(default=None, sa_type=Text)  # how it was sent then (profile.py)
    # Our reference of the one account that it is about, where the receiver takes a message an account; else empty.
    part: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    # The numbers of its lines, where it is of one account: they stay its own when a merge moves the account.
    lines: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    # What staff said of it, where they were asked: confirmed or rejected.
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_why: str | None = Field(default=None, sa_type=Text)
    # The number of the posting file that it stands in, from when the file was made: it is in no other one.
    file: int | None = Field(default=None, sa_type=BigInteger)


class PostingFactRow(Row, table=True):
    """What a posting says of one account, or would have said had it been sent: kept to be compared."""

    __tablename__ = "posting_fact"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund', 'adjustment')", name="kind"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    posting_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(primary_key=True, sa_type=Text)  # as it was then: a merge may have moved it
    kind: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)  # below zero: money given back, an adjustment taken back
    currency: str = Field(sa_type=Text)
    day: str = Field(sa_type=Text)  # at the till


class ToldLineRow(Row, table=True):
    """A line of what came after a payment's first posting, and the one line that it takes back (a part) of."""

    __tablename__ = "told_line"
    __table_args__ = (Index(None, "tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)  # as in a posting
    number: int = Field(primary_key=True, sa_type=BigInteger)
    payment_id: str = Field(sa_type=Text)
    side: int = Field(sa_type=BigInteger)  # which of the subject's shares, or of a movement's lines
    takes_back: str = Field(sa_type=Text)  # a line's identifier; empty: it pays
    amount_minor: int = Field(sa_type=BigInteger)  # below zero: it pays
    currency: str = Field(sa_type=Text)


class PostingFileHeadRow(Row, table=True):
    """How far a receiver's files are: whoever makes the next one holds this row."""

    __tablename__ = "posting_file_head"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    connection: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(sa_type=BigInteger)  # of the last one
    looked_at: datetime = Field(sa_type=UtcDateTime)  # when it was made, or nothing was there to be put in it


class PostingFileRow(Row, table=True):
    """A file, stored before it is put anywhere. What is put there is `body`, under `name`, whenever it is."""

    __tablename__ = "posting_file"
    __table_args__ = (
        UniqueConstraint("tenant_id", "connection", "name"),
        CheckConstraint("state IN ('made', 'placing', 'placed', 'unknown')", name="state"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    connection: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    name: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    work_id: str = Field(sa_type=Text)  # in the outbox
    hash: str = Field(sa_type=Text)  # SHA-256 of `body`
    postings: int = Field(sa_type=BigInteger)
    lines: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    total_minor: int = Field(sa_type=BigInteger)  # of the lines, as the books have them
    part_name: str = Field(default="", sa_type=Text)  # where it stands whole, until it is renamed
    reason: str = Field(default="", sa_type=Text)  # why it is unknown, for a person
    made_at: datetime = Field(sa_type=UtcDateTime)
    placed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_by: str = Field(default="", sa_type=Text)  # whose word is the last about it
    decided_why: str = Field(default="", sa_type=Text)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    body: bytes = Field(sa_type=LargeBinary)


class PostingNumberRow(Row, table=True):
    """A short FT1-2 that we have sent, and the line that it stands for."""

    __tablename__ = "posting_number"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    number: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(sa_type=Text)  # as in a posting
    line: int = Field(sa_type=BigInteger)
