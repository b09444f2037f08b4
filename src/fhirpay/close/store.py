"""Closes as rows: which there are, one more, and opened again. Takes the caller's `tx`; nothing is ever changed.

Called by usecases/day_close.py and by whoever shows a close. The facility's own closes are those without a till.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import InvariantBroken, NotFound
from ..ledger.chain import digest
from .counted import Counting, Reach
from .tables import DayClosePartRow, DayCloseReopenedRow, DayCloseRow

_close, _reopened, _part = table(DayCloseRow), table(DayCloseReopenedRow), table(DayClosePartRow)
_JOINED = _close.outerjoin(
    _reopened, (_reopened.c.tenant_id == _close.c.tenant_id) & (_reopened.c.close_id == _close.c.close_id)
)
_SHOWN = [column for column in _close.c if column.name not in ("tenant_id", "body")]
_SHOWN += [_reopened.c.reopened_by, _reopened.c.why, _reopened.c.at]


@dataclass(frozen=True, slots=True)
class Close:
    """A close without its text. It stands unless it was opened again."""

    close_id: str
    facility: str
    till: str
    number: int
    business_date: str
    seq: int
    replaces: str
    signed_by: str
    reason: str
    signed_at: datetime
    hash: str
    reopened_by: str = ""
    reopened_why: str = ""
    reopened_at: datetime | None = None

    @property
    def stands(self) -> bool:
        return self.reopened_at is None

    @property
    def day(self) -> date:
        return date.fromisoformat(self.business_date)

    @property
    def reach(self) -> Reach:
        return Reach(self.close_id, self.number, self.day, self.seq)

    @property
    def where(self) -> str:
        return f"till '{self.till}' of '{self.facility}'" if self.till else f"facility '{self.facility}'"


def of(tx: Tx, facility: str, till: str) -> list[Close]:
    """All of this facility and till, by their numbers."""
    mine = (_close.c.tenant_id == tx.tenant, _close.c.facility == facility, _close.c.till == till)
    return [_of(row) for row in tx.all(select(*_SHOWN).select_from(_JOINED).where(*mine).order_by(_close.c.number))]


def of_tills(tx: Tx, facility: str) -> list[Close]:
    """All of the facility's tills, by till and number."""
    mine = (_close.c.tenant_id == tx.tenant, _close.c.facility == facility, _close.c.till != "")
    query = select(*_SHOWN).select_from(_JOINED).where(*mine)
    return [_of(row) for row in tx.all(query.order_by(_close.c.till, _close.c.number))]


def get(tx: Tx, close_id: str) -> Close:
    """Raises NotFound."""
    is_it = (_close.c.tenant_id == tx.tenant, _close.c.close_id == close_id)
    row = tx.one(select(*_SHOWN).select_from(_JOINED).where(*is_it))
    if row is None:
        raise NotFound(f"there is no close {close_id}", close_id=close_id)
    return _of(row)


def body(tx: Tx, close_id: str) -> str:
    """The text that was signed. Raises NotFound, and InvariantBroken where it is not what its hash is of."""
    found = tx.one(
        select(_close.c.body, _close.c.hash).where(_close.c.tenant_id == tx.tenant, _close.c.close_id == close_id)
    )
    if found is None:
        raise NotFound(f"there is no close {close_id}", close_id=close_id)
    if digest(found["body"]) != found["hash"]:
        raise InvariantBroken(f"the text of {close_id} is not the one that was signed", close_id=close_id)
    return found["body"]


def hold(tx: Tx, close_ids: Iterable[str]) -> bool:
    """Until the unit ends none of them is opened again, nor counted by another close; whether all of them stand."""
    mine = (_close.c.tenant_id == tx.tenant, _close.c.close_id.in_(sorted(close_ids)))
    held = tx.all(select(_close.c.close_id).where(*mine).order_by(_close.c.close_id).with_for_update())
    ids = [row["close_id"] for row in held]
    again = select(_reopened.c.close_id).where(_reopened.c.tenant_id == tx.tenant, _reopened.c.close_id.in_(ids))
    return tx.one(again.limit(1)) is None


def some(
    tx: Tx, *, facility: str = "", till: str | None = None, after: tuple[datetime, str] | None = None, limit: int = 50
) -> list[Close]:
    """The newest first, of one facility or till or of all; `after` is (signed_at, close_id) of the last one seen."""
    query = select(*_SHOWN).select_from(_JOINED).where(_close.c.tenant_id == tx.tenant)
    if facility:
        query = query.where(_close.c.facility == facility)
    if till is not None:
        query = query.where(_close.c.till == till)
    if after is not None:
        at, last = after
        query = query.where((_close.c.signed_at < at) | ((_close.c.signed_at == at) & (_close.c.close_id < last)))
    query = query.order_by(_close.c.signed_at.desc(), _close.c.close_id.desc()).limit(limit)
    return [_of(row) for row in tx.all(query)]


def add(tx: Tx, one: Close, body: str, parts: Iterable[str]) -> bool:
    """False where its number is taken: somebody closed at the same time. Raises InvariantBroken for a part that another
    close has."""
    names = ("close_id", "facility", "till", "number", "business_date", "seq", "replaces", "signed_by", "reason")
    row: dict[str, Any] = {name: getattr(one, name) for name in names}
    row |= {"tenant_id": tx.tenant, "signed_at": one.signed_at, "body": body, "hash": one.hash}
    added = insert(_close).values(row).on_conflict_do_nothing().returning(_close.c.close_id)
    if tx.scalar(added) is None:
        return False
    for part in parts:
        taken = insert(_part).values(tenant_id=tx.tenant, part=part, close_id=one.close_id).on_conflict_do_nothing()
        if tx.scalar(taken.returning(_part.c.part)) is None:
            raise InvariantBroken(f"{part} is counted in another close already", close_id=one.close_id)
    return True


def reopen(tx: Tx, close_id: str, *, by: str, why: str) -> bool:
    """False where that was done before."""
    row = {"tenant_id": tx.tenant, "close_id": close_id, "reopened_by": by, "why": why, "at": tx.now}
    added = insert(_reopened).values(row).on_conflict_do_nothing().returning(_reopened.c.close_id)
    return tx.scalar(added) is not None


def parts(tx: Tx, close_ids: Iterable[str]) -> list[str]:
    """What these closes have counted as a whole."""
    mine = (_part.c.tenant_id == tx.tenant, _part.c.close_id.in_(sorted(close_ids)))
    return [row["part"] for row in tx.all(select(_part.c.part).where(*mine).order_by(_part.c.part))]


def counted_in(tx: Tx, part: str) -> str:
    """The close that counted it as a whole; empty: none yet."""
    mine = (_part.c.tenant_id == tx.tenant, _part.c.part == part)
    return tx.scalar(select(_part.c.close_id).where(*mine)) or ""


def line_of(closes: Sequence[Close], close_id: str) -> list[Close]:
    """The close and those that it replaces, the newest first."""
    by_id, found = {one.close_id: one for one in closes}, list[Close]()
    while close_id in by_id:
        found.append(by_id[close_id])
        close_id = by_id[close_id].replaces
    return found


def counting(closes: Sequence[Close], reach: Reach, replaces: str) -> Counting:
    """What one more close would count. `closes` are all of its facility and till."""
    own = line_of(closes, replaces)
    mine = {one.close_id for one in own}
    others = tuple(one.reach for one in closes if one.close_id not in mine)
    return Counting((reach, *(one.reach for one in own)), others)


def _of(row: RowMapping) -> Close:
    names = [name for name in Close.__slots__ if not name.startswith("reopened")]
    known = {name: row[name] for name in names}
    return Close(**known, reopened_by=row["reopened_by"] or "", reopened_why=row["why"] or "", reopened_at=row["at"])
