"""Breaks by age: differences and other lines that wait for a person, by kind and owner."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, func, literal, select, union_all

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
    ).where(_item.c.tenant_id == asked.tenant.name, by_then(asked, _item.c.created_at), still(asked, _item.c.done_at))
    breaks = select(
        _break.c.kind, _break.c.currency, _break.c.amount_minor.label("minor"), _break.c.opened_at.label("since")
    ).where(
        _break.c.tenant_id == asked.tenant.name, by_then(asked, _break.c.opened_at), still(asked, _break.c.closed_at)
    )
    line = union_all(items, breaks).subquery("line")
    compared = [one.name for one in KINDS.values() if one.legs]
    along: dict[str, Any] = {
        "kind": line.c.kind,
        "owner": case(_OWNERS, value=line.c.kind, else_=literal(UNKNOWN_KIND.owner)),
        "compared": case((line.c.kind.in_(compared), "yes"), else_="no"),
    }
    each = select(
        *(along[name].label(name) for name in asked.by), line.c.currency, line.c.minor, line.c.since
    ).subquery("each")
    keys: list[Any] = [*(each.c[name] for name in asked.by), each.c.currency]
    sums: list[Any] = [
        func.count().label("lines"),
        total(each.c.minor).label("amount"),
        *aged_from(asked, literal(1), each.c.since),
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
    ),
    statement=statement,
    by={
        "kind": "the kind of line",
        "owner": "front desk, billing office, controller, integrator",
        "compared": "yes: two sides of EHR, ledger, payout and bank disagree",
    },
    default=("kind", "owner"),
)
