"""Method mix: how patients paid."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, func, select

from ..db.unit import Tx
from ..domain.events import Event
from .books import DEBIT, is_a, of_period, payment, posting, total, whole
from .frame import Asked, Column, Query, Report

_BY = {"facility": payment.c.facility, "merchant": payment.c.merchant, "brand": payment.c.brand}


def statement(tx: Tx, asked: Asked) -> Query:
    # A desk's tenders are methods; through a processor it is what the processor says the payer used.
    used = case((payment.c.tender != "", payment.c.tender), else_="processor")
    method = case(
        (payment.c.method.in_(["cash", "check", "external_card", "bank_receipt"]), payment.c.method), else_=used
    )
    along: list[Any] = [*(func.coalesce(_BY[name], "").label(name) for name in asked.by)]
    legs = (
        of_period(asked, payment)
        .where(DEBIT, is_a(Event.PAYMENT_CAPTURED))
        .add_columns(
            *along,
            func.coalesce(method, "").label("method"),
            posting.c.currency,
            posting.c.payment_id,
            posting.c.amount_minor,
        )
        .subquery("legs")
    )
    group: list[Any] = [*(legs.c[name] for name in asked.by), legs.c.currency]
    payments, amount = func.count(legs.c.payment_id.distinct()), total(legs.c.amount_minor)
    sums: list[Any] = [
        payments.label("payments"),
        amount.label("amount"),
        whole(payments, group).label("all_payments"),
        whole(amount, group).label("all_amounts"),
    ]
    return select(*group, legs.c.method, *sums).group_by(*group, legs.c.method)


METHODS = Report(
    name="methods",
    says=(
        "What was captured in the period, by business date, by how it was paid: cash, check, a card on the practice's "
        "own terminal, a receipt at the bank that was credited, card or bank debit through a processor (`processor` "
        "where it doesn't say which). Gross: voids, refunds and returns are not taken off. What an EHR took itself is "
        "not in it."
    ),
    denominators=(
        "`of_amount` is of all that was captured in that currency (and of that facility, merchant or brand, where it "
        "is split by it); `of_payments` of the number of those payments."
    ),
    span="period",
    fixed=(Column("method", "text", "how it was paid"),),
    columns=(
        Column("payments", "count", "payments"),
        Column("amount", "money", "captured"),
        Column("of_amount", "percent", "of all amounts", ("amount", "all_amounts")),
        Column("of_payments", "percent", "of all payments", ("payments", "all_payments")),
    ),
    statement=statement,
    by={
        "facility": "the facility that was paid",
        "merchant": "the merchant; empty: the desk",
        "brand": "the card's brand, where it is known",
    },
)
