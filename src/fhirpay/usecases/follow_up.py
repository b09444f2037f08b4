"""Sending a capture, a void, a card reader's cancel, or that a dispute is accepted: a second call on a payment that
stands already. capture.py, void.py, on_terminal.py and accept_dispute.py ask for one.

    request  payment locked, the move checked, operation recorded with its key    ── crash here: nothing has moved
    unit 1   still allowed, operation `sent`, the lease still ours                ── crash here: look it up
    call     capture, void or accept                                              ── crash here: look it up
    unit 2   outcome, ledger, write-back and work complete, together              ── crash here: rolled back; look it up

`FollowUp.run` is the outbox handler of the kinds `payment.capture`, `payment.void` and `dispute.accept`; `work.ref` is
the operation.
What stays `unknown` is lookup.py's to find out, and while it is nobody can ask for a second one.
"""

from __future__ import annotations

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.operation import OPEN, OperationState
from ..domain.payment import PaymentState
from ..errors import LeaseLost, ProcessorUnavailable, RuleBroken
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..log import Log
from ..payments import disputes, refunds, store, terminals
from ..payments.port import OperationKind, Outcome, Unknown
from ..payments.records import Operation, Payment
from ..payments.registry import Registry
from .call import Call, no_longer_owed, read_call, send
from .dispute import not_accepted
from .settle_outcome import queue_follow_up, settle, unknown_key

log = Log("payments")


def ask(tx: Tx, payment: Payment, kind: OperationKind, amount: Money) -> str:
    """Record the operation and queue it, as part of the caller's unit and under the payment's lock; its id.

    Raises RuleBroken while an operation before it has no outcome, or when the payment doesn't allow it.
    """
    if (before := store.unfinished_operation(tx, payment.payment_id)) is not None:
        says = f"the {before.kind} of {payment.payment_id} has no outcome yet"
        raise RuleBroken(says, payment_id=payment.payment_id, operation_id=before.operation_id)
    if why := _not_now(tx, payment, kind, amount):
        raise RuleBroken(why, payment_id=payment.payment_id)
    return queue_follow_up(tx, payment, kind, amount)


def _not_now(tx: Tx, payment: Payment, kind: OperationKind, amount: Money) -> str:
    """Why the payment doesn't allow it as it is now. Empty: it does."""
    if kind is OperationKind.TERMINAL_CANCEL:
        waits = payment.state is PaymentState.REQUIRES_ACTION and payment.method == terminals.METHOD
        return "" if waits else f"payment {payment.payment_id} is {payment.state}: no reader waits for its card"
    if kind is OperationKind.CAPTURE:
        if payment.state is not PaymentState.AUTHORIZED:
            return f"payment {payment.payment_id} is {payment.state}: there is nothing to capture"
        return no_longer_owed(tx, payment, amount)
    waits = payment.state is PaymentState.REQUIRES_ACTION and payment.method == "stored"
    if payment.state not in (PaymentState.AUTHORIZED, PaymentState.CAPTURED) and not waits:
        return f"payment {payment.payment_id} is {payment.state}: there is nothing to void"
    if disputes.of_payment(tx, payment.payment_id):
        return f"{payment.payment_id} is disputed, or was: it can't be voided any more"
    if refunds.claimed(tx, payment):
        return f"{payment.payment_id} was refunded, or is to be: it can't be voided any more"
    return ""


class FollowUp:
    """The outbox handler of captures, voids and acceptances."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry

    async def run(self, work: Work) -> None:
        call = await self._units.write(self._sending, work)
        if call is None:
            return
        try:
            outcome = await send(self._registry, call)
        except ProcessorUnavailable as error:
            return await self._units.write(self._not_sent, work, error.message)
        await self._units.write(self._finish, work, outcome)

    def _sending(self, tx: Tx, work: Work) -> Call | None:
        """Unit 1. None when there is nothing to send: it was sent before, or the payment has moved on."""
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        operation = store.operation(tx, work.ref)
        payment = store.lock(tx, operation.payment_id)
        operation = store.operation(tx, work.ref)
        if operation.state is not OperationState.PREPARED:
            complete(tx, work)
            if operation.state in OPEN:
                why = Unknown("the worker that sent it did not come back")
                settle(tx, self._tenant, work.ref, why, source=f"operation:{work.ref}")
            return None
        about = operation.kind is OperationKind.ACCEPT_DISPUTE
        if why := not_accepted(tx, operation) if about else _not_now(tx, payment, operation.kind, operation.amount):
            complete(tx, work)
            self._give_up(tx, payment, operation, why)
            return None
        store.sent(tx, operation, processor_ref=operation.processor_ref or payment.processor_ref)
        return read_call(tx, work.ref, self._tenant)

    def _give_up(self, tx: Tx, payment: Payment, operation: Operation, why: str) -> None:
        """Nothing was sent, and nothing will be: the payment stays as it is, and whoever asked is told."""
        store.move_operation(tx, operation, OperationState.CANCELLED, says=why[:300])
        store.close_break(tx, unknown_key(operation), by="it is not sent any more")
        if operation.kind is OperationKind.TERMINAL_CANCEL:
            return store.change(tx, payment.payment_id)  # the card was faster: there is nothing left to stop
        says = f"the {operation.kind} of {operation.amount} was not sent: {why}"
        key = f"{payment.payment_id}:not-sent:{operation.operation_id}"
        store.open_break(tx, key, "not_sent", says, payment=payment, amount=operation.amount)
        store.change(tx, payment.payment_id)
        log.warning("operation.given_up", operation_id=operation.operation_id, payment_id=payment.payment_id)

    def _finish(self, tx: Tx, work: Work, outcome: Outcome) -> None:
        """Unit 2. The payment's lock first, the ledger last."""
        store.lock(tx, store.operation(tx, work.ref).payment_id)
        complete(tx, work)
        settle(tx, self._tenant, work.ref, outcome, source=f"operation:{work.ref}")

    def _not_sent(self, tx: Tx, work: Work, says: str) -> None:
        store.lock(tx, store.operation(tx, work.ref).payment_id)
        retry(tx, work, after=None, error=says)
        store.again(tx, store.operation(tx, work.ref), OperationState.NOT_SENT, says)
