"""A charge or an invoice → the payment that asks its payer for it. Called by the FHIR operation `$collect`.

What is asked for is what may be asked for at this moment, by start_payment.py, under the account's lock. While a
payment of it is under way nothing is left to ask for, so the same call again finds that payment and makes no second
one: the key is what is owed, no token of the client's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..billing import rows
from ..billing import store as billing
from ..billing.rows import ObligationView
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import CLOSED, PaymentState
from ..errors import RuleBroken
from ..payments import store as payments
from ..payments.records import Payment
from . import explain_nodes
from .start_payment import NewPayment, start

_DONE = CLOSED | {PaymentState.CAPTURED, PaymentState.RETURNED}
_REASONS = 5  # in one refusal; `explain` has them all


@dataclass(frozen=True, slots=True)
class Request:
    """A payment under way, and how much of it is for what was asked about."""

    payment: Payment
    share: Money


def request(tx: Tx, reference: str, *, requested_by: str, return_url: str, tenant: Tenant) -> list[str]:
    """Ask for what of `reference` ("Invoice/1") may be asked for now: the payments that are under way for it then,
    whoever started them, the oldest first.

    Raises RuleBroken, with the reasons that `explain` gives, when nothing may be asked for and nothing is under way.
    """
    rows.lock(tx, {one.account_ref for one in billing.resting_on(tx, reference)})
    owed = billing.resting_on(tx, reference)
    asked = [one for one in owed if one.askable]
    accounts = {one.account_ref for one in asked}
    if len(accounts) > 1:
        raise RuleBroken(f"{reference} is owed on several accounts; pay them one account at a time")
    if asked:
        wish = NewPayment(
            account_ref=accounts.pop(),
            requested_by=requested_by,
            obligations=tuple(one.obligation_id for one in asked),
            return_url=return_url,
        )
        start(tx, wish, tenant)
    found = [one.payment for one in _shares(tx, owed) if one.payment.state not in _DONE]
    if not found:
        raise RuleBroken(_why_not(tx, reference, owed))
    return [one.payment_id for one in found]


def requests(tx: Tx, reference: str, payment_ids: Collection[str]) -> list[Request]:
    """These payments as they are now, the oldest first."""
    return [one for one in _shares(tx, billing.resting_on(tx, reference)) if one.payment.payment_id in payment_ids]


def _shares(tx: Tx, owed: Iterable[ObligationView]) -> list[Request]:
    shares: dict[str, Money] = {}
    for one in owed:
        for share in payments.allocations_to(tx, one.obligation_id):
            before = shares.get(share.payment_id, Money.zero(share.reserved.currency))
            shares[share.payment_id] = before + share.reserved
    found = [Request(payments.get(tx, payment_id), share) for payment_id, share in shares.items()]
    return sorted(found, key=lambda one: (one.payment.created_at, one.payment.payment_id))


def _why_not(tx: Tx, reference: str, owed: list[ObligationView]) -> str:
    if not owed:
        return f"nobody owes anything for {reference}, or it has just come in and isn't worked out yet"
    living = [one for one in owed if one.state not in rows.ENDS] or owed
    says: list[str] = []
    for one in living[-_REASONS:]:
        node = explain_nodes.obligation(one, ())
        says.append(", ".join((node.says, *node.notes)))
        account = rows.account(tx, one.account_ref)
        if account is not None and (stopped := rows.stopped(tx, account)):
            says.append(stopped)
    return f"nothing of {reference} may be asked for now: {'; '.join(dict.fromkeys(says))}"
