"""What each obligation owed as of a day, since when it was the patient's, and under what it was filed as known then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select

from ..billing.filed_tables import FiledBeforeRow
from ..db.metadata import table
from ..domain.events import Event
from ..ledger.chart import Side
from ..ledger.store import net
from .books import entry, obligation, of_books, posting
from .frame import Asked, Query

_former = table(FiledBeforeRow)
# What changes who pays or what is left, and not whether it is the patient's.
_SAME_SHARE = (
    Event.PAYMENT_ALLOCATED,
    Event.PAYMENT_DEALLOCATED,
    Event.RECEIVABLE_MOVED,
    Event.WRITTEN_OFF,
    Event.WRITE_OFF_RECOVERED,
)
_SHARES = [str(one) for one in _SAME_SHARE]
FILED: Mapping[str, tuple[str, str]] = {
    "patient": ("patient_ref", "the patient whose account it is on"),
    "guarantor": ("debtor_ref", "who owes it: the guarantor, or the patient where none is named"),
    "payer_class": ("payer_class", "the account's payer: medicaid, workers_comp, liability, insurance, self_pay"),
    "facility": ("facility", "the facility"),
}


def owed(asked: Asked) -> Query:
    """`obligation_id`, `currency`, `minor` (never zero) and `since`, the first day on which it was the patient's.

    Where all of it was withdrawn and stated again, the day on which it was stated again. Paying, giving back, writing
    off and moving to another account change nothing of that day.
    """
    debit = posting.c.side == str(Side.DEBIT)
    withdrawn = and_(posting.c.side == str(Side.CREDIT), entry.c.kind.not_in(_SHARES))
    first = func.min(case((debit, entry.c.business_date)))
    return (
        of_books(asked)
        .where(posting.c.account == "ar_patient")
        .add_columns(
            posting.c.obligation_id,
            posting.c.currency,
            net(Side.DEBIT).label("minor"),
            case(
                (func.max(case((withdrawn, 1), else_=0)) == 1, func.coalesce(_again(asked), first)), else_=first
            ).label("since"),
        )
        .group_by(posting.c.obligation_id, posting.c.currency)
        .having(net(Side.DEBIT) != 0)
    )


def _again(asked: Asked) -> Any:
    """The last day on which an obligation went from no share to one. Read for those alone that lost some of it."""
    its, of = posting.alias("its"), entry.alias("of")
    signed = case((its.c.side == str(Side.DEBIT), its.c.amount_minor), else_=-its.c.amount_minor)
    limits = [of.c.business_date <= asked.day.isoformat()]
    if asked.books.recorded_until is not None:
        limits.append(of.c.recorded_at <= asked.books.recorded_until)
    if asked.books.seq is not None:
        limits.append(of.c.seq <= asked.books.seq)
    steps = (
        select(of.c.business_date, of.c.seq, its.c.line, signed.label("step"))
        .add_columns(func.sum(signed).over(order_by=(of.c.seq, its.c.line)).label("stood"))
        .select_from(its.join(of, and_(of.c.tenant_id == its.c.tenant_id, of.c.entry_id == its.c.entry_id)))
        .where(its.c.tenant_id == asked.tenant.name, its.c.obligation_id == posting.c.obligation_id)
        .where(its.c.account == "ar_patient", of.c.kind.not_in(_SHARES), *limits)
        .correlate(posting)
        .subquery("steps")
    )
    return (
        select(steps.c.business_date)
        .where(steps.c.stood > 0, steps.c.stood == steps.c.step)
        .order_by(steps.c.seq.desc(), steps.c.line.desc())
        .limit(1)
        .scalar_subquery()
    )


def filed(asked: Asked, name: str) -> ColumnElement[str]:
    """Of a row of `obligation`: what it was filed under by what was known then; empty where nobody said."""
    column, _ = FILED[name]
    now = obligation.c[column]
    if asked.known_at is None:
        return func.coalesce(now, "")
    former = (
        select(_former.c[column])
        .where(_former.c.tenant_id == asked.tenant.name, _former.c.obligation_id == obligation.c.obligation_id)
        .where(_former.c.until > asked.known_at)
        .order_by(_former.c.revision)
        .limit(1)
        .correlate(obligation)
        .scalar_subquery()
    )
    return func.coalesce(former, now, "")
