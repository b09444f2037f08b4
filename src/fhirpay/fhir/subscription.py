"""A Subscription of ours at a FHIR server: what is put there, and what it says of it. Pure; by keep_subscribed.py.

R4 and R4B (subscription.html): `criteria` is a search, or the URL of a topic (Subscriptions R5 Backport,
StructureDefinition backport-subscription). The secret goes into `channel.header`, which comes back with each call.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .loose import text
from .pages import instant
from .statement import TOPIC_BASED

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
_JSON = "application/fhir+json"


def subscription(
    resource_type: str, *, endpoint: str, secret: str, content: str, topic: str = "", heartbeat_s: int = 0
) -> dict[str, Any]:
    """Without id, status and end. `content` is empty, id-only or full-resource; only a topic knows the one between."""
    channel: dict[str, Any] = {"type": "rest-hook", "endpoint": endpoint, "header": [f"Authorization: Bearer {secret}"]}
    reason = f"payments: changes of {resource_type} are picked up as they happen"
    made: dict[str, Any] = {"resourceType": "Subscription", "reason": reason}
    if not topic:
        if content == "full-resource":
            channel["payload"] = _JSON
        return made | {"criteria": f"{resource_type}?", "channel": channel}
    if heartbeat_s:
        channel["extension"] = [{"url": _BACKPORT + "backport-heartbeat-period", "valueUnsignedInt": heartbeat_s}]
    channel["payload"] = _JSON
    channel["_payload"] = {"extension": [{"url": _BACKPORT + "backport-payload-content", "valueCode": content}]}
    return made | {"meta": {"profile": [TOPIC_BASED]}, "criteria": topic, "channel": channel}


def asked_for(wanted: Mapping[str, Any], *, status: str, end: datetime, id: str = "") -> dict[str, Any]:
    """The whole resource, as it is put there."""
    named = {"id": id} if id else {}
    until = end.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {**wanted, **named, "status": status, "end": until}


def endpoint_of(resource: Mapping[str, Any]) -> str:
    channel = resource.get("channel")
    return text(channel.get("endpoint")) if isinstance(channel, dict) else ""


def status_of(resource: Mapping[str, Any]) -> str:
    """requested, active, error or off; nothing where it doesn't say."""
    return text(resource.get("status"))[:50]


def end_of(resource: Mapping[str, Any]) -> datetime | None:
    return instant(text(resource.get("end")))


def error_of(resource: Mapping[str, Any]) -> str:
    return text(resource.get("error"))[:300]
