"""A payout → FHIR PaymentReconciliation, of R4 or of R5: a line for each of its lines; their sum is the bank's line.

Pure; called by usecases/post_back.py, for connections with `payout_target`. Everybody else books the payments that it
holds already, and would book the cash twice: so it is tagged, and has an identifier of its own namespace. A payout that
came back is a new negative whose lines name what they take back. R4 names the payments as `request` too; R5 can't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ..domain.money import Money
from ..errors import InvariantBroken
from ..fhir.statement import FhirVersion
from .payment_reconciliation import (
    ALLOCATION_SYSTEM,
    PAYMENT_SYSTEM,
    PROCESSOR_SYSTEM,
    RESOURCE_TYPE,
    concept,
    money,
    names_of,
    only_r5_has,
    without_empty,
)
from .posted import Ref, allocation_id

PAYOUT_SYSTEM = "https://fhirpay.dev/payout"
TAG = {"system": "https://fhirpay.dev/CodeSystem/posting", "code": "payout"}
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """`amount` is below zero where it takes from the payout. `of` is the payment, or refund, of ours that it is of."""

    number: int
    kind: Literal["payment", "adjustment"]  # an adjustment is of no payment: fees, reserves
    amount: Money
    day: date
    of: str = ""
    request: Ref | None = None


@dataclass(frozen=True, slots=True)
class PostedPayout:
    """What is posted of a payout; `back_of` is the payout that it takes back."""

    id: str
    amount: Money
    at: datetime  # when it was made
    on: date  # when the bank has it
    zone: str
    processor: str
    reference: str
    lines: Sequence[PayoutLine]
    back_of: str = ""


def render(posted: PostedPayout, *, organization: str, version: FhirVersion) -> dict[str, Any]:
    """The resource. Raises InvariantBroken where its lines don't come to its amount."""
    total = sum((line.amount for line in posted.lines), Money.zero(posted.amount.currency))
    if total != posted.amount:
        raise InvariantBroken(f"{posted.id} is of {posted.amount}, and its lines come to {total}")
    names = names_of(version)
    days = [line.day for line in posted.lines]
    local = posted.at.astimezone(ZoneInfo(posted.zone)).replace(microsecond=0)
    by_whom = {"reference": f"Organization/{organization}"} if organization else None
    about = {
        "type": concept(_PAYMENT_TYPE, "payment"),
        "processor": posted.processor,
        "referenceNumber": posted.reference,
    }
    resource: dict[str, Any] = {
        "resourceType": RESOURCE_TYPE,
        "meta": {"tag": [TAG]},
        **only_r5_has(version, about),
        "identifier": [{"system": PAYOUT_SYSTEM, "value": posted.id}],
        "status": "active",
        "period": {"start": min(days).isoformat(), "end": max(days).isoformat()} if days else None,
        "created": local.isoformat(),
        "requestor": by_whom,
        "outcome": "complete",
        "disposition": f"Payout {posted.back_of} came back" if posted.back_of else "",
        names.date: posted.on.isoformat(),
        names.amount: money(posted.amount),
        "paymentIdentifier": {"system": PROCESSOR_SYSTEM + posted.processor, "value": posted.reference},
        names.lines: [_line(posted, line, by_whom, version) for line in posted.lines],
    }
    return without_empty(resource)


def _line(posted: PostedPayout, line: PayoutLine, payee: Ref | None, version: FhirVersion) -> dict[str, Any]:
    takes_back: dict[str, str] | None = None
    if posted.back_of:
        takes_back = {"system": ALLOCATION_SYSTEM, "value": allocation_id(posted.back_of, line.number)}
    elif line.of:
        takes_back = {"system": PAYMENT_SYSTEM, "value": line.of}
    return without_empty(
        {
            "identifier": {"system": ALLOCATION_SYSTEM, "value": allocation_id(posted.id, line.number)},
            "predecessor": takes_back,
            "type": concept(_PAYMENT_TYPE, line.kind),
            "request": dict(line.request) if line.request and version is not FhirVersion.R5 else None,
            "date": posted.on.isoformat(),
            "payee": payee if line.kind == "payment" else None,
            "amount": money(line.amount),
        }
    )
