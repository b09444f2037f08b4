"""What is known of a payment or refund → what is posted of it. Called by post_back.py, inside its first unit.

It joins what siblings don't know of each other: the money is payments', what it pays is billing's, how the EHR calls
that is write-back's. What a line pays is the target of its obligation: a ChargeItem, an Invoice, the visit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..billing import store as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain import ach
from ..domain.money import Money
from ..errors import RuleBroken
from ..fhir import store as fhir
from ..fhir.json import loads
from ..payments import refunds, returns
from ..payments import store as payments
from ..payments.records import Payment, Return
from ..writeback import store as writeback
from ..writeback.payment_reconciliation import RESOURCE_TYPE, lines_in
from ..writeback.posted import Line, Posted, PostedPayment, Ref, allocation_id
from ..writeback.references import as_known_by
from ..writeback.store import Posting
from .posted_adjustments import adjusted_facts

# A Patient isn't named: its identifier is a record number, and the EHR knows whose account it is.
_NAMED = frozenset({"Account", "ChargeItem", "Encounter", "Invoice"})


def facts_of(tx: Tx, posting: Posting, tenant: Tenant) -> Posted:
    """Of whatever is posted to a destination. Raises as the two do."""
    return adjusted_facts(tx, posting, tenant) if posting.is_adjustment else posted_facts(tx, posting, tenant)


def posted_facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    """Raises RuleBroken when there is nothing to post (any more)."""
    payment = payments.get(tx, posting.payment_id)
    if posting.is_refund:
        return _taken_back(tx, posting, payment, tenant)
    if not payment.captured or payment.captured_at is None:
        raise RuleBroken(f"nothing of {payment.payment_id} is captured: there is nothing to post")
    lines = [
        _line(tx, posting, share.sequence, share.obligation_id, share.account_ref, share.paid)
        for share in payments.allocations(tx, payment.payment_id)
        if share.paid
    ]
    return PostedPayment(
        id=payment.payment_id,
        amount=payment.captured,
        at=payment.captured_at,
        zone=tenant.facility(payment.facility).zone,
        processor=payment.processor,
        reference=payment.capture_ref or payment.processor_ref or "",
        lines=lines,
        account=_named(tx, posting, payment.account_ref),
        of_account=payment.account_ref,
        facility=payment.facility,
        channel="online" if payment.method == "hosted" else "",
        brand=payment.brand,
        last4=payment.last4,
        authorization=payment.authorization_code,
        expires=payment.expires,
    )


def _taken_back(tx: Tx, posting: Posting, payment: Payment, tenant: Tenant) -> PostedPayment:
    """A refund, a return, or what reverses a return."""
    back = next((one for one in returns.find(tx, posting.subject) if one.return_id == posting.subject), None)
    shares = refunds.shares(tx, posting.subject)
    account = _named(tx, posting, payment.account_ref)
    lines = _lines_back(tx, posting, payment, account, reverses=back.reverses if back else None)
    known = PostedPayment(
        id=posting.subject,
        amount=sum((share.amount for share in shares), Money.zero(payment.currency)),
        at=payment.created_at,
        zone=tenant.facility(payment.facility).zone,
        processor=payment.processor,
        reference="",
        lines=lines,
        account=account,
        of_account=payment.account_ref,
        facility=payment.facility,
        brand=payment.brand,
        last4=payment.last4,
        expires=payment.expires,
    )
    if back is None:
        refund = refunds.get(tx, posting.subject)
        if refund.succeeded_at is None:
            raise RuleBroken(f"{refund.refund_id} has not gone out: there is nothing to post")
        amount, whole = refund.amount, refund.amount == payment.captured
        reference = refund.processor_ref or ""
        of: dict[str, Any] = {"refund_of": payment.payment_id, "whole": whole}
        return replace(known, amount=amount, at=refund.succeeded_at, reference=reference, **of)
    if back.booked_at is None:
        raise RuleBroken(f"{back.return_id} is not booked: there is nothing to post")
    of = {"restores" if back.reverses else "refund_of": payment.payment_id, "returned": True}
    return replace(known, at=back.occurred_at, reference=back.reference, note=_why(back), **of)


def _why(back: Return) -> str:
    """The network's code with its meaning, and no free text of a processor's."""
    return f"NACHA {back.code} {ach.REASONS[back.code]}" if back.code in ach.REASONS and not back.reverses else ""


def _lines_back(tx: Tx, posting: Posting, payment: Payment, account: Ref | None, *, reverses: str | None) -> list[Line]:
    lines: list[Line] = []
    for number, share in enumerate(refunds.shares(tx, posting.subject), start=1):
        if reverses:
            takes_back = allocation_id(reverses, number)
            ref = share.account_ref or payment.account_ref
            line = Line(number, share.amount, account, account=account, takes_back=takes_back, advance=True)
            if share.allocation:
                line = _line(tx, posting, number, share.obligation_id, ref, share.amount, takes_back)
            lines.append(line)
        elif share.allocation:
            takes_back = allocation_id(payment.payment_id, share.allocation)
            account_ref = share.account_ref or payment.account_ref
            lines.append(_line(tx, posting, number, share.obligation_id, account_ref, share.amount, takes_back))
        else:
            takes_back = _advance_of(tx, posting)
            rest = Line(number, share.amount, account, account=account, takes_back=takes_back, advance=True)
            lines.append(rest)
    return lines


def _line(
    tx: Tx, posting: Posting, number: int, obligation_id: str, account_ref: str, amount: Money, takes_back: str = ""
) -> Line:
    target = next(iter(billing.obligation(tx, obligation_id).targets), "")
    account = _named(tx, posting, account_ref)
    return Line(
        number,
        amount,
        pays=_named(tx, posting, target) or account,
        account=account,
        encounter=_named(tx, posting, visit_of(tx, target)),
        takes_back=takes_back,
        target=target,
        of_account=account_ref,
    )


def _named(tx: Tx, posting: Posting, reference: str) -> Ref | None:
    if reference.partition("/")[0] not in _NAMED:
        return None
    return as_known_by(tx, reference, posting.connection)


def visit_of(tx: Tx, target: str) -> str:
    """The visit that a line is about, by our reference: its target itself, or where its charge was made; or empty."""
    kind, _, id = target.partition("/")
    if kind == "ChargeItem" and (charge := fhir.get(tx, kind, id)):
        target = (charge.resource.get("context") or {}).get("reference", "")
    return target if target.startswith("Encounter/") else ""


def _advance_of(tx: Tx, posting: Posting) -> str:
    """The identifier of the payment's unallocated line, as this EHR was told it."""
    if posting.resource_type != RESOURCE_TYPE:
        paid = [share.sequence for share in payments.allocations(tx, posting.payment_id) if share.paid]
        return allocation_id(posting.payment_id, max(paid, default=0) + 1)
    for other in writeback.of_payment(tx, posting.payment_id):
        if other.connection == posting.connection and not other.is_refund and other.body:
            for line in lines_in(loads(other.body)):
                if line["type"]["coding"][0]["code"] == "advance":
                    return line["identifier"]["value"]
    return ""
