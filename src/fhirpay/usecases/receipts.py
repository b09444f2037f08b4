"""A receipt of nobody turns out to be a patient's: it is credited to an account, whole or in parts, or taken back.

    credit     the line gives no more than it has ─▶ a payment by the tender `bank_receipt`, captured at once:
               unidentified_receipts / unapplied_credit, spread over what is owed like any money, told to EHRs once
    uncredit   the payment is voided, whole: what it paid is owed again, EHRs are told, the receipt is nobody's again

Called by `fhirpay bank credit` and `uncredit`. One at a time decides about bank lines; then the payment is
locked, then accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bank import receipts
from ..bank import store as bank
from ..bank.turn import take_turn
from ..billing import money as billing
from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import FactKind, PaymentFact, PaymentState
from ..errors import RuleBroken
from ..log import Log
from ..payments import refunds, store, tenders
from ..payments.tenders import Tender
from . import collect, desk
from .decide_bank import named
from .settle_outcome import refold_and_carry_out
from .start_payment import reserve_shares

log = Log("bank")

_AGED = "in_transit:receipt_unidentified:{}"


@dataclass(frozen=True, slots=True)
class NewCredit:
    """A wish. `amount` is a decimal in the line's currency; empty: all that is on no account. `facility` says whose
    money it is where the account doesn't."""

    line_id: str
    account_ref: str
    by: str
    why: str
    amount: str = ""
    facility: str = ""


def credit(tx: Tx, wish: NewCredit, tenant: Tenant) -> str:
    """The receipt, or a part of it, is this account's; its payment's id, captured.

    Raises RuleBroken where nobody says who and why, the line is no receipt or has less left, the account has a part of
    it already or is of no facility that is known; ValueInvalid; NotFound.
    """
    by, why = named(wish.by, wish.why)
    take_turn(tx)
    line = bank.line(tx, wish.line_id)
    amount = Money.of(wish.amount, line.amount.currency) if wish.amount else line.uncredited
    receipts.claim(tx, line.line_id, amount)
    account_ref = desk.lock_account(tx, wish.account_ref)
    facility = _facility(tx, tenant, account_ref, wish.facility)
    payment_id = tx.ids.new("pay")
    receipts.add(tx, line.line_id, account_ref, payment_id, amount, by=by, why=why)
    store.add(
        tx,
        payment_id,
        account_ref=account_ref,
        facility=facility,
        merchant="",
        processor="",
        amount_minor=amount.minor,
        currency=amount.currency,
        method=tenders.AT_BANK,
        initiated_by="customer",
        requested_by=by,
    )
    nothing = Money.zero(amount.currency)
    tenders.add(tx, Tender(payment_id, "", by, "", amount, nothing, "", "", "", None, ""))
    owed = [one for one in obligations.owed(tx, account_ref) if one.facility == facility]
    owed = [one for one in owed if one.askable.currency == amount.currency]
    part = min(amount, sum((one.askable for one in owed), nothing), key=lambda one: one.minor)
    if part:
        wanted = [one.obligation_id for one in owed]
        reserve_shares(tx, payment_id, billing.reserve(tx, wanted, part, payment_id=payment_id))
    desk.captured(tx, payment_id, by, tenant)
    collect.reassess_accounts(tx, [account_ref], tenant)
    if not bank.line(tx, line.line_id).uncredited:
        store.close_break(tx, _AGED.format(line.line_id), by="ageing", why="it is credited")
    log.info("receipt.credited", payment_id=payment_id, bank_line=line.line_id)
    return payment_id


def uncredit(tx: Tx, payment_id: str, tenant: Tenant, *, by: str, why: str) -> str:
    """It was credited to a wrong account: the bank line's id, whose money is nobody's again.

    Raises RuleBroken where nobody says who and why, it is no receipt, was taken back or a part of it was given back;
    NotFound.
    """
    by, why = named(by, why)
    take_turn(tx)
    store.get(tx, payment_id)
    one = receipts.of_payment(tx, payment_id)
    if one is None:
        raise RuleBroken(f"payment {payment_id} is no receipt at the bank")
    payment = store.lock(tx, payment_id)
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment_id} is {payment.state}: there is nothing to take back")
    if refunds.claimed(tx, payment):
        raise RuleBroken(f"a part of payment {payment_id} was given back: refund the rest")
    receipts.take_back(tx, one, by=by, why=why)
    store.change(tx, payment_id, failure_code="voided", failure_says=why)
    fact = PaymentFact(FactKind.VOIDED, tx.now, by, undoes=payment.capture_ref or "")
    store.record_facts(tx, payment_id, [fact])
    refold_and_carry_out(tx, tenant, payment_id)
    log.info("receipt.uncredited", payment_id=payment_id, bank_line=one.line_id)
    return one.line_id


def _facility(tx: Tx, tenant: Tenant, account_ref: str, said: str) -> str:
    """Whose books it is in. Raises RuleBroken."""
    if said:
        return tenant.facility(said).name
    found = {one.facility for one in obligations.obligations_of(tx, account_ref)}
    found = found or {one.name for one in tenant.facilities}
    if len(found) != 1:
        raise RuleBroken("the account is of several facilities, or of none that is known: say which one")
    return found.pop()
