"""An event as it is told: thin, so that nothing of a person leaves, and who wants to know more asks us. Pure."""

from __future__ import annotations

from typing import Any

from ..fhir.json import dumps
from .kinds import PATHS
from .store import Event


def facts(event: Event, base_url: str) -> dict[str, Any]:
    """`base_url` is ours: the object's address stands below it. A return is read at its payment."""
    name = event.kind.partition(".")[0]
    what = name if name in PATHS else "payment"
    of = event.subject if what == name else event.payment_id
    data: dict[str, Any] = {"id": event.subject, "payment": event.payment_id, "state": event.state}
    data |= {"amount": event.amount.decimal, "currency": event.amount.currency}
    data |= {"url": f"{base_url.rstrip('/')}/api/v1/{PATHS[what]}/{of}"}
    at = event.happened_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"type": event.kind, "timestamp": at, "data": data}


def body(event: Event, base_url: str) -> bytes:
    """The same bytes for every try."""
    return dumps(facts(event, base_url)).encode()
