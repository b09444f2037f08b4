"""Our references → references that the EHR understands: its ids, not ours. Called by usecases/post_back.py and,
for the way back, by usecases/launch_context.py.

A resource that this EHR made over FHIR under its own id is named by that id, and so is one that came another way and
was met there under the same number. Anything else (it came over HL7v2, or got an id from us as the sender had none) is
named by `type` and its first identifier, which is what the sender knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import NotFound
from ..fhir import store as fhir
from ..fhir.tables import ResourceVersionRow
from ..inbox import store as inbox
from ..inbox.store import InboxMessage
from ..polling import twins

_versions = table(ResourceVersionRow)
_MINTED = re.compile(r"[a-z]+[0-9a-hjkmnp-tv-z]{26}\Z")  # domain/ids.py: nobody else's ids look so


def as_known_by(tx: Tx, reference: str, connection: str) -> dict[str, Any] | None:
    """The Reference for `ChargeItem/…` at that connection; None for what it can't know."""
    resource_type, _, resource_id = reference.partition("/")
    found = fhir.get(tx, resource_type, resource_id)
    if found is None:
        return None
    if not _MINTED.match(resource_id) and its_own_id(tx, connection, resource_type, resource_id):
        return {"reference": reference}
    if its_id := twins.theirs(tx, connection, reference):
        return {"reference": f"{resource_type}/{its_id}"}
    for identifier in found.resource.get("identifier") or ():
        if identifier.get("value"):
            named = {name: identifier[name] for name in ("system", "value") if name in identifier}
            return {"type": resource_type, "identifier": named}
    return None


def resource_of(tx: Tx, reference: str) -> Mapping[str, Any]:
    """The current version; empty where there is none."""
    kind, _, id = reference.partition("/")
    found = fhir.get(tx, kind, id) if id else None
    return found.resource if found else {}


def sources(tx: Tx, resource_type: str, resource_id: str) -> list[str]:
    """The messages that wrote a resource, first one first."""
    rows = tx.all(
        select(_versions.c.source, _versions.c.version)
        .where(
            _versions.c.tenant_id == tx.tenant,
            _versions.c.type == resource_type,
            _versions.c.resource_id == resource_id,
        )
        .order_by(_versions.c.version)
    )
    named = (row["source"].rpartition("#")[2] for row in rows)  # a source ends with `#` and the message's id
    return list(dict.fromkeys(filter(None, named)))


def written_by(tx: Tx, connection: str, resource_type: str, resource_id: str) -> bool:
    """Whether a version came from the client of that name: connections and clients of one EHR share theirs."""
    return any(_is_from(message, connection) for message in _messages(tx, resource_type, resource_id))


def its_own_id(tx: Tx, connection: str, resource_type: str, resource_id: str) -> bool:
    """Whether that client named it so: the first version is its. Who changed what another has named, such as the one
    with that number, may have somebody else under that id."""
    first = next(_messages(tx, resource_type, resource_id), None)
    return first is not None and _is_from(first, connection)


def came_by(tx: Tx, feed: str, resource_type: str, resource_id: str) -> bool:
    """Whether a version came by that feed: an HL7v2 interface, or FHIR under its rules."""
    return any(message.interface == feed for message in _messages(tx, resource_type, resource_id))


def _is_from(message: InboxMessage, connection: str) -> bool:
    return message.kind == "fhir" and connection in (message.key[0], message.interface)


def _messages(tx: Tx, resource_type: str, resource_id: str) -> Iterator[InboxMessage]:
    for message_id in sources(tx, resource_type, resource_id):
        try:
            yield inbox.get(tx, message_id)
        except NotFound:
            continue
