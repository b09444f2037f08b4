"""What a parked item holds up, by topic, and who waits for whom.

A parked item `blocks` topics: items that need one of them wait for it (and are released when it completes after a
replay). It `suspends` topics: billing asks whether an account's is suspended before it asks for money.
An item that only waits for another blocks nothing itself, so two items can't wait for each other; whoever needs the
same topic waits for the same blocker. Called by `lane.py` and `lease.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import text_list
from ..db.unit import Tx
from .tables import WorkRow, WorkTopicRow

_topic = table(WorkTopicRow)
_work = table(WorkRow)
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics an item came with."""

    needs: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    suspends: tuple[str, ...] = ()


def dumps(needs: Sequence[str], blocks: Sequence[str], suspends: Sequence[str]) -> str | None:
    """JSON, or None where there is nothing."""
    if not (needs or blocks or suspends):
        return None
    return f'{{"needs": {text_list(needs)}, "blocks": {text_list(blocks)}, "suspends": {text_list(suspends)}}}'


NO_TOPICS = Topics()


def loads(stored: str | None) -> Topics:
    if stored is None:
        return NO_TOPICS
    return Topics(**{role: tuple(topics) for role, topics in json.loads(stored).items()})


def _add(tx: Tx, work_id: str, role: str, topics: Iterable[str]) -> None:
    rows = [{"tenant_id": tx.tenant, "role": role, "topic": topic, "work_id": work_id} for topic in sorted(set(topics))]
    if rows:
        tx.execute(insert(_topic).on_conflict_do_nothing(), rows)


def hold(tx: Tx, work_id: str, topics: Topics) -> None:
    """The item parks for a reason of its own: others that need its topics will wait for it."""
    _add(tx, work_id, "blocks", topics.blocks)
    _add(tx, work_id, "suspends", topics.suspends)


def wait_for(tx: Tx, work_id: str, topics: Topics, holder: str) -> None:
    """The item parks because `holder` blocks a topic that it needs."""
    forget(tx, work_id, "blocks")
    _add(tx, work_id, "waits", (holder,))
    _add(tx, work_id, "suspends", topics.suspends)


def holder_of(tx: Tx, work_id: str, needs: Sequence[str]) -> str | None:
    """Another item that blocks one of the topics, the oldest; None when the way is free.

    It can't let go of the topic before this transaction ends, so that it finds who has begun to wait for it.
    """
    found = (tx.scalar(_HOLDER, work=work_id, needed=some) for some in _portions(needs))
    return min((one for one in found if one is not None), default=None)


_HOLDER = (
    select(_topic.c.work_id)
    .where(
        _topic.c.tenant_id == bindparam("tenant"),
        _topic.c.role == "blocks",
        _topic.c.topic.in_(bindparam("needed", expanding=True)),
        _topic.c.work_id != bindparam("work"),
    )
    .order_by(_topic.c.work_id)
    .with_for_update(read=True)
)


def _portions(many: Sequence[str]) -> Iterator[Sequence[str]]:
    """A nightly run of charges may have more topics than a statement takes parameters."""
    return (many[at : at + _AT_ONCE] for at in range(0, len(many), _AT_ONCE))


def waiters_of(tx: Tx, work_id: str) -> list[str]:
    """Who waits for the item, in the order in which they came."""
    rows = tx.all(
        select(_topic.c.work_id)
        .join(_work, (_work.c.tenant_id == _topic.c.tenant_id) & (_work.c.work_id == _topic.c.work_id))
        .where(_topic.c.tenant_id == tx.tenant, _topic.c.role == "waits", _topic.c.topic == work_id)
        .order_by(_work.c.created_at, _work.c.work_id)
    )
    return [row["work_id"] for row in rows]


def forget(tx: Tx, work_id: str, role: str | None = None) -> None:
    """The item holds nothing up any more (or nothing in this role)."""
    statement = delete(_topic).where(_topic.c.tenant_id == tx.tenant, _topic.c.work_id == work_id)
    tx.execute(statement if role is None else statement.where(_topic.c.role == role))
