"""Notifications and the status of a Subscription, in R4, by HL7's Subscriptions R5 Backport (notifications, payloads).

A notification is a Bundle of type history; its first entry is the status, a Parameters by the profile
backport-subscription-status-r4. Pure. Called by usecases/notify.py and by the FHIR endpoint ($status, $events).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ..fhir.store import Stored
from .asked import TOPIC, TYPE, Content
from .store import Event, Subscribed

_PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-"


def status(
    one: Subscribed, kind: str, base_url: str, *, content: Content = "empty", told: Sequence[Event] = ()
) -> dict[str, Any]:
    """`kind` is handshake, heartbeat, event-notification, query-status or query-event."""
    given: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": _url(one, base_url)}},
        {"name": "status", "valueCode": one.state},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(one.events)},
    ]
    if one.asked.by_topic and not (told and content == "empty"):
        given.insert(1, {"name": "topic", "valueCanonical": TOPIC})
    given += [{"name": "notification-event", "part": _event(event, content, base_url)} for event in told]
    if one.state == "error":
        given.append({"name": "error", "valueCodeableConcept": {"text": one.error}})
    id = _uuid(f"{_url(one, base_url)}/{kind}/{one.version}/{[event.number for event in told]}")
    meta = {"profile": [_PROFILE + "status-r4"]}
    return {"resourceType": "Parameters", "id": id, "meta": meta, "parameter": given}


def notification(
    one: Subscribed,
    kind: str,
    base_url: str,
    *,
    at: datetime,
    content: Content = "empty",
    told: Sequence[Event] = (),
    resources: Mapping[tuple[str, int], Stored] | None = None,
) -> dict[str, Any]:
    """The Bundle. `resources` are by id and version, of what is told whole."""
    says = status(one, kind, base_url, content=content, told=told)
    request = {"method": "GET", "url": f"{_url(one, base_url)}/$status"}
    first = {"fullUrl": f"urn:uuid:{says['id']}", "resource": says}
    entries = [{**first, "request": request, "response": {"status": "200"}}]
    if content == "full-resource":
        whole = [(resources or {})[event.resource_id, event.version] for event in told]
        entries += [_entry(stored, base_url) for stored in whole]
    meta = {"profile": [_PROFILE + "notification-r4"]}
    bundle = {"resourceType": "Bundle", "id": says["id"], "meta": meta, "type": "history"}
    return {**bundle, "timestamp": _instant(at), "entry": entries}


def statuses(those: Sequence[Subscribed], base_url: str) -> dict[str, Any]:
    """The answer of `$status`."""
    says = [status(one, "query-status", base_url) for one in those]
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one, "search": {"mode": "match"}} for one in says]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return bundle | ({"entry": entries} if entries else {})


def _event(event: Event, content: Content, base_url: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": _instant(event.happened_at)},
    ]
    if content != "empty":
        focus = {"reference": f"{base_url}/{TYPE}/{event.resource_id}"}
        parts.append({"name": "focus", "valueReference": focus})
    return parts


def _entry(stored: Stored, base_url: str) -> dict[str, Any]:
    made = stored.version == 1
    request = {"method": "POST", "url": TYPE} if made else {"method": "PUT", "url": stored.reference}
    return {
        "fullUrl": f"{base_url}/{stored.reference}",
        "resource": stored.resource,
        "request": request,
        "response": {"status": "201" if made else "200"},
    }


def _url(one: Subscribed, base_url: str) -> str:
    return f"{base_url}/Subscription/{one.subscription_id}"


def _uuid(of: str) -> str:
    """The same for the same: a notification that is sent again is the one that it was."""
    digest = sha256(of.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
