"""Fees: what processors took, and what part that is of what they captured."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, or_, select

from ..db.unit import Tx
from ..domain.events import Event
from .books import DEBIT, is_a, of_period, posting, signed, total
from .frame import Asked, Column, Query, Report


def statement(tx: Tx, asked: Asked) -> Query:
    merchant = func.coalesce(posting.c.merchant, "")
    known = {one.name: one.processor for one in asked.tenant.merchants}
    processor = case(known, value=merchant, else_="") if known else merchant
    fee, dispute = posting.c.account == "fees", posting.c.account == "dispute_fees"
    captured = and_(DEBIT, posting.c.account == "processor_clearing", is_a(Event.PAYMENT_CAPTURED))
    legs = (
        of_period(asked)
        .where(or_(fee, dispute, captured))
        .add_columns(
            *({"merchant": merchant, "processor": processor}[name].label(name) for name in asked.by),
            posting.c.currency,
            case((fee, signed()), else_=0).label("fee"),
            case((dispute, signed()), else_=0).label("dispute"),
            case((captured, posting.c.amount_minor), else_=0).label("captures"),
        )
        .subquery("legs")
    )
    keys: list[Any] = [*(legs.c[name] for name in asked.by), legs.c.currency]
    sums: list[Any] = [
        total(legs.c.fee).label("fees"),
        total(legs.c.dispute).label("dispute_fees"),
        total(legs.c.fee + legs.c.dispute).label("all_fees"),
        total(legs.c.captures).label("captured"),
    ]
    return select(*keys, *sums).group_by(*keys)


FEES = Report(
    name="fees",
    says=(
        "What processors took in fees in the period, by business date in the ledger, less what they gave back; fees of "
        "disputes beside it. A payment's fee is known with its payout, days after it was captured; a processor that "
        "tells no fees (Authorize.Net) has none here. Without a merchant: the bank's, of checks that bounced."
    ),
    denominators=(
        "`rate` is `all_fees` of what was captured through the processor in the same period, gross; over a short "
        "period the fees are partly of earlier payments."
    ),
    span="period",
    columns=(
        Column("fees", "money", "fees of payments, refunds and returns, and those of no single payment"),
        Column("dispute_fees", "money", "fees of disputes"),
        Column("all_fees", "money", "both"),
        Column("captured", "money", "captured through the processor"),
        Column("rate", "percent", "all_fees of captured", ("all_fees", "captured")),
    ),
    statement=statement,
    by={
        "processor": "the merchant's processor, by the configuration as it is now",
        "merchant": "the merchant; empty: none",
    },
    default=("processor",),
)
