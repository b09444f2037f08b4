"""Finding out what became of an operation: outbox kinds `payment.lookup` and `refund.lookup`.

Queued by settle_outcome.py for everything that has no final outcome: `unknown` (looked at at once, then less and less
often), and what waits for the payer or the processor (an event usually comes first; this is for those that get lost).
One item an operation's attempt comes back by itself until the outcome is final. Looking never has an effect. Where the
processor honours keys, and only while this key lives, the same bytes are sent again with the same key instead of
waiting for the horizon; after it only reading is left. Where nothing can be read that call is the look itself, for as
long as the key lives and what it was for is still owed; after it an event tells, or a person. A refund that is proven
absent goes out with that key again and again until the processor answers: a worker that was stopped right before its
call may still make it, and no id of the processor's makes that harmless. Only a key that was answered is given up for
another one; one that dies before is for a person (by_hand.py). Not while the payment is disputed, or once it is back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain import ach
from ..domain.operation import OPEN, OperationState
from ..domain.payment import PaymentState
from ..errors import LeaseLost, ProcessorUnavailable
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..flow.worker import DONE, Done
from ..log import Log
from ..payments import refunds, store, terminals
from ..payments.port import (
    ActionNeeded,
    Capabilities,
    InReview,
    OperationKind,
    OperationRef,
    Outcome,
    Pending,
    ProvenAbsent,
    Reference,
    Unknown,
)
from ..payments.records import Operation, Refund
from ..payments.registry import Registry
from . import on_terminal, refund
from .call import Call, no_longer_owed, not_to_be_used, read_call, send
from .outcome_says import ENDS_BY_ITSELF
from .settle_outcome import AT_A_READER, ENDS, HELD_LOOK, believed, holds, may_come_back, settle, unknown_key

log = Log("payments")

RESENDS = 3  # with the same key; then reading until the horizon
_WAITING = frozenset({OperationState.ACTION_NEEDED, OperationState.PENDING, OperationState.IN_REVIEW})
_TAKES_MONEY = frozenset({OperationKind.SALE, OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.TERMINAL})
_SOON = timedelta(seconds=5)
_PATIENT = timedelta(minutes=2)
_LONGEST = timedelta(hours=6)
TELL_AFTER = timedelta(minutes=30)  # unknown for so long is told to a person
LISTENS_AFTER_WORD = timedelta(days=3)  # of a person: then events alone tell what differs from it
TELL_OF_WAITING_AFTER = timedelta(days=1)  # the same where the last we heard is that the payer or a bank has to act


def operation_ref(
    operation: Operation, *, payment_reference: str | None, now: datetime, reader: str = ""
) -> OperationRef:
    """What a lookup may use of an operation."""
    since = operation.sent_at or operation.created_at
    return OperationRef(
        kind=operation.kind,
        our_reference=operation.refund_id or operation.payment_id,
        processor_reference=Reference(operation.processor_ref) if operation.processor_ref else None,
        amount=operation.amount,
        age=now - since,
        payment_reference=Reference(payment_reference) if payment_reference else None,
        last=now - operation.last_sent_at if operation.last_sent_at else None,
        reader=reader,
    )


class LookUp:
    """The handler of both kinds; `work.ref` is the operation."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, *, public_url: str) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._public_url = public_url

    async def run(self, work: Work) -> Done | None:
        ref, merchant, final, seen = await self._units.read(self._read, work.ref)
        if final:
            return DONE
        processor = self._registry.of(merchant)
        outcome = await processor.lookup(ref)
        # A refund that isn't there may still come, from a worker that was stopped before its call; it has no id of the
        # processor's to make that harmless. With the same key it has.
        late = isinstance(outcome, ProvenAbsent) and ref.kind is OperationKind.REFUND
        if (late or isinstance(outcome, Unknown)) and await self._units.write(
            self._resending, work, processor.capabilities, late
        ):
            try:
                outcome = await send(self._registry, await self._units.read(self._call, work.ref))
            except ProcessorUnavailable as error:
                outcome = Unknown(error.message, silent=True)
            if not (isinstance(outcome, Unknown) and outcome.silent):
                await self._units.write(self._answered, work)
        elif late and await self._units.read(self._may_still_come, work.ref, processor.capabilities):
            outcome = Unknown("it isn't there, but an earlier call of it may still come: another key could double it")
        return await self._units.write(self._finish, work, outcome, processor.capabilities.lookup_settles_after, seen)

    def _read(self, tx: Tx, operation_id: str) -> tuple[OperationRef, str, bool, Refund | None]:
        operation = store.operation(tx, operation_id)
        payment = store.get(tx, operation.payment_id)
        reader = terminals.reader_of(tx, payment.payment_id) if operation.kind in AT_A_READER else ""
        ref = operation_ref(operation, payment_reference=payment.processor_ref, now=tx.now, reader=reader)
        seen = refunds.get(tx, operation.refund_id) if operation.refund_id else None
        return ref, payment.merchant, self._final(tx, operation), seen

    def _final(self, tx: Tx, operation: Operation) -> bool:
        if operation.state in (OperationState.SENT, OperationState.UNKNOWN):
            return False
        if operation.state in OPEN:
            return True  # prepared anew: whoever sends it looks after it
        if operation.state is OperationState.BY_HAND:  # what the processor says of it may differ
            return tx.now - (operation.finished_at or tx.now) >= LISTENS_AFTER_WORD
        if operation.refund_id:
            return refunds.get(tx, operation.refund_id).state in refund.ENDS
        if operation.kind in ENDS_BY_ITSELF and operation.state is not OperationState.PENDING:
            return True
        payment = store.get(tx, operation.payment_id)
        until = payment.returnable_until if payment.state is PaymentState.CAPTURED else None
        return payment.state in ENDS and (until is None or until <= tx.now)

    def _resending(self, tx: Tx, work: Work, capabilities: Capabilities, late: bool) -> bool:
        """Whether the same bytes may go out again, noted before they do. `late`: after the horizon too, until
        the processor answers one, since another key would not keep a call that still comes from being a second one."""
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        operation = store.operation(tx, work.ref)
        store.lock(tx, operation.payment_id)
        operation = store.operation(tx, work.ref)
        if operation.state is not OperationState.UNKNOWN or operation.sent_at is None:
            return False
        late = late and operation.repeat_answered_at is None
        if work.attempt > RESENDS and capabilities.readable and not late:
            return False
        ttl = capabilities.idempotency_ttl
        merchant = self._tenant.merchant(store.get(tx, operation.payment_id).merchant)
        if ttl is None or tx.now + timedelta(seconds=2 * merchant.timeout_s) >= operation.sent_at + ttl:
            return False
        if operation.refund_id is not None:
            ended = refunds.get(tx, operation.refund_id).state in refund.ENDS
            if ended or refund.not_any_more(tx, store.get(tx, operation.payment_id)):
                return False  # it may be the first to arrive
        if operation.kind is OperationKind.HOSTED or (operation.refund_id is None and operation.processor_ref is None):
            return False
        if operation.kind in _TAKES_MONEY:
            # It may be the first to arrive: nothing is taken that must not be taken any more.
            payment = store.get(tx, operation.payment_id)
            if no_longer_owed(tx, payment, operation.amount):
                return False
            if operation.kind is not OperationKind.CAPTURE and not_to_be_used(tx, payment):
                return False
        store.sent(tx, operation)
        log.info("operation.resent", operation_id=operation.operation_id, attempt=work.attempt)
        return True

    def _answered(self, tx: Tx, work: Work) -> None:
        operation = store.operation(tx, work.ref)
        store.lock(tx, operation.payment_id)
        if store.operation(tx, work.ref).state is OperationState.SENT:
            store.repeat_answered(tx, operation)

    def _may_still_come(self, tx: Tx, operation_id: str, capabilities: Capabilities) -> bool:
        """Whether a refund that isn't there must not go out under another key: none of its repeats was ever answered,
        so a call that still comes would be carried out beside it. Where keys count for nothing the rail itself guards
        against a second one; what isn't to be sent any more gets no other key."""
        operation = store.operation(tx, operation_id)
        if capabilities.idempotency_ttl is None or operation.repeat_answered_at is not None:
            return False
        return not refund.not_any_more(tx, store.get(tx, operation.payment_id))

    def _call(self, tx: Tx, operation_id: str) -> Call:
        return read_call(tx, operation_id, self._tenant, self._public_url)

    def _finish(
        self, tx: Tx, work: Work, outcome: Outcome, settles_after: timedelta, seen: Refund | None = None
    ) -> None:
        operation = store.operation(tx, work.ref)
        payment = store.lock(tx, operation.payment_id)
        operation = store.operation(tx, work.ref)
        if refund.moved_since(tx, seen):
            return retry(tx, work, after=timedelta(0), error="it has moved while it was looked up")
        outcome = refund.believed(tx, operation, outcome) if operation.refund_id else believed(outcome)
        if on_terminal.was_there(operation) and isinstance(outcome, ProvenAbsent):
            outcome = ActionNeeded()  # its reader has let go of it, and the payment can still be made: a cancel ends it
        if operation.state is OperationState.SENT and isinstance(outcome, ProvenAbsent):
            # `proven_absent` follows on `unknown` only.
            store.move_operation(tx, operation, OperationState.UNKNOWN, says="no answer")
        age = tx.now - (operation.sent_at or operation.created_at)
        settles_in = settles_after - (tx.now - (operation.last_sent_at or operation.created_at))
        if isinstance(outcome, Unknown):
            log.warning(
                "operation.unknown",
                operation_id=operation.operation_id,
                payment_id=operation.payment_id,
                attempt=work.attempt,
                due_s=int(age.total_seconds()),
            )
            waits = operation.state in _WAITING and age >= TELL_OF_WAITING_AFTER
            if waits or (operation.state in OPEN and age >= TELL_AFTER):
                says = f"nobody knows what became of {operation.kind} {operation.operation_id}: look at the processor"
                key, kind = unknown_key(operation), "unknown_outcome"
                store.open_break(tx, key, kind, says, payment=payment, amount=operation.amount, again=True)
        again = self._next(work, operation, outcome, settles_in=settles_in)
        if payment.tender == "bank" and operation.refund_id is None and isinstance(outcome, Pending):
            again = ach.LOOK_EVERY
        elif may_come_back(outcome, tx.now):
            again = ach.RETURN_LOOK_EVERY
        if again is None:
            complete(tx, work)
        else:
            retry(tx, work, after=again, error=outcome.why if isinstance(outcome, Unknown) else "not final yet")
        settle_any(tx, self._tenant, operation, outcome, source=f"lookup:{operation.operation_id}")
        if operation.kind is OperationKind.TERMINAL and isinstance(outcome, ActionNeeded | Unknown):
            on_terminal.still_waiting(tx, self._tenant, operation.payment_id)

    def _next(self, work: Work, operation: Operation, outcome: Outcome, *, settles_in: timedelta) -> timedelta | None:
        """When to look again; None when this outcome ends it. The look after the horizon proves something, whatever
        it finds: attempts that died before it must not put it off.
        """
        if holds(outcome, operation.kind):
            return HELD_LOOK
        if not isinstance(outcome, Unknown | ActionNeeded | Pending | InReview):
            return None
        if on_terminal.was_there(operation) and isinstance(outcome, Unknown):
            return on_terminal.next_look(work.attempt)
        if operation.kind in AT_A_READER and isinstance(outcome, ActionNeeded):
            return on_terminal.next_look(work.attempt) if operation.kind is OperationKind.TERMINAL else None
        first = _SOON if operation.state in OPEN else _PATIENT
        wait = min(first * 2 ** min(work.attempt - 1, 16), _LONGEST)
        return min(wait, settles_in) if operation.state in OPEN and settles_in > timedelta(0) else wait


def settle_any(tx: Tx, tenant: Tenant, operation: Operation, outcome: Outcome, *, source: str) -> None:
    """Of a payment or of a refund."""
    if operation.refund_id:
        refund.settle(tx, tenant, operation.operation_id, outcome, source=source)
    else:
        settle(tx, tenant, operation.operation_id, outcome, source=source)
