"""Taking what was authorized: the whole, or a part, and then the rest is released. follow_up.py sends it.

An authorization is a memo: nothing of it is in the ledger, and what it is for stays reserved until it is captured,
voided or has expired. Only what is still owed may be captured, and once: a second capture is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..errors import RuleBroken
from ..payments import store
from ..payments.port import OperationKind
from ..payments.registry import Registry
from .follow_up import ask


@dataclass(frozen=True, slots=True)
class NewCapture:
    """A wish. Without `amount`: all that is authorized."""

    payment_id: str
    amount: Money | None = None


def request(tx: Tx, wish: NewCapture, registry: Registry) -> str:
    """Queue the capture, as part of the caller's unit; its operation's id.

    Raises RuleBroken for more than is authorized, for what is no longer owed, or while another operation of this
    payment has no outcome; NotFound.
    """
    payment = store.lock(tx, wish.payment_id)
    amount = payment.authorized if wish.amount is None else wish.amount
    if payment.state is PaymentState.AUTHORIZED:
        if amount.currency != payment.currency or amount.minor <= 0 or amount > payment.authorized:
            raise RuleBroken(f"{payment.authorized} of {payment.payment_id} is authorized, not {amount}")
        if amount < payment.authorized and not registry.of(payment.merchant).capabilities.partial_capture:
            raise RuleBroken(f"this processor captures {payment.authorized} whole, or nothing")
    return ask(tx, payment, OperationKind.CAPTURE, amount)
