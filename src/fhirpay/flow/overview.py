"""What stands in the queues, for billing, the desk, `explain` and readiness. Reads only; also offered by `lane.py`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from .tables import WorkRow, WorkTopicRow

_topic = table(WorkTopicRow)
_work = table(WorkRow)
_SUSPENDS = (
    select(_topic.c.work_id)
    .distinct()
    .where(
        _topic.c.tenant_id == bindparam("tenant"),
        _topic.c.role == "suspends",
        _topic.c.topic.in_(bindparam("topics", expanding=True)),
    )
    .order_by(_topic.c.work_id)
)


@dataclass(frozen=True, slots=True)
class Parked:
    """An item that needs a human, or that waits for one that does."""

    work_id: str
    queue: str
    kind: str
    ref: str
    reason: str
    waits_for: str | None
    since: datetime


def _of_queue(tx: Tx, queue: str, state: str) -> tuple[Any, ...]:
    # Written into the text, not bound: SQLite takes a partial index only for a state that it can see.
    seen = bindparam("state", state, literal_execute=True)
    return (_work.c.tenant_id == tx.tenant, _work.c.queue == queue, _work.c.state == seen)


def parked(tx: Tx, queue: str, *, limit: int = 1000) -> list[Parked]:
    """The parked items, oldest first."""
    waits = (
        select(func.min(_topic.c.topic))
        .where(_topic.c.tenant_id == _work.c.tenant_id, _topic.c.role == "waits", _topic.c.work_id == _work.c.work_id)
        .scalar_subquery()
    )
    statement = (
        select(_work, waits.label("waits_for"))
        .where(*_of_queue(tx, queue, "parked"))
        .order_by(_work.c.changed_at, _work.c.work_id)
        .limit(limit)
    )
    return [
        Parked(
            work_id=row["work_id"],
            queue=row["queue"],
            kind=row["kind"],
            ref=row["ref"],
            reason=row["error"] or "",
            waits_for=row["waits_for"],
            since=row["changed_at"],
        )
        for row in tx.all(statement)
    ]


def pending_count(tx: Tx, queue: str) -> int:
    """How many items are ready: due, waiting for their time or their turn, or in hand."""
    return tx.scalar(select(func.count()).select_from(_work).where(*_of_queue(tx, queue, "ready")))


def next_due(tx: Tx, queue: str) -> datetime | None:
    """When the next item may be claimed (a lease's end counts); None when there is none."""
    mine = (_work.c.tenant_id == tx.tenant, _work.c.queue == queue, _work.c.claim_at.is_not(None))
    return tx.scalar(select(func.min(_work.c.claim_at)).where(*mine))


def suspended(tx: Tx, topics: Sequence[str]) -> list[str]:
    """The parked items because of which nothing may be collected on these topics, oldest first; mostly none."""
    return [row["work_id"] for row in tx.all(_SUSPENDS, topics=list(map(fitted, topics)))]


def worked_since(tx: Tx, queue: str, lanes: Collection[str], ref: str, at: datetime) -> list[str]:
    """What came after `ref`, or was worked on after `at`, in one of these lanes: the refs, in the order they came."""
    later = or_(_work.c.ref > ref, _work.c.changed_at > at)
    mine = (_work.c.tenant_id == tx.tenant, _work.c.queue == queue, later, _work.c.ref != ref)
    rows = tx.all(select(_work.c.ref, _work.c.places).where(*mine).order_by(_work.c.ref))
    wanted = set(map(fitted, lanes))
    return [row["ref"] for row in rows if wanted & {key for key, _ in json.loads(row["places"])}]
