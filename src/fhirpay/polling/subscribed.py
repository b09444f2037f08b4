"""Our Subscriptions at EHRs: what is known of each, and what was last heard by it.

Called by usecases/keep_subscribed.py, which keeps them alive, and receive_notification.py, which hears. Each writes its
own columns, so that neither takes back what the other has just learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .tables import SubscribedRow

_row = table(SubscribedRow)
_MINE = (_row.c.tenant_id == bindparam("tenant"), _row.c.connection == bindparam("of"))
_ALL = select(_row).where(*_MINE).order_by(_row.c.resource_type)
_BEGIN = insert(_row).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Subscribed:
    """See tables.py."""

    resource_type: str
    remote_id: str
    wanted: str
    by_topic: bool
    state: str
    since: datetime
    sent_at: datetime | None
    due_at: datetime
    failures: int
    heard_at: datetime | None
    last_event: int | None


def of(tx: Tx, connection: str) -> list[Subscribed]:
    """All that are known at this EHR, by type."""
    return [_read(row) for row in tx.all(_ALL, of=connection)]


def connections(tx: Tx) -> list[str]:
    """Where there are any."""
    found = tx.all(select(_row.c.connection).where(_row.c.tenant_id == tx.tenant).distinct())
    return sorted(one["connection"] for one in found)


def begun(tx: Tx, connection: str, resource_type: str) -> Subscribed:
    """The one of this type, locked until the unit ends; a new one where nothing is known."""
    tx.put(
        _BEGIN,
        {
            "tenant_id": tx.tenant,
            "connection": connection,
            "resource_type": resource_type,
            "remote_id": "",
            "wanted": "",
            "by_topic": False,
            "state": "",
            "since": tx.now,
            "due_at": tx.now,
            "failures": 0,
        },
    )
    row = tx.one(select(_row).where(*_is_it(tx, connection, resource_type)).with_for_update())
    assert row is not None  # it was put there
    return _read(row)


def change(tx: Tx, connection: str, resource_type: str, **values: Any) -> None:
    """These columns of it."""
    tx.execute(update(_row).where(*_is_it(tx, connection, resource_type)).values(values))


def forget(tx: Tx, connection: str, resource_type: str) -> None:
    tx.execute(delete(_row).where(*_is_it(tx, connection, resource_type)))


def _is_it(tx: Tx, connection: str, resource_type: str) -> tuple[Any, ...]:
    return _row.c.tenant_id == tx.tenant, _row.c.connection == connection, _row.c.resource_type == resource_type


def _read(row: RowMapping) -> Subscribed:
    return Subscribed(**{name: row[name] for name in Subscribed.__slots__})
