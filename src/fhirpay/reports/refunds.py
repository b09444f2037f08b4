"""Refunds: what went back to payers, and what of it came back again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, or_, select

from ..db.unit import Tx
from ..domain.events import Event
from .books import CREDIT, DEBIT, is_a, of_period, payment, posting, total
from .frame import Asked, Column, Query, Report

_WAYS = {
    "processor_clearing": "processor",
    "cash_drawer": "cash",
    "checks_on_hand": "check",
    "bank": "check",
    "external_terminal_clearing": "external_card",
    "unidentified_receipts": "bank_receipt",
}
_WAY = case(_WAYS, value=posting.c.account, else_=posting.c.account)
_BY: dict[str, Any] = {"facility": payment.c.facility, "merchant": payment.c.merchant, "way": _WAY}


def statement(tx: Tx, asked: Asked) -> Query:
    taken, back, captured = (
        is_a(one) for one in (Event.REFUND_TAKEN, Event.REFUND_FAILED_LATE, Event.PAYMENT_CAPTURED)
    )
    legs = (
        of_period(asked, payment)
        .where(or_(and_(CREDIT, taken), and_(DEBIT, or_(back, captured))))
        .add_columns(
            *(func.coalesce(_BY[name], "").label(name) for name in asked.by),
            posting.c.currency,
            case((taken, posting.c.refund_id)).label("refund"),
            case((taken, posting.c.amount_minor), else_=0).label("went"),
            case((back, posting.c.amount_minor), else_=0).label("came"),
            case((captured, posting.c.amount_minor), else_=0).label("captures"),
        )
        .subquery("legs")
    )
    keys: list[Any] = [*(legs.c[name] for name in asked.by), legs.c.currency]
    sums: list[Any] = [
        func.count(legs.c.refund.distinct()).label("refunds"),
        total(legs.c.went).label("refunded"),
        total(legs.c.came).label("came_back"),
        total(legs.c.went - legs.c.came).label("net"),
        total(legs.c.captures).label("captured"),
    ]
    return select(*keys, *sums).group_by(*keys)


REFUNDS = Report(
    name="refunds",
    says=(
        "Refunds that went out in the period, by business date: through the processor, in cash or by the practice's "
        "own check; and what of refunds failed after that and came back. Refunds that were asked for and have not gone "
        "out are not in it, nor voids, returns and disputes."
    ),
    denominators=(
        "`of_captured` is `net` of all that was captured in the period in that currency, whenever the payments that "
        "were refunded were made."
    ),
    span="period",
    columns=(
        Column("refunds", "count", "refunds that went out"),
        Column("refunded", "money", "that much"),
        Column("came_back", "money", "of refunds that failed late"),
        Column("net", "money", "refunded less came_back"),
        Column("captured", "money", "captured in the period"),
        Column("of_captured", "percent", "net of captured", ("net", "captured")),
    ),
    statement=statement,
    by={
        "facility": "the facility that was paid",
        "merchant": "the merchant that took the payment; empty: the desk",
        "way": "processor, cash, check; of what was captured also external_card",
    },
)
