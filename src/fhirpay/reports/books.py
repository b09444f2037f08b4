"""What reports read of the books: entries that count, of which day, and sums of their postings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, FromClause, Integer, and_, case, cast, func, select

from ..billing.tables import Obligation
from ..db.metadata import table
from ..domain.events import Event
from ..ledger.chart import Side
from ..ledger.tables import LedgerEntry, LedgerPosting
from ..payments.tables import PaymentRow
from .frame import Asked, Column, Query

entry, posting = table(LedgerEntry), table(LedgerPosting)
payment, obligation = table(PaymentRow), table(Obligation)
DEBIT, CREDIT = posting.c.side == str(Side.DEBIT), posting.c.side == str(Side.CREDIT)
BUCKETS = (("d0_30", 0, 30), ("d31_60", 31, 60), ("d61_90", 61, 90), ("d91_120", 91, 120), ("d121_up", 121, None))


def of_books(asked: Asked, *others: FromClause) -> Query:
    """Postings and their entries, of those that count: selects nothing yet. Of `others` (payment, obligation) each with
    its posting, where there is such a row."""
    joined = posting.join(entry, and_(entry.c.tenant_id == posting.c.tenant_id, entry.c.entry_id == posting.c.entry_id))
    for other in others:
        name = "payment_id" if other is payment else "obligation_id"
        its = and_(other.c.tenant_id == posting.c.tenant_id, other.c[name] == posting.c[name])
        joined = joined.outerjoin(other, its)
    return select().select_from(joined).where(posting.c.tenant_id == asked.tenant.name, *asked.books.limits())


def of_period(asked: Asked, *others: FromClause) -> Query:
    """The same, of a period's business days alone."""
    found = of_books(asked, *others)
    return found if asked.first is None else found.where(entry.c.business_date >= asked.first.isoformat())


def is_a(*events: Event) -> ColumnElement[bool]:
    return entry.c.kind.in_([str(one) for one in events])


def signed(side: Side = Side.DEBIT) -> Any:
    """A posting's amount, below zero on the other side."""
    return case((posting.c.side == str(side), posting.c.amount_minor), else_=-posting.c.amount_minor)


def in_bucket(asked: Asked, day: ColumnElement[str], least: int, most: int | None) -> ColumnElement[bool]:
    """Whether a day is so many days before the one that is asked for."""
    young = day <= (asked.day - timedelta(days=least)).isoformat() if least else None
    old = day >= (asked.day - timedelta(days=most)).isoformat() if most is not None else None
    return and_(*(one for one in (young, old) if one is not None))


def total(column: Any, when: Any = None) -> Any:
    """A sum of minor units as a whole number: PostgreSQL's is NUMERIC."""
    return cast(func.coalesce(func.sum(column if when is None else case((when, column), else_=0)), 0), BigInteger)


def whole(column: Any, along: Sequence[Any]) -> Any:
    """The sum of a sum over all rows that are alike in `along`."""
    return cast(func.sum(column).over(partition_by=[*along]), BigInteger)


def days_between(asked: Asked, first: Any, then: Any) -> Any:
    """Whole days from one day to another; zero where it comes before."""
    if asked.dialect == "postgresql":
        days = cast(then, Date) - cast(first, Date)
    else:
        days = cast(func.julianday(then) - func.julianday(first), Integer)
    return case((then > first, days), else_=0)


def aged(asked: Asked, minor: Any, since: ColumnElement[str]) -> list[Any]:
    """A sum of minor units for each bucket of days."""
    return [total(minor, in_bucket(asked, since, least, most)).label(name) for name, least, most in BUCKETS]


AGES = tuple(
    Column(name, "money", f"of it, {least} to {most} days" if most is not None else f"of it, {least} days and more")
    for name, least, most in BUCKETS
)
