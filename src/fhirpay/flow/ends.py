"""Items leave their lanes: one or many at once, and whoever then stands first in all of theirs may be claimed.

On PostgreSQL the lanes' locks, and then one statement for everything; on SQLite, where a statement costs no round trip,
one after the other. Called by `lane.py` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, case, null, text, update

from ..db.metadata import table
from ..db.types import legible, micros
from ..db.unit import Prepared, Tx
from . import places as place_store
from .tables import WorkRow
from .wake import work_topic
from .work import Work

_work = table(WorkRow)

# The lanes are locked before, so that this statement's snapshot shows who stands in them. Only heads leave, so the next
# one of a lane has the next number. An update of a row that another barrier's end has just changed sees that change.
_LEAVE_ALL = Prepared(
    text(
        """
WITH ours AS (
    SELECT * FROM unnest(CAST(:works AS text[]), CAST(:fences AS bigint[])) AS ours (work_id, fence)
), ended AS (
    UPDATE work SET state = :s, claim_at = NULL, fence = work.fence + 1, owner = NULL, error = CAST(:e AS text),
        held = :h, changed_at = :now
    FROM ours
    WHERE work.tenant_id = :tenant AND work.work_id = ours.work_id AND work.fence = ours.fence AND work.state = 'ready'
    RETURNING work.work_id
), gone AS (
    DELETE FROM work_place USING unnest(CAST(:lanes AS text[]), CAST(:places AS bigint[])) AS left_ (lane_key, place)
    WHERE work_place.tenant_id = :tenant AND work_place.queue = :q AND work_place.lane_key = left_.lane_key
        AND work_place.place = left_.place AND work_place.work_id IN (SELECT work_id FROM ended)
    RETURNING work_place.lane_key, work_place.place
), first AS (
    SELECT next.work_id, count(*) AS lanes
    FROM gone CROSS JOIN LATERAL (
        SELECT work_id FROM work_place
        WHERE tenant_id = :tenant AND queue = :q AND lane_key = gone.lane_key AND place > gone.place
        ORDER BY place LIMIT 1
    ) AS next
    GROUP BY next.work_id
), advanced AS (
    UPDATE work SET waits = waits - first.lanes, claim_at = CASE WHEN waits = first.lanes THEN due END
    FROM first WHERE work.tenant_id = :tenant AND work.work_id = first.work_id
    RETURNING claim_at
)
SELECT (SELECT array_agg(work_id) FROM ended), (SELECT min(claim_at) FROM advanced)
"""
    )
)

_END = Prepared(
    update(_work)
    .where(
        _work.c.tenant_id == bindparam("tenant"),
        _work.c.work_id == bindparam("work"),
        _work.c.fence == bindparam("f"),
        _work.c.state == "ready",
    )
    .values(
        state=bindparam("s"),
        claim_at=null(),
        fence=_work.c.fence + 1,
        owner=null(),
        error=bindparam("e"),
        held=bindparam("h"),
        changed_at=bindparam("now"),
    )
)
_ADVANCE = Prepared(
    update(_work)
    .where(_work.c.tenant_id == bindparam("tenant"), _work.c.work_id == bindparam("work"))
    .values(
        waits=_work.c.waits - bindparam("n", type_=_work.c.waits.type),
        claim_at=case((_work.c.waits == bindparam("n", type_=_work.c.waits.type), _work.c.due), else_=null()),
    )
    .returning(_work.c.claim_at)
)


def leave(tx: Tx, works: Sequence[Work], *, state: str, error: str | None = None, held: bool = False) -> set[str]:
    """Take items of one queue out of their lanes, those that are still ours: their work_ids."""
    queue = works[0].queue
    now = micros(tx.now)
    said = None if error is None else legible(error)[:500]
    end = {"tenant": tx.tenant, "s": state, "e": said, "h": held, "now": now}
    if tx.dialect == "sqlite":
        return {work.work_id for work in works if _leave_one(tx, work, end)}
    at = [place for work in works for place in work.places]
    lanes = [lane for lane, _ in at]
    place_store.lock(tx, queue, lanes)
    ids, fences = [work.work_id for work in works], [work.fence for work in works]
    given = {"q": queue, "works": ids, "fences": fences, "lanes": lanes, "places": [place for _, place in at]}
    ((ended, claimable),) = tx.run(_LEAVE_ALL, {**end, **given})
    if claimable is not None and claimable <= now:
        tx.wake(work_topic(queue))
    return set(ended or ())


def _leave_one(tx: Tx, work: Work, end: dict[str, Any]) -> bool:
    if not tx.change(_END, {**end, "work": work.work_id, "f": work.fence}):
        return False
    for follower, lanes in place_store.leave(tx, work.queue, work.places):
        ((claim_at,),) = tx.run(_ADVANCE, {"tenant": tx.tenant, "work": follower, "n": lanes})
        if claim_at is not None and claim_at <= end["now"]:
            tx.wake(work_topic(work.queue))
    return True
