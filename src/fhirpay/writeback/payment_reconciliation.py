"""A payment or a refund → FHIR PaymentReconciliation, of R4 (and R4B) or of R5. Pure; called by usecases/post_back.py.

What R4 has no element for goes into the R5 cross-version extensions, so both say the same. No name, record number or
diagnosis, and no Patient as `paymentIssuer`: an EHR knows whose account it is, and this text travels. The lines always
sum to the total; an unallocated rest is an `advance` on the Account. A refund or a return is a new negative whose lines
name what they take back; the first one stays untouched, and what reverses a return is a new positive. To change the
shape, change it here and look at the difference in tests/golden/writeback, which has every case in both versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ..domain.money import Money
from ..fhir.statement import FhirVersion
from .posted import BANK, Line, PostedPayment, Ref, all_lines, allocation_id, takes

RESOURCE_TYPE = "PaymentReconciliation"
PAYMENT_SYSTEM = "https://fhirpay.dev/payment"
ALLOCATION_SYSTEM = "https://fhirpay.dev/allocation"
PROCESSOR_SYSTEM = "https://fhirpay.dev/processor/"

_EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-PaymentReconciliation."
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"
_METHODS = "http://terminology.hl7.org/CodeSystem/v2-0570"
_ISSUER_TYPES = "http://hl7.org/fhir/payment-issuertype"
_KINDS = "http://hl7.org/fhir/payment-kind"


@dataclass(frozen=True, slots=True)
class Names:
    """What a version calls what both have."""

    date: str
    amount: str
    lines: str
    pays: str


_R4 = Names(date="paymentDate", amount="paymentAmount", lines="detail", pays="request")
_R5 = Names(date="date", amount="amount", lines="allocation", pays="target")


def identifier_of(posted_id: str) -> dict[str, str]:
    """The Identifier by which an EHR finds this posting again."""
    return {"system": PAYMENT_SYSTEM, "value": posted_id}


def amount_and_date(resource: Mapping[str, Any]) -> tuple[Any, Any]:
    """Of either version: an EHR may be raised to R5 after it was given R4."""
    return tuple(resource.get(old, resource.get(new)) for old, new in ((_R4.amount, _R5.amount), (_R4.date, _R5.date)))


def is_of(version: FhirVersion, resource: Mapping[str, Any]) -> bool:
    """Whether one of ours was made for that version."""
    return names_of(version).amount in resource


def lines_in(resource: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The lines of one of ours, of either version."""
    return resource.get(_R4.lines) or resource.get(_R5.lines) or ()


def render(posted: PostedPayment, *, organization: str, version: FhirVersion) -> dict[str, Any]:
    """The resource. `organization` is the practice's Organization id at that EHR; without it there is no payee.

    It has no `id`: whether it gets one from us depends on how the EHR takes it. Raises InvariantBroken when the lines
    claim more than the payment.
    """
    lines = all_lines(posted)
    local = posted.at.astimezone(ZoneInfo(posted.zone))
    today = local.date().isoformat()
    payee = {"reference": f"Organization/{organization}"} if organization else None
    sign = -1 if posted.refund_of else 1
    names = names_of(version)
    resource: dict[str, Any] = {
        "resourceType": RESOURCE_TYPE,
        **only_r5_has(version, _how(posted)),
        "identifier": [identifier_of(posted.id)],
        "status": "active",
        "created": local.replace(microsecond=0).isoformat(),
        "requestor": payee,
        "outcome": "complete",
        "disposition": _disposition(posted),
        names.date: today,
        names.amount: money(posted.amount, sign),
        "paymentIdentifier": _instrument(posted),
        names.lines: [_line(posted, line, today, payee, version) for line in lines],
        "processNote": [{"type": "display", "text": posted.note}] if posted.note else [],
    }
    return without_empty(resource)


def _instrument(posted: PostedPayment) -> dict[str, str] | None:
    """The processor's number, or a check's own; cash has none."""
    if not posted.reference:
        return None
    return without_empty(
        {"system": posted.processor and PROCESSOR_SYSTEM + posted.processor, "value": posted.reference}
    )


def _line(posted: PostedPayment, line: Line, date: str, payee: Ref | None, version: FhirVersion) -> dict[str, Any]:
    about = {"encounter": line.encounter, "account": line.account}
    return without_empty(
        {
            **only_r5_has(version, about, within="allocation."),
            "identifier": {"system": ALLOCATION_SYSTEM, "value": allocation_id(posted.id, line.number)},
            "predecessor": {"system": ALLOCATION_SYSTEM, "value": line.takes_back} if line.takes_back else None,
            "type": concept(_PAYMENT_TYPE, "advance" if line.advance else "payment"),
            names_of(version).pays: dict(line.pays) if line.pays else None,
            "date": date,
            "payee": payee,
            "amount": money(line.amount, -1 if takes(posted, line) else 1),
        }
    )


def names_of(version: FhirVersion) -> Names:
    """What that version calls its elements."""
    return _R5 if version is FhirVersion.R5 else _R4


def _how(posted: PostedPayment) -> dict[str, Any]:
    """How it was paid, in the elements of R5. Of a card number no more than its end, whoever says what its end is."""
    return {
        "type": concept(_PAYMENT_TYPE, "payment"),
        "issuerType": concept(_ISSUER_TYPES, "patient"),
        "kind": concept(_KINDS, posted.channel) if posted.channel else None,
        "method": concept(_METHODS, posted.method),
        "cardBrand": posted.brand,
        "accountNumber": posted.last4[-4:],
        "processor": posted.processor,
        "referenceNumber": posted.reference,
        "authorization": posted.authorization,
    }


def only_r5_has(version: FhirVersion, elements: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Elements of R5 as they are, or in R4 as the extensions that stand for them."""
    stated = without_empty(elements)
    if version is FhirVersion.R5:
        return stated
    return {"extension": [_extension(within + name, value) for name, value in stated.items()]}


def _extension(element: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"url": _EXTENSION + element, "valueString": value}
    kind = "valueCodeableConcept" if "coding" in value else "valueReference"
    return {"url": _EXTENSION + element, kind: dict(value)}


def _disposition(posted: PostedPayment) -> str:
    if posted.disputed:
        return (
            f"Lost dispute of {posted.refund_of}" if posted.refund_of else f"Dispute of {posted.restores} won after all"
        )
    if posted.returned:
        kind = "ACH return" if posted.method == BANK else "Return"
        return f"{kind} of {posted.refund_of}" if posted.refund_of else f"{kind} of {posted.restores} reversed"
    if posted.says:
        return f"{posted.says} {posted.refund_of or posted.restores}"
    if not posted.refund_of:
        return ""
    return f"{'Refund' if posted.whole else 'Partial refund'} of {posted.refund_of}"


def concept(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


def money(amount: Money, sign: int = 1) -> dict[str, Any]:
    """A FHIR Money, exact to the digit."""
    return {"value": Money(sign * amount.minor, amount.currency).decimal, "currency": amount.currency}


def without_empty(element: Mapping[str, Any]) -> dict[str, Any]:
    """FHIR has no empty strings, lists or nulls."""
    return {name: value for name, value in element.items() if value not in (None, "", [])}
