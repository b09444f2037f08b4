"""What goes to the bank, as rows. Takes the caller's `tx`. Called by usecases/bank_bag.py and whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import BagRow, TenderRow

_bag, _tender = table(BagRow), table(TenderRow)


@dataclass(frozen=True, slots=True)
class Bag:
    """`checks` are the payments that were made by them."""

    bag_id: str
    facility: str
    cash: Money
    in_checks: Money
    slip: str
    packed_by: str
    at: datetime
    business_date: str
    checks: tuple[str, ...] = ()


def add(tx: Tx, one: Bag) -> None:
    row = {"tenant_id": tx.tenant, "bag_id": one.bag_id, "facility": one.facility, "currency": one.cash.currency}
    row |= {"cash_minor": one.cash.minor, "checks_minor": one.in_checks.minor, "slip": one.slip}
    row |= {"packed_by": one.packed_by, "at": one.at, "business_date": one.business_date}
    tx.execute(insert(_bag).values(row))


def get(tx: Tx, bag_id: str) -> Bag:
    """Raises NotFound."""
    row = tx.one(select(_bag).where(_bag.c.tenant_id == tx.tenant, _bag.c.bag_id == bag_id))
    if row is None:
        raise NotFound(f"there is no bag {bag_id}", bag_id=bag_id)
    mine = (_tender.c.tenant_id == tx.tenant, _tender.c.bag_id == bag_id)
    checks = tx.all(select(_tender.c.payment_id).where(*mine).order_by(_tender.c.payment_id))
    return Bag(
        bag_id,
        row["facility"],
        Money(row["cash_minor"], row["currency"]),
        Money(row["checks_minor"], row["currency"]),
        row["slip"],
        row["packed_by"],
        row["at"],
        row["business_date"],
        tuple(one["payment_id"] for one in checks),
    )
