"""Billing's tables. Written by rows.py and money.py (obligations), entries.py (staff) and worklist.py alone.

Amounts are minor units of the row's currency. An obligation that has come to its end (superseded, void) is never
revived: when its basis counts again, it gets a new row of the next `generation`.
"""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime

_STATES = "pending collectable in_flight paid on_hold on_plan superseded written_off void".split()
_IN_STATES = ", ".join(f"'{state}'" for state in _STATES)


class Obligation(Row, table=True):
    """What one party owes on one account for one basis. `basis_state` is its state without regard to money."""

    __tablename__ = "obligation"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account_ref", "basis_kind", "basis_key", "currency", "generation"),
        CheckConstraint(f"state IN ({_IN_STATES})", name="state"),
        CheckConstraint("pending_minor >= 0 AND patient_minor >= 0 AND discount_minor >= 0", name="owed"),
        CheckConstraint("paid_minor >= 0 AND in_flight_minor >= 0 AND posted_minor >= 0", name="money"),
        Index(None, "tenant_id", "basis_key"),
        Index(None, "tenant_id", "debtor_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    obligation_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(sa_type=Text)  # Account/…; Patient/… for what names no account
    basis_kind: str = Field(sa_type=Text)
    basis_key: str = Field(sa_type=Text)  # ChargeItem/…, Encounter/…, Appointment/…, Invoice/…
    currency: str = Field(sa_type=Text)
    generation: int = Field(sa_type=BigInteger)
    debtor_ref: str = Field(sa_type=Text)
    basis_state: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    hold: str = Field(sa_type=Text)  # the first reason; empty: none
    pending_minor: int = Field(sa_type=BigInteger)
    patient_minor: int = Field(sa_type=BigInteger)
    discount_minor: int = Field(sa_type=BigInteger)
    posted_minor: int = Field(sa_type=BigInteger)  # of patient_minor, what is in ar_patient: the sum of draws
    draws: str = Field(sa_type=Text)  # JSON: charge → minor units that came out of it
    paid_minor: int = Field(sa_type=BigInteger)
    in_flight_minor: int = Field(sa_type=BigInteger)
    statement: str = Field(sa_type=Text)  # JSON: [{kind, says, source}]
    collectable_from: datetime | None = Field(default=None, sa_type=UtcDateTime)
    targets: str = Field(sa_type=Text)  # JSON: [reference]
    superseded_by: str | None = Field(default=None, sa_type=Text)
    facility: str = Field(sa_type=Text)
    revision: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    # of before a watermark: shown, in no book, never asked for
    memo_minor: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    relief: str = Field(
        default="{}", sa_type=Text, sa_column_kwargs={"server_default": "{}"}
    )  # JSON: see assessment.py
    # JSON: kind → minor units that staff have given up of it
    written_off: str = Field(default="{}", sa_type=Text, sa_column_kwargs={"server_default": "{}"})
    # What it is filed under, besides debtor and facility (filed.py); empty: not assessed since that is kept.
    patient_ref: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    payer_class: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})


class ObligationShare(Row, table=True):
    """One payment's part in one obligation: reserved, paid, and of what is paid the part that the ledger shows."""

    __tablename__ = "obligation_share"
    __table_args__ = (
        CheckConstraint("in_flight_minor >= 0 AND paid_minor >= 0 AND allocated_minor >= 0", name="money"),
        Index(None, "tenant_id", "payment_id"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    obligation_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    in_flight_minor: int = Field(sa_type=BigInteger)
    paid_minor: int = Field(sa_type=BigInteger)
    allocated_minor: int = Field(sa_type=BigInteger)
    revision: int = Field(sa_type=BigInteger)  # counts ledger allocations, for their keys
    created_at: datetime = Field(sa_type=UtcDateTime)


class AccountCredit(Row, table=True):
    """Money of one payment that stands on an account with nothing to pay: it pays the next obligation by itself."""

    __tablename__ = "account_credit"
    __table_args__ = (
        CheckConstraint("amount_minor >= 0", name="amount"),
        Index(None, "tenant_id", "payment_id"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)


class AccountState(Row, table=True):
    """One row an account, locked first by every unit that changes what is owed on it."""

    __tablename__ = "account_state"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(sa_type=BigInteger)  # counts changes, for the keys of ledger entries
    topics: str = Field(sa_type=Text)  # JSON: the names under which a parked message suspends it
    updated_at: datetime = Field(sa_type=UtcDateTime)


class AccountHold(Row, table=True):
    """A hold that staff opened. Released, not deleted."""

    __tablename__ = "account_hold"
    __table_args__ = (Index(None, "tenant_id", "account_ref"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    hold_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    says: str = Field(sa_type=Text)
    opened_by: str = Field(sa_type=Text)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    released_by: str | None = Field(default=None, sa_type=Text)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_why: str | None = Field(default=None, sa_type=Text)


class StaffEntry(Row, table=True):
    """What staff state, with a reason: the patient's share of an account (`amount`), that it is self-pay, that a charge
    which looks like another one is a second one, or that an amount of an obligation is given up (`write_off`)."""

    __tablename__ = "staff_entry"
    __table_args__ = (
        CheckConstraint("kind IN ('amount', 'self_pay', 'second_charge', 'write_off')", name="kind"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    entry_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    currency: str | None = Field(default=None, sa_type=Text)
    amount_minor: int | None = Field(default=None, sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    entered_by: str = Field(sa_type=Text)
    entered_at: datetime = Field(sa_type=UtcDateTime)
    withdrawn_by: str | None = Field(default=None, sa_type=Text)
    withdrawn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    withdrawn_why: str | None = Field(default=None, sa_type=Text)
    charge_ref: str | None = Field(default=None, sa_type=Text)
    write_off: str | None = Field(default=None, sa_type=Text)  # charity, bad_debt, small_balance
    obligation_id: str | None = Field(default=None, sa_type=Text)  # that it is of


class Adjustment(Row, table=True):
    """What was taken off an obligation by us, or (below zero) put back, and is to be told to its EHR: see
    adjustments.py. `number` counts those of one obligation and kind; nothing is changed."""

    __tablename__ = "adjustment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "obligation_id", "kind", "number"),
        CheckConstraint("amount_minor <> 0", name="amount"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    adjustment_id: str = Field(primary_key=True, sa_type=Text)
    obligation_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    number: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    made_at: datetime = Field(sa_type=UtcDateTime)


class CutoverStage(Row, table=True):
    """Where a feed stands that is taken over from another system. The highest `number` counts; nothing is changed."""

    __tablename__ = "cutover_stage"
    __table_args__ = (CheckConstraint("stage IN ('backfill', 'live')", name="stage"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    interface: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    stage: str = Field(sa_type=Text)
    watermark: str = Field(sa_type=Text)  # a day
    said_by: str = Field(sa_type=Text)  # empty: the configuration
    said_why: str = Field(sa_type=Text)
    said_at: datetime = Field(sa_type=UtcDateTime)


class CutoverSeen(Row, table=True):
    """What a feed with a watermark has spoken of, and the earliest day that it ever gave for it: a correction can't
    bring it over the watermark."""

    __tablename__ = "cutover_seen"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    ref: str = Field(primary_key=True, sa_type=Text)  # ChargeItem/…, Invoice/…, Encounter/…, Account/…
    interface: str = Field(primary_key=True, sa_type=Text)
    first_day: str | None = Field(default=None, sa_type=Text)
    seen_at: datetime = Field(sa_type=UtcDateTime)


class OpeningBalance(Row, table=True):
    """What an account owed when it was taken over. Taken back, not deleted."""

    __tablename__ = "opening_balance"
    __table_args__ = (
        UniqueConstraint("tenant_id", "reference"),
        CheckConstraint("amount_minor > 0", name="amount"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    opening_id: str = Field(primary_key=True, sa_type=Text)
    reference: str = Field(sa_type=Text)
    interface: str = Field(sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    number: str = Field(sa_type=Text)  # of the account, as the file names it
    currency: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    imported_by: str = Field(sa_type=Text)
    imported_why: str = Field(sa_type=Text)
    imported_at: datetime = Field(sa_type=UtcDateTime)
    taken_back_by: str | None = Field(default=None, sa_type=Text)
    taken_back_why: str | None = Field(default=None, sa_type=Text)
    taken_back_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Recovery(Row, table=True):
    """A return of money that had been refunded already: the payer has had it twice, and owes it."""

    __tablename__ = "recovery"
    __table_args__ = (CheckConstraint("amount_minor > 0", name="amount"), Index(None, "tenant_id", "account_ref"))

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    recovery_id: str = Field(primary_key=True, sa_type=Text)  # the return's id
    account_ref: str = Field(sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    merchant: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    # of it: what the payer has not had twice after all; and the return that said so last: itself, or what reversed it
    set_off_minor: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    set_off_by: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})


class WorklistItem(Row, table=True):
    """Something that a person should look at. (kind, subject) is there once; it can be done and opened again."""

    __tablename__ = "worklist"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "subject"),
        CheckConstraint("state IN ('open', 'done')", name="state"),
        Index(None, "tenant_id", "state", "created_at"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    item_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    account_ref: str | None = Field(default=None, sa_type=Text)
    subject: str = Field(sa_type=Text)
    says: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    done_by: str | None = Field(default=None, sa_type=Text)  # empty: nobody, it settled itself
    done_why: str | None = Field(default=None, sa_type=Text)
    amount_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
