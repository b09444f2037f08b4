"""What an outcome means for our books: one function for answers, lookups and events alike.

Called inside the caller's unit by take_payment.py and follow_up.py (an answer), lookup.py (a lookup) and webhook.py
(an event). What the outcome says is outcome_says.py's to read. The payment's row is locked first; facts are recorded
once each, the payment is folded anew, and what a fact leads to (capture in the ledger, allocation, write-back) is had
once, whoever tells it and how often. The same facts in any order end in the same books. A success that comes too late
is money all the same: unapplied credit and a break.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ..billing import money as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain import ach
from ..domain.money import Money
from ..domain.operation import OPEN, OperationState
from ..domain.payment import CLOSED, AnomalyKind, FactKind, Folded, PaymentFact, PaymentState
from ..domain.refund import RefundState
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import by_hand, refunds, store, stored_methods, tenders, terminals
from ..payments.allocation import Share, in_order
from ..payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    Outcome,
    Pending,
    ProvenAbsent,
    Reference,
    Unknown,
    is_network_reference,
)
from ..payments.records import Operation, Payment
from ..payments.retries import MUST_CONFIRM, asks_payer
from ..payments.unattended import BY_LINK
from . import bank_codes, collect, dispute, postings, returned
from .dropped_refund import drop_refunds
from .money_off import business_day, hold_still, record_void, take_off
from .outcome_says import FOLLOW_UPS, facts_of, state_of
from .stale_pages import CODE
from .start_payment import NewPayment, lane_of, start

log = Log("payments")

_K = FactKind
SUBMIT = {
    OperationKind.CAPTURE: "payment.capture",
    OperationKind.VOID: "payment.void",
    OperationKind.TERMINAL_CANCEL: "payment.void",
    OperationKind.REFUND: "refund.submit",
    OperationKind.ACCEPT_DISPUTE: "dispute.accept",
}  # all others: payment.submit
ENDS = CLOSED | {PaymentState.CAPTURED, PaymentState.RETURNED}
FIRST_LOOK = timedelta(seconds=1)  # most lost answers are found at once
OFTEN = 4  # attempts that came to nothing: something is wrong that only a person can find out
LONGEST_WAIT = timedelta(hours=6)
AT_A_READER = frozenset({OperationKind.TERMINAL, OperationKind.TERMINAL_CANCEL})
LOOK_AT_READER_EVERY = timedelta(seconds=5)  # somebody stands there and waits; an event usually comes first
NOT_PRESENTED = "not-presented"  # on the payment: nobody held a card to the reader
_PAYER_ACTS = AT_A_READER | {OperationKind.HOSTED}
_TAKES_TIME = frozenset({PaymentState.PROCESSING, PaymentState.IN_REVIEW})
_AT_READER = frozenset({PaymentState.CREATED, PaymentState.REQUIRES_ACTION})  # the reader is not free
HELD_LOOK = timedelta(days=1)  # an authorization ends by itself, and the event that says so may be lost


def settle(tx: Tx, tenant: Tenant, operation_id: str, outcome: Outcome, *, source: str) -> Payment:
    """Take in an outcome of a payment's operation; the payment as it is then. Refunds: refund.settle."""
    operation = store.operation(tx, operation_id)
    payment = store.lock(tx, operation.payment_id)
    operation = store.operation(tx, operation_id)  # as it is now that nobody else can move it
    outcome = by_hand.reconciled(tx, payment, operation, believed(outcome), source=source)
    if isinstance(outcome, Canceled) and outcome.expired and payment.failure_code == CODE:
        outcome = replace(outcome, expired=False)  # we had the page closed: whoever tells it, we tell it so
    move_operation(tx, operation, outcome, amount=operation.amount)
    if operation.kind is OperationKind.ACCEPT_DISPUTE:
        dispute.answered(tx, tenant, payment, operation, outcome, source=source)
        return store.get(tx, payment.payment_id)
    known = _captures(store.facts_of(tx, payment.payment_id), payment.currency)
    facts = facts_of(outcome, operation, captures=known, at=tx.now, source=source)
    store.record_facts(tx, payment.payment_id, facts)
    returned.note(tx, payment, outcome)
    if operation.kind is OperationKind.CAPTURE and isinstance(outcome, Approved):
        _tell_of_other_amount(tx, payment, operation, outcome)
    _note_details(tx, payment, operation.kind, outcome)
    if operation.kind is OperationKind.VOID and isinstance(outcome, Approved):
        store.close_break(tx, _part_key(payment), by="it was voided")
    if operation.kind not in FOLLOW_UPS:
        if isinstance(outcome, Declined) and outcome.meaning.ends and payment.method_id is not None:
            stored_methods.end(tx, payment.method_id, "refused")
        if isinstance(outcome, ActionNeeded) and not outcome.url and operation.kind not in _PAYER_ACTS:
            _let_go(tx, payment)
        _void_part(tx, tenant, payment, operation, outcome)
        network = outcome.details.network if isinstance(outcome, Approved) else ""
        if is_network_reference(network) and payment.method_id is not None and payment.initiated_by == "customer":
            stored_methods.note_network_reference(tx, payment.method_id, network)
    if isinstance(outcome, Approved):
        bank_codes.noticed(tx, payment, outcome.notices)
    now = refold_and_carry_out(tx, tenant, payment.payment_id)
    said = outcome.said if isinstance(outcome, Declined) and now.state is PaymentState.FAILED else ""
    if said and store.first_time(tx, now.payment_id, f"failed:{said}", now.amount):
        bank_codes.heard(tx, tenant, now, said)
    if isinstance(outcome, Approved) and outcome.given_back is not None:
        _tell_of_unknown_refunds(tx, now, outcome.given_back)
    return now


def believed(outcome: Outcome) -> Outcome:
    """The outcome, or `Unknown` where its amount can't be: to be looked at again."""
    if isinstance(outcome, Approved) and outcome.captured and not outcome.amount:
        return Unknown("the processor says that it took an amount of nothing")
    if isinstance(outcome, Approved) and not returned.believable(outcome):
        return Unknown("the processor says that more came back of it than it took, or nothing")
    return outcome


def refold_and_carry_out(tx: Tx, tenant: Tenant, payment_id: str) -> Payment:
    """The payment as its facts have it now, and everything that follows from that, once. Under the payment's lock."""
    folded = store.refold(tx, store.get(tx, payment_id))
    _carry_out(tx, tenant, store.get(tx, payment_id), folded)
    return store.get(tx, payment_id)


# ── the operation ─────────────────────────────────────────────────────────────────────────────────────────────────


def move_operation(tx: Tx, operation: Operation, outcome: Outcome, *, amount: Money) -> None:
    """Where the outcome leads an operation that is still open, and the next look at what isn't final."""
    if isinstance(outcome, ProvenAbsent):
        if operation.state is OperationState.UNKNOWN:
            _absent(tx, operation)
        return
    ends = operation.state is OperationState.PENDING and isinstance(outcome, Approved | Declined | Canceled)
    if operation.state in OPEN or ends:
        if operation.state is OperationState.PREPARED:  # an event was faster than our own unit
            store.sent(tx, operation)
            operation = store.operation(tx, operation.operation_id)
        new = state_of(outcome, operation.kind, amount)
        if new is not operation.state:
            store.move_operation(tx, operation, new, says=_says(outcome))
    if isinstance(outcome, Unknown):
        _queue_lookup(tx, operation, FIRST_LOOK)
        return
    store.close_break(tx, unknown_key(operation), by="the processor's answer")
    if isinstance(outcome, ActionNeeded) and operation.kind in AT_A_READER:
        if operation.kind is OperationKind.TERMINAL:
            _queue_lookup(tx, operation, LOOK_AT_READER_EVERY)
    elif isinstance(outcome, ActionNeeded | Pending | InReview):
        _queue_lookup(tx, operation, ach.LOOK_EVERY if _takes_days(tx, operation, outcome) else timedelta(minutes=2))
    elif holds(outcome, operation.kind):
        _queue_lookup(tx, operation, HELD_LOOK)
    elif may_come_back(outcome, tx.now):
        _queue_lookup(tx, operation, ach.RETURN_LOOK_EVERY)


def _says(outcome: Outcome) -> str:
    """What is kept of it with the call: why nobody knows, or the processor's own code for why it was declined."""
    match outcome:
        case Unknown(why=why):
            return why[:300]
        case Declined(said=said):
            return said
        case _:
            return ""


def _absent(tx: Tx, operation: Operation) -> None:
    """Proven not to have happened: once more, with a new key; after some times less and less often, and told."""
    store.close_break(tx, unknown_key(operation), by="the processor's answer")
    store.again(tx, operation, OperationState.PROVEN_ABSENT, "looked up after the rail's horizon: not there")
    wait = timedelta(0)
    if operation.attempt >= OFTEN:
        wait = min(timedelta(minutes=2 ** min(operation.attempt - OFTEN, 10)), LONGEST_WAIT)
        says = f"{operation.kind} {operation.operation_id} was sent {operation.attempt} times and never carried out"
        payment = store.get(tx, operation.payment_id)
        key, kind = unknown_key(operation), "not_carried_out"
        store.open_break(tx, key, kind, says, payment=payment, amount=operation.amount, again=True)
    _queue_submit(tx, operation, wait)


def _takes_days(tx: Tx, operation: Operation, outcome: Outcome) -> bool:
    """Whether it is a bank debit on its way: its bank answers in days, not minutes."""
    on_its_way = isinstance(outcome, Pending) and operation.refund_id is None
    return on_its_way and store.get(tx, operation.payment_id).tender == "bank"


def may_come_back(outcome: Outcome, now: datetime) -> bool:
    """Whether it says that an amount is taken that its bank may yet take back: looked at weekly until then."""
    until = outcome.returnable_until if isinstance(outcome, Approved) else None
    return until is not None and now < until


def holds(outcome: Outcome, kind: OperationKind) -> bool:
    """Whether it says that an amount is authorized and nothing taken: looked at daily, until it is taken or ends."""
    return kind is OperationKind.AUTHORIZE and isinstance(outcome, Approved) and not outcome.captured


def unknown_key(operation: Operation) -> str:
    """Of the break that tells a person of an outcome that nobody knows."""
    return f"{operation.payment_id}:unknown:{operation.operation_id}"


def queue_follow_up(tx: Tx, payment: Payment, kind: OperationKind, amount: Money) -> str:
    """Record a capture or a void and queue it, under the payment's lock; the operation's id. follow_up.py sends it."""
    operation_id = store.add_operation(tx, payment.payment_id, kind, amount)
    outbox_add(tx, SUBMIT[kind], operation_id, [lane_of(payment.payment_id)])
    log.info("operation.asked", payment_id=payment.payment_id, operation_id=operation_id, kind=kind)
    return operation_id


def _tell_of_other_amount(tx: Tx, payment: Payment, operation: Operation, outcome: Approved) -> None:
    if outcome.captured and outcome.amount != operation.amount:
        says = f"{operation.amount} was to be captured, and the processor captured {outcome.amount}"
        key = f"{payment.payment_id}:capture-amount:{operation.operation_id}"
        store.open_break(tx, key, "capture_amount", says, payment=payment, amount=outcome.amount)


def _tell_of_unknown_refunds(tx: Tx, payment: Payment, given_back: Money) -> None:
    """More has gone back than is known here, whose own event may be lost. `refund.adopt` closes it when one comes.

    Not while a refund of ours has no answer: it may be made of another amount, and says so itself.
    """
    known = refunds.claimed(tx, payment)
    if given_back.currency != payment.currency or given_back <= known:
        return
    if not any(one.state is RefundState.SUBMITTED for one in refunds.of_payment(tx, payment.payment_id)):
        says = f"the processor has given back {given_back}, and {known} of it is known here: look up the refunds there"
        key = unknown_refunds_key(payment.payment_id)
        store.open_break(tx, key, "refund_unknown", says, payment=payment, amount=given_back - known, again=True)


def unknown_refunds_key(payment_id: str) -> str:
    """Of the break that tells a person of refunds that were seen in a sum only."""
    return f"{payment_id}:refunds-unknown"


def _let_go(tx: Tx, payment: Payment) -> None:
    """The bank wants to ask the payer, and there is nowhere to send them: this payment can't be completed any more.

    Neither a decline nor worth a retry. It is voided, so that what it is for can be paid by a link; where the
    processor gave it no id nothing is left there to be voided.
    """
    if store.first_time(tx, payment.payment_id, "let-go", payment.amount):
        says = "The payer's bank wants the payer to confirm the payment: send a link."
        store.change(tx, payment.payment_id, failure_code=MUST_CONFIRM, failure_says=says)
        if payment.processor_ref is None:
            store.record_facts(tx, payment.payment_id, [PaymentFact(FactKind.CANCELED, tx.now, "us")])
        else:
            queue_follow_up(tx, payment, OperationKind.VOID, payment.amount)


def _send_link(tx: Tx, tenant: Tenant, payment: Payment) -> None:
    """A page for what the payer has to confirm: on the desk's list with its link until it is paid or has expired."""
    obligations = tuple(one.obligation_id for one in store.allocations(tx, payment.payment_id))
    wish = NewPayment(
        account_ref=payment.account_ref,
        requested_by=BY_LINK,
        amount=payment.amount,
        obligations=obligations,
        fact_key=f"link:{payment.payment_id}",
    )
    try:
        start(tx, wish, tenant)
    except RuleBroken as error:  # a hold or a credit meanwhile: what may be asked for then is the policy's to say
        log.info("payment.not_linked", payment_id=payment.payment_id, code=error.code)


def _part_key(payment: Payment) -> str:
    return f"{payment.payment_id}:part"


def _void_part(tx: Tx, tenant: Tenant, payment: Payment, operation: Operation, outcome: Outcome) -> None:
    """All or nothing, where the facility says so: an approval of less is taken back."""
    sales = (OperationKind.SALE, OperationKind.AUTHORIZE, OperationKind.TERMINAL)
    if not isinstance(outcome, Approved) or operation.kind not in sales:
        return
    if outcome.amount >= operation.amount or tenant.facility(payment.facility).partial_approval != "void":
        return
    if store.first_time(tx, payment.payment_id, "void-part", outcome.amount):
        says = f"{outcome.amount} of {operation.amount} was approved; all or nothing is taken here, so it is voided"
        store.open_break(tx, _part_key(payment), "partly_approved", says, payment=payment, amount=outcome.amount)
        queue_follow_up(tx, payment, OperationKind.VOID, payment.amount)


def _queue_lookup(tx: Tx, operation: Operation, wait: timedelta) -> None:
    """One item an attempt: it comes back by itself until the outcome is final."""
    outbox_add(
        tx,
        "refund.lookup" if operation.refund_id else "payment.lookup",
        operation.operation_id,
        [f"operation:{operation.operation_id}"],
        tx.now + wait,
        once_key=f"{operation.operation_id}:{operation.attempt}",
    )


def _queue_submit(tx: Tx, operation: Operation, wait: timedelta) -> None:
    ref = operation.refund_id or operation.operation_id
    key = f"{operation.operation_id}:{operation.attempt + 1}"
    kind = SUBMIT.get(operation.kind, "payment.submit")
    outbox_add(tx, kind, ref, [lane_of(operation.payment_id)], tx.now + wait, once_key=key)


# ── the payment ───────────────────────────────────────────────────────────────────────────────────────────────────


def _note_details(tx: Tx, payment: Payment, kind: OperationKind, outcome: Outcome) -> None:
    values: dict[str, object] = {}
    match outcome:
        case Declined() | ActionNeeded() if kind in FOLLOW_UPS:
            return  # the payment itself stands as it was
        case Approved() if kind is OperationKind.VOID:
            return  # why it was voided stays
        case Approved(details=details, payment=reference) as got:
            values = {
                "brand": details.brand or payment.brand,
                "last4": details.last4 or payment.last4,
                "authorization_code": details.authorization or payment.authorization_code,
                "expires": details.expires or payment.expires,
                "tender": details.kind or payment.tender,
                "returnable_until": got.returnable_until or payment.returnable_until,
                "failure_code": "",
                "failure_says": "",
            }
            values |= _reference(tx, payment, reference)
            if payment.method == terminals.METHOD:
                terminals.note_details(tx, payment.payment_id, details)
            if got.captured and payment.capture_ref is None:
                values["capture_ref"] = got.reference
        case Declined(code=code, meaning=meaning):
            values = {"failure_code": str(code), "failure_says": meaning.desk}
        case Canceled(undoes=None) if payment.failure_code in (CODE, MUST_CONFIRM, NOT_PRESENTED):
            return  # why we had it ended
        case Canceled(expired=expired, undoes=None):
            values = {"failure_code": "expired" if expired else "canceled"}
        case ActionNeeded(url=url) if url:
            values = {"hosted_url": url}
        case _:
            return
    if values:
        store.change(tx, payment.payment_id, **values)


def _reference(tx: Tx, payment: Payment, reference: Reference | None) -> Mapping[str, str]:
    """The processor's id of the whole payment, once we know it; never another payment's."""
    if reference is None or payment.processor_ref == reference:
        return {}
    if payment.processor_ref is not None:
        says = f"the processor says {reference} of a payment that it called {payment.processor_ref}"
        store.open_break(tx, f"{payment.payment_id}:reference", "other_reference", says, payment=payment)
        return {}
    return {"processor_ref": reference}


# ── what it leads to ──────────────────────────────────────────────────────────────────────────────────────────────


def _carry_out(tx: Tx, tenant: Tenant, payment: Payment, folded: Folded) -> None:
    facts = store.facts_of(tx, payment.payment_id)
    if payment.method == terminals.METHOD and folded.state not in _AT_READER:
        terminals.free(tx, payment.payment_id)
    captures = _captures(facts, payment.currency)
    late = any(anomaly.kind is AnomalyKind.LATE_SUCCESS for anomaly in folded.anomalies)
    for reference, (amount, at) in captures.items():
        if amount and store.first_time(tx, payment.payment_id, f"capture:{reference}", amount):
            _captured(tx, tenant, payment, reference, amount, at, late=late)
    for fact in facts:
        if fact.kind is _K.VOIDED:
            for reference in [fact.undoes] if fact.undoes else list(captures):
                if reference in captures:
                    _voided(tx, tenant, payment, reference, captures[reference][0], fact.occurred_at, by=fact.source)
    returned.carry_out(tx, tenant, payment, facts)
    if folded.state in _TAKES_TIME:
        collect.act(tx, payment.account_ref, tenant)  # for days, maybe: nobody is to ask for it meanwhile
    came_to_nothing = folded.state in CLOSED and not any(amount for amount, _ in captures.values())
    if came_to_nothing and store.first_time(tx, payment.payment_id, "release", Money.zero(payment.currency)):
        billing.release(tx, payment.payment_id)
        if payment.initiated_by == "merchant" and asks_payer(payment.failure_code):
            _send_link(tx, tenant, payment)
        collect.money_moved(tx, payment.account_ref, tenant)  # what was in flight is to be asked for again
        log.info("payment.ended", payment_id=payment.payment_id, state=folded.state)


def _captures(facts: list[PaymentFact], currency: str) -> dict[str, tuple[Money, datetime]]:
    """Each capture once: the least amount that is stated, the earliest moment."""
    found: dict[str, tuple[Money, datetime]] = {}
    for fact in sorted(facts, key=lambda fact: fact.occurred_at):
        if fact.kind is _K.CAPTURED and fact.amount is not None and fact.amount.currency == currency:
            known = found.get(fact.reference)
            amount = min(known[0], fact.amount, key=lambda one: one.minor) if known else fact.amount
            found[fact.reference] = (amount, known[1] if known else fact.occurred_at)
    return found


def _captured(
    tx: Tx, tenant: Tenant, payment: Payment, reference: str, amount: Money, at: datetime, *, late: bool
) -> None:
    day = business_day(tenant, payment.facility, at)
    if payment.captured_at is None:
        values = {"captured_at": at, "business_date": day.isoformat(), "capture_ref": reference}
        store.change(tx, payment.payment_id, **values)
    held = tenders.held(tx, payment)
    shares = _shares_left(tx, payment) if not late else []
    filled, left = in_order(amount, shares)
    for share in filled:
        store.add_to_allocation(tx, payment.payment_id, share.sequence, paid=share.amount.minor)
    if left and not late and held is None:  # a late one is told of by the fold; a desk takes more only as a deposit
        says = f"{left} more was captured than was asked for"
        store.open_break(
            tx, f"{payment.payment_id}:more:{reference}", "over_captured", says, payment=payment, amount=left
        )
    postings.enqueue(tx, payment_id=payment.payment_id, tenant=tenant)
    paid = [billing.Share(one.obligation_id, one.amount, payment.payment_id, one.account_ref) for one in filled]
    settled = billing.settle(tx, payment.payment_id, paid)
    if over := sum((one.amount for one in settled.credited), Money.zero(payment.currency)):
        says = f"{over} was paid for what was no longer owed by then: credit of the payer's, to be given back or used"
        key = f"{payment.payment_id}:not-owed:{reference}"
        store.open_break(tx, key, "no_longer_owed", says, payment=payment, amount=over)
    if left:
        billing.add_credit(tx, payment.account_ref, payment.payment_id, left)
    entry = rules.capture(
        payment=payment.payment_id,
        merchant=payment.merchant,
        amount=amount,
        tender=held,
        occurred_at=at,
        business_date=day,
        refs={"capture": reference},
    )
    ledger.post(tx, entry, key=f"capture/{payment.payment_id}/{reference}")
    billing.post(tx, settled.ledger, business_date=day)
    collect.money_moved(tx, payment.account_ref, tenant)
    dispute.catch_up(tx, tenant, payment)
    log.info("payment.captured", payment_id=payment.payment_id, merchant=payment.merchant)


def _shares_left(tx: Tx, payment: Payment) -> list[Share]:
    """What was reserved and hasn't been paid yet."""
    return [
        Share(one.sequence, one.obligation_id, one.account_ref, one.reserved - one.paid)
        for one in store.allocations(tx, payment.payment_id)
        if one.reserved.minor > one.paid.minor
    ]


def _voided(tx: Tx, tenant: Tenant, payment: Payment, reference: str, amount: Money, at: datetime, *, by: str) -> None:
    """A capture taken back before it settled: allocations first, then the capture itself. All of it is owed again."""
    if not store.first_time(tx, payment.payment_id, f"void:{reference}", amount):
        return
    drop_refunds(tx, tenant, payment, says="The payment was voided: there is nothing to give back.")
    hold_still(tx, tenant, payment)
    movement = record_void(tx, payment, amount, by=by)
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=movement.movement_id, tenant=tenant)
    day = business_day(tenant, payment.facility, at)
    moves = take_off(tx, payment, amount)
    billing.post(tx, moves, business_date=day)
    entry = rules.void_capture(
        payment.payment_id,
        payment.merchant,
        amount,
        tender=tenders.held(tx, payment),
        occurred_at=at,
        business_date=day,
        refs={"capture": reference},
    )
    ledger.post(tx, entry, key=f"void/{payment.payment_id}/{reference}")
    for account_ref in dict.fromkeys([payment.account_ref, *(move.account_ref for move in moves)]):
        collect.money_moved(tx, account_ref, tenant)
