"""What happens to money, told to the systems of our clients: webhooks/. Called where a row changes its state.

What the EHR took itself is not told: it knows.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import Folded, PaymentState
from ..webhooks import kinds
from ..webhooks.events import heard as heard
from ..webhooks.events import tell
from .records import Dispute, Payment, Refund, Return

_EHR = "external"  # store.EXTERNAL, which stands above this file


def payment_made(tx: Tx, payment: Payment) -> None:
    _payment(tx, payment, payment.state, payment.amount)


def payment_folded(tx: Tx, before: Payment, now: Folded) -> None:
    """The amount is what the state is about: what was captured, authorized, voided or returned; else what was asked."""
    if now.state is before.state:
        return
    about = {
        PaymentState.AUTHORIZED: now.authorized,
        PaymentState.CAPTURED: now.captured,
        PaymentState.VOIDED: now.voided,
        PaymentState.RETURNED: now.returned,
    }
    _payment(tx, before, now.state, about.get(now.state, before.amount))


def _payment(tx: Tx, payment: Payment, state: PaymentState, amount: Money) -> None:
    _tell(tx, kinds.of_payment(state), payment, payment.payment_id, str(state), amount)


def refund_moved(tx: Tx, payment: Payment, refund: Refund) -> None:
    _tell(tx, kinds.of_refund(refund.state), payment, refund.refund_id, str(refund.state), refund.amount)


def dispute_opened(tx: Tx, payment: Payment, dispute: Dispute) -> None:
    _dispute(tx, kinds.DISPUTE_OPENED, payment, dispute, dispute.amount)


def dispute_folded(tx: Tx, payment: Payment, before: Dispute, now: Dispute, *, new: bool) -> None:
    """`new`: it has just been opened, which is told by itself. Each movement of its money is told with its amount."""
    if now.state is not before.state and not new:
        _dispute(tx, kinds.of_dispute(now.state), payment, now, now.amount)
    if now.withdrawn > before.withdrawn:
        _dispute(tx, kinds.FUNDS_WITHDRAWN, payment, now, now.withdrawn - before.withdrawn)
    if now.reinstated > before.reinstated:
        _dispute(tx, kinds.FUNDS_REINSTATED, payment, now, now.reinstated - before.reinstated)


def _dispute(tx: Tx, kind: str, payment: Payment, dispute: Dispute, amount: Money) -> None:
    _tell(tx, kind, payment, dispute.dispute_id, str(dispute.state), amount)


def return_booked(tx: Tx, payment: Payment, one: Return) -> None:
    kind = kinds.RETURN_RECEIVED if one.reverses is None else kinds.RETURN_REVERSED
    _tell(tx, kind, payment, one.return_id, kind.partition(".")[2], one.amount)


def deposit_taken(tx: Tx, payment: Payment) -> None:
    _tell(tx, kinds.DEPOSIT_TAKEN, payment, payment.payment_id, str(payment.state), payment.captured)


def money_moved(tx: Tx, payment: Payment, put: Money, *, from_credit: bool) -> None:
    """This much of a payment pays something else now: what it was credit for, or (else) another obligation before."""
    kind = kinds.CREDIT_APPLIED if from_credit else kinds.CREDIT_MOVED
    _tell(tx, kind, payment, payment.payment_id, str(payment.state), put)


def _tell(tx: Tx, kind: str, payment: Payment, subject: str, state: str, amount: Money) -> None:
    if payment.method == _EHR:
        return
    about = {"payment_id": payment.payment_id, "account_ref": payment.account_ref}
    tell(tx, kind, subject=subject, state=state, amount=amount, **about)
