"""The inbox: what came in is stored here, in one unit, before anybody is told that we have it.

Called by the sources (MLLP, HTTP, FHIR, webhooks, files) with `record`, as an urgent unit; by use cases with
`note_outcome`; by `explain` and replay with the readers. What a message may hold up is decided by who makes the
`Incoming`: see `gate.py` for HL7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import RowMapping, bindparam, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import micros, text_list
from ..db.unit import Prepared, Tx
from ..domain.ids import first_id
from ..errors import Conflict, NotFound
from ..flow.aliases import join
from ..flow.lane import enqueue
from .tables import AGAIN, InboxRow

_inbox = table(InboxRow)
_IS_IT = (_inbox.c.tenant_id == bindparam("tenant"), _inbox.c.message_id == bindparam("message"))
_BY_ID, _NOTE = select(_inbox).where(*_IS_IT), update(_inbox).where(*_IS_IT)

QUEUE = "inbox"
State = Literal["received", "applied", "parked", "ignored"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that passed its gate. `body` holds no card number any more; `body_hash` is keyed."""

    source: Literal["mllp", "http", "fhir", "webhook", "file"]
    interface: str
    kind: Literal["hl7", "fhir", "webhook", "notification"]
    key: tuple[str, ...]  # names it in the sender's own words; the last part is its id (MSH-10, an event id)
    body: bytes
    body_hash: str
    label: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    lanes: Sequence[str] = ()
    needs: Sequence[str] = ()
    blocks: Sequence[str] = ()
    suspends: Sequence[str] = ()  # topics `account:…`: nothing is collected on them while this message is parked
    account_keys: tuple[str, ...] = ()  # the accounts it is about, `system|value`, for people and `explain`
    message_id: str | None = None  # where something had to name it before it was stored; None: it gets one
    joins: Sequence[tuple[str, str]] = ()  # lanes that are one from now on: a number merged away, the one that stands
    unique_ids: bool = False  # the sender promises them: the same key with another body is refused


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of it. `answer` is what the sender is to be told: the first answer again, for a duplicate."""

    message_id: str
    duplicate_of: str | None = None
    answer: bytes | None = None
    occurrence: int = 1
    changed: bool = False  # the key was known, with another body


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A stored message. `body` is None once its health information has expired."""

    message_id: str
    interface: str
    key: tuple[str, ...]
    occurrence: int
    body_hash: str
    control_id: str
    source: str
    kind: str
    label: str
    meta: dict[str, str]
    account_keys: tuple[str, ...]
    body: bytes | None
    answer: bytes | None
    work_id: str
    state: State
    detail: str
    resources: tuple[str, ...]
    received_at: datetime


_STORE = Prepared(
    insert(_inbox).on_conflict_do_nothing(
        index_elements=["tenant_id", "control_id", "interface", "sender_key", "occurrence"]
    )
)
# Each reads one entry of an index, however often the id came before.
_CALLED = {name: (_inbox.c[name], bindparam(name)) for name in ("control_id", "interface", "sender_key")}
_OWN = (_inbox.c.tenant_id == bindparam("tenant"), *(column == given for column, given in _CALLED.values()))
_ANSWERED = select(_inbox.c.message_id, _inbox.c.occurrence, _inbox.c.body_hash, _inbox.c.answer)
_FIRST = _ANSWERED.where(*_OWN).order_by(_inbox.c.occurrence).limit(1)
# By the body: with || '' the id's own index, which has all that came under it, isn't thought of.
_KNOWN = _ANSWERED.where(
    _inbox.c.tenant_id == bindparam("tenant"),
    _inbox.c.body_hash == bindparam("hash"),
    AGAIN,
    *(column + literal_column("''") == given for column, given in _CALLED.values()),
)
_LAST = select(_inbox.c.occurrence).where(*_OWN).order_by(_inbox.c.occurrence.desc()).limit(1)
_sender_key = lru_cache(1024)(text_list)  # a sender's messages all have the same


def record(tx: Tx, incoming: Incoming, *, answer: Callable[[str], bytes] | None = None) -> Recorded:
    """Store the message and queue its work, unless it is one that we have.

    The same key with the same body is a duplicate: nothing is stored, and `answer` of the result is the first answer.
    The same key with another body is the next occurrence, stored and `changed`; where the sender promises unique ids
    it raises Conflict. `answer(message_id)` makes what the sender will be told; it is stored in the same unit.
    """
    message_id = incoming.message_id or tx.ids.new("msg")
    told = None if answer is None else answer(message_id)
    now = micros(tx.now)
    row: dict[str, Any] = {
        "tenant_id": tx.tenant,
        "message_id": message_id,
        "interface": incoming.interface,
        "sender_key": _sender_key(incoming.key[:-1]),
        "control_id": incoming.key[-1],
        "occurrence": 1,
        "body_hash": incoming.body_hash,
        "source": incoming.source,
        "kind": incoming.kind,
        "label": incoming.label,
        "meta": json.dumps(incoming.meta) if incoming.meta else "{}",
        "account_keys": text_list(incoming.account_keys),
        "body": incoming.body,
        "answer": told,
        "work_id": f"wrk{message_id[3:]}",  # the same number: easy to follow, and cheap
        "state": "received",
        "detail": "",
        "resources": "[]",
        "received_at": now,
        "changed_at": now,
    }
    # Hardly ever known: so the insert comes first, and who meets the unique key looks.
    while not tx.change(_STORE, row):
        key = {name: row[name] for name in ("control_id", "interface", "sender_key")}
        first = tx.one(_FIRST, **key)
        assert first is not None  # it was met
        known = first if first["body_hash"] == incoming.body_hash else tx.one(_KNOWN, hash=incoming.body_hash, **key)
        if known is not None:
            return Recorded(known["message_id"], known["message_id"], known["answer"], known["occurrence"])
        if incoming.unique_ids:
            raise Conflict(
                f"{incoming.key[-1]} was sent before with another body, and this sender promises unique ids",
                message_id=first["message_id"],
            )
        row["occurrence"] = tx.scalar(_LAST, **key) + 1
    enqueue(
        tx,
        queue=QUEUE,
        kind=incoming.kind,
        ref=message_id,
        lanes=incoming.lanes,
        needs=incoming.needs,
        blocks=incoming.blocks,
        suspends=incoming.suspends,
        work_id=row["work_id"],
    )
    if incoming.joins:
        join(tx, QUEUE, incoming.joins, message_id)
    return Recorded(message_id, None, told, row["occurrence"], row["occurrence"] > 1)


_WHICH = select(_inbox.c.control_id).where(
    _inbox.c.tenant_id == bindparam("tenant"),
    _inbox.c.control_id.in_(bindparam("ids", expanding=True)),
    _inbox.c.interface == bindparam("interface"),
    _inbox.c.sender_key == bindparam("sender_key"),
)


def unknown_keys(tx: Tx, interface: str, sender: tuple[str, ...], ids: Sequence[str]) -> set[str]:
    """Those of a sender's ids under which nothing is stored; a few hundred at once."""
    given = {"interface": interface, "sender_key": _sender_key(sender), "ids": list(ids)}
    return set(ids) - {row["control_id"] for row in tx.all(_WHICH, **given)} if ids else set()


def note_outcome(tx: Tx, message_id: str, state: State, detail: str = "", resources: Sequence[str] = ()) -> None:
    """What became of the message, in the unit that did it. Raises NotFound."""
    values = {"state": state, "detail": detail, "resources": text_list(resources), "changed_at": tx.now}
    if not tx.put(_NOTE, {"tenant": tx.tenant, "message": message_id, **values}):
        raise NotFound(f"there is no message {message_id}", message_id=message_id)


def get(tx: Tx, message_id: str) -> InboxMessage:
    """The message. Raises NotFound."""
    row = tx.one(_BY_ID, message=message_id)
    if row is None:
        raise NotFound(f"there is no message {message_id}", message_id=message_id)
    return from_row(row)


def resources_since(tx: Tx, message_id: str) -> set[str]:
    """The resources that messages after this one have made or changed, or confirmed as they were."""
    later = select(_inbox.c.resources).where(
        _inbox.c.tenant_id == tx.tenant,
        _inbox.c.message_id > message_id,  # ids are made in the order in which messages come in
        _inbox.c.state.in_(("applied", "parked")),
        _inbox.c.resources != "[]",
    )
    return {ref for row in tx.all(later) for ref in json.loads(row["resources"])}


def heard_since(tx: Tx, start: datetime) -> dict[str, datetime]:
    """When each interface was last heard of since then, by what it sent; only those that were."""
    # By id, of which the front is the time: there is no index on received_at, and one would cost each message.
    after = first_id("msg", start)
    last = func.max(_inbox.c.received_at).label("last")
    statement = select(_inbox.c.interface, last).where(
        _inbox.c.tenant_id == tx.tenant, _inbox.c.message_id >= after, _inbox.c.received_at >= start
    )
    return {row["interface"]: row["last"] for row in tx.all(statement.group_by(_inbox.c.interface))}


def recent_bodies(tx: Tx, interface: str, limit: int) -> list[bytes]:
    """The newest HL7 messages of an interface, oldest of them first; without those that have expired."""
    where = (_inbox.c.tenant_id == tx.tenant, _inbox.c.interface == interface, _inbox.c.kind == "hl7")
    statement = select(_inbox.c.body).where(*where, _inbox.c.body.is_not(None))
    found = tx.all(statement.order_by(_inbox.c.message_id.desc()).limit(limit))
    return [row["body"] for row in reversed(found)]


def find_by_control_id(tx: Tx, control_id: str) -> list[InboxMessage]:
    """The messages with this MSH-10 (or event id), oldest first: ids are unique within a sender at best."""
    return [
        from_row(row)
        for row in tx.all(
            select(_inbox)
            .where(_inbox.c.tenant_id == tx.tenant, _inbox.c.control_id == control_id)
            .order_by(_inbox.c.received_at, _inbox.c.message_id)
        )
    ]


def from_row(row: RowMapping) -> InboxMessage:
    """A stored row as what others see."""
    return InboxMessage(
        message_id=row["message_id"],
        interface=row["interface"],
        key=(*json.loads(row["sender_key"]), row["control_id"]),
        occurrence=row["occurrence"],
        body_hash=row["body_hash"],
        control_id=row["control_id"],
        source=row["source"],
        kind=row["kind"],
        label=row["label"],
        meta=json.loads(row["meta"]),
        account_keys=tuple(json.loads(row["account_keys"])),
        body=row["body"],
        answer=row["answer"],
        work_id=row["work_id"],
        state=row["state"],
        detail=row["detail"],
        resources=tuple(json.loads(row["resources"])),
        received_at=row["received_at"],
    )
