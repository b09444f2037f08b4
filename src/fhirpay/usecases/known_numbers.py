"""A charge, payment, copay or coverage that is known under another number of its account is that one, not a second one,
and so is an appointment that was booked before its filler had numbered it.

Called by apply_message.py before a mapped message is written. Our keys hold the account's number as the message says
it, and an account that was merged or renumbered has several: what was sent for the old one may be corrected under the
new one, and the other way round. An exact key comes first: both accounts may have had a transaction of one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..fhir import replaced
from ..fhir.store import Stored, find
from ..mapping.identity import conditional_url, key_value
from ..mapping.mapped import Mapped
from ..parties.statements import numbers_of

Resource = dict[str, Any]
_PLACES = {
    "ChargeItem": 1,
    "PaymentReconciliation": 1,
    "Coverage": 0,
    "RelatedPerson": 0,
}  # which part of its key names the account or the patient
_COPAY = 1


def found_again(tx: Tx, mapped: Mapped) -> Mapped:
    """`mapped`, with the keys under which we have what it speaks of."""
    entries: list[Resource] = mapped.bundle.get("entry", [])
    others = [one for entry in entries if (one := _others(tx, entry["resource"]))]
    booked = any(entry["resource"]["resourceType"] == "Appointment" for entry in entries)
    if not others and not booked:
        return mapped
    return replace(mapped, bundle={**mapped.bundle, "entry": [_entry(tx, entry, others) for entry in entries]})


@dataclass(frozen=True, slots=True)
class _Others:
    """A number that the message uses, and the others under which the same account or patient is known."""

    said: str
    others: tuple[str, ...]
    stored: Stored

    def keys(self, value: str, place: int) -> list[str]:
        """The key as it would be under each of the others."""
        parts = value.split("|")
        if place >= len(parts) or parts[place] != self.said:
            return []
        return ["|".join([*parts[:place], other, *parts[place + 1 :]]) for other in self.others]


def _others(tx: Tx, resource: Resource) -> _Others | None:
    if resource["resourceType"] not in ("Account", "Patient") or not (numbers := numbers_of(resource)):
        return None
    known = replaced.find(tx, resource["resourceType"], *numbers[0])
    if len(known) != 1:
        return None
    (stored,) = known
    said = key_value([numbers[0][1]])
    values = [key_value([value]) for _, value in numbers_of(stored.resource)]
    others = tuple(dict.fromkeys(value for value in values if value != said))
    return _Others(said, others, stored) if others else None


def _entry(tx: Tx, entry: Resource, others: Iterable[_Others]) -> Resource:
    resource = entry["resource"]
    kind = resource["resourceType"]
    if kind == "Account":
        return {**entry, "resource": _copays(resource, others)}
    if kind == "Appointment":
        return _appointment(tx, entry)
    place = _PLACES.get(kind)
    if place is None or not resource.get("identifier"):
        return entry
    first, *rest = resource["identifier"]
    known = _known(tx, kind, first, place, others)
    resource = {**resource, "identifier": [known, *rest]}
    if "partOf" in resource:
        resource["partOf"] = [
            {**part, "identifier": _known(tx, kind, part["identifier"], place, others)}
            if "identifier" in part
            else part
            for part in resource["partOf"]
        ]
    url = conditional_url(kind, known.get("system", ""), known["value"])
    return {**entry, "resource": resource, "request": {**entry["request"], "url": url}}


def _appointment(tx: Tx, entry: Resource) -> Resource:
    """By SCH-2, else by SCH-1: a request may be numbered by its placer alone at first."""
    resource = entry["resource"]
    first, *rest = resource["identifier"]
    for at, key in enumerate(rest if not find(tx, "Appointment", first["system"], first["value"]) else ()):
        if find(tx, "Appointment", key.get("system", ""), key["value"]):
            resource = {**resource, "identifier": [key, first, *rest[:at], *rest[at + 1 :]]}
            url = conditional_url("Appointment", key.get("system", ""), key["value"])
            return {**entry, "resource": resource, "request": {**entry["request"], "url": url}}
    return entry


def _known(tx: Tx, kind: str, key: Resource, place: int, others: Iterable[_Others]) -> Resource:
    """The identifier of the resource that we have, where it is one of another number."""
    system, value = key.get("system", ""), key["value"]
    if find(tx, kind, system, value):
        return key
    for one in others:
        for other in one.keys(value, place):
            if find(tx, kind, system, other):
                return {**key, "value": other}
    return key


def _copays(account: Resource, others: Iterable[_Others]) -> Resource:
    """The copays that it states, under the numbers of those that are kept."""
    stated: list[Resource] = account.get("extension", [])
    if not any(one.get("url") == urls.COPAY_DUE for one in stated):
        return account
    for one in others:
        stated = _restated(stated, one)
    return {**account, "extension": stated}


def _restated(stated: Iterable[Resource], others: _Others) -> list[Resource]:
    kept = {key for one in others.stored.resource.get("extension", ()) for key in _copay_keys(one)}
    return [_renamed(one, others, kept) if one.get("url") == urls.COPAY_DUE else one for one in stated]


def _copay_keys(extension: Resource) -> list[str]:
    parts = extension.get("extension", ()) if extension.get("url") == urls.COPAY_DUE else ()
    return [part["valueIdentifier"]["value"] for part in parts if "valueIdentifier" in part]


def _renamed(copay: Resource, others: _Others, kept: set[str]) -> Resource:
    parts: list[Resource] = []
    for part in copay.get("extension", ()):
        key = part.get("valueIdentifier")
        if key is not None and key["value"] not in kept:
            known = next((one for one in others.keys(key["value"], _COPAY) if one in kept), key["value"])
            part = {**part, "valueIdentifier": {**key, "value": known}}
        parts.append(part)
    return {**copay, "extension": parts}
