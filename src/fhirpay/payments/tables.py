"""Tables of payments: what was asked, each call to a processor, what is known of it, and what came of it.

Written by store.py, refunds.py, tenders.py, movements.py and stored_methods.py alone. The unique keys are the law "one
effect per business fact": one payment per `fact_key`, one open operation per payment, one row per fact and per effect,
one answer per client key. Money is BIGINT minor units; a state is text, checked against the table of legal moves where
it changes. Those of a front desk are in desk_tables.py.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime
from .desk_tables import BagRow as BagRow
from .desk_tables import HandedBackRow as HandedBackRow
from .desk_tables import SafeMoveRow as SafeMoveRow
from .desk_tables import SplitPartRow as SplitPartRow
from .desk_tables import SplitRow as SplitRow
from .desk_tables import TenderRow as TenderRow
from .desk_tables import TillCountRow as TillCountRow
from .desk_tables import TillMoveRow as TillMoveRow
from .desk_tables import TillRow as TillRow
from .desk_tables import TillSessionRow as TillSessionRow
from .request_tables import PaymentRequestRow as PaymentRequestRow
from .request_tables import RequestTryRow as RequestTryRow

_SAID = text("processor_ref IS NOT NULL")
_STORED, _ASKS = text("method_id IS NOT NULL"), text("state = 'requires_action'")
_OPEN = text("state IN ('prepared', 'sent', 'unknown')")


def _minor() -> int:
    return Field(default=0, sa_type=BigInteger)


class PaymentRow(Row, table=True):
    """A wish to take money, and what it has come to. Amounts and `state` are the fold over `payment_fact`."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "fact_key"),
        UniqueConstraint("tenant_id", "merchant", "processor_ref"),
        Index(None, "tenant_id", "account_ref"),
        Index(None, "tenant_id", "processor_ref"),
        Index(None, "tenant_id", "capture_ref"),
        Index("ix_payment_method_id", "tenant_id", "method_id", sqlite_where=_STORED, postgresql_where=_STORED),
        Index("ix_payment_asks_payer", "tenant_id", "payment_id", sqlite_where=_ASKS, postgresql_where=_ASKS),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    # The business fact that may be paid once, such as autopay of an obligation's nth share; null: a person asked.
    fact_key: str | None = Field(default=None, sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    facility: str = Field(sa_type=Text)
    merchant: str = Field(sa_type=Text)
    processor: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    method: str = Field(sa_type=Text)  # stored, hosted; external: the EHR took it; ledger.rules.TENDERS
    method_id: str | None = Field(default=None, sa_type=Text)
    initiated_by: str = Field(sa_type=Text)  # customer, merchant
    requested_by: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    authorized_minor: int = _minor()
    captured_minor: int = _minor()
    voided_minor: int = _minor()
    returned_minor: int = _minor()
    refunded_minor: int = _minor()
    processor_ref: str | None = Field(default=None, sa_type=Text)  # the processor's id of the whole payment
    capture_ref: str | None = Field(default=None, sa_type=Text)  # and of the capture: what a posting names
    hosted_url: str | None = Field(default=None, sa_type=Text)
    hosted_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    return_url: str | None = Field(default=None, sa_type=Text)
    brand: str = Field(default="", sa_type=Text)
    last4: str = Field(default="", sa_type=Text)
    authorization_code: str = Field(default="", sa_type=Text)
    failure_code: str = Field(default="", sa_type=Text)
    failure_says: str = Field(default="", sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    captured_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    business_date: str | None = Field(default=None, sa_type=Text)  # of the capture, in the facility's zone
    expires: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # the card: YYYY-MM
    # Of a merchant-initiated one: recurring, installment, unscheduled; and the network's id of the payer's first one.
    merchant_reason: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    network_ref: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    tender: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # card, bank; empty: unknown
    returnable_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # a bank debit may come back so long
    retry_of: str | None = Field(default=None, sa_type=Text)  # the first of a chain of debits that came back
    retry: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})  # 1, 2: which try again


class OperationRow(Row, table=True):
    """One network call to a processor that may have an effect. At most one is open per payment."""

    __tablename__ = "operation"
    __table_args__ = (
        Index(
            "uq_operation_open",
            "tenant_id",
            "payment_id",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index(None, "tenant_id", "payment_id", "operation_id"),
        Index("ix_operation_processor_ref", "tenant_id", "processor_ref", sqlite_where=_SAID, postgresql_where=_SAID),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    operation_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    refund_id: str | None = Field(default=None, sa_type=Text)
    kind: str = Field(sa_type=Text)  # sale, hosted, refund …
    state: str = Field(sa_type=Text)
    attempt: int = Field(sa_type=BigInteger)  # a new one only after proof that the one before had no effect
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    processor_ref: str | None = Field(default=None, sa_type=Text)  # what to look it up by
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # this attempt, for the first time
    last_sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    says: str = Field(default="", sa_type=Text)  # why it is unknown, or what a person found out
    created_at: datetime = Field(sa_type=UtcDateTime)
    # When a repeat of this attempt was answered: the processor has its key, so what still comes of it is no second one.
    repeat_answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class MerchantTryRow(Row, table=True):
    """A merchant that a payment was tried with, where more than one may take it. See choice.py."""

    __tablename__ = "merchant_try"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    begun: int = Field(sa_type=BigInteger)  # calls, counted before each
    not_reached: int = Field(sa_type=BigInteger)  # those that provably never reached its processor
    says: str = Field(sa_type=Text)  # why not, the last time
    first_at: datetime = Field(sa_type=UtcDateTime)


class PaymentFactRow(Row, table=True):
    """One thing known of a payment, and who said so. See domain/payment.py."""

    __tablename__ = "payment_fact"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    reference: str = Field(primary_key=True, sa_type=Text)
    undoes: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    amount_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class PaymentEffectRow(Row, table=True):
    """What a fact has led to (a capture in the books, a void taken back): each once, whoever tells it how often."""

    __tablename__ = "payment_effect"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    effect: str = Field(primary_key=True, sa_type=Text)  # capture:<reference>, void:<reference>
    amount_minor: int = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=UtcDateTime)


class AllocationRow(Row, table=True):
    """A payment's share for one obligation. `pay…-1` is how postings name it.

    `reserved` was asked for, `paid` has been captured, `refunded` was given back, `returned` came back.
    What of it stands against the obligation in the books is the ledger's to say: a copay may be paid before its charge
    is there.
    """

    __tablename__ = "allocation"
    __table_args__ = (Index(None, "tenant_id", "obligation_id"), Index(None, "tenant_id", "account_ref"))

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    obligation_id: str = Field(sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    reserved_minor: int = Field(sa_type=BigInteger)
    paid_minor: int = _minor()
    refunded_minor: int = _minor()
    returned_minor: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class MovementRow(Row, table=True):
    """What became of a payment's money after it was posted, without a refund: voided, or made to pay something else."""

    __tablename__ = "payment_movement"
    __table_args__ = (Index(None, "tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    movement_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)  # void, reallocation, refund_failed
    moved_by: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
    restores: str | None = Field(default=None, sa_type=Text)  # the refund that failed after it was told as done


class MovementLineRow(Row, table=True):
    """One side of it. `allocation` 0 is money that no obligation has claimed; below zero it is taken from there."""

    __tablename__ = "movement_line"
    __table_args__ = (Index(None, "tenant_id", "account_ref"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    movement_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    allocation: int = Field(sa_type=BigInteger)
    obligation_id: str = Field(default="", sa_type=Text)
    account_ref: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)


class RefundRow(Row, table=True):
    """Money on its way back."""

    __tablename__ = "refund"
    __table_args__ = (
        UniqueConstraint("tenant_id", "payment_id", "processor_ref"),
        Index(None, "tenant_id", "payment_id", "refund_id"),
        Index(None, "tenant_id", "processor_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    refund_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    requested_by: str = Field(sa_type=Text)
    approved_by: str = Field(default="", sa_type=Text)
    processor_ref: str | None = Field(default=None, sa_type=Text)
    failure_says: str = Field(default="", sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    succeeded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    business_date: str | None = Field(default=None, sa_type=Text)


class ReversalRow(Row, table=True):
    """A payment that is to be taken back whole: the wish behind a void."""

    __tablename__ = "reversal"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    operation_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    requested_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class ReturnRow(Row, table=True):
    """Money of a capture that came back (a bank debit returned, a capture failed late), or (`reverses`) came again."""

    __tablename__ = "payment_return"
    __table_args__ = (
        UniqueConstraint("tenant_id", "payment_id", "reference"),
        Index(None, "tenant_id", "reference"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    return_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)  # the processor's id of it
    reverses: str | None = Field(default=None, sa_type=Text)  # the return_id of what it takes back
    amount_minor: int = Field(sa_type=BigInteger)
    recovered_minor: int = _minor()  # of it: what had been refunded, so that the payer has had it twice
    fee_minor: int = _minor()
    currency: str = Field(sa_type=Text)
    code: str = Field(default="", sa_type=Text)  # R01 …
    reason: str = Field(default="", sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    booked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    business_date: str | None = Field(default=None, sa_type=Text)


class RefundShareRow(Row, table=True):
    """What a refund, or a return, takes back of which allocation. `allocation` 0 is money that no obligation had
    claimed. Of a return `refund_id` is the return's id."""

    __tablename__ = "refund_share"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    refund_id: str = Field(primary_key=True, sa_type=Text)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    allocation: int = Field(sa_type=BigInteger)
    obligation_id: str = Field(default="", sa_type=Text)
    account_ref: str = Field(default="", sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)


class DisputeRow(Row, table=True):
    """A payer's bank takes a payment back. State, funds and amounts are the fold over `dispute_fact`."""

    __tablename__ = "dispute"
    __table_args__ = (
        UniqueConstraint("tenant_id", "merchant", "processor_ref"),
        Index(None, "tenant_id", "payment_id"),
        Index(None, "tenant_id", "state"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    dispute_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    merchant: str = Field(sa_type=Text)
    processor_ref: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    round: int = Field(sa_type=BigInteger)
    funds: str = Field(sa_type=Text)  # none, withdrawn, reinstated
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    withdrawn_minor: int = _minor()
    reinstated_minor: int = _minor()
    fee_minor: int = _minor()
    lost_minor: int = _minor()  # of what was withdrawn: booked as the payer's
    reason: str = Field(sa_type=Text)  # the processor's word
    respond_by: datetime | None = Field(default=None, sa_type=UtcDateTime)
    accepted_by: str = Field(default="", sa_type=Text)  # who had it given up from here, and why
    accepted_why: str = Field(default="", sa_type=Text)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    ended_by: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # who stated its end, why
    ended_why: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})


class DisputeFactRow(Row, table=True):
    """One thing known of a dispute: a state that it was seen in, or a line of money. See domain/dispute.py."""

    __tablename__ = "dispute_fact"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    dispute_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    round: int = Field(primary_key=True, sa_type=BigInteger)
    reference: str = Field(primary_key=True, sa_type=Text)
    amount_minor: int = Field(primary_key=True, sa_type=BigInteger)  # two of one line are two facts, and a break
    fee_minor: int = Field(primary_key=True, sa_type=BigInteger)
    currency: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(sa_type=Text)  # who said so first
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class DisputeLossRow(Row, table=True):
    """What a lost dispute took of its payment, or what came back after that, as it became known.

    Its shares are in `refund_share`, by its id: what is posted of it takes back the same lines as a refund's.
    """

    __tablename__ = "dispute_loss"
    __table_args__ = (UniqueConstraint("tenant_id", "dispute_id", "number"), Index(None, "tenant_id", "payment_id"))

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    loss_id: str = Field(primary_key=True, sa_type=Text)
    dispute_id: str = Field(sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    number: int = Field(sa_type=BigInteger)  # within the dispute
    kind: str = Field(sa_type=Text)  # lost, regained
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    business_date: str = Field(sa_type=Text)


class StoredMethodRow(Row, table=True):
    """A payment method that the processor keeps; we know its token and what may be shown of it."""

    __tablename__ = "stored_method"
    __table_args__ = (
        UniqueConstraint("tenant_id", "merchant", "token"),
        Index(None, "tenant_id", "account_ref"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    method_id: str = Field(primary_key=True, sa_type=Text)
    account_ref: str = Field(sa_type=Text)  # the account that it may pay
    debtor_ref: str = Field(default="", sa_type=Text)  # whose method it is
    merchant: str = Field(sa_type=Text)
    token: str = Field(sa_type=Text)
    brand: str = Field(sa_type=Text)
    last4: str = Field(sa_type=Text)
    expires: str = Field(default="", sa_type=Text)
    state: str = Field(sa_type=Text)  # active, removed, refused
    created_at: datetime = Field(sa_type=UtcDateTime)
    # The card network's id of the first payment that the payer made by it: sent with those that the merchant initiates.
    network_ref: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    kind: str = Field(default="card", sa_type=Text, sa_column_kwargs={"server_default": "card"})  # card, bank


class MandateRow(Row, table=True):
    """The authorization to debit a stored bank account; its text, date and cap are the consent's."""

    __tablename__ = "mandate"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    method_id: str = Field(primary_key=True, sa_type=Text)
    consent_id: str = Field(sa_type=Text)
    sec_code: str = Field(sa_type=Text)  # WEB, PPD, TEL, CCD
    processor_ref: str = Field(sa_type=Text)  # the processor's id of it
    state: str = Field(sa_type=Text)  # domain/mandate.py
    code: str = Field(sa_type=Text)  # why: R02 …, C01 …, or a word of whoever changed it
    changed_by: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class NoticeOfChangeRow(Row, table=True):
    """What a bank says is to be put right of an account, for the next debit. Kept, and never acted on by itself."""

    __tablename__ = "notice_of_change"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    method_id: str = Field(primary_key=True, sa_type=Text)
    reference: str = Field(primary_key=True, sa_type=Text)
    code: str = Field(sa_type=Text)
    says: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class ConsentRow(Row, table=True):
    """What the payer agreed to, word for word. A new wording is a new consent; a revoked one stays."""

    __tablename__ = "consent"
    __table_args__ = (Index(None, "tenant_id", "method_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    consent_id: str = Field(primary_key=True, sa_type=Text)
    method_id: str = Field(sa_type=Text)
    text: str = Field(sa_type=Text)
    text_sha256: str = Field(sa_type=Text)
    cap_minor: int = Field(sa_type=BigInteger)  # most that may be taken at once without asking
    currency: str = Field(sa_type=Text)
    given_at: datetime = Field(sa_type=UtcDateTime)
    recorded_by: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class IdempotencyKeyRow(Row, table=True):
    """A client's key and the answer to it, kept for ever."""

    __tablename__ = "idempotency_key"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    client: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    body_hash: str = Field(sa_type=Text)  # keyed, of method, path and body
    subject: str = Field(sa_type=Text)  # what was made: a payment, a refund, a method
    status: int | None = Field(default=None, sa_type=BigInteger)  # null: made, and not yet answered
    answer: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class PaymentBreakRow(Row, table=True):
    """Something that the rules can't explain, for a person. Opened once per key, never a silent skip."""

    __tablename__ = "payment_break"
    __table_args__ = (Index(None, "tenant_id", "payment_id"), Index(None, "tenant_id", "closed_at", "opened_at"))

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    break_key: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    payment_id: str = Field(default="", sa_type=Text)
    merchant: str = Field(default="", sa_type=Text)
    amount_minor: int = _minor()
    currency: str = Field(default="", sa_type=Text)
    says: str = Field(sa_type=Text)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_by: str = Field(default="", sa_type=Text)
    closed_why: str | None = Field(default=None, sa_type=Text)
    # What else it is about, by its id; empty: the payment.
    subject: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    # A person closed it while it was of so much; null: nobody did, or it was no longer so since.
    accepted_minor: int | None = Field(default=None, sa_type=BigInteger)
    # Of a payout that its lines don't come to: how much of the processor's balance it accounts for.
    balance_minor: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class EventSweepRow(Row, table=True):
    """How far a merchant's events were read off its processor's own list. See usecases/sweep.py."""

    __tablename__ = "event_sweep"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    merchant: str = Field(primary_key=True, sa_type=Text)
    watermark: datetime | None = Field(default=None, sa_type=UtcDateTime)  # all of before was seen; null: never yet
    since: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of the sweep in hand; null: none is
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cursor: str = Field(default="", sa_type=Text)
    found: int = _minor()  # by the sweep in hand, else by the last one
    changed_at: datetime = Field(sa_type=UtcDateTime)


class ByHandRow(Row, table=True):
    """What a person found out about an operation that nobody knew, and on what grounds. See by_hand.py."""

    __tablename__ = "operation_by_hand"
    __table_args__ = (Index(None, "tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    operation_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(sa_type=Text)
    became: str = Field(sa_type=Text)  # done, not_done
    reference: str = Field(default="", sa_type=Text)  # of done: the processor's id of it
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    said_by: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    evidence: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
