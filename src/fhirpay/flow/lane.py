"""Work in lanes: who comes after whom, and what happens to an item at its end.

An item belongs to a set of lanes (a patient, two accounts of a merge) and is claimed when it is at the head of all of
them. So one account's messages keep their order, a merge is a barrier on both of its accounts, and everything else
runs side by side. Lease and fence stand on the item, not on each of its lanes: only the item at the head of its lanes
can hold them, so one row says it all. Lanes are locked when an item comes and when it leaves (places.py).

    enqueue ─▶ ready ──claim──▶ (leased) ──complete─▶ done ──release─▶ ready
                 ▲                 │ ├──retry──▶ ready, later, still at the head
                 └────release──────┼─parked ◀──park

Called by inbox and outbox (enqueue), by handlers and the worker (the ends), by replay (release).
All functions take the caller's `tx`: an end stands in the same unit as the effect it follows from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, null, select, text, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted, legible, micros
from ..db.unit import Prepared, Tx
from ..errors import LeaseLost, NotFound
from . import places as place_store
from . import topics as topic_store
from .backoff import Backoff
from .ends import leave
from .overview import Parked, next_due, parked, pending_count, suspended
from .tables import WorkRow
from .wake import work_topic
from .work import Work

__all__ = [
    "Parked",
    "Work",
    "complete",
    "complete_all",
    "discard",
    "enqueue",
    "let_in",
    "next_due",
    "park",
    "park_until",
    "parked",
    "pending_count",
    "release",
    "retry",
    "suspended",
]

_work = table(WorkRow)

BACKOFF = Backoff()


# ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_ADD = Prepared(insert(_work))


def enqueue(
    tx: Tx,
    *,
    queue: str,
    kind: str,
    ref: str,
    lanes: Sequence[str],
    due: datetime | None = None,
    needs: Sequence[str] = (),
    blocks: Sequence[str] = (),
    suspends: Sequence[str] = (),
    once_key: str | None = None,
    work_id: str | None = None,
) -> str:
    """Add an item at the end of its lanes, claimable from `due` on; its work_id (a new one where none is given).

    `needs`, `blocks`, `suspends`: see topics.py. With `once_key`, a second item of that kind and key isn't added:
    the first one's work_id is returned, whatever has become of it.
    """
    if work_id is None:
        work_id = tx.ids.new("wrk")
    lanes, needs, blocks, suspends = (list(map(fitted, keys)) for keys in (lanes, needs, blocks, suspends))
    once_key = None if once_key is None else fitted(once_key)
    now = micros(tx.now)
    due_at = now if due is None else micros(due)
    row: dict[str, Any] = {
        "tenant_id": tx.tenant,
        "work_id": work_id,
        "queue": queue,
        "kind": kind,
        "ref": ref,
        "once_key": once_key,
        "state": "ready",
        "due": due_at,
        "claim_at": None,
        "waits": 0,
        "attempt": 0,
        "fence": 0,
        "owner": None,
        "error": None,
        "places": "[]",
        "topics": topic_store.dumps(needs, blocks, suspends),
        "held": False,
        "created_at": now,
        "changed_at": now,
    }
    if once_key is not None:
        if not tx.change(_ADD_ONCE, row):
            return tx.run(_SAME, {"tenant": tx.tenant, "q": queue, "k": kind, "once": once_key})[0][0]
        places, waits = place_store.enter(tx, queue, lanes, work_id)
        _settle(tx, work_id, queue, places, waits, due_at, now)
        return work_id
    places, waits = place_store.enter(tx, queue, lanes, work_id)
    if len(places) > len(set(lanes)):
        row["topics"] = topic_store.dumps(*_joined(lanes, places, needs, blocks), suspends)
    row["places"] = place_store.dumps(places)
    row["waits"] = waits
    if waits == 0:
        row["claim_at"] = due_at
        if due_at <= now:
            tx.wake(work_topic(queue))
    tx.change(_ADD, row)
    return work_id


def _joined(
    lanes: list[str], places: list[tuple[str, int]], needs: list[str], blocks: list[str]
) -> tuple[list[str], list[str]]:
    """What it needs and blocks, with the other numbers of the accounts and patients that it is about."""
    others = [key for key, _ in places if key not in lanes]
    about = not set(lanes).isdisjoint(blocks)  # as a charge is not: it blocks what is about the same charge
    return [*needs, *others], [*blocks, *others] if about else blocks


_ADD_ONCE = Prepared(
    insert(_work).on_conflict_do_nothing(
        index_elements=["tenant_id", "queue", "kind", "once_key"], index_where=text("once_key IS NOT NULL")
    )
)
_SAME = Prepared(
    select(_work.c.work_id).where(
        _work.c.tenant_id == bindparam("tenant"),
        _work.c.queue == bindparam("q"),
        _work.c.kind == bindparam("k"),
        _work.c.once_key == bindparam("once"),
    )
)


def _settle(tx: Tx, work_id: str, queue: str, places: list[tuple[str, int]], waits: int, due: int, now: int) -> None:
    """Write down where an existing row stands now."""
    tx.change(
        _SETTLE,
        {
            "tenant": tx.tenant,
            "work": work_id,
            "p": place_store.dumps(places),
            "w": waits,
            "d": due,
            "c": due if waits == 0 else None,
            "now": now,
        },
    )
    if waits == 0 and due <= now:
        tx.wake(work_topic(queue))


_SETTLE = Prepared(
    update(_work)
    .where(_work.c.tenant_id == bindparam("tenant"), _work.c.work_id == bindparam("work"))
    .values(
        state="ready",
        places=bindparam("p"),
        waits=bindparam("w"),
        due=bindparam("d"),
        claim_at=bindparam("c"),
        attempt=0,
        error=null(),
        changed_at=bindparam("now"),
    )
)


def release(tx: Tx, work_id: str) -> bool:
    """Replay: a parked (or done) item is ready again, at the end of its lanes. False when it is ready already.

    What it holds up stays held until it completes; then those who wait for it are released too. Raises NotFound.
    """
    row = tx.one(
        select(_work.c.state, _work.c.queue, _work.c.places)
        .where(_work.c.tenant_id == tx.tenant, _work.c.work_id == work_id)
        .with_for_update()
    )
    if row is None:
        raise NotFound(f"there is no work item {work_id}", work_id=work_id)
    if row["state"] == "ready":
        return False
    topic_store.forget(tx, work_id, "waits")
    now = micros(tx.now)
    places, waits = place_store.enter(tx, row["queue"], [key for key, _ in place_store.loads(row["places"])], work_id)
    _settle(tx, work_id, row["queue"], places, waits, now, now)
    return True


# ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def complete(tx: Tx, work: Work) -> None:
    """Done, in the unit that has the effect. Raises LeaseLost, and then that unit must leave nothing behind."""
    if lost := complete_all(tx, [work]):
        raise _lost(lost[0])


def complete_all(tx: Tx, works: Sequence[Work]) -> list[Work]:
    """Done, items of one queue that have no effect to store with it; those that were no longer ours."""
    ours = leave(tx, works, state="done")
    for work in works:
        if work.held and work.work_id in ours:
            _let_go(tx, work.work_id)
    return [work for work in works if work.work_id not in ours]


def park(tx: Tx, work: Work, *, reason: str) -> None:
    """Out of the lanes until a human releases it; what needs its topics will wait. Raises LeaseLost."""
    _park(tx, work, reason)
    topic_store.hold(tx, work.work_id, work.topics)


def park_until(tx: Tx, work: Work, topic: str, *, reason: str) -> None:
    """Out of the lanes until `let_in` of the topic, or a human: it holds nobody up meanwhile, for what it waits for may
    come after it."""
    _park(tx, work, reason)
    topic_store.wait_for(tx, work.work_id, work.topics, topic)


def let_in(tx: Tx, topic: str) -> None:
    """What was parked until this is ready again."""
    for waiter in topic_store.waiters_of(tx, topic):
        release(tx, waiter)


def park_behind(tx: Tx, work: Work, holder: str) -> None:
    """Out of the lanes until `holder` completes. Called by `lease.claim`."""
    _park(tx, work, f"waits for {holder}")
    topic_store.wait_for(tx, work.work_id, work.topics, holder)


def _park(tx: Tx, work: Work, reason: str) -> None:
    if not leave(tx, [work], state="parked", error=reason, held=True):
        raise _lost(work)


def _lost(work: Work) -> LeaseLost:
    return LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)


def retry(tx: Tx, work: Work, *, after: timedelta | None, error: str) -> None:
    """Again later (`after`, or by backoff), keeping its place at the head of its lanes. Raises LeaseLost."""
    wait = BACKOFF.delay(work.attempt, work.work_id) if after is None else after
    _fenced(
        tx,
        work,
        update(_work).values(
            claim_at=tx.now + wait, fence=_work.c.fence + 1, owner=None, error=legible(error)[:500], changed_at=tx.now
        ),
    )


def discard(tx: Tx, work_id: str, *, reason: str) -> None:
    """A human decides that a parked item isn't to be done: it holds nothing up any more. Raises NotFound."""
    gone = tx.one(
        update(_work)
        .where(_work.c.tenant_id == tx.tenant, _work.c.work_id == work_id, _work.c.state == "parked")
        .values(state="done", error=reason[:500], held=False, changed_at=tx.now)
        .returning(_work.c.work_id)
    )
    if gone is None:
        raise NotFound(f"there is no parked item {work_id}", work_id=work_id)
    _let_go(tx, work_id)


def _let_go(tx: Tx, work_id: str) -> None:
    topic_store.forget(tx, work_id)  # first: it waits for who is about to wait for us
    for waiter in topic_store.waiters_of(tx, work_id):
        release(tx, waiter)


def _fenced(tx: Tx, work: Work, statement: Any) -> None:
    """Run an update of our item, if it is still ours."""
    ours = statement.where(
        _work.c.tenant_id == tx.tenant,
        _work.c.work_id == work.work_id,
        _work.c.fence == work.fence,
        _work.c.state == "ready",
    ).returning(_work.c.work_id)
    if tx.one(ours) is None:
        raise _lost(work)
