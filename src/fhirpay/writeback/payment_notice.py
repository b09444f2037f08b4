"""A payment or a refund → FHIR PaymentNotice, of R4 (and R4B) or of R5. Pure; called by renderers.py.

It says that a PaymentReconciliation which the EHR has is paid, and names it (`payment`, required in R4): so it comes
after that one. `paymentStatus` is `paid` (HL7's paymentstatus): whether money is `cleared` isn't known when it is sent.
A refund is a notice of its own with a negative amount, about the PaymentReconciliation of the refund; the first notice
stays as it is. `request` stands where all lines pay the same. To change the shape, change it here and look at the
difference in tests/golden/writeback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ..domain.money import Money
from ..fhir.statement import FhirVersion
from .posted import PostedPayment, Ref, all_lines

RESOURCE_TYPE = "PaymentNotice"
NOTICE_SYSTEM = "https://fhirpay.dev/payment-notice"
_STATUS = "http://terminology.hl7.org/CodeSystem/paymentstatus"


def is_of(version: FhirVersion, resource: Mapping[str, Any]) -> bool:
    """Whether one of ours was made for that version."""
    return _reporter(version) in resource


def render(posted: PostedPayment, *, organization: str, version: FhirVersion, payment: Ref) -> dict[str, Any]:
    """The resource. `payment` is the EHR's PaymentReconciliation; `organization` the practice, paid and told."""
    local = posted.at.astimezone(ZoneInfo(posted.zone))
    practice = {"reference": f"Organization/{organization}"}
    sign = -1 if posted.refund_of else 1
    pays = [line.pays for line in all_lines(posted)]
    return {
        "resourceType": RESOURCE_TYPE,
        "identifier": [{"system": NOTICE_SYSTEM, "value": posted.id}],
        "status": "active",
        **({"request": dict(pays[0])} if pays[0] and all(one == pays[0] for one in pays) else {}),
        "created": local.replace(microsecond=0).isoformat(),
        _reporter(version): practice,
        "payment": dict(payment),
        "paymentDate": local.date().isoformat(),
        "payee": practice,
        "recipient": practice,
        "amount": {
            "value": Money(sign * posted.amount.minor, posted.amount.currency).decimal,
            "currency": posted.amount.currency,
        },
        "paymentStatus": {"coding": [{"system": _STATUS, "code": "paid"}]},
    }


def _reporter(version: FhirVersion) -> str:
    return "reporter" if version is FhirVersion.R5 else "provider"
