"""What a front desk takes with its own hands: cash, a check, a card on the practice's own terminal. One unit each.

    take     account locked, what is owed re-read and reserved, payment and tender kept, captured at once: books,
             allocation and write-back as for any payment (settle_outcome.py)
    void     a mistake of the same till on the same day, taken back whole; EHRs are told by a movement

No processor knows of any of it, so nothing is ever unknown here. A deposit is taken where nothing is owed yet: credit
with a purpose, which pays by itself what becomes collectable, and never what waits for insurance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..billing import money as billing
from ..billing import rows
from ..config import Tenant, Till
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import FactKind, PaymentFact, PaymentState
from ..errors import InvariantBroken, RuleBroken, ValueInvalid
from ..fhir.replaced import survivor
from ..log import Log
from ..payments import happened, refunds, store, tenders
from ..payments.records import Payment
from ..payments.tenders import Tender
from ..payments.till_sessions import Session
from . import collect, external_payments
from .money_off import business_day
from .settle_outcome import refold_and_carry_out
from .start_payment import asked_of, reserve_shares
from .tills import check_in_till, lock_open, till_of

log = Log("payments")

_CHECK_NUMBER = re.compile(r"[0-9]{1,10}")  # a bank account's number is not kept, so there is no room for one
_LAST4 = re.compile(r"[0-9]{4}")
_CODE = re.compile(r"[A-Za-z0-9]{1,12}")
_BRAND = re.compile(r"[a-z][a-z ]{0,19}")


@dataclass(frozen=True, slots=True)
class Handed:
    """What was handed over, at which till, to whom. `tendered` is of cash: what isn't kept is change."""

    kind: str  # of ledger.rules.TENDERS
    till: str
    by: str
    payer: str = ""  # whose money it is, where it isn't the patient's or guarantor's
    tendered: Money | None = None
    check_number: str = ""
    brand: str = ""
    last4: str = ""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class DeskPayment:
    """A wish. Without `amount`: all that may be asked now. Without `obligations`: of the account. `chosen`: how much of
    which of the obligations."""

    account_ref: str
    handed: Handed
    amount: Money | None = None
    obligations: tuple[str, ...] = ()
    spread_by: billing.Spread = "oldest"
    chosen: Mapping[str, Money] = field(default_factory=dict[str, Money])


@dataclass(frozen=True, slots=True)
class NewDeposit:
    """Money before a charge is there. `about` is an Appointment of the account's."""

    account_ref: str
    handed: Handed
    amount: Money
    purpose: str
    about: str = ""


def take(tx: Tx, wish: DeskPayment, tenant: Tenant) -> str:
    """Take it, as part of the caller's unit; the payment's id, captured.

    Raises RuleBroken when this may not be asked for now (the message says what may) or the till is closed, ValueInvalid
    for what can't have been handed over, NotFound for an unknown till.
    """
    till = till_of(tenant, wish.handed.till)
    session = lock_open(tx, till.name)
    account_ref = lock_account(tx, wish.account_ref)
    asked = asked_of(tx, account_ref, wish.obligations, wish.amount)
    if till.facility != asked.facility:
        raise RuleBroken(f"what is owed belongs to '{asked.facility}', and till '{till.name}' to '{till.facility}'")
    payment_id = _make(tx, account_ref, wish.handed, asked.amount, till, session, tenant)
    reserved = billing.reserve(
        tx,
        asked.obligations,
        asked.amount,
        payment_id=payment_id,
        spread_by=wish.spread_by,
        chosen=wish.chosen,
    )
    reserve_shares(tx, payment_id, reserved)
    return captured(tx, payment_id, wish.handed.by, tenant)


def deposit(tx: Tx, wish: NewDeposit, tenant: Tenant) -> str:
    """Take money ahead, as part of the caller's unit; the payment's id. It pays at once what is collectable already.

    Raises as `take` does.
    """
    if not wish.purpose.strip():
        raise RuleBroken("a deposit needs a purpose: it is what the receipt says")
    till = till_of(tenant, wish.handed.till)
    session = lock_open(tx, till.name)
    account_ref = lock_account(tx, wish.account_ref)
    said = {"purpose": wish.purpose, "about": wish.about}
    payment_id = _make(tx, account_ref, wish.handed, wish.amount, till, session, tenant, **said)
    captured(tx, payment_id, wish.handed.by, tenant)
    happened.deposit_taken(tx, store.get(tx, payment_id))
    collect.reassess_accounts(tx, [account_ref], tenant)
    return payment_id


def void(tx: Tx, payment_id: str, *, till: str, by: str, reason: str, tenant: Tenant) -> None:
    """Take back a mistake whole: at the same till, on the same day, while the money is still there. What it was for is
    owed again. Raises RuleBroken; NotFound.
    """
    payment = store.lock(tx, payment_id)
    tender = taken_at_desk(tx, payment)
    if payment.method == tenders.AT_BANK:
        raise RuleBroken(tenders.taken_by(payment.method), payment_id=payment_id)
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment_id} is {payment.state}: there is nothing to void")
    if tender.till != till:
        raise RuleBroken(
            f"payment {payment_id} was taken at till '{tender.till}': it is voided there", till=tender.till
        )
    if payment.business_date != business_day(tenant, payment.facility, tx.now).isoformat():
        raise RuleBroken(f"payment {payment_id} is of {payment.business_date}: give it back as a refund")
    if not reason.strip():
        raise RuleBroken("a void needs a reason: it is kept with it")
    if refunds.claimed(tx, payment):
        raise RuleBroken(f"a part of payment {payment_id} was given back: refund the rest")
    if tender.deposited_at is not None:
        raise RuleBroken(f"the check of payment {payment_id} is on its way to the bank: give it back as a refund")
    lock_open(tx, till)
    if payment.method == "cash":
        check_in_till(tx, till, payment.captured)
    store.change(tx, payment_id, failure_code="voided", failure_says=reason)
    fact = PaymentFact(FactKind.VOIDED, tx.now, by, undoes=payment.capture_ref or "")
    store.record_facts(tx, payment_id, [fact])
    refold_and_carry_out(tx, tenant, payment_id)
    log.info("payment.voided", payment_id=payment_id)


def taken_at_desk(tx: Tx, payment: Payment) -> Tender:
    """Raises RuleBroken for a payment that no desk took."""
    tender = tenders.find(tx, payment)
    if tender is None:
        raise RuleBroken(f"no desk took payment {payment.payment_id}", payment_id=payment.payment_id)
    return tender


def lock_account(tx: Tx, account_ref: str) -> str:
    """The account that stands for it, nobody else's until this unit ends."""
    account_ref = survivor(tx, account_ref)
    external_payments.lock(tx, [account_ref])
    rows.lock(tx, [account_ref])
    now = survivor(tx, account_ref)  # a merge may have had the lock before
    return account_ref if now == account_ref else lock_account(tx, now)


def _make(
    tx: Tx,
    account_ref: str,
    handed: Handed,
    amount: Money,
    till: Till,
    session: Session,
    tenant: Tenant,
    *,
    purpose: str = "",
    about: str = "",
) -> str:
    """The payment and its tender, `created`."""
    if amount.minor <= 0 or amount.currency != till.currency:
        raise RuleBroken(f"till '{till.name}' takes amounts of {till.currency} above zero, not {amount}")
    change = _change(handed, amount)
    _check_words(handed)
    day = business_day(tenant, till.facility, tx.now).isoformat()
    _not_twice(tx, account_ref, handed, day)
    payment_id = tx.ids.new("pay")
    store.add(
        tx,
        payment_id,
        account_ref=account_ref,
        facility=till.facility,
        merchant="",
        processor="",
        amount_minor=amount.minor,
        currency=amount.currency,
        method=handed.kind,
        initiated_by="customer",
        requested_by=handed.by,
    )
    shown = {"brand": handed.brand, "last4": handed.last4, "authorization_code": handed.authorization}
    store.change(tx, payment_id, **shown)
    kept = Tender(
        payment_id=payment_id,
        till=till.name,
        taken_by=handed.by,
        payer=handed.payer,
        tendered=amount + change,
        change=change,
        check_number=handed.check_number,
        purpose=purpose,
        about=about,
        deposited_at=None,
        session_id=session.session_id,
    )
    tenders.add(tx, kept)
    return payment_id


def captured(tx: Tx, payment_id: str, by: str, tenant: Tenant) -> str:
    """What is in hand is captured at once, with all that follows; the payment's id."""
    payment = store.get(tx, payment_id)
    fact = PaymentFact(FactKind.CAPTURED, tx.now, by, payment.amount, payment_id)
    store.record_facts(tx, payment_id, [fact])
    now = refold_and_carry_out(tx, tenant, payment_id)
    if now.state is not PaymentState.CAPTURED:
        raise InvariantBroken(f"what a desk took is {now.state}", payment_id=payment_id)
    log.info("payment.taken_at_desk", payment_id=payment_id)
    return payment_id


def _change(handed: Handed, amount: Money) -> Money:
    """What goes back over the counter. Raises ValueInvalid for less than the amount, or change of what isn't cash."""
    tendered = amount if handed.tendered is None else handed.tendered
    if tendered.currency != amount.currency or tendered < amount:
        raise ValueInvalid(f"{tendered} was handed over, which is less than {amount}", location="tender.tendered")
    if tendered > amount and handed.kind != "cash":
        raise ValueInvalid("only of cash is there change", location="tender.tendered")
    return tendered - amount


def _check_words(handed: Handed) -> None:
    """What is typed belongs to its kind of tender, and has no room for what must not be kept."""
    if handed.kind not in tenders.HANDED:
        raise ValueInvalid(f"there is no tender '{handed.kind}'", location="tender.kind")
    card = handed.kind == "external_card"
    _fits("check_number", handed.check_number, _CHECK_NUMBER if handed.kind == "check" else None, needed=True)
    _fits("last4", handed.last4, _LAST4 if card else None, needed=True)
    _fits("authorization", handed.authorization, _CODE if card else None, needed=True)
    _fits("brand", handed.brand, _BRAND if card else None, needed=False)


_SAYS = {
    "check_number": "a check's own number has ten digits at most; its account's is not taken",
    "last4": "of a card the last four digits are taken, and no more",
    "authorization": "an authorization code has twelve letters or digits at most",
    "brand": "a brand is a word such as visa",
}


def _fits(name: str, value: str, pattern: re.Pattern[str] | None, *, needed: bool) -> None:
    if pattern is None:
        if value:
            raise ValueInvalid("this belongs to another kind of tender", location=f"tender.{name}")
    elif (value or needed) and not pattern.fullmatch(value):
        raise ValueInvalid(_SAYS[name], location=f"tender.{name}")


def _not_twice(tx: Tx, account_ref: str, handed: Handed, day: str) -> None:
    """One check, one approval of a terminal: one payment on the account, whoever types it in how often."""
    same: list[str] = []
    if handed.check_number:
        same = tenders.with_check(tx, account_ref, handed.check_number)
    if handed.authorization:
        same = tenders.with_authorization(tx, account_ref, handed.authorization, day)
    if same:
        raise RuleBroken(f"{same[0]} was taken on this account by the same already", payment_id=same[0])
