"""The record of merges: who was merged into whom, when, by which message, and each thing that was changed by it.

Written by usecases/merge.py and undo_merge.py in their units; read by `fhirpay merges`, `explain` and the doctor.
A merge that is undone stays, with who undid it and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, bindparam, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import NotFound
from ..fhir.json import dumps, loads
from .tables import MergeItemRow, MergeRow

Kind = Literal["merge", "move", "number"]

_merge, _item = table(MergeRow), table(MergeItemRow)
_MOVES = (
    select(_merge)
    .where(
        _merge.c.tenant_id == bindparam("tenant"),
        _merge.c.about.in_(bindparam("accounts", expanding=True)),
        _merge.c.kind == "move",
        _merge.c.undone_at.is_(None),
    )
    .order_by(_merge.c.merged_at, _merge.c.merge_id)
)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a merge changed, by its id: what it said before, and what it says now."""

    what: str
    ref: str
    before: dict[str, Any] = field(default_factory=dict[str, Any])
    after: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Merge:
    """`about` is what was merged away or renumbered, or the account that was moved from one patient to the other."""

    merge_id: str
    kind: Kind
    about: str
    old_ref: str
    new_ref: str
    event: str
    message_id: str
    interface: str
    merged_at: datetime
    undone_at: datetime | None = None
    undone_by: str | None = None
    undone_why: str | None = None


def add(
    tx: Tx, kind: Kind, about: str, old_ref: str, new_ref: str, *, event: str, message_id: str, interface: str
) -> Merge:
    merge = Merge(tx.ids.new("mrg"), kind, about, old_ref, new_ref, event, message_id, interface, tx.now)
    row = {one.name: getattr(merge, one.name) for one in fields(Merge)}
    tx.execute(insert(_merge).values(row | {"tenant_id": tx.tenant}))
    return merge


def keep(tx: Tx, merge: Merge, items: Iterable[Item]) -> None:
    """What it has changed, in this order. Called once for a merge."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "merge_id": merge.merge_id,
            "number": number,
            "what": one.what,
            "ref": one.ref,
            "before": dumps(one.before),
            "after": dumps(one.after),
        }
        for number, one in enumerate(items, start=1)
    ]
    if rows:
        tx.execute(insert(_item), rows)


def get(tx: Tx, merge_id: str) -> Merge:
    """Raises NotFound."""
    row = tx.one(select(_merge).where(_merge.c.tenant_id == tx.tenant, _merge.c.merge_id == merge_id))
    if row is None:
        raise NotFound(f"there is no merge {merge_id}", merge_id=merge_id)
    return _read(row)


def items(tx: Tx, merge_id: str) -> list[Item]:
    """In the order in which they were changed."""
    mine = (_item.c.tenant_id == tx.tenant, _item.c.merge_id == merge_id)
    found = tx.all(select(_item).where(*mine).order_by(_item.c.number))
    return [Item(row["what"], row["ref"], loads(row["before"]), loads(row["after"])) for row in found]


def listed(tx: Tx, *, ref: str = "", limit: int = 200) -> list[Merge]:
    """The latest first; with `ref` those that have to do with this Patient, Account or Encounter."""
    where = [_merge.c.tenant_id == tx.tenant]
    if ref:
        where.append(or_(*(column == ref for column in (_merge.c.about, _merge.c.old_ref, _merge.c.new_ref))))
    latest = (_merge.c.merged_at.desc(), _merge.c.merge_id.desc())
    return [_read(row) for row in tx.all(select(_merge).where(*where).order_by(*latest).limit(limit))]


def standing(tx: Tx, *, ref: str = "") -> list[Merge]:
    """Those that have not been undone, the earliest first."""
    return [one for one in reversed(listed(tx, ref=ref, limit=1_000_000)) if one.undone_at is None]


def moves_of(tx: Tx, account_refs: Iterable[str]) -> dict[str, list[Merge]]:
    """The moves from patient to patient that stand, by account, the earliest first. Asked for every message."""
    found: dict[str, list[Merge]] = {}
    for row in tx.all(_MOVES, accounts=sorted(set(account_refs))):
        found.setdefault(row["about"], []).append(_read(row))
    return found


def note_undone(tx: Tx, merge: Merge, *, by: str, why: str) -> None:
    is_it = (_merge.c.tenant_id == tx.tenant, _merge.c.merge_id == merge.merge_id)
    tx.execute(update(_merge).where(*is_it).values(undone_at=tx.now, undone_by=by, undone_why=why))


def _read(row: RowMapping) -> Merge:
    return Merge(**{one.name: row[one.name] for one in fields(Merge)})
