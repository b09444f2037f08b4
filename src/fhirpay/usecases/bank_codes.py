"""What a bank's code says of the account that was debited: the mandate stopped, the debit tried again, a person asked.

Called by settle_outcome.py and returned.py in their units, under the payment's lock, once for each return, failure or
notice of change. `Represent` is the outbox handler of kind `payment.represent`: for want of funds (R01, R09) the same
amount is debited again, marked as a retry, twice at most and within 180 days, as a payment of its own; everything is
read again in the unit that starts it. NACHA Operating Rules 2.12.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain import mandate as mandate_moves
from ..domain.ach import MAY_BE_TRIED_AGAIN, TRIES_AGAIN, WITHIN
from ..domain.local_days import days_later
from ..domain.mandate import MandateState
from ..domain.payment import PaymentState
from ..errors import RuleBroken
from ..flow.lane import Work, complete
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import mandates, store, stored_methods
from ..payments.port import Notice
from ..payments.records import Payment
from .start_payment import NewPayment, start

log = Log("payments")

KIND = "payment.represent"
STOPPED = "mandate_stopped"  # on the worklist; its subject is the stored method
CHANGED = "notice_of_change"  # the same


def heard(tx: Tx, tenant: Tenant, payment: Payment, code: str, *, disputed: bool = False) -> None:
    """A debit of this payment came back, or failed before it cleared, with this code. Call it once for each.

    `disputed`: it came back as a lost dispute. What it had paid is then on hold, for a person: it isn't tried again.
    """
    if (
        payment.tender != "bank"
        or payment.method_id is None
        or (mandate := mandates.find(tx, payment.method_id)) is None
    ):
        return
    if (
        not disputed
        and code in MAY_BE_TRIED_AGAIN
        and mandate.state is MandateState.ACTIVE
        and _queue_again(tx, tenant, payment)
    ):
        return
    new = mandate_moves.AFTER.get(code, MandateState.SUSPENDED)
    if mandate_moves.MOVES.allows(mandate.state, new):
        stop(tx, payment.method_id, new, code=code, by="bank")
        says = f"the mandate is {new} ({code}): nothing is taken from this account any more"
        worklist.open_item(tx, kind=STOPPED, subject=payment.method_id, says=says, account_ref=payment.account_ref)


def stop(tx: Tx, method_id: str, new: MandateState, *, code: str, by: str) -> None:
    """No debit by it from now on; where it is the end of the mandate, of the stored method too."""
    mandates.move(tx, method_id, new, code=code, by=by)
    if new in mandate_moves.ENDS:
        stored_methods.end(tx, method_id, "refused")
    log.info("mandate.stopped", method_id=method_id, state=new, code=code)


def decided(tx: Tx, method_id: str, new: MandateState, *, by: str, why: str) -> None:
    """A person says so: it may be used again, or its payer has revoked it. Raises IllegalMove, NotFound."""
    if new is MandateState.ACTIVE:
        mandates.move(tx, method_id, new, code=why[:100], by=by)
    else:
        stop(tx, method_id, new, code=why[:100], by=by)
    for kind in (STOPPED, CHANGED):
        worklist.settled(tx, kind, method_id)


def noticed(tx: Tx, payment: Payment, notices: Iterable[Notice]) -> None:
    """What a bank wants put right before the next debit: kept, and nothing is debited until a person has."""
    for one in notices:
        if payment.method_id is None or (mandate := mandates.find(tx, payment.method_id)) is None:
            return
        if mandates.keep_notice(tx, payment.method_id, one):
            if mandate.state is MandateState.ACTIVE:
                mandates.move(tx, payment.method_id, MandateState.SUSPENDED, code=one.code, by="bank")
            says = f"notice of change {one.code}: {one.says}"[:300]
            worklist.open_item(tx, kind=CHANGED, subject=payment.method_id, says=says, account_ref=payment.account_ref)


def _queue_again(tx: Tx, tenant: Tenant, payment: Payment) -> bool:
    """Whether it is to be tried again by itself: as often, and as late, as the merchant's settings say."""
    days = tenant.merchant(payment.merchant).represent_after_days[:TRIES_AGAIN]
    if payment.retry >= len(days):
        return False
    due = days_later(tx.now, days[payment.retry], tenant.facility(payment.facility).zone)
    lane = f"{KIND}:{payment.payment_id}"  # of its own: nothing waits behind what is days away
    outbox_add(tx, KIND, payment.payment_id, [lane], due, once_key=payment.payment_id)
    return True


@dataclass(frozen=True, slots=True)
class Represent:
    """One try again of a debit; `work.ref` is the payment that came back."""

    units: Units
    tenant: Tenant

    async def run(self, work: Work) -> None:
        await self.units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        complete(tx, work)
        payment = store.lock(tx, work.ref)
        first = store.get(tx, payment.retry_of or payment.payment_id)
        if payment.state not in (PaymentState.RETURNED, PaymentState.FAILED) or payment.method_id is None:
            return  # the return was reversed meanwhile
        if payment.retry >= TRIES_AGAIN or tx.now - first.created_at >= WITHIN:
            return
        wish = NewPayment(
            account_ref=payment.account_ref,
            requested_by="policy:represent",
            amount=payment.amount,
            obligations=tuple(one.obligation_id for one in store.allocations(tx, payment.payment_id)),
            method_id=payment.method_id,
            initiated_by="merchant",
            fact_key=f"represent:{first.payment_id}:{payment.retry + 1}",
            retry_of=first.payment_id,
            retry=payment.retry + 1,
        )
        try:
            made = start(tx, wish, self.tenant)
        except RuleBroken as error:  # paid otherwise, on hold, the mandate stopped: its line on the worklist stays
            log.info("payment.not_represented", payment_id=payment.payment_id, code=error.code)
            return
        log.info("payment.represented", payment_id=made, retry=wish.retry)
