"""What a webhook may tell of, by its stable name. To tell of something new: a line here, and `tell` where it happens.

A name never changes once it has been released; docs/api.md lists them. Names end in the state that was entered, where
a state of books-and-states was entered, so that a receiver reads the same word in the event and in the object.
"""

from __future__ import annotations

from ..domain.dispute import DisputeState
from ..domain.payment import PaymentState
from ..domain.refund import RefundState

FUNDS_WITHDRAWN, FUNDS_REINSTATED = "dispute.funds_withdrawn", "dispute.funds_reinstated"
DISPUTE_OPENED = "dispute.opened"
RETURN_RECEIVED, RETURN_REVERSED = "return.received", "return.reversed"
DEPOSIT_TAKEN, CREDIT_APPLIED, CREDIT_MOVED = "deposit.taken", "credit.applied", "credit.moved"

# The object's name in the event; where it is read: below /api/v1.
PATHS = {"payment": "payments", "refund": "refunds", "dispute": "disputes"}


def of_payment(state: PaymentState) -> str:
    return f"payment.{state}"


def of_refund(state: RefundState) -> str:
    return f"refund.{state}"


def of_dispute(state: DisputeState) -> str:
    return f"dispute.{state}"


KINDS = (
    *map(of_payment, PaymentState),
    *map(of_refund, RefundState),
    DISPUTE_OPENED,
    *map(of_dispute, DisputeState),
    FUNDS_WITHDRAWN,
    FUNDS_REINSTATED,
    RETURN_RECEIVED,
    RETURN_REVERSED,
    DEPOSIT_TAKEN,
    CREDIT_APPLIED,
    CREDIT_MOVED,
)
