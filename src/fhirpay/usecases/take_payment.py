"""Taking a payment: from the wish to the processor's answer, in short steps that may each be interrupted and repeated.

    unit 1   start_payment.py: what is owed reserved, payment and operation kept  ── crash here: nothing has moved
    call     prepare: the processor knows of it, no money moves                   ── crash here: again, same key
    unit 2   the processor's id stored, operation `sent`, the lease still ours    ── crash here: was it sent? look it up
    call     submit: a sale, or an authorization that capture.py takes later      ── crash here: look it up
    unit 3   outcome, ledger, write-back and work complete, together              ── crash here: rolled back; look it up

`TakePayment.run` is the outbox handler of kind `payment.submit`. What stays `unknown` is lookup.py's to find out.
"""

from __future__ import annotations

from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.operation import OPEN, OperationState
from ..domain.payment import FactKind, PaymentFact
from ..errors import LeaseLost, ProcessorNotReached, ProcessorUnavailable, RuleBroken, ValueInvalid
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import choice, store
from ..payments.declines import DeclineCode
from ..payments.port import ActionNeeded, Declined, OperationKind, Outcome, Prepared, Reference, Unknown
from ..payments.records import Operation, Payment
from ..payments.registry import Registry
from .call import Call, no_longer_owed, not_to_be_used, read_call, send
from .settle_outcome import refold_and_carry_out, settle, unknown_key
from .stale_pages import CODE
from .start_payment import KIND, lane_of
from .to_page import through_ours

log = Log("payments")

GIVES_UP_AFTER = timedelta(minutes=15)  # never sent by then: what was owed is no longer fresh, so it is canceled
METHOD_STOPPED = "method-stopped"  # on the payment: its stored method may not be charged any more
AT_THE_DESK = timedelta(minutes=2)  # the same of a card reader: by then somebody else may stand before it


class TakePayment:
    """The outbox handler of kind `payment.submit`: one attempt at an operation."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, *, public_url: str) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._public_url = public_url

    async def run(self, work: Work) -> None:
        """Raises ProcessorUnavailable while nothing has been sent: the worker tries again."""
        call, too_old = await self._units.read(self._read, work)
        if call.operation.state is not OperationState.PREPARED:
            # Sent by a worker that died, or settled already by an event: never sent again from here.
            return await self._units.write(self._taken_over, work)
        if too_old:
            return await self._units.write(self._too_late, work)
        several = await self._units.write(self._begin, call) if self._others(call) else False
        try:
            prepared = await self._prepare(call, work.attempt)
        except ProcessorNotReached as error:
            if several and await self._units.write(self._not_reached, work, call, error.message):
                return None
            raise
        except (RuleBroken, ValueInvalid) as error:  # nothing that can be asked of this processor
            log.warning("payment.refused", payment_id=call.payment.payment_id, code=error.code)
            prepared = Declined(DeclineCode.REFUSED)
        if isinstance(prepared, Declined):
            return await self._units.write(self._finish, work, prepared)
        sending = await self._units.write(self._sending, work, prepared)
        if sending is None:
            return None
        if call.operation.kind is OperationKind.HOSTED:
            return await self._units.write(self._finish, work, ActionNeeded(prepared.url, prepared.reference))
        try:
            outcome = await send(self._registry, sending)
        except ProcessorUnavailable as error:
            return await self._units.write(self._not_sent, work, error.message)
        await self._units.write(self._finish, work, outcome)

    async def _prepare(self, call: Call, attempt: int) -> Prepared | Declined:
        payment, operation = call.payment, call.operation
        if operation.processor_ref is not None:
            return Prepared(Reference(operation.processor_ref))
        # No money moves here, so after a few tries another key is safe: some processors repeat a stored 500 for ever.
        key = f"{operation.operation_id}-prepare-{attempt // 3}"
        if payment.currency not in self._registry.of(payment.merchant).capabilities.currencies:
            return Declined(DeclineCode.CURRENCY_UNSUPPORTED)
        if operation.kind is OperationKind.HOSTED:
            made = await self._registry.hosted(payment.merchant).open_page(call.request, idempotency_key=key)
            if isinstance(made, Declined):
                return made
            where = {"public_url": self._public_url, "tenant": self._tenant.name, "merchant": payment.merchant}
            return through_ours(made, **where, what="pay")
        return await self._registry.of(payment.merchant).prepare(call.request, idempotency_key=key)

    def _others(self, call: Call) -> bool:
        """Whether another merchant could take it: only what a payer pays on a page, and nothing is known of yet."""
        page = call.operation.kind is OperationKind.HOSTED and call.operation.processor_ref is None
        return page and len(self._merchants(call.payment)) > 1

    def _merchants(self, payment: Payment) -> list[str]:
        return choice.choices(self._tenant, self._tenant.facility(payment.facility), "page", payment.amount)

    # ── units ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, tx: Tx, work: Work) -> tuple[Call, bool]:
        """What to send, and whether it could not be sent for so long that the amount may no longer be owed."""
        call = read_call(tx, work.ref, self._tenant, self._public_url)
        patience = AT_THE_DESK if call.operation.kind is OperationKind.TERMINAL else GIVES_UP_AFTER
        return call, tx.now - call.payment.created_at >= patience

    def _begin(self, tx: Tx, call: Call) -> bool:
        choice.begin(tx, call.payment.payment_id, call.payment.merchant)
        return True

    def _not_reached(self, tx: Tx, work: Work, call: Call, says: str) -> bool:
        """Count the try off; once that was enough, another merchant is asked. Whether it is: then this work is done."""
        payment, operation = _unsent(tx, work)
        choice.not_reached(tx, payment.payment_id, call.payment.merchant, says)
        other = choice.next_after(tx, payment.payment_id, self._merchants(payment))
        if other is None or other not in {one.name for one in self._tenant.merchants}:
            return False
        why = f"the processor of merchant '{payment.merchant}' was never reached: {says}"
        complete(tx, work)
        store.move_operation(tx, operation, OperationState.CANCELLED, says=why[:300])
        store.change(tx, payment.payment_id, merchant=other, processor=self._tenant.merchant(other).processor)
        again = store.add_operation(tx, payment.payment_id, OperationKind.HOSTED, operation.amount)
        outbox_add(tx, KIND, again, [lane_of(payment.payment_id)])
        log.warning("payment.other_merchant", payment_id=payment.payment_id, merchant=other, operation_id=again)
        return True

    def _sending(self, tx: Tx, work: Work, prepared: Prepared) -> Call | None:
        """Unit 2. After this, only an answer, a lookup or an event says what became of it.

        None when it is no longer owed: then nothing is sent.
        """
        payment, operation = _unsent(tx, work)
        if why := no_longer_owed(tx, payment, payment.amount):
            self._give_up(tx, work, payment, code=CODE, says=why)
            return None
        if why := not_to_be_used(tx, payment):
            self._give_up(tx, work, payment, code=METHOD_STOPPED, says=why)
            return None
        store.sent(tx, operation, processor_ref=prepared.reference)
        if operation.kind is OperationKind.HOSTED:
            store.change(tx, payment.payment_id, hosted_url=prepared.url, hosted_until=prepared.expires_at)
        elif payment.processor_ref is None and self._registry.of(payment.merchant).capabilities.prepares:
            store.change(tx, payment.payment_id, processor_ref=prepared.reference)
        return read_call(tx, work.ref, self._tenant, self._public_url)

    def _finish(self, tx: Tx, work: Work, outcome: Outcome) -> None:
        """Unit 3. The payment's lock first, the ledger last."""
        store.lock(tx, store.operation(tx, work.ref).payment_id)
        complete(tx, work)
        settle(tx, self._tenant, work.ref, outcome, source=f"operation:{work.ref}")

    def _taken_over(self, tx: Tx, work: Work) -> None:
        store.lock(tx, store.operation(tx, work.ref).payment_id)
        complete(tx, work)
        if store.operation(tx, work.ref).state in OPEN:
            why = Unknown("the worker that sent it did not come back")
            settle(tx, self._tenant, work.ref, why, source=f"operation:{work.ref}")

    def _not_sent(self, tx: Tx, work: Work, says: str) -> None:
        store.lock(tx, store.operation(tx, work.ref).payment_id)
        retry(tx, work, after=None, error=says)
        store.again(tx, store.operation(tx, work.ref), OperationState.NOT_SENT, says)

    def _too_late(self, tx: Tx, work: Work) -> None:
        payment, _ = _unsent(tx, work)
        self._give_up(tx, work, payment, code="processor-unavailable", says="The processor could not be reached.")

    def _give_up(self, tx: Tx, work: Work, payment: Payment, *, code: str, says: str) -> None:
        """End a payment of which nothing was sent; what it had reserved is free again."""
        complete(tx, work)
        operation = store.operation(tx, work.ref)
        store.move_operation(tx, operation, OperationState.CANCELLED, says=says)
        store.close_break(tx, unknown_key(operation), by="it is not sent any more")
        store.change(tx, payment.payment_id, failure_code=code, failure_says=says)
        store.record_facts(tx, payment.payment_id, [PaymentFact(FactKind.CANCELED, tx.now, "us")])
        refold_and_carry_out(tx, self._tenant, payment.payment_id)


def _unsent(tx: Tx, work: Work) -> tuple[Payment, Operation]:
    """The payment, locked, and the operation that is ours to send. Raises LeaseLost when it is not, or not any more."""
    if not still_ours(tx, work):
        raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
    payment = store.lock(tx, store.operation(tx, work.ref).payment_id)
    operation = store.operation(tx, work.ref)
    if operation.state is not OperationState.PREPARED:
        raise LeaseLost("the operation has moved on meanwhile", operation_id=work.ref)
    return payment, operation
