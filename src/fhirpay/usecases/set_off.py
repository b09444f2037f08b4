"""What a payer was to have had twice, refunded and come back as well, and has not: it is owed no more.

A refund that was under way when its payment came back, and fails: what it was to give back is what came back, and no
credit. Called by dropped_refund.py and returned.py in their units, under the payment's lock and those of its accounts.
"""

from __future__ import annotations

from ..billing import recoveries
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import AnomalyKind
from ..ledger import rules
from ..ledger import store as ledger
from ..payments import returns, store
from ..payments.records import Payment, Return
from . import collect
from .money_off import business_day


def of_returns(tx: Tx, tenant: Tenant, payment: Payment, amount: Money) -> Money:
    """This much of a refund stays here: what came back of it all the same is out of that. How much it is; the rest is
    credit. The ledger's entry that makes it credit first is the caller's."""
    left = amount
    for one in returns.standing(tx, payment.payment_id):
        part = min(left, one.recovered, key=lambda money: money.minor)
        if part:
            left = left - part
            end(tx, tenant, one, part, by=one)
            day = business_day(tenant, payment.facility, tx.now)
            when = rules.When(occurred_at=tx.now, business_date=day, refs={"processor_return": one.reference})
            entry = rules.payment_returned(payment.payment_id, one.return_id, payment.merchant, part, **when)
            was = recoveries.was_set_off(tx, one.return_id, payment.currency)
            ledger.post(tx, entry, key=f"return/{one.return_id}/{was.minor}")
    return amount - left


def end(tx: Tx, tenant: Tenant, one: Return, amount: Money, *, by: Return) -> None:
    """So much of what a return recovers is owed no more, by that return or by what reverses it."""
    returns.recovered_less(tx, one, amount)
    account_ref = recoveries.set_off(tx, one.return_id, amount, by=by.return_id)
    collect.reassess_accounts(tx, [account_ref], tenant)


def no_longer_over(tx: Tx, payment: Payment) -> None:
    """Closes the break that more has gone back than was captured, once that is not so: a refund failed, a return came
    again. `payment` is as its facts have it now."""
    if payment.returned + payment.refunded <= payment.captured:
        key = f"{payment.payment_id}:{AnomalyKind.OVER_REFUNDED}"
        store.close_break(tx, key, by="processor", why="no more has gone back than was captured")
