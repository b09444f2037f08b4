"""Leases: taking work, proving that it is still ours, giving it back.

A lease is a time until which nobody else may claim the item, on the database's clock (`tx.now`), never a worker's.
`work.claim_at` holds it: due time before the claim, end of the lease after it. A dead worker's item so becomes
claimable again by itself. Every change of hands raises the fence, and an end with an old fence is refused.
Fencing can't reach a processor: call `still_ours` right before sending, and keep the lease longer than twice the
call's timeouts; the worker cuts a handler off at half of it. What a worker that was paused in the very act of sending
may still do is harmless where the processor has an id for the payment or honours keys. Called by `worker.py` and by
handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Prepared, Tx
from . import places, topics
from .lane import park_behind
from .tables import WorkRow
from .work import Work

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
    given = {"tenant": tx.tenant, "q": queue, "o": owner, "now": micros(tx.now), "until": micros(tx.now + lease)}
    for _ in range(_ROUNDS):
        rows = tx.run(_claim_of(tuple(sorted(kinds))), {**given, "most": limit - len(claimed)})
        if not rows:
            break
        for work in map(_claimed, sorted(rows)):
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


def _claimed(row: tuple[Any, ...]) -> Work:
    """The item as it is after the claim."""
    _, work_id, tenant, queue, kind, ref, attempt, fence, stands, topic, held, error = row
    return Work(
        work_id=work_id,
        tenant=tenant,
        queue=queue,
        kind=kind,
        ref=ref,
        attempt=attempt,
        fence=fence,
        places=places.loads(stands),
        topics=topics.loads(topic),
        held=bool(held),
        error=error,
    )


@lru_cache
def _claim_of(kinds: tuple[str, ...]) -> Prepared:
    """Takes the next items and says which, in one statement; a row that another worker is taking is passed over."""
    following = (
        select(_work.c.work_id)
        .where(
            _work.c.tenant_id == bindparam("tenant"),
            _work.c.queue == bindparam("q"),
            _work.c.claim_at <= bindparam("now"),
            or_(*(_work.c.kind == kind for kind in kinds)),
        )
        .order_by(_work.c.claim_at)  # and nothing else: the index's own order, however many came at one moment
        .limit(bindparam("most"))
        # SQLite has no such clause and needs none: there is one writer.
        .with_for_update(skip_locked=True)
        .cte("following")
    )
    return Prepared(
        update(_work)
        .where(_work.c.tenant_id == bindparam("tenant"), _work.c.work_id == following.c.work_id)
        .values(
            claim_at=bindparam("until"),
            fence=_work.c.fence + 1,
            attempt=_work.c.attempt + 1,
            owner=bindparam("o"),
            changed_at=bindparam("now"),
        )
        .returning(
            _work.c.due,
            _work.c.work_id,
            _work.c.tenant_id,
            _work.c.queue,
            _work.c.kind,
            _work.c.ref,
            _work.c.attempt,
            _work.c.fence,
            _work.c.places,
            _work.c.topics,
            _work.c.held,
            _work.c.error,
        )
    )


def still_ours(tx: Tx, work: Work) -> bool:
    """Whether nobody has taken the item over and the lease runs. Ask right before sending."""
    until = tx.scalar(_HELD_UNTIL, work=work.work_id, held_by=work.fence)
    return until is not None and until > tx.now


_HELD_UNTIL = select(_work.c.claim_at).where(
    _work.c.tenant_id == bindparam("tenant"),
    _work.c.work_id == bindparam("work"),
    _work.c.fence == bindparam("held_by"),
    _work.c.state == "ready",
)


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
