"""Tables of polling: who asks an EHR, how far each of its types was read, which versions were, and which encounters are
looked at (by `store.py`, `visits.py` and `twins.py`); what it tells us by itself (by `subscribed.py`); how far its bulk
export is (by `exports.py`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class PollLeaseRow(Row, table=True):
    """Who asks this EHR now. A dead process's lease ends by itself."""

    __tablename__ = "poll_lease"

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    owner: str
    fence: int = Field(sa_type=BigInteger)
    lease_until: datetime = Field(sa_type=UtcDateTime)
    visits_from: datetime | None = Field(default=None, sa_type=UtcDateTime)  # no encounter is looked at before
    # in a row, of whichever encounters
    visit_failures: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class PollMarkRow(Row, table=True):
    """How far a type was read. All moments but `due_at` are by the EHR's clock."""

    __tablename__ = "poll_mark"

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    resource_type: str = Field(primary_key=True)
    start: datetime = Field(sa_type=UtcDateTime)  # nothing of before is ever taken
    watermark: datetime = Field(sa_type=UtcDateTime)  # all that changed until then was read
    # Of the run that is under way; between runs `since` is empty.
    since: datetime | None = Field(default=None, sa_type=UtcDateTime)  # what the next search asks for
    link: str = ""  # or the next page of that search
    passed: str = ""  # a link of a while ago: met again, the pages go round in a circle
    pages: int = Field(default=0, sa_type=BigInteger)
    page_size: int = Field(sa_type=BigInteger)  # 0: what they are called, then each by its id: one is too large
    newest: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unfiltered: bool = False  # it answers with what we didn't ask for
    due_at: datetime = Field(sa_type=UtcDateTime)
    failures: int = Field(default=0, sa_type=BigInteger)  # in a row
    # How often the EHR has told of a change.
    hints: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class PollSeenRow(Row, table=True):
    """The version of a resource that was read last; empty: it wasn't to be had."""

    __tablename__ = "poll_seen"
    __table_args__ = ({"sqlite_with_rowid": False},)

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    resource_type: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)
    version: str
    seen_at: datetime = Field(sa_type=UtcDateTime)


class PollVisitRow(Row, table=True):
    """An encounter (or a patient) of which an EHR is asked what there is, as it isn't found otherwise."""

    __tablename__ = "poll_visit"
    __table_args__ = (
        Index(None, "tenant_id", "connection", "due_at"),
        Index(None, "tenant_id", "connection", "remote"),
    )

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    reference: str = Field(primary_key=True)  # ours, such as Encounter/…
    remote: str = ""  # the EHR's own id of it; empty: not known yet
    due_at: datetime = Field(sa_type=UtcDateTime)
    heard_at: datetime = Field(sa_type=UtcDateTime)  # when there was last something new of it
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looks: int = Field(default=0, sa_type=BigInteger)
    failures: int = Field(default=0, sa_type=BigInteger)  # in a row
    unfound: bool = False  # the EHR has nobody of its number


class BulkJobRow(Row, table=True):
    """The bulk export of an EHR: the one that is under way, and until when all was read by the ones before."""

    __tablename__ = "bulk_job"

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    state: str  # idle, running, reading, ending
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of the next step; null: there is none
    loaded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # transactionTime of the last one that ended
    failures: int = Field(default=0, sa_type=BigInteger)  # in a row
    # Of the one that is under way.
    since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    status_url: str = ""
    looks: int = Field(default=0, sa_type=BigInteger)  # at its status
    progress: str = ""  # as the EHR says it
    manifest: str = ""
    file: int = Field(default=0, sa_type=BigInteger)  # which one is read, from 0 on
    line: int = Field(default=0, sa_type=BigInteger)  # how many of its lines were read
    taken: int = Field(default=0, sa_type=BigInteger)  # resources that were new
    bad: int = Field(default=0, sa_type=BigInteger)  # lines that couldn't be read
    first_bad: str = ""  # where the first of them are


class PollTwinRow(Row, table=True):
    """One that the EHR has under its own id and we under ours: it came another way, and has the same number."""

    __tablename__ = "poll_twin"
    __table_args__ = (Index(None, "tenant_id", "connection", "reference"), {"sqlite_with_rowid": False})

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    resource_type: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)
    reference: str  # ours


class SubscribedRow(Row, table=True):
    """A Subscription of ours at an EHR, one for each type: how it stands, and what was last heard by it."""

    __tablename__ = "subscribed"

    tenant_id: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    resource_type: str = Field(primary_key=True)
    remote_id: str = ""  # its id there; empty: it isn't made, or nobody knows
    wanted: str = ""  # what was put there last, as a keyed hash
    by_topic: bool = False
    state: str = ""  # its status, as the EHR said last
    since: datetime = Field(sa_type=UtcDateTime)  # when that began
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of a create whose answer nobody knows
    due_at: datetime = Field(sa_type=UtcDateTime)
    failures: int = Field(default=0, sa_type=BigInteger)  # in a row
    heard_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_event: int | None = Field(default=None, sa_type=BigInteger)
