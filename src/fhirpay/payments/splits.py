"""Splits as rows: which payments one bill is paid by. Takes the caller's `tx`. Called by usecases/split.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import SplitPartRow, SplitRow

_split, _part = table(SplitRow), table(SplitPartRow)


@dataclass(frozen=True, slots=True)
class Split:
    """`payments` in the order in which they were asked for."""

    split_id: str
    amount: Money
    requested_by: str
    created_at: datetime
    payments: tuple[str, ...]


def add(tx: Tx, amount: Money, payments: Sequence[str], *, by: str) -> str:
    """The split's id."""
    split_id = tx.ids.new("spl")
    row = {"tenant_id": tx.tenant, "split_id": split_id, "amount_minor": amount.minor, "currency": amount.currency}
    tx.execute(insert(_split).values(row | {"requested_by": by, "created_at": tx.now}))
    ids = {"tenant_id": tx.tenant, "split_id": split_id}
    parts = [ids | {"number": number, "payment_id": one} for number, one in enumerate(payments, start=1)]
    tx.execute(insert(_part).values(parts))
    return split_id


def get(tx: Tx, split_id: str) -> Split:
    """Raises NotFound."""
    row = tx.one(select(_split).where(_split.c.tenant_id == tx.tenant, _split.c.split_id == split_id))
    if row is None:
        raise NotFound(f"there is no split {split_id}", split_id=split_id)
    mine = select(_part.c.payment_id).where(_part.c.tenant_id == tx.tenant, _part.c.split_id == split_id)
    payments = tuple(one["payment_id"] for one in tx.all(mine.order_by(_part.c.number)))
    amount = Money(row["amount_minor"], row["currency"])
    return Split(split_id, amount, row["requested_by"], row["created_at"], payments)
