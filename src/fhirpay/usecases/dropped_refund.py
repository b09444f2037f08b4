"""A refund that does not go out: what it took off its payment is the payer's again, as credit.

Called by refund.py, failed_late.py and whoever finds that a payment has nothing to give back any more, in their units,
under the payment's lock.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..billing import money as billing
from ..billing import rows
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.refund import CLAIMS, RefundState
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import refunds, store
from ..payments.records import Payment, Refund, RefundShare
from . import moved_money, set_off
from .money_off import business_day

log = Log("payments")


def drop_refund(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, end: RefundState, says: str) -> Refund:
    """It will not go out: the money stays with us, as credit of its payer. `end` is `failed` or `canceled`."""
    refund = refunds.move(tx, refund, end, failure_says=says)
    back_to_credit(tx, tenant, payment, refund, says)
    store.close_break(tx, waits_key(refund), by="it is not sent any more")
    day = business_day(tenant, payment.facility, tx.now)
    entry = rules.refund_dropped(
        payment.payment_id, refund.refund_id, refund.amount, occurred_at=tx.now, business_date=day
    )
    ledger.post(tx, entry, key=f"refund-dropped/{refund.refund_id}")
    log.warning("refund.failed", refund_id=refund.refund_id, payment_id=payment.payment_id)
    return refund


def drop_refunds(tx: Tx, tenant: Tenant, payment: Payment, *, says: str) -> None:
    """Every refund that has not gone out ends here: what it was to give back is no longer there."""
    for refund in refunds.of_payment(tx, payment.payment_id):
        if refund.state in CLAIMS - {RefundState.SUCCEEDED, RefundState.REPLACED}:
            drop_refund(tx, tenant, payment, refund, RefundState.CANCELED, says)


def drop_unsent_refunds(tx: Tx, tenant: Tenant, payment: Payment, *, says: str) -> None:
    """Every refund that has provably not gone out ends here: it would give the money back a second time."""
    operation = store.open_operation(tx, payment.payment_id)
    for refund in refunds.of_payment(tx, payment.payment_id):
        unsent = refund.state in (RefundState.APPROVED, RefundState.WAITING_SETTLEMENT)
        if operation is not None and operation.refund_id == refund.refund_id:
            unsent |= refund.state is RefundState.SUBMITTED and operation.state is OperationState.PREPARED
        if unsent:
            drop_refund(tx, tenant, payment, refund, RefundState.CANCELED, says)


def waits_key(refund: Refund) -> str:
    """Of the break that tells of a refund whose payment doesn't settle."""
    return f"{refund.payment_id}:refund-waits:{refund.refund_id}"


def failed_key(refund: Refund) -> str:
    """Of the break that tells of a refund that didn't go out."""
    return f"{refund.payment_id}:refund-failed:{refund.refund_id}"


def back_to_credit(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, says: str) -> None:
    """What the refund took off is money of its payer's again, and a person is told why."""
    to_credit(tx, tenant, payment, refunds.shares(tx, refund.refund_id), refund.amount)
    says = f"{refund.amount} of {refund.refund_id} did not go out: {says}"
    store.open_break(tx, failed_key(refund), "refund_failed", says, payment=payment, amount=refund.amount)


def to_credit(tx: Tx, tenant: Tenant, payment: Payment, parts: Iterable[RefundShare], amount: Money) -> None:
    """This much of a refund did not go out. It pays nothing now, of which EHRs are told where they had that it pays;
    what of it came back all the same is no credit, and is not owed a second time."""
    rows.lock(tx, {payment.account_ref, *(one.account_ref for one in store.allocations(tx, payment.payment_id))})
    came_back = set_off.of_returns(tx, tenant, payment, amount)
    left = came_back
    for part in sorted(parts, key=lambda one: -one.allocation):  # as the return took them: the newest first
        returned = min(left, part.amount, key=lambda money: money.minor)
        left = left - returned
        if part.allocation:
            less = -part.amount.minor
            store.add_to_allocation(tx, payment.payment_id, part.allocation, refunded=less, returned=returned.minor)
    if rest := amount - came_back:
        billing.add_credit(tx, payment.account_ref, payment.payment_id, rest)
    moved_money.tell(tx, payment.payment_id, tenant, by="policy:credit", reason="a refund of it did not go out")
