"""Why and for whom a payment is taken back whole, until its void has an outcome. Called by usecases/reverse.py."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import NotFound
from .tables import ReversalRow

_reversal = table(ReversalRow)


@dataclass(frozen=True, slots=True)
class Reversal:
    payment_id: str
    reason: str
    requested_by: str


def add(tx: Tx, operation_id: str, *, payment_id: str, reason: str, requested_by: str) -> None:
    """The wish behind a void."""
    row = {"tenant_id": tx.tenant, "operation_id": operation_id, "payment_id": payment_id, "reason": reason}
    tx.execute(insert(_reversal).values(**row, requested_by=requested_by, created_at=tx.now))


def get(tx: Tx, operation_id: str) -> Reversal:
    """Raises NotFound."""
    row = tx.one(select(_reversal).where(_reversal.c.tenant_id == tx.tenant, _reversal.c.operation_id == operation_id))
    if row is None:
        raise NotFound(f"{operation_id} is not there to reverse a payment", operation_id=operation_id)
    return Reversal(row["payment_id"], row["reason"], row["requested_by"])
