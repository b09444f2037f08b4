"""Ending a payment before it settles: an authorization is released, a capture taken back whole. follow_up.py sends it.

So ends one, too, whose payer was to confirm it and didn't. What it was for is owed again. A capture that was refunded,
or is to be, can't be voided; nor can one whose processor only refunds (`Capabilities.void_after_capture`).
"""

from __future__ import annotations

from ..db.unit import Tx
from ..domain.payment import PaymentState
from ..errors import RuleBroken
from ..payments import store, tenders
from ..payments.port import OperationKind
from ..payments.registry import Registry
from .follow_up import ask


def request(tx: Tx, payment_id: str, registry: Registry) -> str:
    """Queue the void, as part of the caller's unit; its operation's id.

    Raises RuleBroken when the payment can't be voided, or while another operation of it has no outcome; NotFound.
    """
    payment = store.lock(tx, payment_id)
    if payment.method == store.EXTERNAL:
        raise RuleBroken("the EHR took this payment: it is given back there", payment_id=payment.payment_id)
    if payment.method in tenders.KINDS:
        raise RuleBroken(tenders.taken_by(payment.method), payment_id=payment.payment_id)
    captured = payment.state is PaymentState.CAPTURED
    held = payment.amount if payment.state is PaymentState.REQUIRES_ACTION else payment.authorized
    if captured and not registry.of(payment.merchant).capabilities.void_after_capture:
        raise RuleBroken("this processor voids no captured payment: refund it", payment_id=payment_id)
    return ask(tx, payment, OperationKind.VOID, payment.captured if captured else held)
