"""Leases: taking work, proving that it is still ours, giving it back.

A lease is a time until which nobody else may claim the item, on the database's clock (`tx.now`), never a worker's.
`work.claim_at` holds it: due time before the claim, end of the lease after it. A dead worker's item so becomes
claimable again by itself. Every change of hands raises the fence, and an end with an old fence is refused.
Fencing can't reach a processor: call `still_ours` right before sending, and keep the lease longer than twice the
call's timeouts. Called by `worker.py` and by handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

from sqlalchemy import RowMapping, select, update

from ..db.metadata import table
from ..db.unit import Tx
from . import places, topics
from .lane import Work, park_behind
from .tables import WorkRow

_work = table(WorkRow)

_ROUNDS = 20  # of items that turn out to wait for a parked one; a unit stays short


def claim(
    tx: Tx,
    *,
    queue: str,
    kinds: Collection[str],
    owner: str,
    lease: timedelta,
    limit: int = 1,
    on_parked: Callable[[Tx, Work, str], None] | None = None,
) -> list[Work]:
    """Up to `limit` due items that stand at the head of all their lanes, now leased to us; earliest first.

    An item that needs a topic which a parked one blocks is parked behind that one instead.
    """
    claimed: list[Work] = []
    for _ in range(_ROUNDS):
        rows = tx.all(
            select(_work)
            .where(
                _work.c.tenant_id == tx.tenant,
                _work.c.queue == queue,
                _work.c.claim_at <= tx.now,
                _work.c.kind.in_(sorted(kinds)),
            )
            .order_by(_work.c.claim_at, _work.c.work_id)
            .limit(limit - len(claimed))
            # SQLite has no such clause and needs none: there is one writer.
            .with_for_update(skip_locked=True)
        )
        if not rows:
            break
        tx.execute(
            update(_work)
            .where(_work.c.tenant_id == tx.tenant, _work.c.work_id.in_([row["work_id"] for row in rows]))
            .values(
                claim_at=tx.now + lease,
                fence=_work.c.fence + 1,
                attempt=_work.c.attempt + 1,
                owner=owner,
                changed_at=tx.now,
            )
        )
        for row in rows:
            work = _claimed(row)
            holder = topics.holder_of(tx, work.work_id, work.topics.needs)
            if holder is None:
                claimed.append(work)
                continue
            park_behind(tx, work, holder)
            if on_parked is not None:
                on_parked(tx, work, f"waits for {holder}")
        if len(claimed) == len(rows) or len(claimed) >= limit:
            break
    return claimed


def _claimed(row: RowMapping) -> Work:
    """The item as it is after the claim's update."""
    return Work(
        work_id=row["work_id"],
        tenant=row["tenant_id"],
        queue=row["queue"],
        kind=row["kind"],
        ref=row["ref"],
        attempt=row["attempt"] + 1,
        fence=row["fence"] + 1,
        places=places.loads(row["places"]),
        topics=topics.loads(row["topics"]),
        held=bool(row["held"]),
        error=row["error"],
    )


def still_ours(tx: Tx, work: Work) -> bool:
    """Whether nobody has taken the item over and the lease runs. Ask right before sending."""
    found = tx.one(
        select(_work.c.claim_at).where(
            _work.c.tenant_id == tx.tenant,
            _work.c.work_id == work.work_id,
            _work.c.fence == work.fence,
            _work.c.state == "ready",
        )
    )
    return found is not None and found["claim_at"] > tx.now


def give_back(tx: Tx, work: Work) -> None:
    """We stop without an end: the item may be claimed at once, and the attempt doesn't count. Nothing if not ours."""
    tx.execute(
        update(_work)
        .where(
            _work.c.tenant_id == tx.tenant,
            _work.c.work_id == work.work_id,
            _work.c.fence == work.fence,
            _work.c.state == "ready",
        )
        .values(claim_at=tx.now, fence=_work.c.fence + 1, attempt=_work.c.attempt - 1, owner=None, changed_at=tx.now)
    )


def take_over_all(tx: Tx) -> int:
    """End every lease of the tenant at once; how many there were.

    Only for who knows that nobody else can be working: `serve` on SQLite at its start, holding the file's lock. The
    work of the process that died goes on without waiting for its leases to run out.
    """
    taken = tx.execute(
        update(_work)
        .where(_work.c.tenant_id == tx.tenant, _work.c.state == "ready", _work.c.owner.is_not(None))
        .values(claim_at=tx.now, fence=_work.c.fence + 1, owner=None, changed_at=tx.now)
    )
    return taken.rowcount
