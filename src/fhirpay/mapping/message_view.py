"""A message as HL7's guide shows it: a Bundle of type `message` with MessageHeader and Provenance around what it says.

Called by `fhirpay map --message` and tests. The rules are `mappings/base/message.yaml`, which a site may lay over like
any other. Nothing of this is stored: the inbox keeps the message itself, and every resource says in `meta.source`
which message it came with.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..config import Facility, Interface
from ..hl7.reader import Message
from .compile import Rule
from .context import Context
from .identity import full_url
from .loader import Maps
from .mapped import Mapped


def message_bundle(
    message: Message, mapped: Mapped, interface: Interface, facility: Facility, *, maps: Maps, now: datetime
) -> dict[str, Any]:
    """`mapped` as a message Bundle: the header first, then what the message says, then where that comes from."""
    ctx = Context(message, interface, facility, maps.tables)
    entries: list[dict[str, Any]] = mapped.bundle.get("entry", [])
    ctx.now = now.isoformat()
    ctx.said = [str(entry["fullUrl"]) for entry in entries]
    ctx.patient = next((str(one["fullUrl"]) for one in entries if one["resource"]["resourceType"] == "Patient"), "")
    made = [_made(ctx, rule) for rule in maps.about]
    bundle = next((one["resource"] for one in made if one and one["resource"]["resourceType"] == "Bundle"), {})
    header = [one for one in made if one and one["resource"]["resourceType"] == "MessageHeader"]
    others = [one for one in made if one and one["resource"]["resourceType"] not in ("Bundle", "MessageHeader")]
    said = [{"fullUrl": entry["fullUrl"], "resource": entry["resource"]} for entry in entries]
    return {**bundle, "entry": [*header, *said, *others]}


def _made(ctx: Context, rule: Rule) -> dict[str, Any] | None:
    segment = ctx.message.first(rule.each) if rule.each else None
    if segment is None or rule.resource is None or not rule.when(ctx):
        return None
    ctx.target = rule.resource
    with ctx.at(segment):
        resource = {"resourceType": rule.resource, **rule.build(ctx)}
    return {"fullUrl": full_url(rule.resource, rule.name, ctx.message.control_id), "resource": resource}
