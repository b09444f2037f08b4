"""What goes from the desk to the bank, in one unit: each check once, and never one that was voided or came back.

Called by web/api/bank.py. In the books each check is an entry of its own: one that bounces is found again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..config import Tenant
from ..db.unit import Tx
from ..domain.events import Event
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..errors import NotFound, RuleBroken, ValueInvalid
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import bags, store, tenders
from ..payments.bags import Bag
from .desk import taken_at_desk
from .money_off import business_day
from .tills import lock_safe

log = Log("payments")

_SLIP = re.compile(r"[A-Za-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True)
class NewBag:
    """`checks` are the payments that were made by them, `cash` is of the facility's safe; `slip` is the number of the
    bank's deposit slip."""

    facility: str
    by: str
    checks: tuple[str, ...]
    slip: str = ""
    cash: Money | None = None


def pack(tx: Tx, wish: NewBag, tenant: Tenant) -> str:
    """Send it to the bank, as part of the caller's unit; the bag's id. Raises RuleBroken, ValueInvalid, NotFound."""
    if wish.facility not in {one.name for one in tenant.facilities}:
        raise NotFound(f"there is no facility '{wish.facility}'", location="facility")
    if not _SLIP.fullmatch(wish.slip):
        raise ValueInvalid("a slip's number has forty letters, digits or dashes at most", location="slip")
    if not wish.checks and not wish.cash:
        raise RuleBroken("there is nothing in this bag")
    if len(set(wish.checks)) < len(wish.checks):
        raise ValueInvalid("a check stands in a bag once", location="checks")
    day = business_day(tenant, wish.facility, tx.now)
    checks = {one: _check(tx, one, wish.facility) for one in sorted(wish.checks)}
    currencies = {amount.currency for amount, _ in checks.values()} | ({wish.cash.currency} if wish.cash else set())
    if len(currencies) > 1:
        raise RuleBroken(f"a bag is of one currency, not of {' and '.join(sorted(currencies))}")
    total = sum((amount for amount, _ in checks.values()), Money.zero(currencies.pop()))
    cash = Money.zero(total.currency) if wish.cash is None else wish.cash
    safe = lock_safe(tx, wish.facility, cash) if cash else ""
    bag = Bag(tx.ids.new("bag"), wish.facility, cash, total, wish.slip, wish.by, tx.now, day.isoformat())
    bags.add(tx, bag)
    for payment_id in checks:
        tenders.deposited(tx, payment_id, bag.bag_id)
    when = rules.When(occurred_at=tx.now, business_date=day, refs={"bag": bag.bag_id})
    if cash:
        ledger.post(tx, rules.cash_moved(Event.CASH_BAGGED, cash, safe=safe, **when), key=f"cash-bagged/{bag.bag_id}")
    for payment_id, (amount, till) in checks.items():
        entry = rules.check_deposited(payment_id, till, amount, **when)
        ledger.post(tx, entry, key=f"check-deposited/{payment_id}")
    log.info("bag.packed", bag_id=bag.bag_id, count=len(checks))
    return bag.bag_id


def _check(tx: Tx, payment_id: str, facility: str) -> tuple[Money, str]:
    """What the check is of, and its till. Locks the payment."""
    payment = store.lock(tx, payment_id)
    tender = taken_at_desk(tx, payment)
    if payment.method != "check":
        raise RuleBroken(f"payment {payment_id} was made by {payment.method}, not by check", payment_id=payment_id)
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment_id} is {payment.state}: its check is not to be deposited")
    if tender.deposited_at is not None:
        raise RuleBroken(f"the check of payment {payment_id} has been to the bank", payment_id=payment_id)
    if payment.facility != facility:
        raise RuleBroken(f"payment {payment_id} belongs to '{payment.facility}', not to '{facility}'")
    return payment.captured, tender.till
