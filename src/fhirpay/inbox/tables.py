"""The table of everything that came in, written by `store.py` alone, and the index that `search.py` finds it by.

The unique key names the message by the sender's own id and an occurrence, since many senders restart their counters.
The keyed hash of the body is a compared column, not part of the key: else a conflict could never be seen.
Keys, hashes and outcomes are kept for ever; `body` holds health information and becomes null when it expires.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

AGAIN = text("occurrence > 1")


class SequenceRow(Row, table=True):
    """The number of the message that a link took last, where its sender numbers them; -1: the next one begins."""

    __tablename__ = "inbox_sequence"

    tenant_id: str = Field(primary_key=True)
    interface: str = Field(primary_key=True)
    sender_key: str = Field(primary_key=True)  # JSON list: MSH-3..6
    last: int = Field(sa_type=BigInteger)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class InboxRow(Row, table=True):
    """One message: an HL7 message, a FHIR request, a webhook, a line of a file."""

    __tablename__ = "inbox_message"
    # The sender's id leads, so that the same index answers "which messages are called that?".
    __table_args__ = (
        UniqueConstraint(
            "tenant_id", "control_id", "interface", "sender_key", "occurrence", name="uq_inbox_message_once"
        ),
        # Of a sender that calls all its messages the same: is this body known? A message of a new id isn't in it.
        Index("ix_inbox_message_again", "tenant_id", "body_hash", sqlite_where=AGAIN, postgresql_where=AGAIN),
    )

    tenant_id: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    interface: str
    sender_key: str  # JSON list: MSH-3..6; client, method and URL; processor and merchant
    control_id: str  # the sender's id within that: MSH-10, an event id
    occurrence: int = Field(sa_type=BigInteger)  # 1, and one more for each other body under the same key
    body_hash: str  # keyed, without the fields that differ between resends
    source: str
    kind: str
    label: str  # what it says it is, such as DFT^P03
    meta: str  # JSON object
    account_keys: str  # JSON list
    work_id: str
    state: str  # received, applied, parked, ignored
    detail: str = ""
    resources: str = "[]"  # JSON list of references that it made or changed
    received_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    # Large ones last: SQLite reads a row from the front.
    answer: bytes | None = Field(sa_type=LargeBinary, default=None)  # what the sender was told, and is told again
    body: bytes | None = Field(sa_type=LargeBinary, default=None)


class MissingCodeRow(Row, table=True):
    """A message is parked because a code table has no line for this value."""

    __tablename__ = "inbox_missing_code"
    __table_args__ = ({"sqlite_with_rowid": False},)

    tenant_id: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    code_table: str = Field(primary_key=True)
    value: str = Field(primary_key=True)


class InboxIndexRow(Row, table=True):
    """A message is about this patient, name or account: as a keyed hash."""

    __tablename__ = "inbox_index"
    __table_args__ = ({"sqlite_with_rowid": False},)

    tenant_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)  # patient, name, account
    hash: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)


class DecisionRow(Row, table=True):
    """Somebody wanted a message worked on again, or never."""

    __tablename__ = "inbox_decision"
    __table_args__ = ({"sqlite_with_rowid": False},)

    tenant_id: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    decision_id: str = Field(primary_key=True)
    kind: str  # replayed, set aside
    decided_by: str
    why: str
    decided_at: datetime = Field(sa_type=UtcDateTime)
