"""What goes to the bank, as rows. Takes the caller's `tx`. Called by usecases/bank_bag.py and whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import BagRow, PaymentRow, TenderRow

_bag, _tender, _payment = table(BagRow), table(TenderRow), table(PaymentRow)


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


def of_check(tx: Tx, payment_id: str) -> Bag | None:
    """The bag that a payment's check went to the bank in."""
    mine = (_tender.c.tenant_id == tx.tenant, _tender.c.payment_id == payment_id)
    bag_id = tx.scalar(select(_tender.c.bag_id).where(*mine))
    return get(tx, str(bag_id)) if bag_id else None


def next_with_cash(tx: Tx, facility: str, currency: str, since: datetime) -> Bag | None:
    """The first bag with cash of a facility from then on: what was taken lies in it or in a later one."""
    found = _with_cash(facility, currency).where(_bag.c.tenant_id == tx.tenant, _bag.c.at >= since)
    bag_id = tx.scalar(found.order_by(_bag.c.at, _bag.c.bag_id).limit(1))
    return get(tx, str(bag_id)) if bag_id else None


def cash_since_last(tx: Tx, one: Bag) -> list[str]:
    """The payments in cash of its facility since the bag with cash before it."""
    before = _with_cash(one.facility, one.cash.currency).where(_bag.c.tenant_id == tx.tenant, _bag.c.at < one.at)
    last = tx.scalar(before.order_by(_bag.c.at.desc()).limit(1).with_only_columns(_bag.c.at))
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.method == "cash", _payment.c.facility == one.facility)
    taken = select(_payment.c.payment_id).where(*mine, _payment.c.currency == one.cash.currency)
    taken = taken.where(_payment.c.captured_at <= one.at)
    if last is not None:
        taken = taken.where(_payment.c.captured_at > last)
    rows = tx.all(taken.order_by(_payment.c.captured_at, _payment.c.payment_id)) if one.cash else []
    return [row["payment_id"] for row in rows]


def _with_cash(facility: str, currency: str) -> Any:
    mine = (_bag.c.facility == facility, _bag.c.currency == currency, _bag.c.cash_minor > 0)
    return select(_bag.c.bag_id).where(*mine)


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
