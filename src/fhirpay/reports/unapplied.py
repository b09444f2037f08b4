"""Unapplied credits: patients' money that pays nothing yet, by how long it has been here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, select

from ..db.unit import Tx
from ..ledger.chart import Side
from ..ledger.store import net
from .books import AGES, CREDIT, aged, entry, of_books, payment, posting, total
from .frame import Asked, Column, Query, Report

_BY = {"facility": payment.c.facility, "payment": payment.c.payment_id}


def statement(tx: Tx, asked: Asked) -> Query:
    held = (
        of_books(asked)
        .where(posting.c.account == "unapplied_credit")
        .add_columns(
            posting.c.payment_id,
            posting.c.currency,
            net(Side.CREDIT).label("minor"),
            func.min(case((CREDIT, entry.c.business_date))).label("since"),
        )
        .group_by(posting.c.payment_id, posting.c.currency)
        .having(net(Side.CREDIT) != 0)
        .subquery("held")
    )
    its = and_(payment.c.tenant_id == asked.tenant.name, payment.c.payment_id == held.c.payment_id)
    keys: list[Any] = [*(func.coalesce(_BY[name], "") for name in asked.by)]
    labelled: list[Any] = [key.label(name) for key, name in zip(keys, asked.by, strict=True)]
    sums: list[Any] = [
        func.count().label("payments"),
        total(held.c.minor).label("credit"),
        *aged(asked, held.c.minor, held.c.since),
    ]
    found = select(*labelled, held.c.currency, *sums).select_from(held.outerjoin(payment, its))
    return found.group_by(*keys, held.c.currency)


UNAPPLIED = Report(
    name="unapplied",
    says=(
        "Patients' money that stood with the practice at the end of the day and paid nothing: the ledger's "
        "unapplied_credit, deposits and copays of visits without a charge included, by the days since the payment was "
        "first booked."
    ),
    denominators="No percentages: each amount is a sum, and the buckets come to `credit`, the ledger's balance.",
    span="as_of",
    columns=(
        Column("payments", "count", "payments that have some left"),
        Column("credit", "money", "what is left"),
        *AGES,
    ),
    statement=statement,
    by={"facility": "the facility that was paid", "payment": "the payment"},
)
