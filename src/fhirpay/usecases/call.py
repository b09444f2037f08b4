"""One call to a processor: read whole in one unit, sent in another moment. Called by the handlers that send, and by
lookup.py where the same bytes may go out again. An attempt's key and bytes are always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..billing import rows as billing_rows
from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..payments import mandates, payment_requests, store, stored_methods, terminals
from ..payments.allocation import Share, in_order
from ..payments.port import Approved, OperationKind, Outcome, PaymentRequest, Reference, Unknown
from ..payments.records import Operation, Payment
from ..payments.registry import Registry

_ENDING = frozenset({OperationKind.VOID, OperationKind.TERMINAL_CANCEL})  # they ask for an end, not for an amount


@dataclass(frozen=True, slots=True)
class Call:
    """All that a call needs."""

    payment: Payment
    operation: Operation
    token: str
    descriptor: str
    return_url: str
    partial: bool = True
    mandate: str = ""
    pay_by: tuple[Literal["card", "bank"], ...] = ("card",)
    reader: str = ""

    @property
    def request(self) -> PaymentRequest:
        """What goes out. The allow-list: nothing of the account, the obligations or the patient is in reach here."""
        return PaymentRequest(
            reference=self.payment.payment_id,
            amount=self.operation.amount,
            method=self.token,
            initiated_by="merchant" if self.payment.initiated_by == "merchant" else "customer",
            descriptor=self.descriptor,
            capture=self.operation.kind is not OperationKind.AUTHORIZE,
            return_url=self.return_url,
            merchant_reason=self.payment.merchant_reason,
            network_reference=self.payment.network_ref,
            partial=self.partial,
            kind="bank" if self.payment.tender == "bank" else "card",
            mandate=self.mandate,
            retry=self.payment.retry,
            pay_by=self.pay_by,
            reader=self.reader,
        )


def read_call(tx: Tx, operation_id: str, tenant: Tenant, public_url: str = "") -> Call:
    """`public_url` where a payer may have to come back to us. Raises ConfigInvalid when the merchant is gone."""
    operation = store.operation(tx, operation_id)
    payment = store.get(tx, operation.payment_id)
    token = stored_methods.get(tx, payment.method_id).token if payment.method_id else ""
    back = f"{public_url.rstrip('/')}/api/v1/return/{tenant.name}/{payment.payment_id}" if public_url else ""
    mandate = mandates.find(tx, payment.method_id) if payment.method_id else None
    merchant = tenant.merchant(payment.merchant)
    return Call(
        payment,
        operation,
        token,
        merchant.descriptor,
        back,
        partial=tenant.facility(payment.facility).partial_approval != "void",
        mandate=mandate.processor_ref if mandate else "",
        pay_by=merchant.pay_by,
        reader=terminals.reader_of(tx, payment.payment_id) if payment.method == terminals.METHOD else "",
    )


async def send(registry: Registry, call: Call) -> Outcome:
    """Move the money, or stop it from moving. Raises ProcessorUnavailable when nothing can have happened.

    An answer with another amount than was asked is `Unknown`: what the processor keeps of it is read before it is
    believed. Less of a sale or an authorization is none of these: that is a partial approval.
    """
    outcome = await _sent(registry, call)
    asked = call.operation.amount
    if not isinstance(outcome, Approved) or outcome.amount == asked or call.operation.kind in _ENDING:
        return outcome
    partial = call.operation.kind in (OperationKind.SALE, OperationKind.AUTHORIZE, OperationKind.TERMINAL)
    if partial and outcome.amount.currency == asked.currency and outcome.amount < asked:
        return outcome
    return Unknown(f"asked for {asked}, the answer says {outcome.amount}")


async def _sent(registry: Registry, call: Call) -> Outcome:
    operation, key = call.operation, call.operation.key
    processor = registry.of(call.payment.merchant)
    ours = operation.processor_ref if operation.refund_id is None else call.payment.processor_ref
    assert ours is not None
    reference = Reference(ours)
    match operation.kind:
        case OperationKind.SALE | OperationKind.AUTHORIZE:
            return await processor.submit(reference, call.request, idempotency_key=key)
        case OperationKind.CAPTURE:
            return await processor.capture(reference, operation.amount, idempotency_key=key)
        case OperationKind.VOID:
            return await processor.void(reference, idempotency_key=key)
        case OperationKind.REFUND:
            assert operation.refund_id is not None
            return await processor.refund(
                reference, operation.amount, our_reference=operation.refund_id, idempotency_key=key
            )
        case OperationKind.ACCEPT_DISPUTE:
            return await registry.disputes(call.payment.merchant).accept_dispute(reference, idempotency_key=key)
        case OperationKind.TERMINAL:
            terminal = registry.terminal(call.payment.merchant)
            return await terminal.start_on_reader(reference, call.request, idempotency_key=key)
        case OperationKind.TERMINAL_CANCEL:
            terminal = registry.terminal(call.payment.merchant)
            return await terminal.cancel_on_reader(reference, call.reader, idempotency_key=key)
        case OperationKind.HOSTED:
            raise AssertionError("a page is opened, and its payer does the rest")


def not_to_be_used(tx: Tx, payment: Payment) -> str:
    """Why its stored method may not be charged any more: its mandate was stopped, the method or the consent ended since
    it began. Empty: it may, or there is none."""
    if payment.method_id is None:
        return ""
    if not mandates.usable(tx, payment.method_id):
        return "the mandate for this bank account may not be used any more"
    if (state := stored_methods.get(tx, payment.method_id).state) != "active":
        return f"this stored method was {state}"
    alone = payment.initiated_by == "merchant" and not payment.retry
    if alone and stored_methods.live_consent(tx, payment.method_id) is None:
        return "the consent to charge this method without asking has ended"
    return ""


def no_longer_owed(tx: Tx, payment: Payment, amount: Money) -> str:
    """Why this much of what was reserved may not be taken after all: insurance found, a credit, a hold since then, or
    the request that it is tried for was canceled or has expired.

    Empty: it may.
    """
    if why := payment_requests.ended(tx, payment.payment_id):
        return why
    reserved = store.allocations(tx, payment.payment_id)
    accounts = billing_rows.lock(tx, (share.account_ref for share in reserved))
    for account in accounts.values():
        if why := billing_rows.stopped(tx, account):
            return why
    shares = [Share(one.sequence, one.obligation_id, one.account_ref, one.reserved) for one in reserved]
    for share in in_order(amount, shares)[0]:
        one = obligations.obligation(tx, share.obligation_id)
        if one.state not in (ObligationState.IN_FLIGHT, ObligationState.COLLECTABLE) or one.hold:
            return f"{share.obligation_id} is {one.state} now"
        others = one.in_flight - next(mine.reserved for mine in reserved if mine.sequence == share.sequence)
        if one.patient - one.paid - others < share.amount:
            return f"only {one.patient - one.paid} of {share.obligation_id} is owed now"
    return ""
