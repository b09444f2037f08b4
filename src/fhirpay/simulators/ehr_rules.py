"""What the simulated EHR takes: the structure by fhir.resources (R4B, or R5 where it speaks that), codes, what
references may name, and sums by the tables below.

Called by `ehr.py` before anything is stored. Written from the R4 and R5 definitions (required bindings, reference
targets, "Money" and the resource pages). To take another resource type: a row in `TYPES`, and its required bindings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zlib import crc32

from fhir.resources import get_fhir_model_class as model_of_r5
from fhir.resources.R4B import get_fhir_model_class as model_of_r4
from pydantic import ValidationError

from .ehr_json import write
from .ehr_transaction import wrong_in_transaction

# type → the element that its `patient` search parameter follows
TYPES: dict[str, str] = {
    "Patient": "",
    "RelatedPerson": "patient",
    "Organization": "",
    "Encounter": "subject",
    "Appointment": "",
    "Account": "subject",
    "Coverage": "beneficiary",
    "ChargeItem": "subject",
    "Invoice": "subject",
    "PaymentReconciliation": "",
    "PaymentNotice": "",
    "Provenance": "",
    "Subscription": "",
    "Basic": "",
}
_GENDER = "male female other unknown"
_FM_STATUS = "active cancelled draft entered-in-error"
_ENCOUNTER = "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"
_COMPONENT = "base surcharge deduction discount tax informational"

# element path → the codes of its required binding
CODES: dict[str, str] = {
    "Patient.gender": _GENDER,
    "Patient.contact.gender": _GENDER,
    "Patient.link.type": "replaced-by replaces refer seealso",
    "RelatedPerson.gender": _GENDER,
    "Encounter.status": _ENCOUNTER,
    "Encounter.statusHistory.status": _ENCOUNTER,
    "Encounter.location.status": "planned active reserved completed",
    "Appointment.status": "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in "
    "waitlist",
    "Appointment.participant.required": "required optional information-only",
    "Appointment.participant.status": "accepted declined tentative needs-action",
    "Account.status": "active inactive entered-in-error on-hold unknown",
    "Coverage.status": _FM_STATUS,
    "ChargeItem.status": "planned billable not-billable aborted billed entered-in-error unknown",
    "Subscription.status": "requested active error off",
    "Subscription.channel.type": "rest-hook websocket email sms message",
    "Invoice.status": "draft issued balanced cancelled entered-in-error",
    "Invoice.lineItem.priceComponent.type": _COMPONENT,
    "Invoice.totalPriceComponent.type": _COMPONENT,
    "PaymentReconciliation.status": _FM_STATUS,
    "PaymentReconciliation.outcome": "queued complete error partial",
    "PaymentReconciliation.processNote.type": "display print printoper",
    "PaymentNotice.status": _FM_STATUS,
    "Provenance.entity.role": "derivation revision quotation source removal",
}
# where R5 has others
CODES_R5: dict[str, str] = CODES | {
    "Encounter.status": "planned in-progress on-hold discharged completed cancelled discontinued entered-in-error "
    "unknown",
    "Coverage.kind": "insurance self-pay other",
    "Provenance.entity.role": "quotation revision source instantiates removal",
    "ChargeItem.unitPriceComponent.type": _COMPONENT,
    "ChargeItem.totalPriceComponent.type": _COMPONENT,
}
# the same for data types, wherever they stand: last two names of the path
_TYPE_CODES = {
    "identifier.use": "usual official temp secondary old",
    "name.use": "usual official temp nickname anonymous old maiden",
    "telecom.system": "phone fax email pager url sms other",
    "telecom.use": "home work temp old mobile",
    "address.use": "home work temp old billing",
    "address.type": "postal physical both",
    "text.status": "generated extensions additional empty",
}
_STAFF = "Practitioner PractitionerRole Organization"
_AGENTS = f"{_STAFF} RelatedPerson Patient Device"
# element path → the types that a reference there may name, where the definitions name any
TARGETS: dict[str, str] = {
    "PaymentReconciliation.paymentIssuer": "Organization",
    "PaymentReconciliation.request": "Task",
    "PaymentReconciliation.requestor": _STAFF,
    "PaymentReconciliation.detail.submitter": _STAFF,
    "PaymentReconciliation.detail.payee": _STAFF,
    "PaymentReconciliation.detail.responsible": "PractitionerRole",
}
TARGETS |= {
    "PaymentNotice.provider": _STAFF,
    "PaymentNotice.payment": "PaymentReconciliation",
    "PaymentNotice.payee": _STAFF,
    "PaymentNotice.recipient": "Organization",
    "Provenance.agent.who": _AGENTS,
    "Provenance.agent.onBehalfOf": _AGENTS,
}
TARGETS_R5: dict[str, str] = {
    "PaymentNotice.reporter": _STAFF,
    "PaymentNotice.payment": "PaymentReconciliation",
    "PaymentNotice.payee": _STAFF,
    "PaymentNotice.recipient": "Organization",
    "Provenance.agent.who": f"{_AGENTS} CareTeam HealthcareService",
    "Provenance.agent.onBehalfOf": f"{_AGENTS} CareTeam",
    "PaymentReconciliation.paymentIssuer": "Organization Patient RelatedPerson",
    "PaymentReconciliation.enterer": _STAFF,
    "PaymentReconciliation.location": "Location",
    "PaymentReconciliation.request": "Task",
    "PaymentReconciliation.requestor": _STAFF,
    "PaymentReconciliation.allocation.target": "Claim Account Invoice ChargeItem Encounter Contract",
    "PaymentReconciliation.allocation.encounter": "Encounter",
    "PaymentReconciliation.allocation.account": "Account",
    "PaymentReconciliation.allocation.response": "ClaimResponse",
    "PaymentReconciliation.allocation.submitter": _STAFF,
    "PaymentReconciliation.allocation.payee": _STAFF,
    "PaymentReconciliation.allocation.responsible": "PractitionerRole",
}
_CURRENCIES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
    "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX "
    "USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL".split()
)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[^/]+(/_history/[^/]+)?\Z")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


@dataclass(frozen=True)
class Issue:
    """One line of an OperationOutcome."""

    code: str
    says: str
    expression: str


def valid_id(text: str) -> bool:
    return bool(_ID.match(text))


def check(resource: dict[str, Any], *, r5: bool = False) -> list[Issue]:
    """Everything that is wrong with a resource of a known type; empty when it may be stored."""
    kind = str(resource["resourceType"])
    issues = _structure(kind, resource, r5)
    if not issues:
        issues = [*_codes(kind, resource, r5), *_targets(kind, resource, r5)]
    if not issues and kind == "PaymentReconciliation":
        issues = list(_sums(resource, *(("amount", "allocation") if r5 else ("paymentAmount", "detail"))))
    if not issues and kind == "Basic":
        issues = [Issue("business-rule", says, where) for where, says in wrong_in_transaction(resource)]
    return issues


def _structure(kind: str, resource: dict[str, Any], r5: bool) -> list[Issue]:
    try:
        (model_of_r5 if r5 else model_of_r4)(kind).model_validate(resource)
    except ValidationError as error:
        return [_issue(kind, item["loc"], item["type"], item["msg"]) for item in error.errors()]
    return []


def _issue(kind: str, loc: tuple[int | str, ...], sort: str, says: str) -> Issue:
    expression = kind + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    code = "required" if "missing" in sort else "structure" if "extra" in sort else "value"
    return Issue(code, says.removeprefix("Value error, "), expression)


def _leaves(value: Any, path: str, address: str) -> Iterator[tuple[str, str, Any]]:
    """Every element: its path without indexes, its address with them, its value."""
    if isinstance(value, dict):
        yield path, address, value
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}", f"{address}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, path, f"{address}[{index}]")
    else:
        yield path, address, value


def _codes(kind: str, resource: dict[str, Any], r5: bool) -> Iterator[Issue]:
    codes = CODES_R5 if r5 else CODES
    for path, address, value in _leaves(resource, kind, kind):
        if isinstance(value, dict):
            continue
        allowed = codes.get(path) or _TYPE_CODES.get(".".join(path.split(".")[-2:]))
        if allowed and value not in allowed.split():
            yield Issue("code-invalid", f"'{value}' is not one of: {allowed}", address)
        if path.endswith(".currency") and value not in _CURRENCIES:
            yield Issue("code-invalid", f"'{value}' is not an ISO 4217 currency", address)


def _targets(kind: str, resource: dict[str, Any], r5: bool) -> Iterator[Issue]:
    targets = TARGETS_R5 if r5 else TARGETS
    for path, address, value in _leaves(resource, kind, kind):
        if path not in targets or not isinstance(value, dict):
            continue
        literal = re.search(r"([A-Z][A-Za-z]+)/[^/]+(/_history/[^/]+)?\Z", value.get("reference", ""))
        for named in filter(None, (literal and literal[1], value.get("type"))):
            if named not in targets[path].split():
                yield Issue("value", f"it names a {named}, not one of: {targets[path]}", address)


def _sums(resource: dict[str, Any], amount: str, lines: str) -> Iterator[Issue]:
    """This EHR posts line by line, so lines that don't add up would leave it out of balance."""
    total, where = resource[amount], f"PaymentReconciliation.{lines}"
    amounts = [line["amount"] for line in resource.get(lines, ()) if "amount" in line]
    if any(one.get("currency") != total.get("currency") for one in amounts):
        yield Issue("business-rule", "a line is in another currency", where)
    elif amounts and sum(Decimal(one["value"]) for one in amounts) != Decimal(total["value"]):
        yield Issue("business-rule", f"the lines don't add up to {amount}", where)


def rewritten(resource: dict[str, Any]) -> dict[str, Any]:
    """What an EHR keeps that numbers everything itself and knows no extension, no identifier of a line or payment."""
    kept = {key: value for key, value in resource.items() if key not in ("extension", "paymentIdentifier")}
    identifiers = resource.get("identifier") or []
    if identifiers:
        kept["identifier"] = [{"system": "urn:ehr:own", "value": f"X{crc32(write(resource).encode())}"}]
    for lines in {"detail", "allocation"} & resource.keys():
        dropped = ("extension", "identifier", "predecessor")
        kept[lines] = [{k: v for k, v in line.items() if k not in dropped} for line in resource[lines]]
    return kept


def references(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Literal relative references (`ChargeItem/c1`), without their version, with the address where they stand."""
    for path, address, value in _leaves(resource, "", str(resource["resourceType"])):
        if path.endswith(".reference") and isinstance(value, str) and re.match(_RELATIVE, value):
            yield value.partition("/_history/")[0], address
