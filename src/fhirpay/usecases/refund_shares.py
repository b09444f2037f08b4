"""What a refund takes back of its payment, and how that follows when the processor gave back another amount.

Called by refund.py, in its units, under the payment's lock. Shares, accounts, ledger and what may still be refunded
change together: after each function they agree again.
"""

from __future__ import annotations

from dataclasses import replace

from ..billing import entries, worklist
from ..billing import money as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.refund import CLAIMS, RefundState
from ..ledger import rules
from ..ledger import store as ledger
from ..payments import disputes, refunds, store
from ..payments.allocation import take_back
from ..payments.records import Payment, Refund, RefundShare
from . import collect
from .dropped_refund import drop_refund, to_credit
from .money_off import business_day, hold_still, take_off


def left_of(tx: Tx, payment: Payment) -> Money:
    """What has not gone back yet and isn't about to, and what no dispute has taken for good."""
    return payment.captured - payment.returned - refunds.claimed(tx, payment) - disputes.gone(tx, payment)


def take(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, amount: Money, *, left: Money, key: str) -> None:
    """Take this much (more) back for the refund: shares, accounts, ledger (once for `key`). `left` is `left_of` before.

    What was paid of a valid obligation is owed again, on hold.
    """
    hold_still(tx, tenant, payment)
    allocated = {one.sequence: one for one in store.allocations(tx, payment.payment_id)}
    unclaimed = left
    for one in allocated.values():
        unclaimed = unclaimed - one.kept
    parts = take_back(amount, unclaimed=unclaimed, allocated=[(n, one.kept) for n, one in allocated.items()])
    shares = refunds.shares(tx, refund.refund_id)
    for part in parts:
        of = allocated.get(part.sequence)
        ids = (of.obligation_id, of.account_ref) if of else ("", "")
        shares.append(RefundShare(len(shares) + 1, part.sequence, *ids, part.amount))
        if of:
            store.add_to_allocation(tx, payment.payment_id, part.sequence, refunded=part.amount.minor)
    refunds.put_shares(tx, refund.refund_id, shares)
    moves = take_off(tx, payment, amount)
    for account_ref in dict.fromkeys(move.account_ref for move in moves):
        says = f"{refund.refund_id} gave money back that had paid a valid charge: is it to be asked for again?"
        entries.open_hold(tx, account_ref, entries.REFUNDED, says=says, by=refund.requested_by)
        worklist.open_item(
            tx, kind=entries.REFUNDED, subject=refund.refund_id, says=says, account_ref=account_ref, amount=amount
        )
    day = business_day(tenant, payment.facility, tx.now)
    billing.post(tx, moves, business_date=day)
    entry = rules.refund_approved(payment.payment_id, refund.refund_id, amount, occurred_at=tx.now, business_date=day)
    ledger.post(tx, entry, key=f"{key}/{refund.refund_id}")
    collect.reassess_accounts(tx, (move.account_ref for move in moves), tenant)
    if not moves:  # it was credit: nothing is owed again here
        collect.reassess_linked(tx, payment.account_ref, tenant)


def leave(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, amount: Money) -> None:
    """This much of the refund did not go out: credit of the payer's again, as with one that fails."""
    shares: list[RefundShare] = []
    gone: list[RefundShare] = []
    left = amount
    for share in reversed(refunds.shares(tx, refund.refund_id)):
        part = min(left, share.amount, key=lambda money: money.minor)
        left = left - part
        gone.append(replace(share, amount=part))
        if share.amount > part:
            shares.insert(0, replace(share, amount=share.amount - part))
    refunds.put_shares(tx, refund.refund_id, shares)
    to_credit(tx, tenant, payment, gone, amount)
    day = business_day(tenant, payment.facility, tx.now)
    entry = rules.refund_dropped(payment.payment_id, refund.refund_id, amount, occurred_at=tx.now, business_date=day)
    ledger.post(tx, entry, key=f"refund-less/{refund.refund_id}")


def follow(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, given: Money) -> Refund:
    """The refund, of the amount that the processor has given back instead of the one that was asked; a break says so.

    One of ours that waits and for which nothing is left then is not sent. What exceeds the payment can't be booked:
    the break says how much that is.
    """
    says = f"{refund.refund_id} was of {refund.amount}, and the processor gave back {given}"
    more = given - refund.amount
    for other in reversed(refunds.of_payment(tx, payment.payment_id)):
        if more > left_of(tx, payment) and other.state in _WAITS and other.refund_id != refund.refund_id:
            why = f"{refund.refund_id} gave back {given} of {payment.payment_id}: it is not left any more."
            drop_refund(tx, tenant, payment, other, RefundState.CANCELED, why)
    if more > (left := left_of(tx, payment)):
        says += f": {more - left} more than there is, which is not in the books"
        more = max(left, Money.zero(payment.currency), key=lambda money: money.minor)
    key = f"{payment.payment_id}:refund-amount:{refund.refund_id}"
    store.open_break(tx, key, "refund_amount", says, payment=payment, amount=given)
    if more.minor > 0:
        take(tx, tenant, payment, refund, more, left=left, key="refund-more")
    elif more:
        leave(tx, tenant, payment, refund, Money(-more.minor, more.currency))
    return refunds.resize(tx, refund, refund.amount + more)


def waits_for(tx: Tx, payment: Payment, refund: Refund, given: Money) -> bool:
    """Whether more was given back than is left beside refunds that are with the processor: first theirs is known."""
    if given <= refund.amount:
        return False
    others = [one for one in refunds.of_payment(tx, payment.payment_id) if one.refund_id != refund.refund_id]
    claimed = [one for one in others if one.state in CLAIMS - _WAITS]
    room = payment.captured - payment.returned
    for one in claimed:
        room = room - one.amount
    return given > room and any(one.state in _UNDER_WAY for one in claimed)


_WAITS = frozenset({RefundState.APPROVED, RefundState.WAITING_SETTLEMENT})
_UNDER_WAY = frozenset({RefundState.SUBMITTED, RefundState.PENDING, RefundState.REQUIRES_ACTION})
