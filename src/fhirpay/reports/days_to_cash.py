"""Days from charge to cash: how long it took until what was owed was paid."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, select

from ..db.unit import Tx
from ..domain.events import Event
from ..ledger.chart import Side
from ..ledger.store import net
from .books import DEBIT, days_between, entry, is_a, obligation, of_books, posting, total
from .frame import Asked, Column, Query, Report
from .owed import FILED, filed


def statement(tx: Tx, asked: Asked) -> Query:
    paid = (
        of_books(asked)
        .where(posting.c.account == "ar_patient", is_a(Event.PAYMENT_ALLOCATED, Event.PAYMENT_DEALLOCATED))
        .add_columns(posting.c.obligation_id, posting.c.payment_id, posting.c.currency, net(Side.CREDIT).label("minor"))
        .group_by(posting.c.obligation_id, posting.c.payment_id, posting.c.currency)
        .having(net(Side.CREDIT) > 0)
        .subquery("paid")
    )
    charged = (
        of_books(asked)
        .where(posting.c.account.in_(["ar_pending", "ar_patient"]))
        .add_columns(posting.c.obligation_id, func.min(entry.c.business_date).label("day"))
        .group_by(posting.c.obligation_id)
        .subquery("charged")
    )
    captured = (
        of_books(asked)
        .where(DEBIT, is_a(Event.PAYMENT_CAPTURED, Event.EHR_PAYMENT_TAKEN_IN))
        .add_columns(posting.c.payment_id, func.min(entry.c.business_date).label("day"))
        .group_by(posting.c.payment_id)
        .subquery("captured")
    )
    is_it = and_(obligation.c.tenant_id == asked.tenant.name, obligation.c.obligation_id == paid.c.obligation_id)
    along: list[Any] = [func.coalesce(filed(asked, name), "").label(name) for name in asked.by]
    parts = (
        select(*along, paid.c.currency, paid.c.minor, paid.c.obligation_id, paid.c.payment_id)
        .add_columns(days_between(asked, charged.c.day, captured.c.day).label("days"))
        .select_from(
            paid.join(charged, charged.c.obligation_id == paid.c.obligation_id)
            .join(captured, captured.c.payment_id == paid.c.payment_id)
            .outerjoin(obligation, is_it)
        )
    )
    if asked.first is not None:
        parts = parts.where(captured.c.day >= asked.first.isoformat())
    part = parts.subquery("part")
    keys: list[Any] = [*(part.c[name] for name in asked.by), part.c.currency]
    order = (part.c.days, part.c.obligation_id, part.c.payment_id)
    placed = select(
        *keys,
        part.c.days,
        part.c.minor,
        func.row_number().over(partition_by=keys, order_by=order).label("place"),
        func.count().over(partition_by=keys).label("number"),
        func.sum(part.c.minor).over(partition_by=keys, order_by=order, rows=(None, 0)).label("so_far"),
        func.sum(part.c.minor).over(partition_by=keys).label("in_all"),
    ).subquery("placed")
    days = placed.c.days
    group: list[Any] = [*(placed.c[name] for name in asked.by), placed.c.currency]
    sums: list[Any] = [
        func.count().label("parts"),
        total(placed.c.minor).label("paid"),
        func.min(case((placed.c.place * 2 >= placed.c.number, days))).label("median"),
        func.min(case((placed.c.place * 10 >= placed.c.number * 9, days))).label("p90"),
        func.min(case((placed.c.so_far * 2 >= placed.c.in_all, days))).label("median_of_amount"),
        total(days).label("all_days"),
        total(days * placed.c.minor).label("days_by_amount"),
    ]
    return select(*group, *sums).group_by(*group)


DAYS_TO_CASH = Report(
    name="days_to_cash",
    says=(
        "For each part of a payment that paid an obligation, the days from the business date on which the obligation "
        "first stood in the books, waiting for insurance included, to the one on which the payment was captured, of "
        "payments captured in the period. An Invoice that took the place of charges counts from itself. What was paid "
        "before counts as 0 days; what was given back, or is not paid yet, is not in it."
    ),
    denominators=(
        "`mean`, `median` and `p90` are over the parts, each counting once; `mean_of_amount` and `median_of_amount` "
        "over the amount paid. Percentiles are by nearest rank: half (nine tenths) of them took so many days or fewer."
    ),
    span="period",
    columns=(
        Column("parts", "count", "parts of payments, one for each obligation that a payment paid"),
        Column("paid", "money", "what they come to"),
        Column("mean", "mean", "days, over parts", ("all_days", "parts")),
        Column("median", "days", "half of the parts took so many days or fewer"),
        Column("p90", "days", "nine tenths of the parts did"),
        Column("mean_of_amount", "mean", "days, over amounts", ("days_by_amount", "paid")),
        Column("median_of_amount", "days", "half of the amount took so many days or fewer"),
    ),
    statement=statement,
    by={name: says for name, (_, says) in FILED.items()},
)
