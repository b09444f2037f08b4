"""A payment or a refund → FHIR R4 PaymentReconciliation. Pure; called by usecases/post_back.py.

What R4 has no element for goes into the R5 cross-version extensions. No name, record number or diagnosis: an EHR
knows its own patients, and this text travels. The lines always sum to the total; an unallocated rest is an `advance`
on the Account. A refund is a new negative whose lines name what they take back; the first one stays untouched.
To change the shape, change it here and look at the difference in tests/golden/writeback.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from ..domain.money import Money
from .posted import Line, PostedPayment, Ref, all_lines, allocation_id

RESOURCE_TYPE = "PaymentReconciliation"
PAYMENT_SYSTEM = "https://fhirpay.dev/payment"
ALLOCATION_SYSTEM = "https://fhirpay.dev/allocation"
PROCESSOR_SYSTEM = "https://fhirpay.dev/processor/"

_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-PaymentReconciliation."
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"
_METHODS = "http://terminology.hl7.org/CodeSystem/v2-0570"
_ISSUER_TYPES = "http://hl7.org/fhir/payment-issuertype"
_KINDS = "http://hl7.org/fhir/payment-kind"


def identifier_of(posted_id: str) -> dict[str, str]:
    """The Identifier by which an EHR finds this posting again."""
    return {"system": PAYMENT_SYSTEM, "value": posted_id}


def render(posted: PostedPayment, *, organization: str) -> dict[str, Any]:
    """The resource. `organization` is the practice's Organization id at that EHR; without it there is no payee.

    It has no `id`: whether it gets one from us depends on how the EHR takes it. Raises InvariantBroken when the lines
    claim more than the payment.
    """
    lines = all_lines(posted)
    local = posted.at.astimezone(ZoneInfo(posted.zone))
    today = local.date().isoformat()
    payee = {"reference": f"Organization/{organization}"} if organization else None
    sign = -1 if posted.refund_of else 1
    resource: dict[str, Any] = {
        "resourceType": RESOURCE_TYPE,
        "extension": _extensions(posted),
        "identifier": [identifier_of(posted.id)],
        "status": "active",
        "created": local.replace(microsecond=0).isoformat(),
        "requestor": payee,
        "outcome": "complete",
        "disposition": _disposition(posted),
        "paymentDate": today,
        "paymentAmount": _money(posted.amount, sign),
        "paymentIdentifier": {"system": PROCESSOR_SYSTEM + posted.processor, "value": posted.reference},
        "detail": [_detail(posted, line, sign, today, payee) for line in lines],
    }
    return _without_empty(resource)


def _detail(posted: PostedPayment, line: Line, sign: int, date: str, payee: Ref | None) -> dict[str, Any]:
    named = [("allocation.encounter", line.encounter), ("allocation.account", line.account)]
    return _without_empty(
        {
            "extension": [{"url": _R5 + name, "valueReference": dict(ref)} for name, ref in named if ref],
            "identifier": {"system": ALLOCATION_SYSTEM, "value": allocation_id(posted.id, line.number)},
            "predecessor": {"system": ALLOCATION_SYSTEM, "value": line.takes_back} if line.takes_back else None,
            "type": _concept(_PAYMENT_TYPE, "advance" if line.advance else "payment"),
            "request": dict(line.pays) if line.pays else None,
            "date": date,
            "payee": payee,
            "amount": _money(line.amount, sign),
        }
    )


def _extensions(posted: PostedPayment) -> list[dict[str, Any]]:
    concepts = [
        ("type", _PAYMENT_TYPE, "payment"),
        ("issuerType", _ISSUER_TYPES, "patient"),
        ("kind", _KINDS, posted.channel),
        ("method", _METHODS, posted.method),
    ]
    strings = [
        ("cardBrand", posted.brand),
        ("accountNumber", posted.last4),
        ("processor", posted.processor),
        ("referenceNumber", posted.reference),
        ("authorization", posted.authorization),
    ]
    return [
        *(
            {"url": _R5 + name, "valueCodeableConcept": _concept(system, code)}
            for name, system, code in concepts
            if code
        ),
        *({"url": _R5 + name, "valueString": text} for name, text in strings if text),
    ]


def _disposition(posted: PostedPayment) -> str:
    if not posted.refund_of:
        return ""
    return f"{'Refund' if posted.whole else 'Partial refund'} of {posted.refund_of}"


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _money(amount: Money, sign: int) -> dict[str, Any]:
    return {"value": Money(sign * amount.minor, amount.currency).decimal, "currency": amount.currency}


def _without_empty(element: dict[str, Any]) -> dict[str, Any]:
    """FHIR has no empty strings, lists or nulls."""
    return {name: value for name, value in element.items() if value not in (None, "", [])}
