"""Taking a payment back whole, as fast as its rail allows: a void until it settles, else a refund of all that is left.

    request   payment locked; a void queued, with what was wished kept beside it; or a refund, where none is possible
    unit      the void has its outcome: taken back, or (it had settled) the refund is asked for     ── crash here: again

What has settled only the processor knows, so the void is tried where a capture can be voided at all
(`Capabilities.void_after_capture`), and what refuses it leads to the refund. Where that may not be either (a dispute, a
bank debit that may come back), whoever asked has long been told that it was taken in: it ends as a break.
`Reverse.run` is the outbox handler of kind `payment.reverse`; `work.ref` is the void's operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.payment import PaymentState
from ..errors import LeaseLost, RuleBroken
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import refunds, reversals, store, tenders
from ..payments.registry import Registry
from . import refund, void
from .refund_shares import left_of

log = Log("payments")

KIND = "payment.reverse"
NOT_REVERSED = "not_reversed"  # a break
_FIRST, _LONGEST = timedelta(seconds=2), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NewReversal:
    """A wish: all of it."""

    payment_id: str
    reason: str
    requested_by: str


def request(tx: Tx, wish: NewReversal, tenant: Tenant, registry: Registry) -> None:
    """Queue what takes the payment back, as part of the caller's unit.

    Raises RuleBroken as void.request and refund.request do, NotFound.
    """
    payment = store.lock(tx, wish.payment_id)
    if not wish.reason.strip():
        raise RuleBroken("to reverse a payment needs a reason")
    if payment.method in tenders.KINDS:
        raise RuleBroken(tenders.taken_by(payment.method), payment_id=payment.payment_id)
    if payment.state is not PaymentState.CAPTURED:
        void.request(tx, wish.payment_id, registry)
        return
    voids = registry.of(payment.merchant).capabilities.void_after_capture if payment.method != store.EXTERNAL else False
    if not voids or refunds.claimed(tx, payment):
        refund.request(tx, refund.NewRefund(wish.payment_id, wish.reason, wish.requested_by), tenant)
        return
    operation_id = void.request(tx, wish.payment_id, registry)
    reversals.add(tx, operation_id, payment_id=wish.payment_id, reason=wish.reason, requested_by=wish.requested_by)
    outbox_add(tx, KIND, operation_id, [f"reverse:{operation_id}"], tx.now + _FIRST)
    log.info("payment.reversing", payment_id=wish.payment_id, operation_id=operation_id)


class Reverse:
    """The outbox handler."""

    def __init__(self, units: Units, tenant: Tenant) -> None:
        self._units = units
        self._tenant = tenant

    async def run(self, work: Work) -> None:
        await self._units.write(self._follow, work)

    def _follow(self, tx: Tx, work: Work) -> None:
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        wanted = reversals.get(tx, work.ref)
        payment = store.lock(tx, wanted.payment_id)
        if store.unfinished_operation(tx, payment.payment_id) is not None:
            wait = min(_FIRST * 2 ** min(work.attempt - 1, 16), _LONGEST)
            return retry(tx, work, after=wait, error="the void has no outcome yet")
        complete(tx, work)
        left = left_of(tx, payment)
        if payment.state is PaymentState.CAPTURED and left:
            wish = refund.NewRefund(wanted.payment_id, wanted.reason, wanted.requested_by)
            try:
                refund.request(tx, wish, self._tenant)
            except RuleBroken as error:  # before it wrote anything
                says = f"{payment.payment_id} is not taken back, by a void nor by a refund: {error.message}"
                key = f"{payment.payment_id}:not-reversed:{work.ref}"
                store.open_break(tx, key, NOT_REVERSED, says[:500], payment=payment, amount=left)
                log.warning("payment.not_reversed", payment_id=payment.payment_id, operation_id=work.ref)
        return None
