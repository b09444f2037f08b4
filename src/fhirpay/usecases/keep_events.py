"""A processor's events go into the inbox: as they were delivered (webhook.py), or as they were found (sweep.py).

    event ─▶ can it be kept? ─▶ without secrets and payers ─▶ inbox row by the event's id ─▶ worked on like a webhook

Where the processor can be read an event only says what to look at, so its id is all that makes it another one: a list
shows it in other bytes than a delivery did, and what is read in the end is the same. Where nothing can be read the
event states the outcome itself, so there bodies are compared as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..db.types import INDEXED_MAX, fitted
from ..db.unit import Tx
from ..errors import ValueInvalid
from ..inbox.store import Incoming, Recorded, record
from ..payments import stated, stated_disputes
from ..payments.port import DisputeSeen, Processor, ProcessorEvent, Stated
from ..security.blind_index import keyed_hash
from ..security.payer import without_payer

KIND = "webhook"


@dataclass(frozen=True, slots=True)
class Kept:
    """One event as it is kept. `states` and `dispute` only where nothing can be read instead."""

    event: ProcessorEvent
    body: bytes
    body_hash: str
    states: Stated | None
    dispute: DisputeSeen | None


def check_keepable(event: ProcessorEvent) -> None:
    """An id goes into an index and is looked up by: as it stands, or not at all. Raises ValueInvalid."""
    for name, text in (
        ("id", event.id),
        ("type", event.type),
        ("data.object", event.our_reference),
        ("data.object.id", event.processor_reference or ""),
    ):
        if fitted(text) != text:
            says = f"an id or type has {INDEXED_MAX} characters at most, and none that a database can't keep"
            raise ValueInvalid(says, location=name)


def kept(adapter: Processor, events: Iterable[ProcessorEvent], body: bytes, hash_key: bytes) -> list[Kept]:
    """What of these is stored. `body` is what came, where an event has no part of its own."""
    readable = adapter.capabilities.readable
    found: list[Kept] = []
    for event in events:
        part = body if event.body is None else event.body
        text = without_payer(adapter.scrub(part.decode("utf-8", "replace"))).encode()
        same = f"event:{event.id}".encode() if readable else part
        states, dispute = (None, None) if readable else (event.states, event.dispute)
        found.append(Kept(event, text, keyed_hash(hash_key, same), states, dispute))
    return found


def record_all(tx: Tx, processor: str, merchant: str, kept: Sequence[Kept]) -> list[Recorded]:
    """Store them, in their order; those that are known already are duplicates."""
    return [_record(tx, processor, merchant, one) for one in kept]


def interface_of(processor: str, merchant: str) -> str:
    """Under which name the inbox has them."""
    return f"{processor}/{merchant}"


def _record(tx: Tx, processor: str, merchant: str, kept: Kept) -> Recorded:
    event = kept.event
    # What waits for an event of the same dispute must not stand before it in a lane.
    subject = event.id if kept.dispute else event.our_reference or event.processor_reference or event.id
    return record(
        tx,
        Incoming(
            source="webhook",
            interface=interface_of(processor, merchant),
            kind="webhook",
            key=(processor, merchant, event.id),
            body=kept.body,
            body_hash=kept.body_hash,
            label=event.type,
            meta={
                "merchant": merchant,
                "about": str(event.about),
                "our_reference": event.our_reference,
                "processor_reference": event.processor_reference or "",
                **({"states": stated.as_text(kept.states)} if kept.states else {}),
                **({"dispute": stated_disputes.as_text(kept.dispute)} if kept.dispute else {}),
            },
            lanes=[f"processor:{merchant}:{subject}"],
        ),
    )
