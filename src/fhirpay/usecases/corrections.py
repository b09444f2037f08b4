"""A charge or payment that comes again under its number and says something else: what `correction` makes of it.

Called by apply_message.py before a mapped message is written. `replace` needs nothing of this: the Bundle is laid over
what is kept. To tell a correction from a repeat the kept charge is compared by price, code and day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Literal

from ..billing.elements import money_of
from ..billing.look_alikes import other_service
from ..db.unit import Tx
from ..fhir.store import Stored, find
from ..mapping.identity import conditional_url
from ..mapping.mapped import Mapped, Parked

Resource = dict[str, Any]
CODE = "charge-corrected"  # of the parked line
_AMOUNT = {"ChargeItem": "priceOverride", "PaymentReconciliation": "paymentAmount"}  # what has a number, and its amount


def settled(
    tx: Tx, mapped: Mapped, correction: Literal["replace", "add", "park"], *, message_id: str, newer: Collection[str]
) -> Mapped:
    """`mapped` as it is to be written. `newer`: what younger messages have spoken of; nothing here corrects that."""
    if correction == "replace":
        return mapped
    entries: list[dict[str, Any]] = mapped.bundle.get("entry", [])
    kept: list[dict[str, Any]] = []
    parked: list[Parked] = []
    gone: dict[str, Resource] = {}
    for entry in entries:
        kind = entry["resource"]["resourceType"]
        before = _before(tx, entry["resource"]) if kind in _AMOUNT else []
        if not before or any(one.reference in newer for one in before):
            kept.append(entry)
        elif same := next((one for one in before if not _differs(one.resource, entry["resource"])), None):
            kept.append(_under(entry, same.resource["identifier"][0]["value"]))
        elif correction == "add":
            kept.append(_under(entry, f"{_key(entry['resource'])['value']}|{message_id}"))
        else:
            place = mapped.lines.get(entry["fullUrl"], "FT1")
            was, now = (money_of(one.get(_AMOUNT[kind])) for one in (before[0].resource, entry["resource"]))
            what = "charge" if kind == "ChargeItem" else "payment"
            says = f"this number was {was} before and is {now}: a correction, or another {what}? (correction)"
            parked.append(Parked(f"{place}-2", says, CODE))
            gone[entry["fullUrl"]] = _key(entry["resource"])
    bundle = {**mapped.bundle, "entry": [_unlinked(entry, gone) for entry in kept]}
    return replace(mapped, bundle=bundle, parked=(*mapped.parked, *parked))


def _key(resource: Resource) -> dict[str, str]:
    return resource["identifier"][0]


def _before(tx: Tx, line: Resource) -> list[Stored]:
    """What is kept of this number: the one of the message's own key first, then those that were added to it."""
    key, kind = _key(line), line["resourceType"]
    found = find(tx, kind, key["system"], key["value"])
    number = next((one for one in line["identifier"][1:] if one.get("system", "").endswith(":transaction")), None)
    others = find(tx, kind, number["system"], number["value"]) if number else []
    return [*found, *(one for one in others if _key(one.resource)["value"].startswith(key["value"] + "|"))]


def _differs(before: Resource, after: Resource) -> bool:
    amount = _AMOUNT[after["resourceType"]]
    if money_of(before.get(amount)) != money_of(after.get(amount)):
        return True
    if after["resourceType"] == "ChargeItem":
        return bool(other_service(before, after))
    return before.get("paymentDate") != after.get("paymentDate")


def _under(entry: dict[str, Any], value: str) -> dict[str, Any]:
    """The entry as a resource of another number of ours."""
    resource = entry["resource"]
    key = {**_key(resource), "value": value}
    url = conditional_url(entry["resource"]["resourceType"], key["system"], value)
    return {
        **entry,
        "resource": {**resource, "identifier": [key, *resource["identifier"][1:]]},
        "request": {**entry["request"], "url": url},
    }


def _unlinked(entry: dict[str, Any], gone: dict[str, Resource]) -> dict[str, Any]:
    """A credit of a charge that isn't written names it by its number."""
    parts: Iterable[dict[str, Any]] = entry["resource"].get("partOf", ())
    if not any(part.get("reference") in gone for part in parts):
        return entry
    named = [
        {"type": "ChargeItem", "identifier": gone[part["reference"]]} if part.get("reference") in gone else part
        for part in parts
    ]
    return {**entry, "resource": {**entry["resource"], "partOf": named}}
