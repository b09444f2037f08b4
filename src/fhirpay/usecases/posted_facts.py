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
from ..domain import ach, check_returns
from ..domain.money import Money
from ..errors import RuleBroken
from ..fhir import store as fhir
from ..payments import disputes, movements, refunds, returns, tenders
from ..payments import store as payments
from ..payments.records import Payment, Return
from ..payments.tenders import Tender
from ..writeback.payout_posting import PostedPayout
from ..writeback.posted import BANK, CARD, Line, Posted, PostedPayment, Ref
from ..writeback.references import as_known_by
from ..writeback.store import Posting
from .payout_facts import payout_facts
from .posted_adjustments import adjusted_facts
from .told import back_lines, first_lines, paying_line, taken

_METHODS = {"cash": "CASH", "check": "CHCK", "bank_receipt": "DDPO"}  # HL7 table 0570
_SAYS = {"void": "Void of", "reallocation": "Reallocation of", "refund_failed": "Failed refund of"}
# A Patient isn't named: its identifier is a record number, and the EHR knows whose account it is.
_NAMED = frozenset({"Account", "ChargeItem", "Encounter", "Invoice"})


def facts_of(tx: Tx, posting: Posting, tenant: Tenant) -> Posted:
    """Of whatever is posted to a destination. Raises as the two do."""
    return adjusted_facts(tx, posting, tenant) if posting.is_adjustment else posted_facts(tx, posting, tenant)


def told_facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment | PostedPayout:
    """Of whatever is posted to a connection."""
    return payout_facts(tx, posting, tenant) if posting.is_payout else posted_facts(tx, posting, tenant)


def posted_facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    """Raises RuleBroken when there is nothing to post (any more)."""
    payment = payments.get(tx, posting.payment_id)
    if posting.is_refund:
        return _taken_back(tx, posting, payment, tenant)
    amount = taken(payment)
    if not amount or payment.captured_at is None:
        raise RuleBroken(f"nothing of {payment.payment_id} is captured: there is nothing to post")
    lines = [
        _line(tx, posting, one.sequence, one.obligation_id, one.account_ref, one.paid)
        for one in first_lines(tx, payment.payment_id)
        if one.paid
    ]
    tender = tenders.find(tx, payment)
    return PostedPayment(
        id=payment.payment_id,
        amount=amount,
        at=payment.captured_at,
        reference=_reference(payment, tender),
        lines=lines,
        channel="online" if payment.method == "hosted" else "deposit" if tender and tender.is_deposit else "",
        authorization=payment.authorization_code,
        **_of_payment(tx, posting, payment, tenant),
    )


def _of_payment(tx: Tx, posting: Posting, payment: Payment, tenant: Tenant) -> dict[str, Any]:
    """What is the same of a payment and of what takes it back."""
    return {
        "zone": tenant.facility(payment.facility).zone,
        "processor": payment.processor,
        "account": _named(tx, posting, payment.account_ref),
        "of_account": payment.account_ref,
        "facility": payment.facility,
        "method": BANK if payment.tender == "bank" else _METHODS.get(payment.method, CARD),
        "brand": payment.brand,
        "last4": payment.last4,
        "expires": payment.expires,
    }


def _reference(payment: Payment, tender: Tender | None) -> str:
    """The processor's id of the capture; of what a desk took the check's number, or nothing."""
    if tender is not None:
        return tender.check_number
    return payment.capture_ref or payment.processor_ref or ""


def _taken_back(tx: Tx, posting: Posting, payment: Payment, tenant: Tenant) -> PostedPayment:
    """A refund, a return, a lost dispute, what reverses one of them, or a movement."""
    loss = disputes.find_loss(tx, posting.subject)
    back = next((one for one in returns.find(tx, posting.subject) if one.return_id == posting.subject), None)
    shares = refunds.shares(tx, posting.subject)
    account = _named(tx, posting, payment.account_ref)
    movement = movements.find(tx, posting.subject)
    restores = bool((back and back.reverses) or (loss and loss.regained) or (movement and movement.restores))
    lines = _lines_back(tx, posting, payment, account, restores=restores)
    known = PostedPayment(
        id=posting.subject,
        amount=sum((share.amount for share in shares), Money.zero(payment.currency)),
        at=payment.created_at,
        reference="",
        lines=lines,
        **_of_payment(tx, posting, payment, tenant),
    )
    of: dict[str, Any] = {"restores" if restores else "refund_of": payment.payment_id}
    if movement is not None:
        return replace(known, amount=abs(movement.amount), at=movement.at, says=_SAYS[movement.kind], **of)
    if loss is not None:
        dispute = disputes.get(tx, loss.dispute_id)
        return replace(known, at=loss.occurred_at, reference=dispute.processor_ref, disputed=True, **of)
    if back is None:
        refund = refunds.get(tx, posting.subject)
        if refund.succeeded_at is None:
            raise RuleBroken(f"{refund.refund_id} has not gone out: there is nothing to post")
        amount, whole = refund.amount, refund.amount == payment.captured
        reference = refund.processor_ref or ""
        of["whole"] = whole
        if (given := tenders.given_back(tx, refund.refund_id)) is not None:
            reference = given.check_number
            of |= {"method": _METHODS[given.kind], "brand": "", "last4": "", "expires": ""}
        return replace(known, amount=amount, at=refund.succeeded_at, reference=reference, **of)
    if back.booked_at is None:
        raise RuleBroken(f"{back.return_id} is not booked: there is nothing to post")
    return replace(known, at=back.occurred_at, reference=back.reference, note=_why(back), returned=True, **of)


def _why(back: Return) -> str:
    """The network's code with its meaning, or a check's; and no free text of a processor's."""
    if back.code in check_returns.REASONS:
        return f"Check returned: {check_returns.REASONS[back.code]}"
    return f"NACHA {back.code} {ach.REASONS[back.code]}" if back.code in ach.REASONS and not back.reverses else ""


def _lines_back(tx: Tx, posting: Posting, payment: Payment, account: Ref | None, *, restores: bool) -> list[Line]:
    lines: list[Line] = []
    for one in back_lines(tx, posting.subject):
        forward, amount, takes_back = one.amount.minor < 0, abs(one.amount), one.takes_back
        if not (takes_back or forward or restores):
            takes_back = paying_line(tx, payment.payment_id, one.allocation)
        if one.allocation:
            account_ref = one.account_ref or payment.account_ref
            line = _line(tx, posting, one.number, one.obligation_id, account_ref, amount, takes_back)
        else:
            line = Line(one.number, amount, account, account=account, takes_back=takes_back, advance=True)
        lines.append(replace(line, forward=forward))
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
