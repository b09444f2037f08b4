"""What each obligation owed as of a day, since when it was the patient's, and under what it was filed as known then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, select

from ..billing.filed_tables import FiledBeforeRow
from ..billing.tables import Obligation
from ..db.metadata import table
from ..domain.events import Event
from ..ledger.chart import Side
from ..ledger.store import net
from ..ledger.tables import LedgerEntry, LedgerPosting
from .frame import Asked, Query

entry, posting, obligation = table(LedgerEntry), table(LedgerPosting), table(Obligation)
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
BUCKETS = (("d0_30", 0, 30), ("d31_60", 31, 60), ("d61_90", 61, 90), ("d91_120", 91, 120), ("d121_up", 121, None))


def of_books(asked: Asked) -> Query:
    """Postings and their entries, of those that count: selects nothing yet."""
    joined = posting.join(entry, and_(entry.c.tenant_id == posting.c.tenant_id, entry.c.entry_id == posting.c.entry_id))
    return select().select_from(joined).where(posting.c.tenant_id == asked.tenant.name, *asked.books.limits())


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


def in_bucket(asked: Asked, day: ColumnElement[str], least: int, most: int | None) -> ColumnElement[bool]:
    """Whether a day is so many days before the one that is asked for."""
    young = day <= (asked.day - timedelta(days=least)).isoformat() if least else None
    old = day >= (asked.day - timedelta(days=most)).isoformat() if most is not None else None
    return and_(*(one for one in (young, old) if one is not None))


def total(column: Any, when: Any = None) -> Any:
    """A sum of minor units as a whole number: PostgreSQL's is NUMERIC."""
    return cast(func.coalesce(func.sum(column if when is None else case((when, column), else_=0)), 0), BigInteger)
