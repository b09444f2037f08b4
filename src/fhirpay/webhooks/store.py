"""Endpoints, events and deliveries as rows. Takes the caller's `tx`. By usecases/webhook_endpoints.py, send_webhook.py.

Whoever changes an endpoint has its row locked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.keyset import page
from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow

endpoints, events, deliveries = table(WebhookEndpointRow), table(WebhookEventRow), table(WebhookDeliveryRow)
_ALL = (
    select(endpoints).where(endpoints.c.tenant_id == bindparam("tenant")).order_by(endpoints.c.endpoint_id)
)  # all units lock lanes in one order
_BY_ID = _ALL.where(endpoints.c.endpoint_id == bindparam("id"))
_LOCKED = _BY_ID.with_for_update()
_ADD_EVENT, _ADD_DELIVERY = insert(events), insert(deliveries)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row, see tables.py."""

    endpoint_id: str
    client: str
    url: str
    kinds: tuple[str, ...]
    state: str
    says: str
    generation: int
    previous_until: datetime | None
    failures: int
    rests_until: datetime | None
    created_at: datetime
    changed_at: datetime

    def wants(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


@dataclass(frozen=True, slots=True)
class Event:
    """A row, see tables.py."""

    event_id: str
    kind: str
    subject: str
    payment_id: str
    account_ref: str
    state: str
    amount: Money
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row, see tables.py."""

    endpoint_id: str
    event_id: str
    work_id: str
    state: str
    tries: int
    says: str
    told_at: datetime | None


# ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────


def all_endpoints(tx: Tx) -> list[Endpoint]:
    """Oldest first."""
    return [_endpoint(row) for row in tx.all(_ALL, tenant=tx.tenant)]


def add_endpoint(tx: Tx, one: Endpoint) -> None:
    values = {name: getattr(one, name) for name in Endpoint.__slots__} | {"kinds": json.dumps(one.kinds)}
    tx.execute(insert(endpoints).values(tenant_id=tx.tenant, **values))


def endpoint(tx: Tx, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """With `lock`, nobody else's to change until this unit ends. Raises NotFound."""
    row = tx.one(_LOCKED if lock else _BY_ID, id=fitted(endpoint_id))
    if row is None:
        raise NotFound(f"there is no webhook endpoint {endpoint_id[:64]}")
    return _endpoint(row)


def change(tx: Tx, before: Endpoint, **values: Any) -> Endpoint:
    where = (endpoints.c.tenant_id == tx.tenant, endpoints.c.endpoint_id == before.endpoint_id)
    if "kinds" in values:
        values["kinds"] = json.dumps(values["kinds"])
    if values.keys() - {"failures", "rests_until"}:
        values["changed_at"] = tx.now
    tx.execute(update(endpoints).where(*where).values(**values))
    return endpoint(tx, before.endpoint_id)


def remove(tx: Tx, endpoint_id: str) -> None:
    """It, and what became of its deliveries."""
    for of in (endpoints, deliveries):
        tx.execute(delete(of).where(of.c.tenant_id == tx.tenant, of.c.endpoint_id == endpoint_id))


def _endpoint(row: Any) -> Endpoint:
    values: dict[str, Any] = {name: row[name] for name in Endpoint.__slots__}
    values["kinds"] = tuple(json.loads(row["kinds"]))
    return Endpoint(**values)


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_event(tx: Tx, one: Event) -> None:
    values = {name: getattr(one, name) for name in Event.__slots__ if name != "amount"}
    values |= {"amount_minor": one.amount.minor, "currency": one.amount.currency}
    tx.put(_ADD_EVENT, {"tenant_id": tx.tenant, **values})


def event(tx: Tx, event_id: str) -> Event:
    """Raises NotFound."""
    row = tx.one(select(events).where(events.c.tenant_id == tx.tenant, events.c.event_id == fitted(event_id)))
    if row is None:
        raise NotFound(f"there is no event {event_id[:64]}")
    return _event(row)


def since(
    tx: Tx, at: datetime | None, until: datetime | None, limit: int, after: tuple[datetime, str] | None = None
) -> list[Event]:
    """What happened from `at` on and before `until`, in the order in which it did, `after` the one of that moment and
    id."""
    where = [events.c.tenant_id == tx.tenant]
    if at is not None:
        where.append(events.c.happened_at >= at)
    if until is not None:
        where.append(events.c.happened_at < until)
    order = (events.c.happened_at, events.c.event_id)
    return [_event(row) for row in tx.all(page(select(events).where(*where), order, after, limit))]


def _event(row: Any) -> Event:
    values = {name: row[name] for name in Event.__slots__ if name != "amount"}
    return Event(**values, amount=Money(row["amount_minor"], row["currency"]))


# ── deliveries ────────────────────────────────────────────────────────────────────────────────────────────────────


def add_delivery(tx: Tx, endpoint_id: str, event_id: str, work_id: str) -> None:
    row: dict[str, Any] = {"tenant_id": tx.tenant, "endpoint_id": endpoint_id, "event_id": event_id}
    tx.put(_ADD_DELIVERY, row | {"work_id": work_id, "state": "waiting", "tries": 0, "says": "", "told_at": None})


def delivery(tx: Tx, endpoint_id: str, event_id: str) -> Delivery | None:
    where = _of(tx, endpoint_id, event_id)
    row = tx.one(select(deliveries).where(*where))
    return None if row is None else _delivery(row)


def of_event(tx: Tx, event_id: str) -> list[Delivery]:
    """By endpoint."""
    where = (deliveries.c.tenant_id == tx.tenant, deliveries.c.event_id == event_id)
    return [_delivery(row) for row in tx.all(select(deliveries).where(*where).order_by(deliveries.c.endpoint_id))]


def parked(tx: Tx, endpoint_id: str) -> list[Delivery]:
    """What waits for a person, oldest first."""
    where = (deliveries.c.tenant_id == tx.tenant, deliveries.c.endpoint_id == endpoint_id)
    statement = select(deliveries).where(*where, deliveries.c.state == "parked").order_by(deliveries.c.event_id)
    return [_delivery(row) for row in tx.all(statement)]


def counts(tx: Tx, endpoint_id: str) -> dict[str, int]:
    """How many deliveries are in each state."""
    where = (deliveries.c.tenant_id == tx.tenant, deliveries.c.endpoint_id == endpoint_id)
    statement = select(deliveries.c.state, func.count().label("many")).where(*where).group_by(deliveries.c.state)
    return {row["state"]: row["many"] for row in tx.all(statement)}


def note(tx: Tx, endpoint_id: str, event_id: str, **values: Any) -> None:
    tx.execute(update(deliveries).where(*_of(tx, endpoint_id, event_id)).values(**values))


def _of(tx: Tx, endpoint_id: str, event_id: str) -> tuple[Any, ...]:
    of = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.event_id == event_id)
    return (deliveries.c.tenant_id == tx.tenant, *of)


def _delivery(row: Any) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__slots__})
