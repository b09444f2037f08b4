"""Money of a capture comes back (a bank debit or a check returned, a capture that failed late), or again after that.

Called by settle_outcome.py in its units, under the payment's lock: `note` where an outcome tells of it, `carry_out`
once the facts are there. What had been paid is owed again; what had been refunded already the payer has had twice, and
owes as a recovery (billing/recoveries.py). The EHR is told by a negative of its own, linked to the payment's lines;
what reverses a return is posted again. Each once, whoever tells it and how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..billing import money as billing
from ..billing import recoveries, worklist
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import FactKind, PaymentFact
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import disputes, refunds, returns, store
from ..payments.allocation import TakenBack, take_back
from ..payments.port import Approved, Outcome
from ..payments.records import Allocation, Payment, RefundShare, Return
from . import bank_codes, collect, moved_money, postings, set_off
from .dropped_refund import drop_unsent_refunds
from .money_off import business_day, hold_still, take_off

log = Log("payments")

RETURNED = "payment_returned"  # on the worklist; its subject is the return
UNEXPLAINED = "return_unexplained"  # a break: more came back than the payment had


def believable(outcome: Approved) -> bool:
    """Whether what is said to have come back can have: of this capture's currency, above nothing and not above it."""
    return all(
        one.amount.currency == outcome.amount.currency and 0 < one.amount.minor <= outcome.amount.minor
        for one in outcome.returns
    )


def note(tx: Tx, payment: Payment, outcome: Outcome) -> None:
    """Keep what an outcome tells of returns, with codes and fees. Their money moves by the facts: `carry_out`."""
    if isinstance(outcome, Approved):
        for one in outcome.returns:
            returns.note(tx, payment, one)


def carry_out(tx: Tx, tenant: Tenant, payment: Payment, facts: Iterable[PaymentFact]) -> None:
    """Every return among these facts that is not in our books yet, and what reversed one, in the order in which they
    happened: a capture that came back, came again and came back once more."""
    facts = list(facts)
    came_back = {fact.reference: fact.occurred_at for fact in facts if fact.kind is FactKind.RETURNED}

    def when(fact: PaymentFact) -> tuple[datetime, bool, str]:
        since = came_back.get(fact.undoes, fact.occurred_at)
        return max(fact.occurred_at, since), fact.kind is FactKind.RETURN_REVERSED, fact.reference

    for fact in sorted((one for one in facts if one.kind in _CARRIES), key=when):
        effect, amount = f"{fact.kind}:{fact.reference}", fact.amount or Money.zero(payment.currency)
        if store.first_time(tx, payment.payment_id, effect, amount):
            one = returns.by_reference(tx, payment.payment_id, fact.reference)
            _CARRIES[fact.kind](tx, tenant, store.get(tx, payment.payment_id), one)


def catch_up(tx: Tx, tenant: Tenant, payment: Payment) -> None:
    """Returns that could not be booked, since a lost dispute had the money, and can be now that it was won after all.
    Called by dispute.py, under the payment's lock."""
    for one in returns.standing(tx, payment.payment_id):
        now = store.get(tx, payment.payment_id)
        if one.booked_at is None and _with_us(tx, now) >= one.amount:
            _returned(tx, tenant, now, one)
            store.close_break(tx, _unexplained_key(now, one), by="dispute", why="it was won, and all of this is booked")


def _unexplained_key(payment: Payment, one: Return) -> str:
    return f"{payment.payment_id}:return:{one.reference}"


def _with_us(tx: Tx, payment: Payment) -> Money:
    """What is still here of a payment: neither given back, nor returned and booked, nor lost to a dispute."""
    before = [one for one in returns.standing(tx, payment.payment_id) if one.booked_at is not None]
    back = sum((one.amount - one.recovered for one in before), Money.zero(payment.currency))
    return payment.captured - refunds.claimed(tx, payment) - back - disputes.gone(tx, payment)


def _returned(tx: Tx, tenant: Tenant, payment: Payment, one: Return) -> None:
    says = f"The payment came back{_why(one)}: there is nothing to give back."
    drop_unsent_refunds(tx, tenant, payment, says=says)
    hold_still(tx, tenant, payment)
    allocated = store.allocations(tx, payment.payment_id)
    before = [other for other in returns.standing(tx, payment.payment_id) if other.booked_at is not None]
    recovered_before = sum((other.recovered for other in before), Money.zero(payment.currency))
    given_back = refunds.claimed(tx, payment)
    with_us = _with_us(tx, payment)
    own = _least(one.amount, with_us)
    recovered = _least(one.amount - own, given_back - recovered_before)
    if beyond := one.amount - own - recovered:
        says = f"{one.amount} of {payment.payment_id} came back, {beyond} more than there was of it: not booked"
        key = _unexplained_key(payment, one)
        store.open_break(tx, key, UNEXPLAINED, says, payment=payment, amount=beyond)
        if not own and not recovered:
            return
    day = business_day(tenant, payment.facility, one.occurred_at)
    taken = _own_parts(allocated, own, with_us)
    for part in taken:
        if part.sequence:
            store.add_to_allocation(tx, payment.payment_id, part.sequence, returned=part.amount.minor)
    refunds.put_shares(tx, one.return_id, _shares(allocated, [*taken, *_recovered_parts(allocated, recovered)]))
    moves = take_off(tx, payment, own) if own else []
    if recovered:
        by = {"payment_id": payment.payment_id, "merchant": payment.merchant}
        recoveries.open_recovery(tx, one.return_id, payment.account_ref, recovered, **by)
    returns.booked(tx, one, recovered=recovered, business_date=day.isoformat())
    says = f"{one.amount} of {payment.payment_id} came back{_why(one)}: ask for another way to pay"
    worklist.open_item(
        tx, kind=RETURNED, subject=one.return_id, says=says, account_ref=payment.account_ref, amount=one.amount
    )
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=one.return_id, tenant=tenant)
    billing.post(tx, moves, business_date=day)
    when = rules.When(occurred_at=one.occurred_at, business_date=day, refs={"processor_return": one.reference})
    if own:
        entry = rules.payment_returned(payment.payment_id, one.return_id, payment.merchant, own, **when)
        ledger.post(tx, entry, key=f"return/{one.return_id}")
    if one.fee:
        entry = rules.fee(payment.merchant, one.fee, payment=payment.payment_id, **when)
        ledger.post(tx, entry, key=f"return-fee/{one.return_id}")
    bank_codes.heard(tx, tenant, payment, one.code)
    _owed_again(tx, tenant, payment, moves)
    log.warning("payment.returned", payment_id=payment.payment_id, code=one.code)


def _reversed(tx: Tx, tenant: Tenant, payment: Payment, one: Return) -> None:
    """The money is ours again: on what it had paid, as far as that is still owed, else it is the payer's credit."""
    assert one.reverses is not None
    back = returns.get(tx, one.reverses)
    if back.booked_at is None:
        return
    day = business_day(tenant, payment.facility, one.occurred_at)
    shares = refunds.shares(tx, back.return_id)
    # What of it was being refunded, and stayed here when that failed, is credit again, as it was before it came back.
    credit = recoveries.was_set_off(tx, back.return_id, payment.currency)
    amount = sum((share.amount for share in shares), Money.zero(payment.currency)) - back.recovered
    pays: list[billing.Share] = []
    left, unclaimed = amount - credit, credit
    for share in shares:
        part = _least(share.amount, left)
        left = left - part
        if (beside := share.amount - part) and share.allocation:
            (of,) = [one for one in store.allocations(tx, payment.payment_id) if one.sequence == share.allocation]
            beside = _least(_least(beside, unclaimed), of.returned - part)
            unclaimed = unclaimed - beside
            store.add_to_allocation(tx, payment.payment_id, share.allocation, returned=-beside.minor)
        if part and share.allocation:
            store.add_to_allocation(tx, payment.payment_id, share.allocation, returned=-part.minor)
            pays.append(billing.Share(share.obligation_id, part, payment.payment_id, share.account_ref))
    refunds.put_shares(tx, one.return_id, shares)
    placed = sum((share.amount for share in pays), Money.zero(payment.currency))
    settled = billing.settle(tx, payment.payment_id, pays)
    if rest := amount - placed:
        billing.add_credit(tx, payment.account_ref, payment.payment_id, rest)
    returns.booked(tx, one, recovered=Money.zero(payment.currency), business_date=day.isoformat())
    worklist.settled(tx, RETURNED, back.return_id)
    set_off.no_longer_over(tx, payment)
    if over := sum((each.amount for each in settled.credited), Money.zero(payment.currency)):
        says = f"{over} of a return came again and is no longer owed: credit of the payer's, to be given back or used"
        key = f"{payment.payment_id}:not-owed:{one.reference}"
        store.open_break(tx, key, "no_longer_owed", says, payment=payment, amount=over)
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=one.return_id, tenant=tenant)
    when = rules.When(occurred_at=one.occurred_at, business_date=day, refs={"processor_return": one.reference})
    if amount:
        entry = rules.return_reversed(payment.payment_id, one.return_id, payment.merchant, amount, **when)
        ledger.post(tx, entry, key=f"return-reversed/{one.return_id}")
    billing.post(tx, settled.ledger, business_date=day)
    if credit:
        moved_money.tell(tx, payment.payment_id, tenant, by="policy:credit", reason="a refund of it did not go out")
    if back.recovered:
        set_off.end(tx, tenant, back, back.recovered, by=one)
    collect.reassess_accounts(tx, {payment.account_ref, *(share.account_ref for share in pays)}, tenant)
    log.info("payment.return_reversed", payment_id=payment.payment_id)


def _own_parts(allocated: list[Allocation], own: Money, with_us: Money) -> list[TakenBack]:
    """Of what is still with us: what nothing has claimed first, then the newest allocation."""
    if not own:
        return []
    unclaimed = with_us
    for share in allocated:
        unclaimed = unclaimed - share.kept
    return take_back(own, unclaimed=unclaimed, allocated=[(share.sequence, share.kept) for share in allocated])


def _recovered_parts(allocated: list[Allocation], recovered: Money) -> list[TakenBack]:
    """Of what had been refunded: named after the allocations that the refunds took back."""
    parts: list[TakenBack] = []
    left = recovered
    for share in sorted(allocated, key=lambda one: -one.sequence):
        if part := _least(left, share.refunded):
            parts.append(TakenBack(share.sequence, part))
            left = left - part
    return [*parts, *([TakenBack(0, left)] if left else [])]


def _shares(allocated: list[Allocation], parts: Iterable[TakenBack]) -> list[RefundShare]:
    of = {share.sequence: (share.obligation_id, share.account_ref) for share in allocated}
    return [
        RefundShare(number, part.sequence, *of.get(part.sequence, ("", "")), part.amount)
        for number, part in enumerate(parts, start=1)
    ]


def _owed_again(tx: Tx, tenant: Tenant, payment: Payment, moves: Iterable[billing.LedgerMove]) -> None:
    accounts = {payment.account_ref, *(move.account_ref for move in moves)}
    collect.reassess_accounts(tx, accounts, tenant)


def _why(one: Return) -> str:
    said = " ".join(part for part in (one.code, one.reason.rstrip(".")) if part)
    return f" ({said})" if said else ""


def _least(one: Money, other: Money) -> Money:
    """The lesser, never below zero."""
    return max(Money.zero(one.currency), min(one, other, key=lambda money: money.minor), key=lambda money: money.minor)


_CARRIES = {FactKind.RETURNED: _returned, FactKind.RETURN_REVERSED: _reversed}
