"""Giving money back: asked for, approved, sent, and what became of it. Full or in parts, never more than was captured.

    request   payment locked, what is left counted, money taken off what it had paid, ledger, refund queued
    unit 1    operation recorded with its key                         ── crash here: nothing has moved
    unit 2    operation `sent`, the lease still ours                  ── crash here: look it up
    call      refund                                                  ── crash here: look it up
    unit 3    outcome, ledger, linked negative to the EHR, together   ── crash here: rolled back; look it up

`Refunds.run` is the outbox handler of kind `refund.submit`, `settle` is told by answers, lookups and events alike.
A refund that fails leaves the money with us as credit of the payer's and opens a break; one that fails days after it
succeeded too. One that the processor made of another amount is booked as it made it, and a break says so. What a refund
takes off a valid obligation is owed again, on hold: nobody asks before a person has said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payment import CLOSED, FactKind, PaymentFact, PaymentState
from ..domain.refund import RefundState
from ..errors import LeaseLost, ProcessorUnavailable, RuleBroken
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import by_hand, disputes, refunds, store, tenders
from ..payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    Outcome,
    Pending,
    Reference,
    Settling,
    Unknown,
)
from ..payments.records import Operation, Payment, Refund
from ..payments.registry import Registry
from . import collect, dispute, postings
from .call import Call, read_call, send
from .dropped_refund import drop_refund, failed_key, waits_key
from .failed_late import failed_late
from .money_off import business_day
from .refund_shares import follow, left_of, take, waits_for
from .settle_outcome import move_operation, unknown_key, unknown_refunds_key
from .start_payment import lane_of

log = Log("payments")

KIND = "refund.submit"
_S = RefundState
ENDS = frozenset({_S.REJECTED, _S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.REPLACED})
_TO_SEND = frozenset({_S.APPROVED, _S.WAITING_SETTLEMENT})
SETTLED_LOOK = timedelta(hours=1)  # a batch a day: soon enough, and two dozen questions
TELL_OF_WAIT_AFTER = timedelta(days=4)  # a weekend and a holiday; then something is wrong at the processor
_BUSY = timedelta(seconds=20)  # another operation of the payment has no outcome yet


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A wish. Without `amount`: all that is left."""

    payment_id: str
    reason: str
    requested_by: str
    amount: Money | None = None
    while_returnable: bool = False  # approved though the bank may still take the payment back: it would go back twice


def request(tx: Tx, wish: NewRefund, tenant: Tenant) -> str:
    """Approve the refund and queue it, as part of the caller's unit; its id.

    Raises RuleBroken for more than is left, a payment that has nothing to give back, or one whose merchant is gone;
    NotFound.
    """
    payment = store.lock(tx, wish.payment_id)
    if payment.method == store.EXTERNAL:
        raise RuleBroken("the EHR took this payment: it is given back there", payment_id=payment.payment_id)
    if payment.method in tenders.KINDS:
        raise RuleBroken(
            "no processor took this payment: a desk gives it back (desk-refunds)", payment_id=payment.payment_id
        )
    if payment.merchant not in {one.name for one in tenant.merchants}:
        raise RuleBroken(f"merchant '{payment.merchant}' is not configured any more: nobody can send a refund")
    if not wish.reason.strip():
        raise RuleBroken("a refund needs a reason")
    if payment.state is not PaymentState.CAPTURED:
        raise RuleBroken(f"payment {payment.payment_id} is {payment.state}: there is nothing to give back")
    until = payment.returnable_until
    if until is not None and tx.now < until and not wish.while_returnable:
        says = f"the bank may take {payment.payment_id} back until {until:%Y-%m-%d}: a refund before then may pay twice"
        raise RuleBroken(f"{says}; say so to approve it all the same", location="while_returnable")
    before = store.unfinished_operation(tx, payment.payment_id)
    if before is not None and before.kind is OperationKind.VOID:
        raise RuleBroken(f"the void of {payment.payment_id} has no outcome yet", payment_id=payment.payment_id)
    if (dispute := disputes.open_of(tx, payment.payment_id)) is not None:
        says = f"{payment.payment_id} is disputed ({dispute.dispute_id}), and the payer's bank may give the money back"
        raise RuleBroken(f"{says}: accept the dispute, or wait for its end", payment_id=payment.payment_id)
    left = left_of(tx, payment)
    amount = left if wish.amount is None else wish.amount
    if amount.currency != payment.currency or amount.minor <= 0 or amount > left:
        raise RuleBroken(f"{left} of {payment.payment_id} is left to give back, not {amount}")
    refund = approve(tx, tenant, payment, amount, reason=wish.reason, by=wish.requested_by)
    outbox_add(tx, KIND, refund.refund_id, [lane_of(payment.payment_id)])
    log.info("refund.approved", refund_id=refund.refund_id, payment_id=payment.payment_id)
    return refund.refund_id


def approve(tx: Tx, tenant: Tenant, payment: Payment, amount: Money, *, reason: str, by: str) -> Refund:
    """The refund, approved, with what it takes back and the ledger saying so. Under the payment's lock."""
    left = left_of(tx, payment)
    refund = refunds.add(tx, payment, amount, reason=reason, requested_by=by)
    take(tx, tenant, payment, refund, amount, left=left, key="refund-approved")
    return refunds.move(tx, refund, _S.APPROVED, approved_by=by)


# ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Refunds:
    """The outbox handler of kind `refund.submit`; `work.ref` is the refund."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry

    async def run(self, work: Work) -> None:
        """Raises ProcessorUnavailable while it can't be said whether the payment has settled: again later."""
        payment = await self._units.read(self._of, work)
        processor = self._registry.of(payment.merchant)
        if not processor.capabilities.refund_before_settlement and isinstance(processor, Settling):
            asks = await self._units.read(self._not_sent_yet, work) and payment.processor_ref
            if asks and not await processor.has_settled(Reference(asks)):
                return await self._units.write(self._wait, work)
        call = await self._units.write(self._sending, work)
        if call is None:
            return
        try:
            outcome = await send(self._registry, call)
        except ProcessorUnavailable as error:
            return await self._units.write(self._not_sent, work, call, error.message)
        await self._units.write(self._finish, work, call, outcome)

    def _of(self, tx: Tx, work: Work) -> Payment:
        return store.get(tx, refunds.get(tx, work.ref).payment_id)

    def _not_sent_yet(self, tx: Tx, work: Work) -> bool:
        """Nothing of it has gone out, and something is to."""
        state = refunds.get(tx, work.ref).state
        if state in _TO_SEND:
            return True
        open_ = store.open_operation(tx, refunds.get(tx, work.ref).payment_id)
        return open_ is not None and open_.refund_id == work.ref and open_.state is OperationState.PREPARED

    def _wait(self, tx: Tx, work: Work) -> None:
        """This rail gives back only what it has settled. It comes back by itself, and nothing else waits for it."""
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        payment = store.lock(tx, refunds.get(tx, work.ref).payment_id)
        complete(tx, work)
        refund = refunds.get(tx, work.ref)
        if refund.state in ENDS:
            return
        if refund.state is _S.APPROVED:
            refund = refunds.move(tx, refund, _S.WAITING_SETTLEMENT)
        if tx.now - refund.created_at >= TELL_OF_WAIT_AFTER:
            says = f"{refund.refund_id} waits since {refund.created_at:%Y-%m-%d} for its payment to settle"
            store.open_break(tx, waits_key(refund), "refund_waits", says, payment=payment, amount=refund.amount)
        outbox_add(tx, KIND, refund.refund_id, [f"refund:{refund.refund_id}"], tx.now + SETTLED_LOOK)
        log.info("refund.waits", refund_id=refund.refund_id, payment_id=payment.payment_id)

    def _sending(self, tx: Tx, work: Work) -> Call | None:
        """Units 1 and 2: there is no call between them, since a refund has nothing to prepare."""
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        refund = refunds.get(tx, work.ref)
        payment = store.lock(tx, refund.payment_id)
        refund = refunds.get(tx, work.ref)
        operation = store.open_operation(tx, payment.payment_id)
        if operation is not None and operation.refund_id != refund.refund_id:
            retry(tx, work, after=_BUSY, error=f"{operation.operation_id} of this payment has no outcome yet")
            return None
        if operation is None and refund.state in _TO_SEND:
            kind = OperationKind.REFUND
            made = store.add_operation(tx, payment.payment_id, kind, refund.amount, refund_id=refund.refund_id)
            operation = store.operation(tx, made)
            refund = refunds.move(tx, refund, _S.SUBMITTED)
            store.close_break(tx, waits_key(refund), by="it has settled")
        if operation is None or operation.state is not OperationState.PREPARED:
            complete(tx, work)
            if operation is not None and operation.state is OperationState.SENT:
                why = Unknown("the worker that sent it did not come back")
                settle(tx, self._tenant, operation.operation_id, why, source=f"operation:{operation.operation_id}")
            return None
        if refund.state not in ENDS and (why := not_any_more(tx, payment)):
            drop_refund(tx, self._tenant, payment, refund, _S.CANCELED, why)
            refund = refunds.get(tx, refund.refund_id)
            dispute.catch_up(tx, self._tenant, payment)
        if refund.state in ENDS:  # such as a void at the processor: it is not to be sent any more
            complete(tx, work)
            store.move_operation(tx, operation, OperationState.CANCELLED, says=refund.failure_says)
            store.close_break(tx, unknown_key(operation), by="it is not sent any more")
            return None
        store.sent(tx, operation)
        return read_call(tx, operation.operation_id, self._tenant)

    def _finish(self, tx: Tx, work: Work, call: Call, outcome: Outcome) -> None:
        store.lock(tx, call.payment.payment_id)
        complete(tx, work)
        operation_id = call.operation.operation_id
        settle(tx, self._tenant, operation_id, outcome, source=f"operation:{operation_id}")

    def _not_sent(self, tx: Tx, work: Work, call: Call, says: str) -> None:
        store.lock(tx, call.payment.payment_id)
        retry(tx, work, after=None, error=says)
        store.again(tx, store.operation(tx, call.operation.operation_id), OperationState.NOT_SENT, says)


# ── outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def settle(tx: Tx, tenant: Tenant, operation_id: str, outcome: Outcome, *, source: str) -> Refund:
    """Take in an outcome of a refund's operation; the refund as it is then. Told again, it changes nothing."""
    operation = store.operation(tx, operation_id)
    payment = store.lock(tx, operation.payment_id)
    operation = store.operation(tx, operation_id)
    assert operation.refund_id is not None
    outcome = by_hand.reconciled(tx, payment, operation, believed(tx, operation, outcome), source=source)
    move_operation(tx, operation, outcome, amount=operation.amount)
    return _heard(tx, tenant, payment, refunds.get(tx, operation.refund_id), outcome, source=source)


def _heard(tx: Tx, tenant: Tenant, payment: Payment, before: Refund, outcome: Outcome, *, source: str) -> Refund:
    refund = _take_in(tx, tenant, payment, before, outcome, source=source)
    if refund.state is not before.state:  # one that fails leaves its money here, which other accounts may wait for
        collect.reassess_linked(tx, payment.account_ref, tenant)
        dispute.catch_up(tx, tenant, store.get(tx, payment.payment_id))
    return refund


def not_any_more(tx: Tx, payment: Payment) -> str:
    """Why what is to be sent (again) isn't: a dispute or a return came while nobody knew of it. Empty: it is."""
    if payment.state is not PaymentState.CAPTURED:
        return f"The payment is {payment.state}: there is nothing to give back."
    for one in disputes.of_payment(tx, payment.payment_id):
        if one.is_open or disputes.folded(tx, one).lost > one.lost:
            return f"{payment.payment_id} is disputed by the payer's bank ({one.dispute_id})."
    return ""


def believed(tx: Tx, operation: Operation, outcome: Outcome) -> Outcome:
    """The outcome, or `Unknown` where its amount can't be: to be looked at again, and told to a person by then."""
    if not isinstance(outcome, Approved) or operation.refund_id is None:
        return outcome
    refund = refunds.get(tx, operation.refund_id)
    others = [one for one in refunds.of_payment(tx, refund.payment_id) if one.refund_id != refund.refund_id]
    if any(one.processor_ref == outcome.reference for one in others):
        return Unknown(f"the processor's {outcome.reference} is another refund of this payment")
    if outcome.amount.currency != refund.amount.currency or outcome.amount.minor <= 0:
        return Unknown(f"the processor says that it gave back {outcome.amount}, of {refund.amount}")
    if refund.state not in ENDS and waits_for(tx, store.get(tx, refund.payment_id), refund, outcome.amount):
        return Unknown(f"{outcome.amount} is more than is left while other refunds are with the processor")
    return outcome


def moved_since(tx: Tx, seen: Refund | None) -> bool:
    """Whether the refund is not as it was before somebody looked it up: then what they saw may be older than what is
    known by now, and a refund that was seen to succeed may have failed since. It is to be looked up once more."""
    return seen is not None and refunds.get(tx, seen.refund_id) != seen


def _take_in(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, outcome: Outcome, *, source: str) -> Refund:
    match outcome:
        case Approved(reference=reference) if refund.state not in ENDS:
            return succeeded(tx, tenant, payment, refund, outcome, source=source, reference=reference)
        case Approved() if refund.state is _S.FAILED and source.startswith("operation:"):
            pass  # the answer to our own call: older than whatever has said that it failed
        case Approved() if refund.state in (_S.FAILED, _S.CANCELED) and refund.succeeded_at is None:
            return _succeeded_late(tx, tenant, payment, refund, outcome, source=source)
        case Approved(amount=given) if refund.state is _S.SUCCEEDED and given != refund.amount:
            says = f"{refund.refund_id} is in the books with {refund.amount}, and the processor says {given} now"
            key = f"{payment.payment_id}:refund-amount:{refund.refund_id}"
            store.open_break(tx, key, "refund_amount", says, payment=payment, amount=given)
        case Declined() | Canceled():
            says = outcome.meaning.desk if isinstance(outcome, Declined) else "The processor canceled the refund."
            says = "Staff found that it did not go out." if source.startswith(by_hand.SOURCE) else says
            if refund.state in (_S.SUBMITTED, _S.PENDING, _S.REQUIRES_ACTION):
                return drop_refund(tx, tenant, payment, refund, _S.FAILED, says)
            if refund.state is _S.SUCCEEDED:
                return failed_late(tx, tenant, payment, refund, says, source=source)
        case Pending(reference=reference) | InReview(reference=reference) if refund.state is _S.SUBMITTED:
            return refunds.move(tx, refund, _S.PENDING, processor_ref=reference)
        case ActionNeeded() if refund.state is _S.PENDING:
            return refunds.move(tx, refund, _S.REQUIRES_ACTION)
        case _:
            pass
    return refund


def succeeded(
    tx: Tx,
    tenant: Tenant,
    payment: Payment,
    refund: Refund,
    outcome: Approved,
    *,
    source: str,
    reference: str,
    tender: rules.Tender | None = None,
) -> Refund:
    """It has gone out: fact, write-back and ledger. `tender`: a desk gave it, and no processor has a reference."""
    at = outcome.at or tx.now
    day = business_day(tenant, payment.facility, at)
    if outcome.amount != refund.amount:
        refund = follow(tx, tenant, payment, refund, outcome.amount)
    values = {"processor_ref": None if tender else reference, "succeeded_at": at, "failure_says": ""}
    values["business_date"] = day.isoformat()
    refund = refunds.move(tx, refund, _S.SUCCEEDED, **values)
    fact = PaymentFact(FactKind.REFUNDED, at, source, outcome.amount, reference)
    store.record_facts(tx, payment.payment_id, [fact])
    store.refold(tx, payment)
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=refund.refund_id, tenant=tenant)
    entry = rules.refund_taken(
        payment.payment_id,
        refund.refund_id,
        payment.merchant,
        refund.amount,
        tender=tender,
        occurred_at=at,
        business_date=day,
        refs={} if tender else {"processor_refund": reference},
    )
    ledger.post(tx, entry, key=f"refund-taken/{refund.refund_id}")
    log.info("refund.succeeded", refund_id=refund.refund_id, payment_id=payment.payment_id)
    return refund


def _succeeded_late(
    tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, outcome: Approved, *, source: str
) -> Refund:
    """It was said not to go out, and it did: what had become credit of the payer's is taken off again."""
    says = f"{refund.refund_id} went out after all, as {outcome.amount}, though reported as {refund.state}"
    key = f"{payment.payment_id}:refund-late:{refund.refund_id}"
    store.open_break(tx, key, "late_refund", says, payment=payment, amount=outcome.amount)
    store.close_break(tx, failed_key(refund), by="processor", why="it went out after all")
    left = left_of(tx, payment)
    if outcome.amount > left:
        return refund  # it has been given back otherwise meanwhile: the break says so, the books can't
    refunds.put_shares(tx, refund.refund_id, [])
    refund = refunds.resize(tx, refund, outcome.amount)
    take(tx, tenant, payment, refund, outcome.amount, left=left, key="refund-late")
    return succeeded(tx, tenant, payment, refund, outcome, source=source, reference=outcome.reference)


def adopt(tx: Tx, tenant: Tenant, payment: Payment, outcome: Approved, *, source: str) -> Refund | None:
    """A refund that was made at the processor itself: booked like ours, with a break for whoever wants to know why.

    None when it is known already. Under the payment's lock.
    """
    if any(one.processor_ref == outcome.reference for one in refunds.of_payment(tx, payment.payment_id)):
        return None
    if by_hand.may_be(tx, payment, outcome):
        return None
    key = f"{payment.payment_id}:outside:{outcome.reference}"
    store.close_break(tx, unknown_refunds_key(payment.payment_id), by="an event about the refund")
    says = f"{outcome.amount} was given back at the processor, not from here"
    store.open_break(tx, key, "refund_outside", says, payment=payment, amount=outcome.amount)
    if outcome.amount > left_of(tx, payment):
        return None  # more than there is: the break says so, the books can't
    refund = approve(tx, tenant, payment, outcome.amount, reason="made at the processor", by="processor")
    refund = refunds.move(tx, refund, _S.SUBMITTED)
    return _take_in(tx, tenant, payment, refund, outcome, source=source)


def not_to_adopt_yet(tx: Tx, payment: Payment, outcome: Approved) -> str:
    """Why what was given back at the processor can't be booked now, but may be soon. Empty: nothing is in its way.

    Under the payment's lock.
    """
    theirs = refunds.of_payment(tx, payment.payment_id)
    left = left_of(tx, payment)
    if outcome.amount <= left or any(one.processor_ref == outcome.reference for one in theirs):
        return ""
    if not payment.captured and payment.state not in CLOSED:
        return f"the capture of {payment.payment_id} is not known yet"
    under_way = [one.refund_id for one in theirs if one.state not in ENDS]
    return f"{', '.join(under_way)} may still give back what is left" if under_way else ""


def hear_again(tx: Tx, tenant: Tenant, refund_id: str, outcome: Outcome, *, source: str) -> Refund:
    """What became of a refund that was made at the processor and adopted: it may fail days later like ours."""
    payment = store.lock(tx, refunds.get(tx, refund_id).payment_id)
    return _heard(tx, tenant, payment, refunds.get(tx, refund_id), outcome, source=source)
