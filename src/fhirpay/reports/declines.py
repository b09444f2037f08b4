"""Declines: why payments were not approved."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.payment import FactKind
from ..payments.tables import PaymentFactRow
from .books import payment, total, whole
from .frame import Asked, Column, Query, Report
from .moments import by_then, within

_fact = table(PaymentFactRow)
_NO = [str(one) for one in (FactKind.DECLINED, FactKind.FAILED)]
_ANSWERS = [*_NO, *(str(one) for one in (FactKind.AUTHORIZED, FactKind.PROCESSING, FactKind.CAPTURED))]
_BY = {"facility": payment.c.facility, "merchant": payment.c.merchant, "method": payment.c.method}


def statement(tx: Tx, asked: Asked) -> Query:
    refused = _fact.c.kind.in_(_NO)
    known = [by_then(asked, _fact.c.occurred_at)]
    if asked.known_at is not None:
        known.append(_fact.c.recorded_at <= asked.known_at)
    answered = (
        select(_fact.c.payment_id, func.max(case((refused, 1), else_=0)).label("refused"))
        .where(_fact.c.tenant_id == asked.tenant.name, _fact.c.kind.in_(_ANSWERS), *known)
        .group_by(_fact.c.payment_id)
        .having(within(asked, func.min(_fact.c.occurred_at)))
        .subquery("answered")
    )
    its = and_(payment.c.tenant_id == asked.tenant.name, payment.c.payment_id == answered.c.payment_id)
    code = case((payment.c.failure_code != "", payment.c.failure_code), else_="declined")
    each = (
        select(
            *(_BY[name].label(name) for name in asked.by),
            payment.c.currency,
            case((answered.c.refused == 1, code), else_="").label("reason"),
            payment.c.amount_minor,
        )
        .select_from(answered.join(payment, its))
        .where(payment.c.merchant != "")
        .subquery("each")
    )
    keys: list[Any] = [*(each.c[name] for name in asked.by), each.c.currency]
    payments, amount = func.count(), total(each.c.amount_minor)
    sums: list[Any] = [
        payments.label("declined"),
        amount.label("amount"),
        whole(payments, keys).label("tries"),
        whole(amount, keys).label("tried"),
    ]
    grouped = select(*keys, each.c.reason, *sums).group_by(*keys, each.c.reason).subquery("grouped")
    return select(*grouped.c).where(grouped.c.reason != "")


DECLINES = Report(
    name="declines",
    says=(
        "Payments through a processor that were declined, or failed before they cleared, by our code of the reason "
        "(docs/payments.md), of those that a processor first answered in the period. Each payment counts once, by the "
        "amount that was asked for; a new try is a new payment. Moments are counted as days of the first facility's "
        "zone."
    ),
    denominators=(
        "`of_tries` is of all payments that a processor first answered in the period, approved or not, in that "
        "currency (and of that facility, merchant or method, where it is split by it); `of_tried` of their amounts."
    ),
    span="period",
    fixed=(Column("reason", "text", "our code of the decline"),),
    columns=(
        Column("declined", "count", "payments"),
        Column("amount", "money", "what they asked for"),
        Column("tries", "count", "payments that were answered"),
        Column("of_tries", "percent", "declined of tries", ("declined", "tries")),
        Column("of_tried", "percent", "of all amounts that were answered", ("amount", "tried")),
    ),
    statement=statement,
    by={
        "facility": "the facility that was to be paid",
        "merchant": "the merchant",
        "method": "stored, hosted, or the reader",
    },
)
