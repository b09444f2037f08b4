"""Who at an EHR is whom here: patients, accounts and encounters that came another way, and have the same number.

Called by take_polled.py, which hangs what it takes on ours, by look_at_visit.py and by writeback/references.py, which
names the EHR's own.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .tables import PollTwinRow

_twin = table(PollTwinRow)
_OF = (_twin.c.tenant_id == bindparam("tenant"), _twin.c.connection == bindparam("of"))
_OURS = select(_twin).where(*_OF, _twin.c.resource_id.in_(bindparam("ids", expanding=True)))
_THEIRS = select(_twin.c.resource_id).where(*_OF, _twin.c.reference == bindparam("ours"))
_THEIRS = _THEIRS.order_by(_twin.c.resource_id).limit(1)
_NEW = insert(_twin)
_IS = _NEW.on_conflict_do_update(
    index_elements=["tenant_id", "connection", "resource_type", "resource_id"],
    set_={"reference": _NEW.excluded.reference},
)


def ours(tx: Tx, connection: str, keys: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The EHR's references, such as Account/1, that mean one of ours → ours."""
    wanted = set(keys)
    rows = tx.all(_OURS, of=connection, ids=sorted({id for _, id in wanted})) if wanted else []
    keyed = ((row["resource_type"], row["resource_id"], row["reference"]) for row in rows)
    return {f"{kind}/{id}": reference for kind, id, reference in keyed if (kind, id) in wanted}


def theirs(tx: Tx, connection: str, reference: str) -> str | None:
    """The EHR's id of one of ours."""
    return tx.scalar(_THEIRS, of=connection, ours=reference)


def note(tx: Tx, connection: str, resource_type: str, resource_id: str, reference: str) -> None:
    """The EHR's `resource_type/resource_id` is our `reference`."""
    row = {"tenant_id": tx.tenant, "connection": connection, "resource_type": resource_type}
    tx.put(_IS, {**row, "resource_id": resource_id, "reference": reference})
