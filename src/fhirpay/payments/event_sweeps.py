"""How far a merchant's events were read off its processor's list, kept at every page. Called by usecases/sweep.py.

A page that is overtaken (another worker has read it meanwhile) moves nothing: `move` says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .tables import EventSweepRow

_sweep = table(EventSweepRow)
_ONE = select(_sweep).where(_sweep.c.tenant_id == bindparam("tenant"), _sweep.c.merchant == bindparam("of"))
_BEGIN = insert(_sweep).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Place:
    """See tables.py. `since` and `until` are set together, as long as a sweep is in hand."""

    watermark: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str = ""
    found: int = 0


def place(tx: Tx, merchant: str) -> Place:
    """Where it is; nowhere yet, for one that is new."""
    row = tx.one(_ONE, of=merchant)
    return Place() if row is None else Place(**{name: row[name] for name in Place.__slots__})


def lies_since(tx: Tx, merchant: str) -> datetime:
    """When its place was noted last; now, for one that is new."""
    row = tx.one(_ONE, of=merchant)
    return tx.now if row is None else row["changed_at"]


def move(tx: Tx, merchant: str, before: Place, after: Place) -> bool:
    """From one place to the next. False when it isn't at the first one any more."""
    tx.put(_BEGIN, {"tenant_id": tx.tenant, "merchant": merchant, **asdict(Place()), "changed_at": tx.now})
    same = [
        _sweep.c[name].is_(None) if value is None else _sweep.c[name] == value for name, value in asdict(before).items()
    ]
    is_it = (_sweep.c.tenant_id == tx.tenant, _sweep.c.merchant == merchant)
    statement = update(_sweep).where(*is_it, *same).values(asdict(after) | {"changed_at": tx.now})
    return tx.execute(statement).rowcount == 1
