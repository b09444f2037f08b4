"""A processor's event comes in: signature, durable commit, 200; worked on afterwards like everything in the inbox.

    body ─▶ signature ─wrong─▶ 401, nothing kept
              │
              └▶ unit: inbox row by event id ──committed──▶ 200 ─▶ look the thing up again ─▶ unit: settle

An event only says what to look at: what it says of money may be old, out of order or a duplicate, so the current
object is read from the processor and *that* is settled. Where nothing can be read (`Capabilities.readable`) the event
states the outcome itself: told_by_event.py. Events about what isn't ours are kept and ignored; one that can't be
applied after its tries, and whose operation nobody looks up any more, is a break that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..domain.dispute import DisputeState
from ..domain.money import Money
from ..domain.operation import OPEN, OperationState
from ..errors import MessageInvalid, NotPermitted
from ..flow.lane import Work, complete, retry
from ..inbox.store import Recorded, get, note_outcome
from ..log import Log
from ..payments import disputes, stated, stated_disputes, store, terminals
from ..payments.port import (
    Approved,
    DisputeSeen,
    EventAbout,
    OperationKind,
    OperationRef,
    Outcome,
    Renaming,
    Stated,
    Unknown,
)
from ..payments.port import Reference as ProcessorReference
from ..payments.records import Operation, Payment, Refund
from ..payments.registry import Registry
from . import dispute, refund, take_settlement_report, told_by_event
from .keep_events import KIND, check_keepable, kept, record_all
from .lookup import operation_ref, settle_any
from .whose import payment_of, refund_of

log = Log("webhooks")

__all__ = ["KIND", "Webhooks", "receive"]
_TRIES = 12  # then the operation's own lookups are left to find it out, or a person
_SINCE_EVER = timedelta(days=3650)
_LOOKED_UP = OPEN | {OperationState.ACTION_NEEDED, OperationState.PENDING, OperationState.IN_REVIEW}
_NOTHING = Money.zero("USD")  # a lookup of what isn't ours has no amount of ours to name


async def receive(
    units: Units,
    registry: Registry,
    *,
    processor: str,
    merchant: str,
    headers: Mapping[str, str],
    body: bytes,
    clock: Clock,
    hash_key: bytes,
) -> Recorded:
    """Verify and keep what came, one event or several, together; the first of them. Raises NotAuthenticated (nothing is
    kept), NotFound, MessageInvalid."""
    adapter = registry.for_webhook(processor, merchant)
    try:
        events = adapter.read_events(headers, body, now=clock.now())
        for event in events:
            check_keepable(event)
    except (NotPermitted, MessageInvalid) as error:
        log.warning("webhook.refused", processor=processor, merchant=merchant, code=error.code)
        raise
    found = kept(adapter, events, body, hash_key)
    return (await units.write(record_all, processor, merchant, found, urgent=True))[0]


@dataclass(frozen=True, slots=True)
class _Subject:
    """What an event is about: an operation of ours, or a refund that we didn't make."""

    event_id: str
    merchant: str
    operation: Operation | None = None
    ref: OperationRef | None = None
    refund: Refund | None = None  # made at the processor, and booked here before
    seen: Refund | None = None  # the refund that it is about, as it was before the look
    twin: Payment | None = None  # ours, taken already, whose reference another object of the processor has too
    states: Stated | None = None  # what is applied without asking
    dispute: ProcessorReference | None = None
    disputed: DisputeSeen | None = None  # what is stated of a dispute, and applied without asking
    report: str = ""  # the name of a report that can be had
    why_not: str = ""


class Webhooks:
    """The inbox handler of kind `webhook`; `work.ref` is the message."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry

    async def run(self, work: Work) -> None:
        subject = await self._units.read(self._find, work.ref)
        if subject.states is not None:
            return await self._units.write(self._told, work, subject, subject.states)
        if subject.disputed is not None:
            return await self._units.write(self._told_of_dispute, work, subject, subject.disputed)
        if subject.report:
            return await self._units.write(self._have_report, work, subject)
        if subject.dispute is not None:
            return await self._look_at_dispute(work, subject, subject.dispute)
        if subject.ref is None:
            return await self._units.write(self._ignore, work, "not-ours", subject.why_not)
        outcome = await self._registry.of(subject.merchant).lookup(subject.ref)
        if isinstance(outcome, Unknown):
            return await self._units.write(self._not_yet, work, subject, outcome.why)
        await self._units.write(self._settle, work, subject, outcome)

    def _told(self, tx: Tx, work: Work, subject: _Subject, states: Stated) -> None:
        """The event states its outcome: that is applied, and nothing asked."""
        message = get(tx, work.ref)
        ours, theirs, merchant = message.meta["our_reference"], message.meta["processor_reference"], subject.merchant
        operation = told_by_event.by_key(tx, merchant, states.key) if states.key else None
        known = refund_of(tx, merchant, ours, theirs) if states.of is OperationKind.REFUND else None
        if operation is not None or known is not None:
            payment = store.get(tx, (operation or known).payment_id)  # type: ignore[union-attr]
        else:
            of = [str(one.payment) for one in states.outcomes if isinstance(one, Approved) and one.payment]
            payment = payment_of(tx, merchant, ours, of[0] if of else theirs)
        if payment is None:
            named = payment_of(tx, merchant, states.key, "")
            if named is not None and named.processor_ref is None:  # what made it is told later than what follows on it
                return self._not_yet(tx, work, subject, f"{named.payment_id} has no name at the processor yet")
            return self._ignore(tx, work, "not-ours", "about a payment that was not made here")
        payment = store.lock(tx, payment.payment_id)
        if known is not None:
            operation = told_by_event.of_refund(tx, payment.payment_id, known)
        applied = told_by_event.apply(
            tx,
            self._tenant,
            payment,
            states,
            operation=operation,
            known=known,
            theirs=theirs,
            source=f"event:{subject.event_id}",
            last_try=work.attempt >= _TRIES,
        )
        if applied.wait:
            retry(tx, work, after=None, error=applied.wait)
        elif applied.twin is not None:
            self._tell_of_twin(tx, work, payment, applied.twin)
        elif applied.ignored:
            self._ignore(tx, work, "told-nothing", applied.ignored)
        else:
            complete(tx, work)
            note_outcome(tx, work.ref, "applied", message.label, [f"payment/{payment.payment_id}"])

    def _find(self, tx: Tx, message_id: str) -> _Subject:
        message = get(tx, message_id)
        about, merchant = message.meta["about"], message.meta["merchant"]
        theirs = message.meta["processor_reference"]
        ours = self._ours(tx, merchant, message.meta["our_reference"])
        found = _Subject(message.key[-1], merchant)
        if text := message.meta.get("dispute"):
            return _Subject(found.event_id, merchant, disputed=stated_disputes.from_text(text))
        if text := message.meta.get("states"):
            return _Subject(found.event_id, merchant, states=stated.from_text(text))
        if about == EventAbout.REFUND:
            return self._of_refund(tx, found, ours, theirs)
        if about == EventAbout.REPORT:
            return _Subject(found.event_id, merchant, report=theirs)
        if about == EventAbout.DISPUTE and theirs:
            return _Subject(found.event_id, merchant, dispute=ProcessorReference(theirs))
        if about not in (EventAbout.PAYMENT, EventAbout.PAGE):
            return _Subject(found.event_id, merchant, why_not=f"events of type {message.label} are kept and ignored")
        payment = payment_of(tx, merchant, ours, theirs)
        if payment is None:
            return _Subject(found.event_id, merchant, why_not="about a payment that was not made here")
        operation = _spoken_of(store.operations_of(tx, payment.payment_id))
        if operation is None:
            return _Subject(found.event_id, merchant, why_not="nothing was sent for this payment")
        if about == EventAbout.PAYMENT and payment.captured_at and told_by_event.is_another(tx, payment, theirs):
            other = ProcessorReference(theirs)
            ref = OperationRef(OperationKind.SALE, ours, other, payment.amount, _SINCE_EVER, payment_reference=other)
            return _Subject(found.event_id, merchant, None, ref, twin=payment)
        reader = terminals.reader_of(tx, payment.payment_id) if payment.method == terminals.METHOD else ""
        ref = operation_ref(operation, payment_reference=payment.processor_ref, now=tx.now, reader=reader)
        return _Subject(found.event_id, merchant, operation, ref)

    def _ours(self, tx: Tx, merchant: str, said: str) -> str:
        """Our reference, where the processor was told a shorter name of it: what we know already goes by its own id."""
        processor = self._registry.of(merchant)
        if not said or not isinstance(processor, Renaming):
            return said
        waiting = store.references_without_answer(tx, merchant)
        found = next((ours for ours in waiting if processor.sent_as(ours) == said), None)
        return found or store.by_operation_ref(tx, merchant, said) or said

    def _of_refund(self, tx: Tx, found: _Subject, ours: str, theirs: str) -> _Subject:
        known = refund_of(tx, found.merchant, ours, theirs)
        if known:
            mine = store.operations_of(tx, known.payment_id)
            sent = [one for one in mine if one.refund_id == known.refund_id]
            if sent:
                payment = store.get(tx, known.payment_id)
                ref = operation_ref(sent[-1], payment_reference=payment.processor_ref, now=tx.now)
                return _Subject(found.event_id, found.merchant, sent[-1], ref, seen=known)
        ref = OperationRef(
            OperationKind.REFUND, ours, ProcessorReference(theirs), _NOTHING, _SINCE_EVER, payment_reference=None
        )
        outside = known if known and known.processor_ref else None
        return _Subject(found.event_id, found.merchant, None, ref, outside, seen=outside)

    def _settle(self, tx: Tx, work: Work, subject: _Subject, outcome: Outcome) -> None:
        source = f"event:{subject.event_id}"
        if subject.twin is not None:
            return self._tell_of_twin(tx, work, subject.twin, outcome)
        payment = self._payment_of(tx, subject, outcome)
        if payment is None:
            if isinstance(outcome, Approved) and store.awaits_page(tx, subject.merchant):
                return self._not_yet(tx, work, subject, "it may be about a page whose payment is not known yet")
            return self._ignore(tx, work, "not-ours", "about a payment that was not made here")
        payment = store.lock(tx, payment.payment_id)
        if refund.moved_since(tx, subject.seen):
            return retry(tx, work, after=timedelta(0), error="it has moved while it was looked up")
        adopts = subject.operation is None and subject.refund is None and work.attempt < _TRIES
        if adopts and isinstance(outcome, Approved) and (why := refund.not_to_adopt_yet(tx, payment, outcome)):
            return retry(tx, work, after=None, error=why)
        complete(tx, work)
        note_outcome(tx, work.ref, "applied", type(outcome).__name__, [f"payment/{payment.payment_id}"])
        if subject.operation is not None:
            settle_any(tx, self._tenant, store.operation(tx, subject.operation.operation_id), outcome, source=source)
        elif subject.refund is not None:
            refund.hear_again(tx, self._tenant, subject.refund.refund_id, outcome, source=source)
        elif isinstance(outcome, Approved):
            refund.adopt(tx, self._tenant, payment, outcome, source=source)

    async def _look_at_dispute(self, work: Work, subject: _Subject, theirs: ProcessorReference) -> None:
        seen = await self._registry.disputes(subject.merchant).read_dispute(theirs)
        if isinstance(seen, Unknown):
            return await self._units.write(self._not_yet, work, subject, seen.why)
        await self._units.write(self._settle_dispute, work, subject, seen)

    def _told_of_dispute(self, tx: Tx, work: Work, subject: _Subject, seen: DisputeSeen) -> None:
        """The event states it. One that goes on with a dispute waits for what began it: they come in any order."""
        known = disputes.by_processor_ref(tx, subject.merchant, seen.reference)
        begins = seen.state is DisputeState.NEEDS_RESPONSE or any(not one.back for one in seen.money)
        ours = store.by_processor_ref(tx, subject.merchant, seen.payment) or store.awaits_page(tx, subject.merchant)
        if known is None and ours and not begins:
            return self._not_yet(tx, work, subject, f"nothing was told yet of what began dispute {seen.reference}")
        if known is not None and not disputes.explains(tx, known, seen) and work.attempt < _TRIES:
            return retry(tx, work, after=None, error="more came back than is known to have been taken")
        self._settle_dispute(tx, work, subject, seen)

    def _settle_dispute(self, tx: Tx, work: Work, subject: _Subject, seen: DisputeSeen) -> None:
        payment_id = store.by_processor_ref(tx, subject.merchant, seen.payment)
        if payment_id is None:
            if store.awaits_page(tx, subject.merchant):
                return self._not_yet(tx, work, subject, "it may be about a page whose payment is not known yet")
            return self._ignore(tx, work, "not-ours", "a dispute about a payment that was not made here")
        payment = store.lock(tx, payment_id)
        if not payment.captured and work.attempt < _TRIES:
            return retry(tx, work, after=None, error=f"the capture of {payment_id} is not known yet")
        complete(tx, work)
        note_outcome(tx, work.ref, "applied", f"dispute {seen.state}", [f"payment/{payment_id}"])
        dispute.settle(tx, self._tenant, payment_id, seen, source=f"event:{subject.event_id}")

    def _tell_of_twin(self, tx: Tx, work: Work, payment: Payment, outcome: Outcome) -> None:
        """Money beside the payment that we know, under its reference: perhaps the payer's second; it is not booked."""
        if not isinstance(outcome, Approved) or not outcome.captured or not outcome.amount:
            why = f"about another try of {payment.payment_id}, which took nothing"
            return self._ignore(tx, work, "another-try", why)
        says = f"{outcome.amount} was taken under {payment.payment_id} a second time, as {outcome.payment}: not booked"
        key = f"{payment.payment_id}:twin:{outcome.payment}"
        store.open_break(tx, key, "other_reference", says, payment=payment, amount=outcome.amount)
        complete(tx, work)
        note_outcome(tx, work.ref, "applied", "other_reference", [f"payment/{payment.payment_id}"])

    def _payment_of(self, tx: Tx, subject: _Subject, outcome: Outcome) -> Payment | None:
        if subject.twin is not None:
            return subject.twin
        if subject.operation is not None:
            return store.get(tx, subject.operation.payment_id)
        if subject.refund is not None:
            return store.get(tx, subject.refund.payment_id)
        reference = outcome.payment if isinstance(outcome, Approved) else None
        known = store.by_processor_ref(tx, subject.merchant, reference) if reference else None
        return store.get(tx, known) if known else None

    def _have_report(self, tx: Tx, work: Work, subject: _Subject) -> None:
        take_settlement_report.announced(tx, subject.merchant, subject.report)
        complete(tx, work)
        note_outcome(tx, work.ref, "applied", f"report {subject.report} will be read")

    def _ignore(self, tx: Tx, work: Work, code: str, why: str) -> None:
        complete(tx, work)
        note_outcome(tx, work.ref, "ignored", why)
        log.info("webhook.ignored", message_id=work.ref, code=code)

    def _not_yet(self, tx: Tx, work: Work, subject: _Subject, why: str) -> None:
        """The processor can't say at the moment. After many tries the operation's own lookups go on by themselves;
        where there are none, nothing else would bring it up again: a person is told."""
        if work.attempt < _TRIES:
            return retry(tx, work, after=None, error=why)
        operation = subject.operation
        if operation is None or store.operation(tx, operation.operation_id).state not in _LOOKED_UP:
            self._tell(tx, work, subject, why)
        self._ignore(tx, work, "not-looked-up", f"could not be looked up: {why}")

    def _tell(self, tx: Tx, work: Work, subject: _Subject, why: str) -> None:
        message = get(tx, work.ref)
        about = message.meta["processor_reference"] or message.meta["our_reference"]
        says = f"event {subject.event_id} ({message.label}) about {about} could not be applied: {why}"
        known = self._payment_of(tx, subject, Unknown(why))
        key = f"event:{work.ref}"
        store.open_break(tx, key, "event_not_applied", says[:500], payment=known, merchant=subject.merchant)


def _spoken_of(operations: list[Operation]) -> Operation | None:
    """Whose lookup tells what an event is about: the capture or void that is under way, else what made the payment."""
    mine = [one for one in operations if one.refund_id is None and one.kind is not OperationKind.ACCEPT_DISPUTE]
    under_way = [one for one in mine if one.state in (OperationState.SENT, OperationState.UNKNOWN)]
    return under_way[-1] if under_way else mine[0] if mine else None
