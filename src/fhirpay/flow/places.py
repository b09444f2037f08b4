"""Places in lanes: who stands where, and who comes next. Called by `lane.py` and `ends.py` alone.

A lane is the set of its places; the lowest number is its head. Only heads leave, so the next one is the lowest number
that is left. Both ends of a lane are touched under the lane's lock: on PostgreSQL an advisory lock that the
transaction lets go by itself (a pooler may stand between), on SQLite the one writer is the lock.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, delete, func, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, insert

from ..db.metadata import table
from ..db.unit import Prepared, Tx
from .tables import PlaceRow

_place = table(PlaceRow)

Places = Sequence[tuple[str, int]]  # lane key and number in it, by key


def dumps(places: Places) -> str:
    """JSON: [[key, place], …]."""
    return f"[{', '.join(f'[{encode_basestring_ascii(key)}, {place}]' for key, place in places)}]"


def loads(stored: str) -> tuple[tuple[str, int], ...]:
    return tuple((key, place) for key, place in json.loads(stored))


def _of_lane() -> tuple[Any, ...]:
    return (
        _place.c.tenant_id == bindparam("tenant"),
        _place.c.queue == bindparam("q"),
        _place.c.lane_key == bindparam("l"),
    )


# Written out: SQLAlchemy leaves out the tables' names in what SQLite is to return.
_also: ColumnElement[str | None] = literal_column(
    "(SELECT one.also FROM lane_alias AS one WHERE one.tenant_id = work_place.tenant_id"
    " AND one.queue = work_place.queue AND one.lane_key = work_place.lane_key)"
)


@lru_cache
def _stand(count: int) -> Prepared:
    """Into so many lanes, `l0`, `l1` and so on, by one statement: on the path of an ACK each one counts."""
    keys = [select(bindparam(f"l{number}", type_=Text).label("key")) for number in range(count)]
    lane = union_all(*keys).subquery("lane")
    other = _place.alias("other")
    last = (
        select(other.c.place)
        .where(
            other.c.tenant_id == bindparam("tenant"), other.c.queue == bindparam("q"), other.c.lane_key == lane.c.key
        )
        .order_by(other.c.place.desc())
        .limit(1)
        .scalar_subquery()
    )
    stands = select(
        bindparam("tenant", type_=Text),
        bindparam("q", type_=Text),
        lane.c.key,
        func.coalesce(last, literal_column("0")) + literal_column("1"),
        bindparam("work", type_=Text),
    )
    names = ["tenant_id", "queue", "lane_key", "place", "work_id"]
    return Prepared(insert(_place).from_select(names, stands).returning(_place.c.lane_key, _place.c.place, _also))


_AT_ONCE = 8  # lanes; nearly always three
_STEP_OUT = Prepared(delete(_place).where(*_of_lane(), _place.c.place == bindparam("p")))
_FIRST = Prepared(select(_place.c.work_id).where(*_of_lane()).order_by(_place.c.place).limit(1))
_number = func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))).column_valued("number")
_LOCK = Prepared(select(func.pg_advisory_xact_lock(_number)))


def lock(tx: Tx, queue: str, lanes: Iterable[str]) -> None:
    """Hold these lanes until the end of the transaction; in one order, so that two units can't deadlock on them."""
    if tx.dialect == "sqlite":
        return
    names = (f"{tx.tenant}\n{queue}\n{key}".encode() for key in lanes)
    numbers = sorted(int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True) for name in names)
    if numbers:
        tx.run(_LOCK, {"numbers": numbers})


def enter(tx: Tx, queue: str, lanes: Sequence[str], work_id: str) -> tuple[list[tuple[str, int]], int]:
    """Take the last place in each lane, and in those that are one with it (aliases.py): the places, and in how many
    lanes something stands before us."""
    keys = sorted(set(lanes))
    lock(tx, queue, keys)
    places: dict[str, int] = {}
    waits = 0
    while len(places) < len(keys):  # they grow
        some = keys[len(places) : len(places) + _AT_ONCE]
        names = {f"l{number}": key for number, key in enumerate(some)}
        stands = tx.run(_stand(len(some)), {"tenant": tx.tenant, "q": queue, "work": work_id, **names})
        for key, place, also in sorted(stands):
            places[key] = place
            waits += place > 1  # an empty lane starts at 1 again
            if also is not None and also not in keys:
                # Out of the locks' order, so that nobody pays for an alias who has none: who deadlocks is run again.
                lock(tx, queue, [also])
                keys.append(also)
    return sorted(places.items()), waits


def leave(tx: Tx, queue: str, places: Places) -> list[tuple[str, int]]:
    """Step out of the lanes: who stands first now, each with the number of lanes in which that is so."""
    lock(tx, queue, [key for key, _ in places])
    heads: Counter[str] = Counter()
    for key, place in places:
        lane = {"tenant": tx.tenant, "q": queue, "l": key}
        tx.change(_STEP_OUT, {**lane, "p": place})
        heads.update(work_id for (work_id,) in tx.run(_FIRST, lane))
    return sorted(heads.items())
