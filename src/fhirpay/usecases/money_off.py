"""Money of a payment taken off the accounts again, or put back on them: what a void and a refund have in common.

Called by settle_outcome.py and refund.py, in their units, under the payment's lock.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from ..billing import money as billing
from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.refund import CLAIMS, RefundState
from ..errors import InvariantBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import movements, refunds, store
from ..payments.movements import Movement, Side
from ..payments.records import Payment, Refund

log = Log("payments")


def business_day(tenant: Tenant, facility: str, at: datetime) -> date:
    """The till's day: in the facility's zone."""
    return at.astimezone(ZoneInfo(tenant.facility(facility).zone)).date()


def take_off(tx: Tx, payment: Payment, amount: Money) -> list[billing.LedgerMove]:
    """Take this much of the payment's money off the accounts: what stands as credit first, then what it has paid,
    the newest first. What it had paid is owed again. The ledger's moves that follow, to be posted.
    """
    allocated = store.allocations(tx, payment.payment_id)
    accounts = list(dict.fromkeys([payment.account_ref, *(one.account_ref for one in allocated)]))
    moves: list[billing.LedgerMove] = []
    left = amount
    for account_ref in accounts:
        for credit in billing.credits_of(tx, account_ref):
            part = min(left, credit.amount, key=lambda money: money.minor)
            if credit.payment_id == payment.payment_id and part:
                billing.take_credit(tx, account_ref, payment.payment_id, part)
                left = left - part
    first = [one.obligation_id for one in reversed(allocated)]
    others = [one.obligation_id for ref in accounts for one in obligations.obligations_of(tx, ref)]
    for obligation_id in dict.fromkeys([*first, *others]):
        for share in billing.payments_on(tx, obligation_id):
            part = min(left, share.amount, key=lambda money: money.minor)
            if share.payment_id == payment.payment_id and part:
                taken = billing.reopen(tx, obligation_id, part, payment_id=payment.payment_id)
                moves += taken.ledger
                left = left - part
    if left:
        raise InvariantBroken(f"{left} of {payment.payment_id} is on no account", payment_id=payment.payment_id)
    return moves


def record_void(tx: Tx, payment: Payment, amount: Money, *, by: str) -> Movement:
    """That all of the payment is taken back: from each allocation what it kept, and what none had claimed. EHRs are
    told of it by the movement. Before `take_off`.
    """
    lines: list[Side] = []
    left = amount
    for one in store.allocations(tx, payment.payment_id):
        if one.kept:
            store.add_to_allocation(tx, payment.payment_id, one.sequence, paid=-one.kept.minor)
            lines.append(Side(one.sequence, one.obligation_id, one.account_ref, -one.kept))
            left = left - one.kept
    if left.minor > 0:
        lines.append(Side(0, "", payment.account_ref, -left))
    return movements.add(tx, payment.payment_id, "void", lines, by=by, reason=payment.failure_says)


def drop_refund(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, end: RefundState, says: str) -> Refund:
    """It will not go out: the money stays with us, as credit of its payer. `end` is `failed` or `canceled`."""
    refund = refunds.move(tx, refund, end, failure_says=says)
    back_to_credit(tx, payment, refund, says)
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


def back_to_credit(tx: Tx, payment: Payment, refund: Refund, says: str) -> None:
    """What the refund took off is money of its payer's again, and a person is told why."""
    for share in refunds.shares(tx, refund.refund_id):
        if share.allocation:
            store.add_to_allocation(tx, payment.payment_id, share.allocation, refunded=-share.amount.minor)
            store.add_to_allocation(tx, payment.payment_id, share.allocation, paid=-share.amount.minor)
    billing.add_credit(tx, payment.account_ref, payment.payment_id, refund.amount)
    key = f"{payment.payment_id}:refund-failed:{refund.refund_id}"
    says = f"{refund.amount} of {refund.refund_id} did not go out: {says}"
    store.open_break(tx, key, "refund_failed", says, payment=payment, amount=refund.amount)
