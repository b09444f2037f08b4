"""Taking a payment: from the wish to the processor's answer, in short steps that may each be interrupted and repeated.

    unit 1   what is owed re-read and reserved, payment and operation recorded    ── crash here: nothing has moved
    call     prepare: the processor knows of it, no money moves                   ── crash here: again, same key
    unit 2   the processor's id stored, operation `sent`, the lease still ours    ── crash here: was it sent? look it up
    call     submit: a sale, or an authorization that capture.py takes later      ── crash here: look it up
    unit 3   outcome, ledger, write-back and work complete, together              ── crash here: rolled back; look it up

`start` is unit 1, called inside another unit: by the API, and by autopay where an obligation has become collectable.
`TakePayment.run` is the outbox handler of kind `payment.submit`. What stays `unknown` is lookup.py's to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ..billing import money as billing
from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.operation import OPEN, OperationState
from ..domain.payment import FactKind, PaymentFact
from ..errors import LeaseLost, ProcessorUnavailable, RuleBroken, ValueInvalid
from ..flow.lane import Work, complete, retry
from ..flow.lease import still_ours
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import store, stored_methods
from ..payments.allocation import Share
from ..payments.port import ActionNeeded, Declined, OperationKind, Outcome, Prepared, Reference, Unknown
from ..payments.records import Payment
from ..payments.registry import Registry
from .call import Call, no_longer_owed, read_call, send
from .settle_outcome import lane_of, refold_and_carry_out, settle, unknown_key
from .stale_pages import CODE

log = Log("payments")

KIND = "payment.submit"
GIVES_UP_AFTER = timedelta(minutes=15)  # never sent by then: what was owed is no longer fresh, so it is canceled


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A wish. Without `amount`: all that may be asked now. Without `obligations`: of the account, oldest first."""

    account_ref: str
    requested_by: str
    amount: Money | None = None
    obligations: tuple[str, ...] = ()
    method_id: str | None = None  # a stored method; None: the payer pays on the processor's page
    capture: bool = True  # False: only authorize, by a stored method; the money is taken by capture.py, or never
    return_url: str = ""
    initiated_by: Literal["customer", "merchant"] = "customer"
    fact_key: str | None = None  # the business fact that may be paid once


def start(tx: Tx, wish: NewPayment, tenant: Tenant) -> str:
    """Unit 1, as part of the caller's: the payment's id. The same `fact_key` again is the same payment.

    Raises RuleBroken when this may not be asked for now (the message says what may), NotFound for what isn't there.
    """
    if wish.fact_key is not None and (known := store.of_fact(tx, wish.fact_key)):
        return known
    if wish.method_id is None and not wish.capture:
        raise RuleBroken("the processor's page takes the money at once: authorize by a stored method")
    asked = _asked(tx, wish)
    facility = tenant.facility(asked.facility)
    merchant = tenant.merchant(facility.merchant)
    if wish.method_id is not None:
        _check_method(tx, wish, merchant.name, asked.amount)
    payment_id = tx.ids.new("pay")
    reserved = billing.reserve(tx, asked.obligations, asked.amount, payment_id=payment_id)
    store.add(
        tx,
        payment_id,
        fact_key=wish.fact_key,
        account_ref=wish.account_ref,
        facility=facility.name,
        merchant=merchant.name,
        processor=merchant.processor,
        amount_minor=asked.amount.minor,
        currency=asked.amount.currency,
        method="hosted" if wish.method_id is None else "stored",
        method_id=wish.method_id,
        initiated_by=wish.initiated_by,
        requested_by=wish.requested_by,
        return_url=wish.return_url or None,
    )
    shares = [
        Share(sequence, share.obligation_id, share.account_ref, share.amount)
        for sequence, share in enumerate(reserved, start=1)
    ]
    store.reserve_shares(tx, payment_id, shares)
    kind = OperationKind.SALE if wish.capture else OperationKind.AUTHORIZE
    kind = OperationKind.HOSTED if wish.method_id is None else kind
    operation_id = store.add_operation(tx, payment_id, kind, asked.amount)
    outbox_add(tx, KIND, operation_id, [lane_of(payment_id)])
    log.info("payment.started", payment_id=payment_id, operation_id=operation_id, merchant=merchant.name)
    return payment_id


@dataclass(frozen=True, slots=True)
class _Asked:
    obligations: list[str]
    amount: Money
    facility: str


def _asked(tx: Tx, wish: NewPayment) -> _Asked:
    """Which obligations, how much, of which facility: of what may be asked for at this moment."""
    owed = obligations.owed(tx, wish.account_ref)
    chosen = [one for one in owed if not wish.obligations or one.obligation_id in wish.obligations]
    if missing := set(wish.obligations) - {one.obligation_id for one in chosen}:
        raise RuleBroken(f"not to be asked for now: {', '.join(sorted(missing))}")
    if wish.amount is not None:
        chosen = [one for one in chosen if one.askable.currency == wish.amount.currency]
    if not chosen:
        raise RuleBroken("nothing may be asked for on this account now")
    currencies = {one.askable.currency for one in chosen}
    if len(currencies) > 1:
        raise RuleBroken(f"more than one currency is owed ({', '.join(sorted(currencies))}): say which amount")
    facilities = {one.facility for one in chosen}
    if len(facilities) > 1:
        raise RuleBroken("what is owed belongs to several facilities: name the obligations of one")
    total = sum((one.askable for one in chosen), Money.zero(currencies.pop()))
    return _Asked(
        [one.obligation_id for one in chosen], total if wish.amount is None else wish.amount, facilities.pop()
    )


def _check_method(tx: Tx, wish: NewPayment, merchant: str, amount: Money) -> None:
    assert wish.method_id is not None
    method = stored_methods.get(tx, wish.method_id)
    if method.state != "active":
        raise RuleBroken(f"this stored method was {method.state}", method_id=wish.method_id)
    if method.account_ref != wish.account_ref or method.merchant != merchant:
        raise RuleBroken("this stored method belongs to another account or merchant", method_id=wish.method_id)
    if wish.initiated_by == "merchant":
        consent = stored_methods.live_consent(tx, wish.method_id)
        if consent is None:
            raise RuleBroken("there is no consent to charge this method without asking", method_id=wish.method_id)
        if consent.cap.currency != amount.currency or consent.cap < amount:
            raise RuleBroken(f"the payer agreed to {consent.cap} at most, not {amount}", method_id=wish.method_id)


class TakePayment:
    """The outbox handler of kind `payment.submit`: one attempt at an operation."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, *, public_url: str) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._public_url = public_url

    async def run(self, work: Work) -> None:
        """Raises ProcessorUnavailable while nothing has been sent: the worker tries again."""
        call = await self._units.read(read_call, work.ref, self._tenant, self._public_url)
        if call.operation.state is not OperationState.PREPARED:
            # Sent by a worker that died, or settled already by an event: never sent again from here.
            return await self._units.write(self._taken_over, work)
        if await self._units.write(self._too_old, work):
            return None
        try:
            prepared = await self._prepare(call, work.attempt)
        except (RuleBroken, ValueInvalid) as error:  # such as a currency that this processor doesn't take
            prepared = Declined(error.message, "refused")
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
        if operation.kind is OperationKind.HOSTED:
            return await self._registry.hosted(payment.merchant).open_page(call.request, idempotency_key=key)
        return await self._registry.of(payment.merchant).prepare(call.request, idempotency_key=key)

    # ── units ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sending(self, tx: Tx, work: Work, prepared: Prepared) -> Call | None:
        """Unit 2. After this, only an answer, a lookup or an event says what became of it.

        None when it is no longer owed: then nothing is sent.
        """
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        operation = store.operation(tx, work.ref)
        payment = store.lock(tx, operation.payment_id)
        operation = store.operation(tx, work.ref)
        if operation.state is not OperationState.PREPARED:
            raise LeaseLost("the operation has moved on meanwhile", operation_id=work.ref)
        if why := no_longer_owed(tx, payment, payment.amount):
            self._give_up(tx, work, payment, code=CODE, says=why)
            return None
        store.sent(tx, operation, processor_ref=prepared.reference)
        if operation.kind is OperationKind.HOSTED:
            store.change(tx, payment.payment_id, hosted_url=prepared.url, hosted_until=prepared.expires_at)
        elif payment.processor_ref is None:
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

    def _too_old(self, tx: Tx, work: Work) -> bool:
        """Give up what could not be sent for so long that the amount may no longer be what is owed."""
        operation = store.operation(tx, work.ref)
        payment = store.lock(tx, operation.payment_id)
        if tx.now - operation.created_at < GIVES_UP_AFTER:
            return False
        self._give_up(tx, work, payment, code="processor-unavailable", says="The processor could not be reached.")
        return True

    def _give_up(self, tx: Tx, work: Work, payment: Payment, *, code: str, says: str) -> None:
        """End a payment of which nothing was sent; what it had reserved is free again."""
        complete(tx, work)
        operation = store.operation(tx, work.ref)
        store.move_operation(tx, operation, OperationState.CANCELLED, says=says)
        store.close_break(tx, unknown_key(operation), by="it is not sent any more")
        store.change(tx, payment.payment_id, failure_code=code, failure_says=says)
        store.record_facts(tx, payment.payment_id, [PaymentFact(FactKind.CANCELED, tx.now, "us")])
        refold_and_carry_out(tx, self._tenant, payment.payment_id)
