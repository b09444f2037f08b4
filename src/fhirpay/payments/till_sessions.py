"""Tills as rows: open and closed, cash moved without a payment, what was counted. Takes the caller's `tx`.

Called by usecases/tills.py (all changes) and by whoever shows it. What lies in a till the ledger says, never a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import SafeMoveRow, TillCountRow, TillMoveRow, TillSessionRow

_session, _move, _count = table(TillSessionRow), table(TillMoveRow), table(TillCountRow)
_safe = table(SafeMoveRow)
Kind = Literal["float", "drop", "pay_in", "pay_out"]


@dataclass(frozen=True, slots=True)
class Session:
    """`closed_at` is None while the till is open."""

    session_id: str
    till: str
    facility: str
    currency: str
    business_date: str
    opened_by: str
    opened_at: datetime
    closed_by: str = ""
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Cash by no payment; `float` and `pay_in` come into the till."""

    move_id: str
    kind: Kind
    amount: Money
    moved_by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """`expected` is what the books had there."""

    count_id: str
    expected: Money
    counted: Money
    counted_by: str
    at: datetime


def add(tx: Tx, one: Session) -> bool:
    """False where the till is open: the database keeps that to once."""
    row: dict[str, Any] = {name: getattr(one, name) for name in Session.__slots__ if name != "closed_at"}
    statement = insert(_session).values(row | {"tenant_id": tx.tenant}).on_conflict_do_nothing()
    return tx.scalar(statement.returning(_session.c.session_id)) is not None


def open_at(tx: Tx, till: str) -> Session | None:
    """The till's session that is open."""
    where = (_session.c.tenant_id == tx.tenant, _session.c.till == till, _session.c.closed_at.is_(None))
    row = tx.one(select(_session).where(*where))
    return None if row is None else _of(row)


def get(tx: Tx, session_id: str) -> Session:
    """Raises NotFound."""
    row = tx.one(select(_session).where(_session.c.tenant_id == tx.tenant, _session.c.session_id == session_id))
    if row is None:
        raise NotFound(f"there is no session {session_id} of a till", session_id=session_id)
    return _of(row)


def of_till(tx: Tx, till: str, *, limit: int | None = None) -> list[Session]:
    """The till's sessions, the one that was opened last first."""
    mine = select(_session).where(_session.c.tenant_id == tx.tenant, _session.c.till == till)
    newest = (_session.c.opened_at.desc(), _session.c.session_id.desc())
    return [_of(row) for row in tx.all(mine.order_by(*newest).limit(limit))]


def closed(tx: Tx, session_id: str, *, by: str) -> None:
    is_it = (_session.c.tenant_id == tx.tenant, _session.c.session_id == session_id)
    tx.execute(update(_session).where(*is_it).values(closed_by=by, closed_at=tx.now))


def add_move(tx: Tx, session_id: str, kind: Kind, amount: Money, *, by: str, reason: str) -> str:
    move_id = tx.ids.new("tmv")
    row = {"tenant_id": tx.tenant, "move_id": move_id, "session_id": session_id, "kind": kind, "reason": reason}
    row |= {"amount_minor": amount.minor, "currency": amount.currency, "moved_by": by, "at": tx.now}
    tx.execute(insert(_move).values(row))
    return move_id


def add_count(tx: Tx, session_id: str, expected: Money, counted: Money, *, by: str) -> str:
    count_id = tx.ids.new("cnt")
    row = {"tenant_id": tx.tenant, "count_id": count_id, "session_id": session_id, "currency": counted.currency}
    row |= {"expected_minor": expected.minor, "counted_minor": counted.minor, "counted_by": by, "at": tx.now}
    tx.execute(insert(_count).values(row))
    return count_id


def add_to_safe(tx: Tx, facility: str, source: str, amount: Money, *, by: str, reason: str) -> str:
    move_id = tx.ids.new("smv")
    row = {"tenant_id": tx.tenant, "move_id": move_id, "facility": facility, "source": source, "reason": reason}
    row |= {"amount_minor": amount.minor, "currency": amount.currency, "moved_by": by, "at": tx.now}
    tx.execute(insert(_safe).values(row))
    return move_id


def moves_of(tx: Tx, session_id: str) -> list[Move]:
    """Oldest first."""
    mine = select(_move).where(_move.c.tenant_id == tx.tenant, _move.c.session_id == session_id)
    return [
        Move(
            row["move_id"],
            row["kind"],
            Money(row["amount_minor"], row["currency"]),
            row["moved_by"],
            row["reason"],
            row["at"],
        )
        for row in tx.all(mine.order_by(_move.c.at, _move.c.move_id))
    ]


def counts_of(tx: Tx, session_id: str) -> list[Count]:
    """Oldest first."""
    mine = select(_count).where(_count.c.tenant_id == tx.tenant, _count.c.session_id == session_id)
    return [
        Count(
            row["count_id"],
            Money(row["expected_minor"], row["currency"]),
            Money(row["counted_minor"], row["currency"]),
            row["counted_by"],
            row["at"],
        )
        for row in tx.all(mine.order_by(_count.c.at, _count.c.count_id))
    ]


def taken_over(tx: Tx) -> int:
    """Minor units that lay in safes when the books began, in all."""
    mine = (_safe.c.tenant_id == tx.tenant, _safe.c.source == "opening")
    return int(tx.scalar(select(func.coalesce(func.sum(_safe.c.amount_minor), 0)).where(*mine)))


def _of(row: RowMapping) -> Session:
    return Session(**{name: row[name] for name in Session.__slots__})
