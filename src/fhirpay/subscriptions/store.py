"""The Subscriptions of our clients as they are kept. Called inside units by usecases/subscribe.py and notify.py.

Whoever changes one has its row locked: on PostgreSQL an event that is being numbered waits, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..fhir.json import loads
from .asked import Asked, read
from .tables import SubscriptionEventRow, SubscriptionRow

subscriptions = table(SubscriptionRow)
events = table(SubscriptionEventRow)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A row, see tables.py. `headers` are sealed."""

    subscription_id: str
    client: str
    version: int
    state: str
    content: str
    headers: str
    criteria: str
    scopes: str
    events: int
    delivered: int
    failures: int
    error: str
    ends_at: datetime | None
    told_at: datetime | None
    updated_at: datetime

    @property
    def asked(self) -> Asked:
        """What it asked for, without the values of its headers."""
        return _asked(self.content)

    @property
    def resource(self) -> dict[str, Any]:
        """As it is shown to its client."""
        kept = loads(self.content)
        shown = self.updated_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        meta = {**kept.pop("meta", {}), "versionId": str(self.version), "lastUpdated": shown}
        first = {"resourceType": kept.pop("resourceType"), "id": self.subscription_id, "meta": meta}
        return {**first, "status": self.state, **kept, **({"error": self.error} if self.error else {})}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to `PaymentReconciliation/resource_id`: this version of it was written."""

    number: int
    resource_id: str
    version: int
    happened_at: datetime


@lru_cache(maxsize=256)
def _asked(content: str) -> Asked:
    return read({"status": "requested", **loads(content)})


def add(tx: Tx, one: Subscribed) -> None:
    values = {name: getattr(one, name) for name in Subscribed.__slots__}
    tx.execute(insert(subscriptions).values(tenant_id=tx.tenant, **values))


def get(tx: Tx, subscription_id: str, *, lock: bool = False) -> Subscribed | None:
    """None where there is none. With `lock`, nobody else's to change until this unit ends."""
    where = (
        subscriptions.c.tenant_id == tx.tenant,
        subscriptions.c.subscription_id == fitted(subscription_id),
    )
    statement = select(subscriptions).where(*where)
    row = tx.one(statement.with_for_update() if lock else statement)
    return None if row is None else _read(row)


def of_client(tx: Tx, client: str) -> list[Subscribed]:
    """All of a client, oldest first."""
    where = (subscriptions.c.tenant_id == tx.tenant, subscriptions.c.client == client)
    return [_read(row) for row in tx.all(select(subscriptions).where(*where).order_by(subscriptions.c.subscription_id))]


def change(tx: Tx, before: Subscribed, **values: Any) -> Subscribed:
    """As it is now. What its client can see of it makes a new version."""
    if values.keys() & {"state", "content", "headers", "error"}:
        values |= {"version": before.version + 1, "updated_at": tx.now}
    where = (subscriptions.c.tenant_id == tx.tenant, subscriptions.c.subscription_id == before.subscription_id)
    row = tx.one(update(subscriptions).where(*where).values(**values).returning(subscriptions))
    assert row is not None, "it is locked by who changes it"
    return _read(row)


def remove(tx: Tx, subscription_id: str) -> None:
    """It, its secrets and its events. The row goes first: an event that is being numbered is waited for."""
    for of in (subscriptions, events):
        tx.execute(delete(of).where(of.c.tenant_id == tx.tenant, of.c.subscription_id == subscription_id))


def between(tx: Tx, subscription_id: str, first: int, last: int, limit: int) -> list[Event]:
    """Its events by number, both ends included."""
    where = (
        events.c.tenant_id == tx.tenant,
        events.c.subscription_id == subscription_id,
        events.c.number >= first,
        events.c.number <= last,
    )
    rows = tx.all(select(events).where(*where).order_by(events.c.number).limit(limit))
    return [Event(row["number"], row["resource_id"], row["version"], row["happened_at"]) for row in rows]


def _read(row: Any) -> Subscribed:
    return Subscribed(**{name: value for name, value in row.items() if name != "tenant_id"})
