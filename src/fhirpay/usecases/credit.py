"""Credit of a payer's that staff decide about, each in one unit with all that follows: applied, or money re-allocated.

Called by web/api/credits.py. The payment is locked first, then the accounts, the ledger is posted last. A re-allocation
is the reversal of an allocation and a new one. Only what may be asked for now takes money: never what waits for
insurance, nor what a payment under way is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..billing import money as billing
from ..billing import rows
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from ..log import Log
from ..payments import disputes, store, tenders
from ..payments.records import Payment
from . import collect, external_payments, moved_money
from .money_off import business_day

log = Log("payments")


@dataclass(frozen=True, slots=True)
class Credit:
    """`payer` is whose money it is, as the desk wrote it; empty: the patient's or guarantor's, or a card's holder's."""

    payment: Payment
    amount: Money
    payer: str
    purpose: str


def of_account(tx: Tx, account_ref: str) -> list[Credit]:
    """What stands to the account's credit, oldest first."""
    found: list[Credit] = []
    for share in billing.credits_of(tx, account_ref):
        payment = store.get(tx, share.payment_id)
        tender = tenders.find(tx, payment)
        found.append(Credit(payment, share.amount, tender.payer if tender else "", tender.purpose if tender else ""))
    return found


def apply(tx: Tx, account_ref: str, payment_id: str, obligation_id: str, amount: Money | None, **said: Any) -> None:
    """Let this payment's credit on the account pay this obligation. Without `amount`: as much as it takes.

    Raises RuleBroken when there is less credit, or less may be asked for; NotFound.
    """
    payment = _ours(tx, payment_id)
    target = _locked(tx, [account_ref, rows.get(tx, obligation_id)["account_ref"]], obligation_id)
    has = next((one.amount for one in billing.credits_of(tx, account_ref) if one.payment_id == payment_id), None)
    if has is None:
        raise RuleBroken(f"no credit of {payment_id} stands on {account_ref}", payment_id=payment_id)
    part = _takes(tx, target, min(has, _open(tx, target), key=lambda one: one.minor) if amount is None else amount)
    if part > has:
        raise RuleBroken(f"{has} of {payment_id} stands to the account's credit, not {part}")
    billing.take_credit(tx, account_ref, payment_id, part)
    _pay(tx, payment, target, part, (), accounts=[account_ref], **said)


def reallocate(
    tx: Tx, payment_id: str, from_obligation: str, to_obligation: str, amount: Money | None, **said: Any
) -> None:
    """Take this much of what the payment has paid off one obligation, and let it pay another one. Without `amount`: as
    much as there is and as the other takes. Raises RuleBroken, NotFound.
    """
    payment = _ours(tx, payment_id)
    if from_obligation == to_obligation:
        raise RuleBroken("it pays that already")
    accounts = [rows.get(tx, one)["account_ref"] for one in (from_obligation, to_obligation)]
    target = _locked(tx, accounts, to_obligation)
    paid = [one.amount for one in billing.paid_by(tx, payment_id) if one.obligation_id == from_obligation]
    if not paid:
        raise RuleBroken(f"{payment_id} pays nothing of {from_obligation}", payment_id=payment_id)
    part = _takes(tx, target, min(paid[0], _open(tx, target), key=lambda one: one.minor) if amount is None else amount)
    if part > paid[0]:
        raise RuleBroken(f"{payment_id} pays {paid[0]} of {from_obligation}, not {part}", payment_id=payment_id)
    taken = billing.reopen(tx, from_obligation, part, payment_id=payment_id)
    _pay(tx, payment, target, part, taken.ledger, accounts=accounts, **said)


def _ours(tx: Tx, payment_id: str) -> Payment:
    payment = store.lock(tx, payment_id)
    if payment.method == store.EXTERNAL:
        raise RuleBroken("the EHR took this payment: it is moved there", payment_id=payment_id)
    if (open_ := disputes.open_of(tx, payment_id)) is not None:
        says = f"{payment_id} is disputed ({open_.dispute_id}): its money stays where it is until that has ended"
        raise RuleBroken(says, payment_id=payment_id, dispute_id=open_.dispute_id)
    return payment


def _locked(tx: Tx, account_refs: list[str], obligation_id: str) -> Any:
    """The obligation's row, under the locks of these accounts and its own."""
    external_payments.lock(tx, account_refs)
    rows.lock(tx, account_refs)
    return rows.get(tx, obligation_id)


def _open(tx: Tx, row: Any) -> Money:
    """What of it may be asked for now, whatever credit there is."""
    account = rows.account(tx, row["account_ref"])
    stopped = account is None or rows.stopped(tx, account)
    return Money(0 if stopped else rows.standing(row).may_be_asked(tx.now), row["currency"])


def _takes(tx: Tx, row: Any, amount: Money) -> Money:
    most = _open(tx, row)
    if amount.currency != most.currency or not 0 < amount.minor <= most.minor:
        raise RuleBroken(f"{most} may be asked for of {row['obligation_id']} now, not {amount}")
    return amount


def _pay(
    tx: Tx,
    payment: Payment,
    row: Any,
    part: Money,
    before: tuple[billing.LedgerMove, ...],
    *,
    accounts: list[str],
    by: str,
    reason: str,
    tenant: Tenant,
) -> None:
    if not reason.strip():
        raise RuleBroken("moving money needs a reason: it is kept with it")
    share = billing.Share(row["obligation_id"], part, payment.payment_id, row["account_ref"])
    settled = billing.settle(tx, payment.payment_id, [share])
    moved_money.tell(tx, payment.payment_id, tenant, by=by, reason=reason)
    day = business_day(tenant, payment.facility, tx.now)
    billing.post(tx, [*before, *settled.ledger], business_date=day)
    collect.reassess_accounts(tx, {*accounts, row["account_ref"], payment.account_ref}, tenant)
    log.info("money.moved", payment_id=payment.payment_id, obligation_id=row["obligation_id"])
