"""A check came back from the bank: a return of that rail, entered by staff from the bank's notice. One unit.

Called by web/api/bank.py. What follows is returned.py's: what it had paid is owed again, what had been given back
already is a recovery, EHRs get the negative, the worklist a line. A fee that the practice asks for is people's to
decide, as a charge of its own; what the bank takes is in the books.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config import Tenant
from ..db.unit import Tx
from ..domain.check_returns import REASONS
from ..domain.money import Money
from ..domain.payment import FactKind, PaymentFact, PaymentState
from ..errors import RuleBroken, ValueInvalid
from ..log import Log
from ..payments import port, returns, store
from .desk import taken_at_desk
from .settle_outcome import refold_and_carry_out

log = Log("payments")


@dataclass(frozen=True, slots=True)
class ReturnedCheck:
    """`reason` is of domain.check_returns.REASONS; `fee` is what the bank takes for it."""

    payment_id: str
    reason: str
    by: str
    fee: Money | None = None


def take_back(tx: Tx, wish: ReturnedCheck, tenant: Tenant) -> None:
    """Book it whole, as part of the caller's unit. Raises RuleBroken for what is no check of ours that has been to the
    bank, or came back before; ValueInvalid; NotFound.
    """
    if wish.reason not in REASONS:
        raise ValueInvalid(f"a check comes back for {', '.join(REASONS)}", location="reason")
    payment = store.lock(tx, wish.payment_id)
    tender = taken_at_desk(tx, payment)
    if payment.method != "check":
        raise RuleBroken(f"payment {payment.payment_id} was made by {payment.method}, not by check")
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment.payment_id} is {payment.state}: there is nothing to take back")
    if tender.deposited_at is None:
        raise RuleBroken(f"the check of payment {payment.payment_id} has not been to the bank")
    if wish.fee is not None and wish.fee.currency != payment.currency:
        raise RuleBroken(f"a fee of a check in {payment.currency} is not in {wish.fee.currency}")
    reference = port.Reference(f"check-{tender.check_number}")
    says = f"check {tender.check_number}, {REASONS[wish.reason]}"
    returns.note(tx, payment, port.Return(reference, payment.captured, tx.now, wish.reason, says, wish.fee))
    fact = PaymentFact(FactKind.RETURNED, tx.now, wish.by, payment.captured, reference)
    store.record_facts(tx, payment.payment_id, [fact])
    refold_and_carry_out(tx, tenant, payment.payment_id)
    log.info("check.returned", payment_id=payment.payment_id, code=wish.reason)
