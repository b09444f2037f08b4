"""Money of a payment taken off the accounts again, or put back on them: what a void and a refund have in common.

Called by settle_outcome.py and refund.py, in their units, under the payment's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ..billing import money as billing
from ..billing import rows
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
from ..payments import disputes, movements, refunds, returns, store
from ..payments.allocation import take_back
from ..payments.movements import Movement, Side
from ..payments.records import Payment, Refund, RefundShare
from . import moved_money

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


def hold_still(tx: Tx, tenant: Tenant, payment: Payment) -> None:
    """Lock the accounts on which its money is, and let its allocations say what it pays by now, with EHRs told: what is
    taken back after this is taken from the same in the books and there. After the payment's lock.
    """
    rows.lock(tx, {payment.account_ref, *(one.account_ref for one in store.allocations(tx, payment.payment_id))})
    moved_money.tell(tx, payment.payment_id, tenant, by="policy:credit", reason="it is owed no more")


def record_void(tx: Tx, payment: Payment, amount: Money, *, by: str) -> Movement:
    """That this capture is taken back: first what nothing has claimed, then the newest allocation. EHRs are told of it
    by the movement. Before `take_off`; `payment` is without the capture already.
    """
    allocated = {one.sequence: one for one in store.allocations(tx, payment.payment_id)}
    unclaimed = amount + payment.captured - payment.returned - refunds.claimed(tx, payment) - disputes.gone(tx, payment)
    for one in allocated.values():
        unclaimed = unclaimed - one.kept
    lines: list[Side] = []
    for part in take_back(amount, unclaimed=unclaimed, allocated=[(n, one.kept) for n, one in allocated.items()]):
        if of := allocated.get(part.sequence):
            store.add_to_allocation(tx, payment.payment_id, part.sequence, paid=-part.amount.minor)
        ids = (of.obligation_id, of.account_ref) if of else ("", payment.account_ref)
        lines.append(Side(part.sequence, *ids, -part.amount))
    lines.sort(key=lambda line: (not line.allocation, line.allocation))  # in the order in which they were told
    return movements.add(tx, payment.payment_id, "void", lines, by=by, reason=payment.failure_says)


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
    """This much of a refund did not go out. It pays nothing now, of which EHRs are told where they had that it pays."""
    rows.lock(tx, {payment.account_ref, *(one.account_ref for one in store.allocations(tx, payment.payment_id))})
    standing = returns.standing(tx, payment.payment_id)
    all_told = any(one.recovered for one in standing)  # that what was being refunded came back
    for part in parts:
        if part.allocation:
            less = part.amount.minor
            returned = less if all_told else 0
            store.add_to_allocation(tx, payment.payment_id, part.allocation, refunded=-less, returned=returned)
    billing.add_credit(tx, payment.account_ref, payment.payment_id, amount)
    moved_money.tell(tx, payment.payment_id, tenant, by="policy:credit", reason="a refund of it did not go out")
