"""Finding messages: by patient, account, control id, type, time, state. Called by `fhirpay messages` and replay.

Whose a message is stands in `inbox_index` as keyed hashes, so that the index says nothing without the key. It is
written when a message is worked on, not before its acknowledgement: what still waits for its turn is found by its
control id, type and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.dialects.postgresql import insert

from ..config import Interface
from ..db.metadata import table
from ..db.unit import Tx
from ..errors import MessageInvalid
from ..hl7.reader import Message, Segment
from ..security.blind_index import blind_index
from .store import InboxMessage, from_row
from .tables import InboxIndexRow, InboxRow

LIMIT = 100  # messages at once, where nobody says otherwise
_inbox, _index = table(InboxRow), table(InboxIndexRow)
_ADD = insert(_index).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Selector:
    """What to look for; empty: anything. All that is said must hold."""

    patient: str = ""  # an identifier, or a name
    account: str = ""  # its number
    control_id: str = ""
    type: str = ""  # DFT^P03, or DFT
    interface: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def empty(self) -> bool:
        return self == Selector()

    def as_json(self) -> dict[str, str]:
        """For another process; what is empty is left out."""
        said = asdict(self)
        return {
            name: str(value.isoformat() if isinstance(value, datetime) else value)
            for name, value in said.items()
            if value
        }

    @classmethod
    def from_json(cls, said: Mapping[str, str]) -> Selector:
        """Raises MessageInvalid for what is none."""
        try:
            times = {name: datetime.fromisoformat(said[name]) for name in ("since", "until") if name in said}
            return cls(**{**said, **times})  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise MessageInvalid("not a selection of messages") from None


def index(tx: Tx, message: InboxMessage, parsed: Message | None, key: bytes) -> None:
    """Make the message findable by whom and what it is about. Again is no harm."""
    said = {("account", one.rpartition("|")[2]) for one in message.account_keys}
    if parsed is not None:
        said |= _patients(parsed)
    hashes = {(kind, _hash(key, kind, value)) for kind, value in said}
    rows = [
        {"tenant_id": tx.tenant, "kind": kind, "hash": found, "message_id": message.message_id}
        for kind, found in sorted(hashes)
        if found
    ]
    tx.put(_ADD, *rows)


def readable(message: InboxMessage, interface: Interface) -> Message | None:
    """The message, where it can be read as one."""
    if message.body is None or message.kind != "hl7":
        return None
    return Message.parse(message.body, charset_fallback=interface.charset_fallback, charset=interface.charset)


def search(tx: Tx, wanted: Selector, key: bytes, *, limit: int = LIMIT, before: str = "") -> list[InboxMessage]:
    """The newest first; `before` is the id of the last one seen."""
    where: list[Any] = [_inbox.c.tenant_id == tx.tenant]
    if wanted.patient:
        where.append(_about(tx, [(kind, _hash(key, kind, wanted.patient)) for kind in ("patient", "name")]))
    if wanted.account:
        where.append(_about(tx, [("account", _hash(key, "account", wanted.account))]))
    if wanted.control_id:
        where.append(_inbox.c.control_id == wanted.control_id)
    if wanted.type:
        same = _inbox.c.label == wanted.type
        where.append(
            same if "^" in wanted.type else or_(same, _inbox.c.label.startswith(f"{wanted.type}^", autoescape=True))
        )
    if wanted.interface:
        where.append(_inbox.c.interface == wanted.interface)
    if wanted.state:
        where.append(_inbox.c.state == wanted.state)
    if wanted.since is not None:
        where.append(_inbox.c.received_at >= wanted.since)
    if wanted.until is not None:
        where.append(_inbox.c.received_at < wanted.until)
    if before:
        where.append(_inbox.c.message_id < before)
    found = tx.all(select(_inbox).where(*where).order_by(_inbox.c.message_id.desc()).limit(limit))
    return [from_row(row) for row in found]


def _about(tx: Tx, said: Iterable[tuple[str, str]]) -> Any:
    each = [and_(_index.c.kind == kind, _index.c.hash == found) for kind, found in said]
    mine = (_index.c.tenant_id == tx.tenant, _index.c.message_id == _inbox.c.message_id)
    return exists().where(*mine, or_(*each))


def _hash(key: bytes, kind: str, value: str) -> str:
    return blind_index(key, "name" if kind == "name" else "identifier", value)


def _patients(message: Message) -> set[tuple[str, str]]:
    """The identifiers and names of each PID, as they may be asked for: the family alone, and with the given name."""
    found: set[tuple[str, str]] = set()
    for segment in message.segments("PID"):
        found |= {("patient", value) for field in (2, 3, 4) for value in _values(segment, field, 1)}
        for repetition in range(1, segment.repetitions(5) + 1):
            family, given = (segment.get(5, component, 1, repetition) for component in (1, 2))
            found |= {("name", family), ("name", f"{family} {given}"), ("name", f"{given} {family}")}
    return found


def _values(segment: Segment, field: int, component: int) -> list[str]:
    return [segment.get(field, component, 1, number) for number in range(1, segment.repetitions(field) + 1)]
