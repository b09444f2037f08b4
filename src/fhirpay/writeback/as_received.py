"""Whom and which account a DFT is about, in the fields that the EHR itself sent: whole, with assigner and type.

Called by usecases/post_dft.py. The newest HL7v2 message about the account is the source, and for the visit the newest
one about what is paid. What never came over HL7v2 is written from its FHIR resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..db.unit import Tx
from ..errors import FhirpayError
from ..fhir import store as fhir
from ..hl7.reader import Message
from ..hl7.writer import Component, Field, SegmentValues, values_of
from ..inbox import store as inbox
from .references import resource_of, sources


@dataclass(frozen=True, slots=True)
class Chart:
    """Fields as `hl7.writer` takes them; empty where nothing is known."""

    patient: Field = ""  # PID-3
    name: Field = ""  # PID-5
    account: Field = ""  # PID-18
    patient_class: Field = ""  # PV1-2
    visit: Field = ""  # PV1-19
    alternate_visit: Field = ""  # PV1-50, where that is the account
    guarantor: Field = ""  # GT1-2, where that is the account
    guarantor_name: Field = ""  # GT1-3


def chart_of(tx: Tx, account: str, target: str, account_keys: Mapping[str, str]) -> Chart:
    """Of `Account/…`, and of the visit of `target` (what is paid). `account_keys` are by interface."""
    about_account = _naming(tx, account, account_keys)
    about_target = next(_messages(tx, target), None) if target else None
    if about_account is None:
        return _from_resources(tx, account, target)
    interface, segments = about_account
    key = account_keys.get(interface, "PID-18")
    visit = about_target[1] if about_target else segments
    who = visit if key == "GT1-2" else segments  # a guarantor's account is of several patients
    return Chart(
        patient=_field(who, "PID", 3),
        name=_field(who, "PID", 5),
        account=_field(segments, "PID", 18),
        patient_class=_field(visit, "PV1", 2) or _field(segments, "PV1", 2),
        visit=_field(segments if key == "PV1-19" else visit, "PV1", 19),
        alternate_visit=_field(segments, "PV1", 50) if key == "PV1-50" else "",
        guarantor=_field(segments, "GT1", 2) if key == "GT1-2" else "",
        guarantor_name=_field(segments, "GT1", 3) if key == "GT1-2" else "",
    )


def _naming(tx: Tx, account: str, account_keys: Mapping[str, str]) -> tuple[str, list[SegmentValues]] | None:
    """The newest message that names the account: one of a merge that was undone has written it too, and names
    another. Where none does, the newest."""
    numbers = {str(one.get("value", "")) for one in resource_of(tx, account).get("identifier") or ()}
    newest: tuple[str, list[SegmentValues]] | None = None
    for one in _messages(tx, account):
        segment, _, number = account_keys.get(one[0], "PID-18").partition("-")
        if _first(_field(one[1], segment, int(number))) in numbers:
            return one
        newest = newest or one
    return newest


def _first(field: Any) -> str:
    """The first component of the first repetition."""
    while not isinstance(field, str):
        field = field[0] if field else ""
    return field


def guarantor_number(tx: Tx, account: str) -> str:
    """GT1-2 of the newest message about the account that has one; empty where none has."""
    numbers = (_first(_field(segments, "GT1", 2)) for _, segments in _messages(tx, account))
    return next(filter(None, numbers), "")


def transaction_id(tx: Tx, target: str) -> str:
    """The FT1-2 under which a charge came; empty for anything else."""
    kind, _, id = target.partition("/")
    found = fhir.get(tx, kind, id) if kind == "ChargeItem" else None
    for identifier in (found.resource.get("identifier") or ()) if found else ():
        if str(identifier.get("system", "")).endswith(":transaction"):
            return str(identifier.get("value", ""))
    return ""


def _messages(tx: Tx, reference: str) -> Iterator[tuple[str, list[SegmentValues]]]:
    """Those that wrote a resource, newest first: interface and segments."""
    kind, _, id = reference.partition("/")
    for message_id in reversed(sources(tx, kind, id)):
        try:
            stored = inbox.get(tx, message_id)
            if stored.kind == "hl7" and stored.body:
                yield stored.interface, values_of(Message.parse(stored.body))
        except FhirpayError:
            continue


def _field(segments: list[SegmentValues], name: str, number: int) -> Field:
    for segment in segments:
        if segment[0] == name:
            value = segment[number] if len(segment) > number else ""
            return "" if value == '""' else value
    return ""


# ── from FHIR ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_resources(tx: Tx, account: str, target: str) -> Chart:
    found = resource_of(tx, account)
    paid = resource_of(tx, target) if target.startswith(("ChargeItem/", "Encounter/")) else {}
    of_account = next((one.get("reference", "") for one in found.get("subject") or ()), "")
    patient = resource_of(tx, (paid.get("subject") or {}).get("reference", "") or of_account)
    visit = target
    if target.startswith("ChargeItem/"):
        visit = (resource_of(tx, target).get("context") or {}).get("reference", "")
    encounter = resource_of(tx, visit) if visit.startswith("Encounter/") else {}
    return Chart(
        patient=_identifiers(patient),
        name=_name(patient),
        account=next(iter(_identifiers(found)), ""),
        patient_class=_CLASSES.get((encounter.get("class") or {}).get("code", ""), ""),
        visit=next(iter(_identifiers(encounter)), ""),
    )


_CLASSES = {"AMB": "O", "EMER": "E", "IMP": "I", "ACUTE": "I", "NONAC": "I", "PRENC": "P"}  # ActCode → table 0004


def _identifiers(resource: Mapping[str, Any]) -> list[Any]:
    return [_cx(one) for one in resource.get("identifier") or () if one.get("value")]


def _cx(identifier: Mapping[str, Any]) -> tuple[Component, ...]:
    coded = ((identifier.get("type") or {}).get("coding") or [{}])[0]
    return (str(identifier["value"]), "", "", _hd(str(identifier.get("system", ""))), str(coded.get("code", "")))


def _hd(system: str) -> Component:
    for prefix, kind in (("urn:oid:", "ISO"), ("urn:uuid:", "UUID")):
        if system.startswith(prefix):
            return ("", system.removeprefix(prefix), kind)
    return ("", system, "URI") if system else ""


def _name(patient: Mapping[str, Any]) -> Field:
    name = next(iter(patient.get("name") or ()), {})
    given = [str(one) for one in name.get("given") or ()]
    family = str(name.get("family") or name.get("text") or "")
    return (family, *given[:1], " ".join(given[1:])) if family or given else ""
