"""Money of a payment taken off the accounts again, or put back on them: what a void and a refund have in common.

Called by settle_outcome.py and refund.py, in their units, under the payment's lock.
"""

from __future__ import annotations

from datetime import date, datetime

from ..billing import money as billing
from ..billing import rows
from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.local_days import day_of
from ..domain.money import Money
from ..errors import InvariantBroken
from ..payments import disputes, movements, refunds, store
from ..payments.allocation import take_back
from ..payments.movements import Movement, Side
from ..payments.records import Payment
from . import moved_money


def business_day(tenant: Tenant, facility: str, at: datetime) -> date:
    """The till's day: in the facility's zone."""
    return day_of(at, tenant.facility(facility).zone)


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
