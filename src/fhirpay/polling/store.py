"""How far an EHR was read, kept with what was read: the lease of who asks, each type's mark, each resource's version.

Called by usecases/poll_ehr.py and receive_notification.py, inside their units. A unit that writes what was read first
says `hold`: who has lost the lease in the meantime leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, bindparam, case, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted, micros
from ..db.unit import Tx
from ..errors import LeaseLost
from .tables import PollLeaseRow, PollMarkRow, PollSeenRow

_lease, _mark, _seen = table(PollLeaseRow), table(PollMarkRow), table(PollSeenRow)
_TENANT, _CONNECTION = bindparam("tenant"), bindparam("of")
PAGE = 50  # resources that a search asks for at once
_ABSENT_FOR = timedelta(hours=1)  # then what wasn't to be had is asked for again

_KNOWN = select(_seen.c.resource_id, _seen.c.version, _seen.c.seen_at).where(
    _seen.c.tenant_id == _TENANT,
    _seen.c.connection == _CONNECTION,
    _seen.c.resource_type == bindparam("type"),
    _seen.c.resource_id.in_(bindparam("ids", expanding=True)),
)
_NEW_SEEN = insert(_seen)
_SEE = _NEW_SEEN.on_conflict_do_update(
    index_elements=["tenant_id", "connection", "resource_type", "resource_id"],
    set_={"version": _NEW_SEEN.excluded.version, "seen_at": _NEW_SEEN.excluded.seen_at},
)
_MARKS = select(_mark).where(_mark.c.tenant_id == _TENANT, _mark.c.connection == _CONNECTION)
_BEGIN = insert(_mark).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one type was read; see tables.py."""

    resource_type: str
    start: datetime
    watermark: datetime
    since: datetime | None
    link: str
    passed: str
    pages: int
    page_size: int
    newest: datetime | None
    answered_at: datetime | None
    unfiltered: bool
    due_at: datetime
    failures: int
    hints: int  # written by `hint` alone


# ── who asks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(tx: Tx, connection: str, *, owner: str, lease: timedelta) -> int | None:
    """The fence of our lease; None while another process asks this EHR."""
    until = tx.now + lease
    row = {"tenant_id": tx.tenant, "connection": connection, "owner": owner, "fence": 1, "lease_until": until}
    statement = insert(_lease).values(row)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "connection"],
        set_={"owner": owner, "fence": _lease.c.fence + 1, "lease_until": until},
        where=_lease.c.lease_until <= tx.now,
    )
    return tx.scalar(statement.returning(_lease.c.fence))


def hold(tx: Tx, connection: str, fence: int, lease: timedelta) -> datetime:
    """It is still ours, and for as long again; the moment. Raises LeaseLost."""
    if not _until(tx, connection, fence, tx.now + lease):
        raise LeaseLost(f"another process asks '{connection}' now", connection=connection)
    return tx.now


def wait_for_unit(tx: Tx, connection: str) -> None:
    """Nobody who asks writes down what was read, until this unit ends."""
    tx.one(select(_lease.c.fence).where(*_ours(tx, connection)).with_for_update())


def release(tx: Tx, connection: str, fence: int) -> None:
    """Others may ask from now on. Nothing if it isn't ours."""
    _until(tx, connection, fence, tx.now)


def _until(tx: Tx, connection: str, fence: int, moment: datetime) -> bool:
    ours = (*_ours(tx, connection), _lease.c.fence == fence)
    return tx.execute(update(_lease).where(*ours).values(lease_until=moment)).rowcount == 1


def _ours(tx: Tx, connection: str) -> tuple[ColumnElement[bool], ...]:
    return _lease.c.tenant_id == tx.tenant, _lease.c.connection == connection


# ── how far ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def marks(tx: Tx, connection: str, types: Collection[str], start: datetime) -> list[Mark]:
    """How far each of these types was read, the one that is due first in front. One that is new begins at `start`."""
    kept = {row["resource_type"]: _read(row) for row in tx.all(_MARKS, of=connection)}
    for kind in sorted(set(types) - kept.keys()):
        new = Mark(kind, start, start, None, "", "", 0, PAGE, None, None, False, tx.now, 0, 0)
        tx.put(_BEGIN, {"tenant_id": tx.tenant, "connection": connection, **asdict(new)})
        kept[kind] = new
    return sorted((kept[kind] for kind in types), key=lambda one: one.due_at)


def move(tx: Tx, connection: str, mark: Mark) -> None:
    """It was read so far."""
    values = {name: value for name, value in asdict(mark).items() if name != "hints"}
    tx.execute(update(_mark).where(*_is_it(tx, connection, mark.resource_type)).values(values))


def topic(tenant: str, connection: str) -> str:
    """Set when there is something to ask this EHR for at once."""
    return f"poll:{tenant}:{connection}"


def hint(tx: Tx, connection: str, types: Collection[str]) -> None:
    """The EHR says that something of these types changed: they are asked for now, unless it is being left alone."""
    told = (_mark.c.tenant_id == tx.tenant, _mark.c.connection == connection, _mark.c.resource_type.in_(sorted(types)))
    soon = case(((_mark.c.failures == 0) & (_mark.c.due_at > tx.now), micros(tx.now)), else_=_mark.c.due_at)
    tx.execute(update(_mark).where(*told).values(hints=_mark.c.hints + 1, due_at=soon))
    tx.wake(topic(tx.tenant, connection))


def hinted(tx: Tx, connection: str, mark: Mark) -> bool:
    """Whether it has told of a change since this mark was read."""
    is_it = _is_it(tx, connection, mark.resource_type)
    return tx.one(select(_mark.c.hints).where(*is_it, _mark.c.hints != mark.hints)) is not None


def _is_it(tx: Tx, connection: str, resource_type: str) -> tuple[ColumnElement[bool], ...]:
    return _mark.c.tenant_id == tx.tenant, _mark.c.connection == connection, _mark.c.resource_type == resource_type


def _read(row: RowMapping) -> Mark:
    return Mark(**{name: row[name] for name in Mark.__slots__})


# ── which versions ────────────────────────────────────────────────────────────────────────────────────────────────────


def versions(tx: Tx, connection: str, resource_type: str, ids: Iterable[str]) -> dict[str, str]:
    """The versions that were read last."""
    found = _seen_of(tx, connection, resource_type, ids)
    return {id: row["version"] for id, row in found.items() if row["version"]}


def known(
    tx: Tx, connection: str, resource_type: str, named: Mapping[str, str], *, lasts: timedelta | None
) -> set[str]:
    """Those of these ids that needn't be read again. `named`: id → the version that a reference names, or nothing.

    What wasn't to be had a moment ago counts as known. `lasts` is how long what was read is good for; None: somebody
    follows its changes.
    """
    fresh: set[str] = set()
    for id, row in _seen_of(tx, connection, resource_type, named).items():
        age, read = tx.now - row["seen_at"], row["version"].partition("@")[0]
        if not row["version"]:
            good = age < _ABSENT_FOR
        elif _newer(named[id], read):
            good = False
        else:
            good = lasts is None or age < lasts
        if good:
            fresh.add(id)
    return fresh


def _newer(named: str, read: str) -> bool:
    """Whether a reference names a version after the one that was read; they are counted, or else they differ."""
    if named.isdecimal() and read.isdecimal():
        return int(named) > int(read)
    return bool(named) and named != read


def _seen_of(tx: Tx, connection: str, resource_type: str, ids: Iterable[str]) -> dict[str, RowMapping]:
    by_key = {fitted(one): one for one in ids}
    rows = tx.all(_KNOWN, of=connection, type=resource_type, ids=sorted(by_key)) if by_key else []
    return {by_key[row["resource_id"]]: row for row in rows}


def seen(tx: Tx, connection: str, resource_type: str, ids: Iterable[str]) -> dict[str, tuple[str, datetime]]:
    """The versions of these that were read last, and when."""
    rows = _seen_of(tx, connection, resource_type, ids).items()
    return {id: (row["version"], row["seen_at"]) for id, row in rows}


def see(tx: Tx, connection: str, versions: Mapping[tuple[str, str], str]) -> None:
    """These versions were read, by type and id."""
    shared: dict[str, Any] = {"tenant_id": tx.tenant, "connection": connection, "seen_at": tx.now}
    rows = [
        {**shared, "resource_type": kind, "resource_id": fitted(id), "version": fitted(version)}
        for (kind, id), version in sorted(versions.items())
    ]
    tx.put(_SEE, *rows)
