"""Breaks by age: differences and other lines that wait for a person, by kind and owner."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, literal, or_, select, union_all

from ..billing.tables import WorklistItem
from ..db.metadata import table
from ..db.unit import Tx
from ..payments.tables import PaymentBreakRow
from ..reconciliation.kinds import KINDS, UNKNOWN_KIND
from .books import AGES, total
from .frame import Asked, Column, Query, Report
from .moments import aged_from, by_then, still

_item, _break = table(WorklistItem), table(PaymentBreakRow)
_OWNERS = {one.name: one.owner for one in KINDS.values()}


def statement(tx: Tx, asked: Asked) -> Query:
    items = select(
        _item.c.kind,
        func.coalesce(_item.c.currency, "").label("currency"),
        func.coalesce(_item.c.amount_minor, 0).label("minor"),
        _item.c.created_at.label("since"),
        literal(0).label("accepted"),
    ).where(_item.c.tenant_id == asked.tenant.name, by_then(asked, _item.c.created_at), still(asked, _item.c.done_at))
    lived_with = and_(_break.c.accepted_minor.is_not(None), by_then(asked, _break.c.closed_at))
    breaks = select(
        _break.c.kind,
        _break.c.currency,
        _break.c.amount_minor.label("minor"),
        _break.c.opened_at.label("since"),
        case((lived_with, 1), else_=0).label("accepted"),
    ).where(
        _break.c.tenant_id == asked.tenant.name,
        by_then(asked, _break.c.opened_at),
        or_(still(asked, _break.c.closed_at), lived_with),
    )
    line = union_all(items, breaks).subquery("line")
    compared = [one.name for one in KINDS.values() if one.legs]
    along: dict[str, Any] = {
        "kind": line.c.kind,
        "owner": case(_OWNERS, value=line.c.kind, else_=literal(UNKNOWN_KIND.owner)),
        "compared": case((line.c.kind.in_(compared), "yes"), else_="no"),
    }
    each = select(
        *(along[name].label(name) for name in asked.by), line.c.currency, line.c.minor, line.c.since, line.c.accepted
    ).subquery("each")
    waits = 1 - each.c.accepted
    keys: list[Any] = [*(each.c[name] for name in asked.by), each.c.currency]
    sums: list[Any] = [
        total(waits).label("lines"),
        total(each.c.minor * waits).label("amount"),
        *aged_from(asked, waits, each.c.since),
        total(each.c.accepted).label("accepted"),
        total(each.c.minor * each.c.accepted).label("accepted_amount"),
    ]
    return select(*keys, *sums).group_by(*keys)


BREAKS = Report(
    name="breaks",
    says=(
        "Lines of the worklist that were open at the end of the day, by the days since each was opened: breaks between "
        "EHR, ledger, payouts and bank, and whatever else waits for a person. A past day is worked out from when lines "
        "were opened and done, and is as good as these: one that was done and opened again since counts as open in "
        "between (a break of a payment: as opened the last time only), and amounts are those that it has now. Moments "
        "are counted as days of the first facility's zone."
    ),
    denominators="No percentages. Lines without an amount stand under no currency; the buckets count lines.",
    span="as_of",
    columns=(
        Column("lines", "count", "lines that are open"),
        Column("amount", "money", "what they are worth, where they say so"),
        *(Column(one.name, "count", one.says.replace("of it", "of them")) for one in AGES),
        Column("accepted", "count", "breaks that a person closed with a reason, and that are still so"),
        Column("accepted_amount", "money", "what those are worth"),
    ),
    statement=statement,
    by={
        "kind": "the kind of line",
        "owner": "front desk, billing office, controller, integrator",
        "compared": "yes: two sides of EHR, ledger, payout and bank disagree",
    },
    default=("kind", "owner"),
)
