"""A payment that can be read at our FHIR endpoint is told to whoever asked: numbered, and queued, in the same unit.

`tell` is called wherever a PaymentReconciliation is written. Each Subscription counts for itself, without gaps and in
the order of commits: the count is raised on its locked row. One that is in error goes on counting, so that nothing is
lost until it is active again; one that was turned off doesn't.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qsl

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from .. import outbox
from ..db.unit import Tx
from ..fhir import search
from ..fhir.search_values import Clause
from ..fhir.store import Stored
from ..smart.scopes import Scopes
from .asked import TYPE
from .store import events, subscriptions

KIND = "subscription.notify"
HEARTBEAT = "subscription.heartbeat"
_COUNTING = ("active", "error")

_ASKING = (
    select(subscriptions.c.subscription_id, subscriptions.c.criteria, subscriptions.c.scopes)
    .where(subscriptions.c.tenant_id == bindparam("tenant"), subscriptions.c.state.in_(_COUNTING))
    .order_by(subscriptions.c.subscription_id)  # all units lock them in one order
)


def tell(tx: Tx, written: Iterable[Stored]) -> None:
    """Number and queue what was written just now, for each Subscription that it meets; of other types nothing."""
    payments = [one for one in written if one.type == TYPE]
    if not payments:
        return
    for row in tx.all(_ASKING, tenant=tx.tenant):
        for one in payments:
            if _meets(one, row["criteria"], row["scopes"]):
                _add(tx, row["subscription_id"], one)


def queue(tx: Tx, subscription_id: str, number: int = 0) -> None:
    """Its endpoint is to be called: for the event of this number, or (0) because it was asked for anew."""
    outbox.add(tx, KIND, f"{subscription_id}/{number}", [f"subscription:{subscription_id}"])


def _add(tx: Tx, subscription_id: str, one: Stored) -> None:
    where = (
        subscriptions.c.tenant_id == tx.tenant,
        subscriptions.c.subscription_id == subscription_id,
        subscriptions.c.state.in_(_COUNTING),
    )
    counted = update(subscriptions).where(*where).values(events=subscriptions.c.events + 1)
    row = tx.one(counted.returning(subscriptions.c.events))
    if row is None:  # turned off, or gone, since we looked
        return
    number = row["events"]
    values = {"number": number, "resource_id": one.id, "version": one.version, "happened_at": one.updated}
    tx.execute(insert(events).values(tenant_id=tx.tenant, subscription_id=subscription_id, **values))
    queue(tx, subscription_id, number)


def _meets(one: Stored, criteria: str, scopes: str) -> bool:
    if not all(clause.met_by(one) for clause in _clauses(criteria)):
        return False
    return any(all(clause.met_by(one) for clause in every) for every in _alternatives(scopes))


@lru_cache(maxsize=256)
def _clauses(criteria: str) -> tuple[Clause, ...]:
    return search.parse(TYPE, parse_qsl(criteria, keep_blank_values=True)).clauses


@lru_cache(maxsize=256)
def _alternatives(scopes: str) -> tuple[tuple[Clause, ...], ...]:
    allowing = Scopes.read(scopes.split()).allowing(TYPE, "r")
    return tuple(search.parse(TYPE, scope.params).clauses for scope in allowing)
