"""Reports of processors as rows: kept sealed, as they came. Takes the caller's `tx`.

Called by usecases/take_settlement_report.py. The same bytes again are the same file.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import legible
from ..db.unit import Tx
from .tables import SettlementFileRow

_file = table(SettlementFileRow)
_ADD = insert(_file).on_conflict_do_nothing(index_elements=["tenant_id", "merchant", "content_hash"])
_OF = select(_file).where(_file.c.tenant_id == bindparam("tenant"), _file.c.merchant == bindparam("of"))
_SAME = _OF.where(_file.c.content_hash == bindparam("hash"))
_READ = _OF.where(_file.c.name == bindparam("called"), _file.c.state == "kept").limit(1)


@dataclass(frozen=True, slots=True)
class SettlementFile:
    file_id: str
    merchant: str
    name: str
    state: str
    says: str
    sealed: str


def keep(tx: Tx, merchant: str, name: str, content_hash: str, file_id: str, sealed: str) -> SettlementFile:
    """Keep it as it came; the one that is kept, which is an earlier one where its bytes are the same."""
    row = {"tenant_id": tx.tenant, "file_id": file_id, "merchant": merchant, "name": legible(name)[:200]}
    row |= {"content_hash": content_hash, "state": "received", "says": "", "sealed": sealed}
    tx.put(_ADD, row | {"received_at": tx.now, "changed_at": tx.now})
    found = tx.one(_SAME, of=merchant, hash=content_hash)
    assert found is not None
    return _of(found)


def becomes(tx: Tx, file_id: str, state: str, says: str = "") -> None:
    where = (_file.c.tenant_id == tx.tenant, _file.c.file_id == file_id)
    tx.execute(update(_file).where(*where).values(state=state, says=legible(says), changed_at=tx.now))


def is_read(tx: Tx, merchant: str, name: str) -> bool:
    """Whether one of this name was read, whoever brought it."""
    return tx.one(_READ, of=merchant, called=name) is not None


def _of(row: RowMapping) -> SettlementFile:
    return SettlementFile(**{name: row[name] for name in SettlementFile.__slots__})
