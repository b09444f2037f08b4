"""An event that states its outcome is applied as it stands: its processor has nothing that could be read instead.

Called by webhook.py in the unit that works on the event. The signature was checked before it was kept, and only what
it covers was taken for a statement. Facts are kept once each and the payment is a fold over them, so the same events
in any order, early, late and repeated, end in the same books: one that is older than what is known adds nothing.

    whose is it?   the key of our call · our reference · the processor's id of the payment, or of the refund
    of what?       the call that it answers; without one of ours it was made at the processor: the same, and told
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..errors import NotFound
from ..payments import store
from ..payments.port import Approved, Canceled, Declined, OperationKind, Reference, Stated
from ..payments.records import Operation, Payment, Refund
from . import refund
from .lookup import settle_any
from .outcome_says import FOLLOW_UPS

Told = Approved | Declined | Canceled
_OPEN = frozenset({PaymentState.CREATED, PaymentState.REQUIRES_ACTION, PaymentState.IN_REVIEW, PaymentState.PROCESSING})
_HELD = OperationKind.AUTHORIZE
_TAKES = frozenset({OperationKind.SALE, OperationKind.AUTHORIZE, OperationKind.HOSTED})


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it: why it changed nothing, why it can't be applied yet, or neither."""

    ignored: str = ""
    wait: str = ""
    twin: Told | None = None  # money beside the payment that we know, under its reference


def by_key(tx: Tx, merchant: str, key: str) -> Operation | None:
    """The operation of this merchant's that was sent with this key."""
    try:
        found = store.operation(tx, key.rpartition("-")[0])
    except NotFound:
        return None
    return found if store.get(tx, found.payment_id).merchant == merchant else None


def of_refund(tx: Tx, payment_id: str, known: Refund) -> Operation | None:
    """The newest operation that sent this refund."""
    sent = [one for one in store.operations_of(tx, payment_id) if one.refund_id == known.refund_id]
    return sent[-1] if sent else None


def apply(
    tx: Tx,
    tenant: Tenant,
    payment: Payment,
    stated: Stated,
    *,
    operation: Operation | None,
    known: Refund | None,
    theirs: str,
    source: str,
    last_try: bool,
) -> Applied:
    """Under the payment's lock. `operation` is the call that it answers, `known` the refund, `theirs` the event's id
    of what it is about."""
    if stated.of is OperationKind.REFUND:
        return _of_refund(tx, tenant, payment, stated, operation, known, source=source, last_try=last_try)
    if operation is None or operation.kind not in FOLLOW_UPS:
        return _of_payment(tx, tenant, payment, stated, theirs=theirs, source=source)
    for outcome in stated.outcomes:
        settle_any(tx, tenant, store.operation(tx, operation.operation_id), outcome, source=source)
    return Applied()


def _of_refund(
    tx: Tx,
    tenant: Tenant,
    payment: Payment,
    stated: Stated,
    operation: Operation | None,
    known: Refund | None,
    *,
    source: str,
    last_try: bool,
) -> Applied:
    for outcome in stated.outcomes:
        if operation is not None:
            settle_any(tx, tenant, store.operation(tx, operation.operation_id), outcome, source=source)
        elif known is not None:
            refund.hear_again(tx, tenant, known.refund_id, outcome, source=source)
        elif isinstance(outcome, Approved) and is_another(tx, payment, outcome.payment or ""):
            return Applied(ignored=f"about a refund of another try of {payment.payment_id}, which is not booked")
        elif isinstance(outcome, Approved):
            why = refund.not_to_adopt_yet(tx, payment, outcome)
            if why and not last_try:
                return Applied(wait=why)
            known = refund.adopt(tx, tenant, payment, outcome, source=source)
        else:
            return Applied(ignored="about a refund that was not made here and took nothing")
    return Applied()


def _of_payment(tx: Tx, tenant: Tenant, payment: Payment, stated: Stated, *, theirs: str, source: str) -> Applied:
    """Of what made the payment, or done to it at the processor by somebody else: told of that first operation."""
    mine = [one for one in store.operations_of(tx, payment.payment_id) if one.kind in _TAKES]
    if not mine:
        return Applied(ignored="nothing was sent for this payment")
    if stated.of is None and (other := _another(tx, payment, mine[0], stated, theirs)) is not None:
        return other
    for outcome in stated.outcomes:
        told = _as_told(payment, mine[0], stated.of, outcome)
        if told is None:
            return Applied(ignored="it changed nothing of the payment")
        settle_any(tx, tenant, store.operation(tx, mine[0].operation_id), told, source=source)
    return Applied()


def _another(tx: Tx, payment: Payment, first: Operation, stated: Stated, theirs: str) -> Applied | None:
    """What an event of another try under our reference leads to. None: it is of the payment that we know."""
    told = stated.outcomes[-1]
    if isinstance(told, Declined) and first.kind is OperationKind.HOSTED:
        return Applied(ignored="a decline on a page is one try of several")
    if not is_another(tx, payment, theirs):
        return None
    if isinstance(told, Approved):
        return Applied(twin=told)
    return Applied(ignored=f"about another try of {payment.payment_id}, which took nothing")


def is_another(tx: Tx, payment: Payment, theirs: str) -> bool:
    """Whether the processor calls the payment that we know otherwise than this."""
    known = {payment.processor_ref, *(one.processor_ref for one in store.operations_of(tx, payment.payment_id))}
    return bool(theirs and payment.processor_ref) and theirs not in known


def _as_told(payment: Payment, first: Operation, of: OperationKind | None, outcome: Told) -> Told | None:
    """The outcome of a payment's first operation, of what an event says. None: nothing of the payment."""
    match outcome:
        case Approved() if of is None and first.kind is _HELD:
            return replace(outcome, captured=False)  # what is taken at once and what later was ours to ask for
        case Approved() if of is OperationKind.VOID:
            return Canceled(outcome.reference, at=outcome.at)
        case Approved() if of is OperationKind.CAPTURE and payment.processor_ref and first.kind is not _HELD:
            return replace(outcome, reference=Reference(payment.processor_ref))  # taken with the payment: it has its id
        case Declined() if of is not None:
            return None  # somebody else's capture or void that came to nothing
        case Canceled(expired=True, amount=Money() as left) if left < payment.authorized or payment.captured:
            return None  # the rest of what was captured in part
        case Declined() if payment.state not in _OPEN:
            return None  # the answer has told, and more exactly
        case _:
            return outcome
