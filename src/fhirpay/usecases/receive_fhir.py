"""A FHIR write has been stored: record the message and queue what follows, in the same unit, before the 2xx.

Given to the FHIR server and to polling, which call it last in their units. What the write means for accounts is worked
out by the inbox's handler `fhir` (apply_message.py), in the lanes of the accounts that it touches, so that it keeps its
place among HL7v2 messages about the same account.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..billing import cutover
from ..billing.intake import topics_of
from ..config import Tenant
from ..db.unit import Tx
from ..fhir import store
from ..fhir.store import Change, Stored
from ..inbox.store import Incoming, record
from ..security.blind_index import keyed_hash
from . import visits
from .collect import accounts_touched


class Sender(Protocol):
    """Whose resources they are: a client that sends them, or a connection that they are picked up at."""

    @property
    def name(self) -> str: ...
    @property
    def interface(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FhirIntake:
    """The `accepted` of the FHIR server's dependencies."""

    hash_key: bytes
    tenant: Tenant

    def source(self, tx: Tx, client: Sender) -> str:
        """The name of a new message: the feed and the message's id, as with HL7v2 (apply_message.source_of)."""
        return f"urn:fhirpay:{_feed(client)}#{tx.ids.new('msg')}"

    def __call__(
        self,
        tx: Tx,
        client: Sender,
        request: str,
        changes: Sequence[tuple[Stored, Change]],
        body: bytes,
        *,
        source: str,
    ) -> None:
        """Record what came in. A write that changed nothing has nothing to follow."""
        changed = [stored for stored, change in changes if change != "unchanged"]
        if not changed:
            return
        cutover.note(tx, _feed(client), changed, self.tenant)
        accounts = accounts_touched(tx, changes)
        versions = [f"{one.type}/{one.id}/_history/{one.version}" for one in changed]
        topics = [topic for ref in accounts for topic in _topics(tx, ref)]
        record(
            tx,
            Incoming(
                source="fhir",
                interface=_feed(client),
                message_id=source.rpartition("#")[2],
                kind="fhir",
                # A version is written once: it names the write better than anything that a client could send.
                key=(client.name, request.partition(" ")[0], versions[0]),
                body=body,
                body_hash=keyed_hash(self.hash_key, body),
                label=request,
                meta={"accounts": json.dumps(accounts), "versions": json.dumps(versions)},
                lanes=tuple(dict.fromkeys(topics)) or (f"fhir:{versions[0].partition('/_history')[0]}",),
            ),
        )
        visits.note(tx, self.tenant, _feed(client), changes)


def _feed(client: Sender) -> str:
    return client.interface or client.name


def _topics(tx: Tx, account_ref: str) -> tuple[str, ...]:
    """The lanes of an account: those of its identifiers, which HL7v2 messages use too; without any, its own."""
    kind, _, account_id = account_ref.partition("/")
    found = store.get(tx, kind, account_id)
    return (topics_of(found.resource) if found and kind == "Account" else ()) or (f"account:{account_ref}",)
