"""The ledger's tables: entries, their postings, the head of each tenant's chain, and the steps of its periods.

`ledger_entry.body` is the text that is hashed; its other columns and the rows of `ledger_posting` repeat it for
queries, and `verify` compares them. Written by store.py alone; triggers.py makes the database refuse any change.
"""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row, table
from ..db.types import UtcDateTime
from .triggers import keep, keep_closed, keep_stepping


class LedgerEntry(Row, table=True):
    """One event's effect. `key` names the business fact: the same fact can't be posted twice."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        UniqueConstraint("tenant_id", "seq"),
        Index(None, "tenant_id", "business_date"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    entry_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    key: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    business_date: str = Field(sa_type=Text)  # 2026-03-02
    body: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)


class LedgerPosting(Row, table=True):
    """One leg: a side and an amount that is never negative."""

    __tablename__ = "ledger_posting"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "entry_id"], ["ledger_entry.tenant_id", "ledger_entry.entry_id"]),
        CheckConstraint("side IN ('debit', 'credit')", name="side"),
        CheckConstraint("amount_minor >= 0", name="amount"),
        Index(None, "tenant_id", "account", "currency"),
        Index(None, "tenant_id", "account_ref"),
        Index(None, "tenant_id", "obligation_id"),
        Index(None, "tenant_id", "payment_id"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    entry_id: str = Field(primary_key=True, sa_type=Text)
    line: int = Field(primary_key=True, sa_type=BigInteger)
    account: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    account_ref: str | None = Field(default=None, sa_type=Text)
    obligation_id: str | None = Field(default=None, sa_type=Text)
    payment_id: str | None = Field(default=None, sa_type=Text)
    refund_id: str | None = Field(default=None, sa_type=Text)
    merchant: str | None = Field(default=None, sa_type=Text)
    till: str | None = Field(default=None, sa_type=Text)


class LedgerHead(Row, table=True):
    """Where a tenant's chain ends. Its row is locked by whoever posts, until that unit has been committed."""

    __tablename__ = "ledger_head"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    hash: str = Field(sa_type=Text)


class LedgerPeriodStep(Row, table=True):
    """A period (2026-03) was closed or opened again; from then on all until `closed_through` is closed ('': nothing).

    `body` is what is hashed; it names the step before it and the ledger's head at that moment. Written by periods.py.
    """

    __tablename__ = "ledger_period_step"
    __table_args__ = (CheckConstraint("step IN ('closed', 'reopened')", name="step"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    period: str = Field(sa_type=Text)
    step: str = Field(sa_type=Text)
    closed_through: str = Field(sa_type=Text)
    by: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    head_seq: int = Field(sa_type=BigInteger)
    head_hash: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)


keep(table(LedgerEntry))
keep(table(LedgerPosting))
keep(table(LedgerPeriodStep), final="a step of a period is never changed: make another one")
keep_stepping(table(LedgerHead))
keep_closed(table(LedgerEntry))
