"""Which resource stands for one that was merged into another: the old Patient, Account or Encounter and its survivor.

`replace` is called by parties/, `restore` when a merge is undone. Whoever looks something up by an identifier, or is
handed a reference that may be of long ago, asks `survivor` here: conditional.py and links.py do for everything that
is written, so a late message for an old number lands on the survivor and never makes the old one anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import InvariantBroken, RuleBroken
from . import store
from .store import Stored
from .tables import ReplacedRow

TYPES = frozenset({"Patient", "Account", "Encounter"})  # what can be merged

_replaced = table(ReplacedRow)
_BY = select(_replaced.c.type, _replaced.c.resource_id, _replaced.c.by_id).where(
    _replaced.c.tenant_id == bindparam("tenant"), _replaced.c.resource_id.in_(bindparam("ids", expanding=True))
)
_LONGEST = 100  # of a chain; `replace` makes no circle


def survivors(tx: Tx, references: Iterable[str]) -> dict[str, str]:
    """Each of these references, and what it stands for now: itself, or the end of the chain that it was merged into."""
    ends = {ref: ref for ref in references}
    open_ends = {ref for ref in ends if ref.partition("/")[0] in TYPES}
    for _ in range(_LONGEST):
        if not open_ends:
            return ends
        rows = tx.all(_BY, ids=sorted({ref.partition("/")[2] for ref in open_ends}))
        steps = {f"{row['type']}/{row['resource_id']}": f"{row['type']}/{row['by_id']}" for row in rows}
        open_ends = {steps[ref] for ref in open_ends if ref in steps}
        ends = {ref: steps.get(end, end) for ref, end in ends.items()}
    raise InvariantBroken("merges form a circle")


def survivor(tx: Tx, reference: str) -> str:
    return survivors(tx, [reference])[reference]


def find(tx: Tx, resource_type: str, system: str, value: str) -> list[Stored]:
    """The resources that carry this identifier or stand for one that does, each once."""
    return living(tx, store.find(tx, resource_type, system, value))


def living(tx: Tx, found: list[Stored]) -> list[Stored]:
    """Each of these, or who stands for it, once."""
    if not found or found[0].type not in TYPES:
        return found
    ends = survivors(tx, [one.reference for one in found])
    known = {one.reference: one for one in found}
    alive = {ref: known.get(ref) or store.get(tx, *ref.split("/")) for ref in dict.fromkeys(ends.values())}
    return [one for one in alive.values() if one is not None]


def replace(tx: Tx, old: str, new: str) -> None:
    """From now on `new` stands for `old`. Raises RuleBroken where one does already, or in a circle."""
    if survivor(tx, new) == old or survivor(tx, old) != old:
        raise RuleBroken(f"{old} can't be replaced by {new}: {survivor(tx, old)} stands for it")
    kind, _, old_id = old.partition("/")
    row = {"tenant_id": tx.tenant, "type": kind, "resource_id": old_id, "by_id": new.partition("/")[2]}
    tx.execute(insert(_replaced).values(row | {"since": tx.now}))


def restore(tx: Tx, old: str) -> None:
    """It stands for itself again."""
    kind, _, old_id = old.partition("/")
    where = (_replaced.c.tenant_id == tx.tenant, _replaced.c.type == kind, _replaced.c.resource_id == old_id)
    tx.execute(delete(_replaced).where(*where))


def merged_into(tx: Tx, new: str) -> list[str]:
    """What `new` stands for, directly."""
    kind, _, new_id = new.partition("/")
    where = (_replaced.c.tenant_id == tx.tenant, _replaced.c.type == kind, _replaced.c.by_id == new_id)
    rows = tx.all(select(_replaced.c.resource_id).where(*where).order_by(_replaced.c.resource_id))
    return [f"{kind}/{row['resource_id']}" for row in rows]
