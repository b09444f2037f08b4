"""Money of a payment that a lost dispute took for good, and money that came back of one, in billing and for the EHR.

Called by dispute.py in its units, under the payment's lock, whenever what is lost by the facts differs from what is
booked as lost. What had been paid is owed again; the caller holds it. What had been given back before can't be lost a
second time: the rest stays in `dispute_receivable`, and a break says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..billing import money as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..ledger import rules
from ..ledger.entry import Entry
from ..log import Log
from ..payments import disputes, refunds, store
from ..payments.allocation import take_back
from ..payments.records import Dispute, DisputeLoss, Payment, RefundShare
from . import postings
from .money_off import business_day, hold_still, take_off
from .refund_shares import left_of

log = Log("disputes")

OVER = "dispute_over"  # a break: more was lost than the payment had left
Losses = tuple[list[billing.LedgerMove], dict[str, Entry]]


def lose(tx: Tx, tenant: Tenant, payment: Payment, dispute: Dispute, more: Money) -> Losses:
    """So much more is the payer's: off what the payment had paid. Ledger moves and entries that follow."""
    hold_still(tx, tenant, payment)
    left = max(left_of(tx, payment), Money.zero(payment.currency), key=lambda money: money.minor)
    amount = min(more, left, key=lambda money: money.minor)
    if over := more - amount:
        says = f"{more} was lost to {dispute.dispute_id}, {over} of it given back before: claim it at the processor"
        key = over_key(payment.payment_id, dispute.dispute_id)
        store.open_break(tx, key, OVER, says, payment=payment, amount=over)
    if amount.minor <= 0:
        return [], {}
    day = business_day(tenant, payment.facility, tx.now)
    loss = disputes.add_loss(tx, dispute, amount, regained=False, at=tx.now, business_date=day.isoformat())
    allocated = {one.sequence: one for one in store.allocations(tx, payment.payment_id)}
    unclaimed = left
    for one in allocated.values():
        unclaimed = unclaimed - one.kept
    shares: list[RefundShare] = []
    for part in take_back(amount, unclaimed=unclaimed, allocated=[(n, one.kept) for n, one in allocated.items()]):
        of = allocated.get(part.sequence)
        ids = (of.obligation_id, of.account_ref) if of else ("", "")
        shares.append(RefundShare(len(shares) + 1, part.sequence, *ids, part.amount))
        if of:
            store.add_to_allocation(tx, payment.payment_id, part.sequence, returned=part.amount.minor)
    refunds.put_shares(tx, loss.loss_id, shares)
    moves = take_off(tx, payment, amount)
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=loss.loss_id, tenant=tenant)
    when = rules.When(occurred_at=tx.now, business_date=day, refs={"dispute": dispute.dispute_id})
    log.warning("dispute.lost", dispute_id=dispute.dispute_id, payment_id=payment.payment_id)
    return moves, {f"dispute-lost/{loss.loss_id}": rules.dispute_lost(payment.payment_id, loss.loss_id, amount, **when)}


def over_key(payment_id: str, dispute_id: str) -> str:
    """Of the break that tells of a loss beyond what was left."""
    return f"{payment_id}:{dispute_id}:over"


def regain(tx: Tx, tenant: Tenant, payment: Payment, dispute: Dispute, amount: Money) -> Losses:
    """What came back of a dispute that had been lost: on what it had paid, as far as that is still owed, or credit."""
    day = business_day(tenant, payment.facility, tx.now)
    before = disputes.losses_of(tx, dispute.dispute_id)
    loss = disputes.add_loss(tx, dispute, amount, regained=True, at=tx.now, business_date=day.isoformat())
    shares = _shares_again(tx, before, amount)
    pays: list[billing.Share] = []
    for share in shares:
        if share.allocation:
            store.add_to_allocation(tx, payment.payment_id, share.allocation, returned=-share.amount.minor)
            pays.append(billing.Share(share.obligation_id, share.amount, payment.payment_id, share.account_ref))
    refunds.put_shares(tx, loss.loss_id, shares)
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=loss.loss_id, tenant=tenant)
    settled = billing.settle(tx, payment.payment_id, pays)
    if rest := sum((-one.amount for one in pays), amount):
        billing.add_credit(tx, payment.account_ref, payment.payment_id, rest)
    if over := sum((one.amount for one in settled.credited), Money.zero(payment.currency)):
        says = (
            f"{over} of a dispute came back for what is no longer owed: credit of the payer's, to be given back or used"
        )
        key = f"{payment.payment_id}:not-owed:{loss.loss_id}"
        store.open_break(tx, key, "no_longer_owed", says, payment=payment, amount=over)
    when = rules.When(occurred_at=tx.now, business_date=day, refs={"dispute": dispute.dispute_id})
    entry = rules.dispute_regained(payment.payment_id, loss.loss_id, amount, **when)
    log.info("dispute.regained", dispute_id=dispute.dispute_id, payment_id=payment.payment_id)
    return list(settled.ledger), {f"dispute-regained/{loss.loss_id}": entry}


def _shares_again(tx: Tx, before: Iterable[DisputeLoss], amount: Money) -> list[RefundShare]:
    """This much of what the losses before took and nothing has brought back, in their order."""
    taken: dict[int, RefundShare] = {}
    for loss in before:
        for share in refunds.shares(tx, loss.loss_id):
            known = taken.get(share.allocation)
            more = -share.amount if loss.regained else share.amount
            taken[share.allocation] = replace(share, amount=known.amount + more) if known else share
    shares: list[RefundShare] = []
    left = amount
    for share in taken.values():
        part = min(left, share.amount, key=lambda money: money.minor)
        if part.minor > 0:
            shares.append(replace(share, sequence=len(shares) + 1, amount=part))
            left = left - part
    return shares
