"""Is an Invoice paid in full, by our books, and does its EHR know of it? Called by postings.py and post_invoice.py.

In full means that what was captured for it, and is still with us, is its total. What insurance, a write-off or another
obligation has taken of it isn't: then the EHR's staff balance it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..billing import store as billing
from ..billing.intake import total_of
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..domain.refund import RefundState
from ..payments import refunds
from ..payments import store as payments
from ..writeback import store as writeback
from ..writeback.invoice_status import RESOURCE_TYPE
from ..writeback.payment_reconciliation import RESOURCE_TYPE as RECONCILIATION
from ..writeback.references import resource_of


@dataclass(frozen=True, slots=True)
class Settled:
    """An Invoice of ours. `short`: what is missing to its total, which a later payment or posting may bring; `doubt`:
    what is open about money that it has. Empty both: it is paid in full, and its EHR was told of all of it."""

    total: Money | None
    short: str = ""
    doubt: str = ""

    @property
    def why_not(self) -> str:
        return self.short or self.doubt


def invoices_of(tx: Tx, payment_id: str) -> list[str]:
    """Our references of the Invoices that a payment pays."""
    shares = [one for one in payments.allocations(tx, payment_id) if one.paid]
    targets = [target for one in shares for target in billing.obligation(tx, one.obligation_id).targets[:1]]
    return [one for one in dict.fromkeys(targets) if one.startswith(f"{RESOURCE_TYPE}/")]


def settled(tx: Tx, invoice_ref: str, connection: str) -> Settled:
    """What our books say of it now."""
    total = total_of(resource_of(tx, invoice_ref))
    if total is None:
        return Settled(None, "its total isn't known")
    shares = [
        share
        for one in billing.resting_on(tx, invoice_ref)
        for share in payments.allocations_to(tx, one.obligation_id)
        if share.paid
    ]
    if any(share.paid.currency != total.currency for share in shares):
        return Settled(total, "it was paid in another currency")
    kept = sum((share.kept for share in shares), Money.zero(total.currency))
    if kept != total:
        return Settled(total, f"{kept} of its {total} are with us")
    paying = dict.fromkeys(share.payment_id for share in shares)
    for payment_id in paying:
        if not _is_there(tx, payment_id, connection):
            return Settled(total, f"the EHR hasn't been told of payment {payment_id} yet")
    doubts = [doubt for payment_id in paying if (doubt := _doubt(tx, payment_id))]
    return Settled(total, doubt="; ".join(doubts))


def _is_there(tx: Tx, payment_id: str, connection: str) -> bool:
    if payments.get(tx, payment_id).method == payments.EXTERNAL:
        return True  # it was the EHR that told us
    there = (one for one in writeback.of_subject(tx, payment_id) if one.connection == connection)
    return any(one.resource_type == RECONCILIATION and one.state == "posted" for one in there)


def _doubt(tx: Tx, payment_id: str) -> str:
    payment = payments.get(tx, payment_id)
    if payment.state is not PaymentState.CAPTURED or payment.returned:
        return f"payment {payment_id} was returned, or may be void"
    if payments.unfinished_operation(tx, payment_id):
        return f"what becomes of payment {payment_id} isn't known yet"
    ended = (RefundState.SUCCEEDED, RefundState.REJECTED, RefundState.CANCELED, RefundState.REPLACED)
    if any(one.state not in ended for one in refunds.of_payment(tx, payment_id)):
        return f"a refund of payment {payment_id} is under way, or has failed"
    if found := payments.breaks(tx, payment_id=payment_id, limit=1):
        return f"of payment {payment_id} something is open: {found[0].says}"
    return ""
