"""What obligations and payments are called on the pages, for staff and for patients."""

from __future__ import annotations

from ...billing.assessment import Basis
from ...billing.rows import ObligationView
from ...domain.obligation import ObligationState
from ...domain.payment import PaymentState
from ...payments import declines

_S = PaymentState
_OF_PAYMENT = {
    _S.CREATED: "being prepared",
    _S.REQUIRES_ACTION: "open: to be paid on its page",
    _S.IN_REVIEW: "being looked at by the processor",
    _S.AUTHORIZED: "authorized, not taken yet",
    _S.CAPTURE_PENDING: "being taken",
    _S.PROCESSING: "on its way",
    _S.CAPTURED: "paid",
    _S.VOIDED: "taken back before it counted",
    _S.RETURNED: "returned by the bank",
    _S.DECLINED: "declined: nothing was taken",
    _S.FAILED: "failed: nothing was taken",
    _S.CANCELED: "cancelled: nothing was taken",
    _S.EXPIRED: "expired: nothing was taken",
}
_FOR = {
    Basis.CHARGE: "A service",
    Basis.COPAY: "Copay for a visit",
    Basis.STAFF: "Amount agreed with the practice",
    Basis.INVOICE: "Invoice",
    Basis.OPENING: "Balance from before",
    Basis.RECOVERY: "Refunded payment that was returned as well",
}


def of_payment(state: PaymentState) -> str:
    return _OF_PAYMENT[state]


def why_not(failure_code: str, *, staff: bool) -> str:
    """What to do about a payment that was declined; empty for any other."""
    decline = declines.find(failure_code)
    if decline is None:
        return ""
    return decline.desk if staff else decline.patient


def what_for(one: ObligationView) -> str:
    return _FOR[Basis(one.basis_kind)]


def for_patient(one: ObligationView) -> str:
    """Where it stands, in words for who is to pay. Why something is held is between the practice and them."""
    if one.askable:
        return f"{one.askable} to pay"
    if one.in_flight:
        return f"{one.in_flight} being paid"
    if one.state is ObligationState.PAID:
        return "paid"
    if one.pending:
        return f"{one.pending} with the insurance: nothing for you to pay now"
    return "nothing for you to pay now"


def for_staff(one: ObligationView) -> str:
    said = [str(one.state).replace("_", " ")]
    said += [f"held: {one.hold.replace('_', ' ')}"] if one.hold else []
    said += [f"{one.in_flight} under way"] if one.in_flight else []
    said += [f"{one.written_off} written off"] if one.written_off else []
    return ", ".join(said)


def whose(one: ObligationView) -> str:
    kinds = {"Patient": "the patient", "RelatedPerson": "the guarantor", "Organization": "an organization"}
    return kinds.get(one.debtor_ref.partition("/")[0], "")
