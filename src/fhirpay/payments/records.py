"""What the stores of payments hand out: frozen records with Money in them. No behaviour beyond reading a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Self

from sqlalchemy import RowMapping

from ..domain.dispute import OPEN, DisputeState, Funds
from ..domain.mandate import MandateState
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payment import PaymentState
from ..domain.refund import RefundState
from .port import MerchantReason, OperationKind


class _Record:
    __slots__ = ()

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """A row, with each `x_minor` as the Money `x` and each state as its own kind."""
        plain, amounts, kinds = _plan(cls)
        values: dict[str, Any] = {name: row[name] for name in plain}
        for name, column in amounts:
            values[name] = Money(row[column], row["currency"] or "USD")
        for name, kind in kinds:
            values[name] = kind(row[name])
        return cls(**values)


_Plan = tuple[list[str], list[tuple[str, str]], list[tuple[str, Callable[[Any], Any]]]]


@cache
def _plan(cls: type[_Record]) -> _Plan:
    """The fields that are columns as they stand, those that are Money with their columns, and those with a kind."""
    types = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
    amounts = [(name, f"{name}_minor") for name, kind in types.items() if kind == "Money"]
    kinds = [(name, kind) for (record, name), kind in _STATES.items() if record == cls.__name__]
    other = {name for name, _ in amounts} | {name for name, _ in kinds}
    return [name for name in types if name not in other], amounts, kinds


@dataclass(frozen=True, slots=True)
class Payment(_Record):
    payment_id: str
    fact_key: str | None
    account_ref: str
    facility: str
    merchant: str
    processor: str
    amount: Money
    currency: str
    method: str
    method_id: str | None
    initiated_by: str
    requested_by: str
    state: PaymentState
    authorized: Money
    captured: Money
    voided: Money
    returned: Money
    refunded: Money
    processor_ref: str | None
    capture_ref: str | None
    hosted_url: str | None
    hosted_until: datetime | None
    return_url: str | None
    brand: str
    last4: str
    authorization_code: str
    expires: str
    tender: str
    returnable_until: datetime | None
    retry_of: str | None
    retry: int
    failure_code: str
    failure_says: str
    created_at: datetime
    changed_at: datetime
    captured_at: datetime | None
    business_date: str | None
    merchant_reason: MerchantReason
    network_ref: str


@dataclass(frozen=True, slots=True)
class Operation(_Record):
    operation_id: str
    payment_id: str
    refund_id: str | None
    kind: OperationKind
    state: OperationState
    attempt: int
    amount: Money
    processor_ref: str | None
    sent_at: datetime | None
    last_sent_at: datetime | None
    repeat_answered_at: datetime | None
    finished_at: datetime | None
    says: str
    created_at: datetime

    @property
    def key(self) -> str:
        """The idempotency key of this attempt: it follows from the operation, so that a repeat has the same one."""
        return f"{self.operation_id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Allocation(_Record):
    payment_id: str
    sequence: int
    obligation_id: str
    account_ref: str
    reserved: Money
    paid: Money
    refunded: Money
    returned: Money

    @property
    def kept(self) -> Money:
        """What of it is still with us."""
        return self.paid - self.refunded - self.returned


@dataclass(frozen=True, slots=True)
class Refund(_Record):
    refund_id: str
    payment_id: str
    amount: Money
    state: RefundState
    reason: str
    requested_by: str
    approved_by: str
    processor_ref: str | None
    failure_says: str
    created_at: datetime
    changed_at: datetime
    succeeded_at: datetime | None
    business_date: str | None


@dataclass(frozen=True, slots=True)
class Return(_Record):
    """Money that came back, or (`reverses`) came again. `recovered` of it had been refunded already."""

    return_id: str
    payment_id: str
    reference: str
    reverses: str | None
    amount: Money
    recovered: Money
    fee: Money
    code: str
    reason: str
    occurred_at: datetime
    booked_at: datetime | None
    business_date: str | None


@dataclass(frozen=True, slots=True)
class RefundShare(_Record):
    """Of a refund or a return. `allocation` is the sequence of the payment's share that it takes back; 0: nothing had
    claimed it."""

    sequence: int
    allocation: int
    obligation_id: str
    account_ref: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Dispute(_Record):
    """`lost` of what was withdrawn is booked as the payer's."""

    dispute_id: str
    payment_id: str
    merchant: str
    processor_ref: str
    state: DisputeState
    round: int
    funds: Funds
    amount: Money
    withdrawn: Money
    reinstated: Money
    fee: Money
    lost: Money
    reason: str
    respond_by: datetime | None
    accepted_by: str
    accepted_why: str
    ended_by: str
    ended_why: str
    opened_at: datetime
    recorded_at: datetime
    changed_at: datetime

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def out(self) -> Money:
        """What the processor holds back at present."""
        return self.withdrawn - self.reinstated


@dataclass(frozen=True, slots=True)
class DisputeLoss(_Record):
    """What a lost dispute took of its payment, or (`kind`) what was `regained` afterwards."""

    loss_id: str
    dispute_id: str
    payment_id: str
    number: int
    kind: str
    amount: Money
    occurred_at: datetime
    business_date: str

    @property
    def regained(self) -> bool:
        return self.kind == "regained"


@dataclass(frozen=True, slots=True)
class StoredMethod(_Record):
    method_id: str
    account_ref: str
    debtor_ref: str
    merchant: str
    token: str
    brand: str
    last4: str
    expires: str
    state: str
    created_at: datetime
    network_ref: str
    kind: str


@dataclass(frozen=True, slots=True)
class Mandate(_Record):
    method_id: str
    consent_id: str
    sec_code: str
    processor_ref: str
    state: MandateState
    code: str
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class NoticeOfChange(_Record):
    reference: str
    code: str
    says: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class MerchantTry(_Record):
    merchant: str
    sequence: int
    begun: int
    not_reached: int
    says: str


@dataclass(frozen=True, slots=True)
class Consent(_Record):
    consent_id: str
    method_id: str
    text: str
    text_sha256: str
    cap: Money
    given_at: datetime
    recorded_by: str
    recorded_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Break(_Record):
    break_key: str
    kind: str
    payment_id: str
    subject: str  # what else it is about: a payout or a line, by its id; empty: the payment
    account_ref: str  # of its payment; empty: of none of ours
    merchant: str
    amount: Money
    says: str
    opened_at: datetime
    balance: Money  # of the processor's, that a payout's break accounts for


_STATES: dict[tuple[str, str], Any] = {
    ("Payment", "state"): PaymentState,
    ("Operation", "state"): OperationState,
    ("Operation", "kind"): OperationKind,
    ("Refund", "state"): RefundState,
    ("Dispute", "state"): DisputeState,
    ("Dispute", "funds"): Funds,
    ("Mandate", "state"): MandateState,
}
