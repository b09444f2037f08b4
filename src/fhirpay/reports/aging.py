"""AR aging: what patients owe as of a day, by how long it has been theirs to pay."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, func, select

from ..db.unit import Tx
from .books import AGES, aged, obligation, total
from .frame import Asked, Column, Query, Report
from .owed import FILED, filed, owed


def statement(tx: Tx, asked: Asked) -> Query:
    each = _each(asked).subquery("each")
    keys: list[Any] = [*(each.c[name] for name in asked.by), each.c.currency]
    ages = aged(asked, each.c.minor, each.c.since)
    sums: list[Any] = [func.count().label("obligations"), total(each.c.minor).label("owed"), *ages]
    return select(*keys, *sums).group_by(*keys)


def _each(asked: Asked) -> Query:
    if not asked.by:
        return owed(asked)
    found = owed(asked).subquery("owed")
    is_it = and_(obligation.c.tenant_id == asked.tenant.name, obligation.c.obligation_id == found.c.obligation_id)
    # An obligation without a row is still owed: the sum is the ledger's.
    along: list[Any] = [filed(asked, name).label(name) for name in asked.by]
    columns: list[Any] = [found.c.currency, found.c.minor, found.c.since, *along]
    return select(*columns).select_from(found.outerjoin(obligation, is_it))


AGING = Report(
    name="aging",
    says=(
        "What patients and guarantors owed at the end of the day, in the ledger's ar_patient, by the days since it "
        "became theirs to pay: the business date on which it was first booked as their share, or booked again after "
        "all of it was withdrawn. Paying a part, giving money back and moving an account leave that day as it is. "
        "What insurance may yet pay is not in it."
    ),
    denominators="No percentages: each amount is a sum, and the buckets come to `owed`, which is ar_patient's balance.",
    span="as_of",
    columns=(
        Column("obligations", "count", "obligations that are not paid"),
        Column("owed", "money", "what is owed"),
        *AGES,
    ),
    statement=statement,
    by={name: says for name, (_, says) in FILED.items()},
)
