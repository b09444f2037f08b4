"""Lanes that are one from now on: the number of an account or patient that is merged away, and the one that stands.

`join` is called by the inbox in the unit that records the merge, not in the one that applies it: the merge stands at
the end of both lanes by then, under their locks, so whatever comes after it finds both (places.enter), and what came
before it has its order by the merge itself. Nobody has to be moved from one lane into the other. A merge that parks, or
changes nothing, leaves two lanes that keep one order: more than is needed, and harmless. Undone, `part` ends it.
A lane leads to one other, and what it has led to it leads to still: a number that is merged twice, the second time by
mistake perhaps, is put after all that the first merge has joined.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from .tables import LaneAliasRow

_alias = table(LaneAliasRow)
_NEW = insert(_alias)
_JOIN = _NEW.on_conflict_do_update(
    index_elements=["tenant_id", "queue", "lane_key"],
    set_={"also": _NEW.excluded.also, "ref": _NEW.excluded.ref},
)
_ALSO = select(_alias.c.also).where(
    _alias.c.tenant_id == bindparam("tenant"),
    _alias.c.queue == bindparam("queue"),
    _alias.c.lane_key == bindparam("lane"),
)


def join(tx: Tx, queue: str, lanes: Iterable[tuple[str, str]], ref: str) -> None:
    """Who enters the first lane of a pair enters the second as well. The caller stands in both."""
    pairs = {fitted(lane): fitted(also) for lane, also in lanes if lane != also}
    for lane, also in sorted(pairs.items()):
        leads = _chain(tx, queue, lane)
        if also not in leads and leads[-1] not in _chain(tx, queue, also):
            row = {"tenant_id": tx.tenant, "queue": queue, "lane_key": leads[-1], "also": also, "ref": ref}
            tx.execute(_JOIN, row)


def _chain(tx: Tx, queue: str, lane: str) -> list[str]:
    """The lanes that whoever enters this one enters, in their order."""
    found = [lane]
    while (also := tx.scalar(_ALSO, queue=queue, lane=found[-1])) is not None and also not in found:
        found.append(also)
    return found


def part(tx: Tx, queue: str, ref: str) -> None:
    """What this message has joined is not one any more; who stands in both lanes stays there."""
    tx.execute(delete(_alias).where(_alias.c.tenant_id == tx.tenant, _alias.c.queue == queue, _alias.c.ref == ref))
