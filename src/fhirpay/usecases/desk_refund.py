"""A front desk gives back what it took: in cash, or by a check of the practice's own. One unit, done when it commits.

Of cash, checks and cards of the practice's own terminal, of deposits and of the credit that they left: what stands as
credit goes first. What a processor took is given back at the processor: handed out in cash, its payer could have it
twice, by a dispute. Shares, ledger, EHR and the question whether it is to be asked for again are as with any refund.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..config import Tenant
from ..db.unit import Tx
from ..domain.local_days import days_later
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..domain.refund import RefundState
from ..errors import RuleBroken, ValueInvalid
from ..ledger import rules
from ..log import Log
from ..payments import refunds, store, tenders
from ..payments.port import Approved, Reference
from ..payments.records import Payment
from ..payments.tenders import HandedBack, Tender
from .desk import taken_at_desk
from .money_off import business_day
from .refund import approve, succeeded
from .refund_shares import left_of
from .tills import check_in_till, lock_open, till_of

log = Log("payments")

_CHECK_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class DeskRefund:
    """A wish. Without `amount`: all that is left. `kind` is of ledger.rules.REFUND_TENDERS; the check is ours."""

    payment_id: str
    kind: str
    till: str
    by: str
    reason: str
    amount: Money | None = None
    check_number: str = ""
    while_returnable: bool = False  # though the check that is given back may still bounce: it would go back twice


def give(tx: Tx, wish: DeskRefund, tenant: Tenant) -> str:
    """Give it back, as part of the caller's unit; the refund's id, succeeded.

    Raises RuleBroken for more than is left of the payment or lies in the till, for a payment that no desk took or that
    has nothing to give back, for a till of another facility; ValueInvalid for what can't be handed out; NotFound.
    """
    _check_words(wish)
    payment = store.lock(tx, wish.payment_id)
    _check_payment(tx, payment, wish, tenant)
    till = till_of(tenant, wish.till)
    if till.facility != payment.facility:
        says = f"payment {payment.payment_id} belongs to '{payment.facility}', and till '{till.name}'"
        raise RuleBroken(f"{says} to '{till.facility}'", till=till.name)
    left = left_of(tx, payment)
    amount = left if wish.amount is None else wish.amount
    if amount.currency != payment.currency or amount.minor <= 0 or amount > left:
        raise RuleBroken(f"{left} of {payment.payment_id} is left to give back, not {amount}")
    session = lock_open(tx, till.name)
    if wish.kind == "check" and (same := tenders.checks_given(tx, wish.check_number)):
        raise RuleBroken(f"check {wish.check_number} was given for {same[0]} already", refund_id=same[0])
    if wish.kind == "cash":
        check_in_till(tx, till.name, amount)
    refund = approve(tx, tenant, payment, amount, reason=wish.reason, by=wish.by)
    tenders.add_back(tx, HandedBack(refund.refund_id, wish.kind, till.name, wish.check_number, session.session_id))
    done = Approved(Reference(refund.refund_id), amount)
    succeeded(
        tx,
        tenant,
        payment,
        refunds.move(tx, refund, RefundState.SUBMITTED),
        done,
        source=wish.by,
        reference=refund.refund_id,
        tender=rules.Tender(wish.kind, till.name),
    )
    log.info("refund.given_at_desk", refund_id=refund.refund_id, payment_id=payment.payment_id)
    return refund.refund_id


def _check_words(wish: DeskRefund) -> None:
    if wish.kind not in tenders.BACK:
        raise ValueInvalid(f"nothing is given back by '{wish.kind}'", location="tender.kind")
    if wish.kind == "check" and not _CHECK_NUMBER.fullmatch(wish.check_number):
        raise ValueInvalid("a check's own number has ten digits at most", location="tender.check_number")
    if wish.kind != "check" and wish.check_number:
        raise ValueInvalid("this belongs to another kind of tender", location="tender.check_number")
    if not wish.reason.strip():
        raise RuleBroken("a refund needs a reason: it is kept with it")


def _check_payment(tx: Tx, payment: Payment, wish: DeskRefund, tenant: Tenant) -> None:
    if payment.method == store.EXTERNAL:
        raise RuleBroken("the EHR took this payment: it is given back there", payment_id=payment.payment_id)
    if payment.method not in tenders.KINDS:
        says = (
            "a processor took this payment: it is given back there (refunds), since its payer could dispute it as well"
        )
        raise RuleBroken(says, payment_id=payment.payment_id)
    tender = taken_at_desk(tx, payment)
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment.payment_id} is {payment.state}: there is nothing to give back")
    if not wish.while_returnable and (why := _may_bounce(tx, payment, tender, tenant)):
        raise RuleBroken(f"{why}; say so to give it back all the same", location="while_returnable")


def _may_bounce(tx: Tx, payment: Payment, tender: Tender, tenant: Tenant) -> str:
    if payment.method != "check":
        return ""
    if tender.deposited_at is None:
        return f"the check of {payment.payment_id} has not been to the bank: money that is not there yet would go back"
    facility = tenant.facility(payment.facility)
    until = days_later(tender.deposited_at, facility.check_clears_days, facility.zone)
    if tx.now >= until:
        return ""
    day = business_day(tenant, payment.facility, until)
    return f"the check of {payment.payment_id} may still bounce, until {day}: a refund may pay twice"
