"""A payment begins: what is owed re-read and reserved, payment and operation recorded, its call queued. One unit.

`start` is called inside the caller's unit: by the API, and by collect.py and autopay.py where a stored method pays what
has become collectable. Nothing has gone out when it is committed; take_payment.py carries on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..billing import money as billing
from ..billing import store as obligations
from ..config import Facility, Tenant
from ..config_terminal import Terminal
from ..db.unit import Tx
from ..domain.mandate import MandateState
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from ..fhir.replaced import survivor
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import choice, mandates, store, stored_methods, terminals, unattended
from ..payments.allocation import Share
from ..payments.port import MerchantReason, OperationKind
from ..payments.records import StoredMethod

log = Log("payments")

KIND = "payment.submit"


def lane_of(payment_id: str) -> str:
    """Calls about one payment go one after the other."""
    return f"payment:{payment_id}"


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A wish. Without `amount`: all that may be asked now. Without `obligations`: of the account, oldest first."""

    account_ref: str
    requested_by: str
    amount: Money | None = None
    obligations: tuple[str, ...] = ()
    method_id: str | None = None  # a stored method; None: the payer pays on the processor's page
    terminal: str = ""  # or holds a card to this reader of the configuration
    capture: bool = True  # False: only authorize, by a stored method; the money is taken by capture.py, or never
    return_url: str = ""
    initiated_by: Literal["customer", "merchant"] = "customer"
    merchant_reason: MerchantReason = ""  # of a merchant-initiated one
    fact_key: str | None = None  # the business fact that may be paid once
    spread_by: billing.Spread = "oldest"
    chosen: Mapping[str, Money] = field(default_factory=dict[str, Money])  # how much of which obligation
    retry_of: str | None = None  # the first of a chain of bank debits that came back; this is its try number `retry`
    retry: int = 0


def start(tx: Tx, wish: NewPayment, tenant: Tenant) -> str:
    """As part of the caller's unit: the payment's id. The same `fact_key` again is the same payment.

    Raises RuleBroken when this may not be asked for now (the message says what may), NotFound for what isn't there,
    Conflict while the terminal has another payment.
    """
    if wish.fact_key is not None and (known := store.of_fact(tx, wish.fact_key)):
        return known
    wish = replace(wish, account_ref=survivor(tx, wish.account_ref))
    if wish.method_id is None and not wish.capture:
        where = "a terminal" if wish.terminal else "the processor's page"
        raise RuleBroken(f"{where} takes the money at once: authorize by a stored method")
    asked = asked_of(tx, wish.account_ref, wish.obligations, wish.amount)
    facility = tenant.facility(asked.facility)
    method = None if wish.method_id is None else _check_method(tx, wish, choice.kept_by(tenant, facility), asked.amount)
    terminal = _terminal(tenant, wish.terminal, facility) if wish.terminal else None
    merchant = tenant.merchant(_who_takes(tenant, facility, asked.amount, method, terminal))
    alone = method is not None and wish.initiated_by == "merchant"
    payment_id = tx.ids.new("pay")
    reserved = billing.reserve(
        tx, asked.obligations, asked.amount, payment_id=payment_id, spread_by=wish.spread_by, chosen=wish.chosen
    )
    store.add(
        tx,
        payment_id,
        fact_key=wish.fact_key,
        account_ref=survivor(tx, wish.account_ref),  # as it is under the accounts' lock: a merge may have had it before
        facility=facility.name,
        merchant=merchant.name,
        processor=merchant.processor,
        amount_minor=asked.amount.minor,
        currency=asked.amount.currency,
        method=terminals.METHOD if terminal else "hosted" if wish.method_id is None else "stored",
        method_id=wish.method_id,
        initiated_by=wish.initiated_by,
        requested_by=wish.requested_by,
        return_url=wish.return_url or None,
        merchant_reason=(wish.merchant_reason or "unscheduled") if wish.initiated_by == "merchant" else "",
        # The network's id of the payer's own first payment: read here, since an attempt's bytes are always the same.
        network_ref=method.network_ref if method is not None and alone else "",
        tender=method.kind if method is not None else "card" if terminal else "",
        retry_of=wish.retry_of,
        retry=wish.retry,
    )
    reserve_shares(tx, payment_id, reserved)
    if terminal is not None:
        terminals.take(tx, payment_id, terminal)
    kind = OperationKind.SALE if wish.capture else OperationKind.AUTHORIZE
    kind = OperationKind.TERMINAL if terminal else OperationKind.HOSTED if wish.method_id is None else kind
    operation_id = store.add_operation(tx, payment_id, kind, asked.amount)
    outbox_add(tx, KIND, operation_id, [lane_of(payment_id)])
    log.info("payment.started", payment_id=payment_id, operation_id=operation_id, merchant=merchant.name)
    return payment_id


def _terminal(tenant: Tenant, name: str, facility: Facility) -> Terminal:
    """Raises NotFound, RuleBroken."""
    found = next((one for one in tenant.terminals if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in tenant.terminals) or "none"
        raise NotFound(f"there is no terminal '{name}'; configured: {known}", location="method.terminal")
    if found.facility != facility.name:
        raise RuleBroken(f"what is owed belongs to '{facility.name}', and terminal '{name}' to '{found.facility}'")
    return found


def _who_takes(
    tenant: Tenant, facility: Facility, amount: Money, method: StoredMethod | None, terminal: Terminal | None
) -> str:
    """The merchant: whoever keeps the method or has the reader, else as the routes say."""
    if method is not None:
        return method.merchant
    return terminal.merchant if terminal else choice.choices(tenant, facility, "page", amount)[0]


def reserve_shares(tx: Tx, payment_id: str, reserved: Sequence[billing.Share]) -> None:
    """What billing has set aside, as the payment's allocations."""
    shares = [
        Share(sequence, share.obligation_id, share.account_ref, share.amount)
        for sequence, share in enumerate(reserved, start=1)
    ]
    store.reserve_shares(tx, payment_id, shares)


@dataclass(frozen=True, slots=True)
class Asked:
    """`most` is what may be asked for of each of the obligations."""

    obligations: list[str]
    most: list[Money]
    amount: Money
    facility: str


def asked_of(tx: Tx, account_ref: str, named: Collection[str], amount: Money | None) -> Asked:
    """Which obligations, how much, of which facility: of what may be asked for at this moment. Without names, all.

    Raises RuleBroken.
    """
    owed = obligations.owed(tx, account_ref)
    chosen = [one for one in owed if not named or one.obligation_id in named]
    if missing := set(named) - {one.obligation_id for one in chosen}:
        raise RuleBroken(f"not to be asked for now: {', '.join(sorted(missing))}")
    if amount is not None:
        chosen = [one for one in chosen if one.askable.currency == amount.currency]
    if not chosen:
        raise RuleBroken("nothing may be asked for on this account now")
    currencies = {one.askable.currency for one in chosen}
    if len(currencies) > 1:
        raise RuleBroken(f"more than one currency is owed ({', '.join(sorted(currencies))}): say which amount")
    facilities = {one.facility for one in chosen}
    if len(facilities) > 1:
        raise RuleBroken("what is owed belongs to several facilities: name the obligations of one")
    total = sum((one.askable for one in chosen), Money.zero(currencies.pop()))
    most = [one.askable for one in chosen]
    return Asked([one.obligation_id for one in chosen], most, total if amount is None else amount, facilities.pop())


def _check_method(tx: Tx, wish: NewPayment, merchants: set[str], amount: Money) -> StoredMethod:
    """The method. Raises RuleBroken when it may not be charged with this now."""
    assert wish.method_id is not None
    method = stored_methods.get(tx, wish.method_id)
    if method.state != "active":
        raise RuleBroken(f"this stored method was {method.state}", method_id=wish.method_id)
    if method.account_ref != wish.account_ref or method.merchant not in merchants:
        raise RuleBroken("this stored method belongs to another account or merchant", method_id=wish.method_id)
    mandate = mandates.find(tx, wish.method_id)
    if mandate is not None and mandate.state is not MandateState.ACTIVE:
        says = f"the mandate for this bank account is {mandate.state} ({mandate.code})"
        raise RuleBroken(says, method_id=wish.method_id)
    if mandate is not None and not wish.capture:
        raise RuleBroken("a bank account is debited, not authorized", method_id=wish.method_id)
    if wish.initiated_by == "merchant" and not wish.retry:
        consent = stored_methods.live_consent(tx, wish.method_id)
        if consent is None:
            raise RuleBroken("there is no consent to charge this method without asking", method_id=wish.method_id)
        if consent.cap.currency != amount.currency or consent.cap < amount:
            raise RuleBroken(f"the payer agreed to {consent.cap} at most, not {amount}", method_id=wish.method_id)
    alone = wish.initiated_by == "merchant"
    # The card networks' rules; a bank's are in bank_codes.py.
    if method.kind == "card" and (why := unattended.may_not_try(tx, method, amount, unattended=alone)):
        raise RuleBroken(f"this stored method may not be tried with {amount} now: {why}", method_id=wish.method_id)
    return method
