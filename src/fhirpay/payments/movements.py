"""What became of a payment's money after it was posted, as rows: a void, a move between obligations and credit, or a
refund that failed after it was told as done.

Takes the caller's `tx`, whose unit holds the locks of the accounts. A movement is never changed. Its lines, below zero
where money is taken from, say to an EHR what has to be taken back there and what the money pays instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from .tables import MovementLineRow, MovementRow

_movement, _line = table(MovementRow), table(MovementLineRow)
_OF_LINE = [
    _line.c[name] for name in ("number", "allocation", "obligation_id", "account_ref", "amount_minor", "currency")
]
Kind = Literal["void", "reallocation", "refund_failed"]


@dataclass(frozen=True, slots=True)
class Side:
    """`allocation` is a sequence of the payment's; 0: money that no obligation has claimed."""

    allocation: int
    obligation_id: str
    account_ref: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Movement:
    """`lines` count from 1. `restores` is the refund that failed: its lines say what it had taken back, and the
    allocations have that without them."""

    movement_id: str
    payment_id: str
    kind: Kind
    moved_by: str
    reason: str
    at: datetime
    lines: tuple[Side, ...]
    restores: str | None = None

    @property
    def amount(self) -> Money:
        """What came in by it: below zero for a void, nothing where money only moved."""
        return sum((one.amount for one in self.lines[1:]), self.lines[0].amount)


def add(
    tx: Tx, payment_id: str, kind: Kind, lines: Sequence[Side], *, by: str, reason: str, restores: str | None = None
) -> Movement:
    """Keep it. There is a line at least, and none of nothing."""
    movement_id = tx.ids.new("mov")
    row = {"tenant_id": tx.tenant, "movement_id": movement_id, "payment_id": payment_id, "kind": kind}
    tx.execute(insert(_movement).values(row | {"moved_by": by, "reason": reason, "at": tx.now, "restores": restores}))
    rows = [
        {
            "tenant_id": tx.tenant,
            "movement_id": movement_id,
            "number": number,
            "allocation": line.allocation,
            "obligation_id": line.obligation_id,
            "account_ref": line.account_ref,
            "amount_minor": line.amount.minor,
            "currency": line.amount.currency,
        }
        for number, line in enumerate(lines, start=1)
    ]
    tx.execute(insert(_line).values(rows))
    return Movement(movement_id, payment_id, kind, by, reason, tx.now, tuple(lines), restores)


def find(tx: Tx, movement_id: str) -> Movement | None:
    found = _all(tx, _movement.c.movement_id == movement_id)
    return found[0] if found else None


def of_payment(tx: Tx, payment_id: str) -> list[Movement]:
    """Oldest first."""
    return _all(tx, _movement.c.payment_id == payment_id)


def moved_by_allocation(movements: Iterable[Movement]) -> dict[int, int]:
    """Minor units that these have put on each allocation, in all; below zero where they took from it."""
    sums: dict[int, int] = {}
    for line in (line for one in movements if not one.restores for line in one.lines):
        sums[line.allocation] = sums.get(line.allocation, 0) + line.amount.minor
    return sums


def _all(tx: Tx, where: object) -> list[Movement]:
    joined = _movement.join(
        _line, (_line.c.tenant_id == _movement.c.tenant_id) & (_line.c.movement_id == _movement.c.movement_id)
    )
    query = select(_movement, *_OF_LINE).select_from(joined).where(_movement.c.tenant_id == tx.tenant, where)  # type: ignore[arg-type]
    lines: dict[str, list[Side]] = {}
    heads: dict[str, Movement] = {}
    for row in tx.all(query.order_by(_movement.c.at, _movement.c.movement_id, _line.c.number)):
        amount = Money(row["amount_minor"], row["currency"])
        side = Side(row["allocation"], row["obligation_id"], row["account_ref"], amount)
        lines.setdefault(row["movement_id"], []).append(side)
        named = (row["movement_id"], row["payment_id"], row["kind"], row["moved_by"], row["reason"], row["at"])
        heads[row["movement_id"]] = Movement(*named, (), row["restores"])
    return [replace(one, lines=tuple(lines[id])) for id, one in heads.items()]
