"""What a report is: a name, the sentence of what it counts, its columns with their units, and one statement.

A report reads and never writes. Its statement is set-based; rows come as the database finds them, in the order of
their keys (the columns that it is by, and the currency). Amounts are minor units until they are shown, and never summed
across currencies. To add a report: a file beside this one with a `Report`, and its line in registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, select

from ..config import Tenant
from ..db.keyset import page
from ..db.metadata import table
from ..db.unit import Dialect, Tx
from ..domain.money import Money
from ..errors import InvariantBroken, ValueInvalid
from ..ledger.as_of import AsOf, day_of, end_of, written
from ..ledger.tables import LedgerEntry

_entry = table(LedgerEntry)
Unit = Literal["text", "day", "money", "count", "days", "percent", "mean"]
Span = Literal["as_of", "period"]
MONEY_IN = "currency"
_CENT, _TENTH = Decimal("0.01"), Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Column:
    """`percent` and `mean` are not read but worked out: the first of `of` as a part of the second, or divided by it;
    empty where that is zero. `mean` is of days."""

    name: str
    unit: Unit
    says: str
    of: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, checked: a report's statement is made of this alone.

    `day` is the business day as of which it is, or the last of a period; `first` is the first of a period (None: from
    the beginning). `books` are the limits of ledger entries. `until` is the end of `day` in the tenant's zone, or the
    moment of record where that is earlier; `known_at` is the moment of record (None: now).
    """

    day: date
    first: date | None
    books: AsOf
    until: datetime
    known_at: datetime | None
    by: tuple[str, ...]
    tenant: Tenant
    zone: ZoneInfo
    dialect: Dialect

    @property
    def before(self) -> datetime | None:
        """The last moment before the period's first day."""
        return None if self.first is None else end_of(self.first - timedelta(days=1), self.zone)


Query: TypeAlias = "Select[*tuple[Any, ...]]"
Statement = Callable[[Tx, Asked], Query]


@dataclass(frozen=True, slots=True)
class Report:
    """`by` is what it may be split by, and what each means; of these `default` where nothing is asked for.

    `fixed` are the text columns that it is always by. `denominators` say what its percentages and averages are of.
    """

    name: str
    says: str
    denominators: str
    span: Span
    columns: tuple[Column, ...]
    statement: Statement
    by: Mapping[str, str] = field(default_factory=dict[str, str])
    default: tuple[str, ...] = ()
    fixed: tuple[Column, ...] = ()

    def keys(self, by: Sequence[str]) -> tuple[Column, ...]:
        """The columns that tell its rows apart. Raises ValueInvalid for what it isn't by."""
        if unknown := [name for name in by if name not in self.by]:
            known = ", ".join(self.by) or "nothing else"
            raise ValueInvalid(f"{self.name} is not by {unknown[0][:40]}: it is by {known}", location="by")
        if len(set(by)) < len(by):
            raise ValueInvalid("the same twice", location="by")
        along = (Column(name, "text", self.by[name]) for name in by)
        return (*along, *self.fixed, Column(MONEY_IN, "text", "ISO 4217; amounts of two are never added up"))

    def header(self, by: Sequence[str]) -> tuple[Column, ...]:
        return (*self.keys(by), *self.columns)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for, as text: each is empty where nothing is said. Days are business days."""

    as_of: str = ""
    recorded_by: str = ""
    first: str = ""
    last: str = ""
    by: tuple[str, ...] = ()


def asked(tx: Tx, report: Report, wish: Wish, tenant: Tenant) -> Asked:
    """Raises ValueInvalid, with the name of what can't be."""
    zone = ZoneInfo(tenant.facilities[0].zone if tenant.facilities else "UTC")
    report.keys(wish.by)
    if report.span == "as_of" and (wish.first or wish.last):
        raise ValueInvalid(f"{report.name} is as of a day, not of a period", location="from")
    if report.span == "period" and wish.as_of:
        raise ValueInvalid(f"{report.name} is of a period: say from when to when", location="as_of")
    known = written("", wish.recorded_by, zone)
    last, named = (wish.last, "to") if report.span == "period" else (wish.as_of, "as_of")
    day = day_of(last, named) if last else tx.now.astimezone(zone).date()
    first = day_of(wish.first, "from") if wish.first else None
    if first is not None and first > day:
        raise ValueInvalid("the period ends before it begins", location="from")
    known_at = known.recorded_until if known.seq is None else _moment_of(tx, known.seq)
    end = end_of(day, zone)
    return Asked(
        day=day,
        first=first,
        books=replace(known, day=day),
        until=end if known_at is None else min(end, known_at),
        known_at=known_at,
        by=wish.by or report.default,
        tenant=tenant,
        zone=zone,
        dialect=tx.dialect,
    )


def pinned(about: Asked, seq: int, moment: datetime) -> Asked:
    """The same by what was known at this moment, with this entry of the books as the last one: for the next page.

    What is asked for as known at a moment or entry that is still to come is pinned too.
    """
    known_at, last = about.known_at or moment, about.books.seq
    if last is None and known_at < moment:
        return about
    books = replace(about.books, seq=seq if last is None else min(last, seq))
    return replace(about, books=books, until=min(about.until, moment), known_at=min(known_at, moment))


def _moment_of(tx: Tx, seq: int) -> datetime:
    where = (_entry.c.tenant_id == tx.tenant, _entry.c.seq <= seq)
    found = tx.scalar(select(_entry.c.recorded_at).where(*where).order_by(_entry.c.seq.desc()).limit(1))
    return datetime.fromtimestamp(0, ZoneInfo("UTC")) if found is None else found


def rows(
    tx: Tx, report: Report, about: Asked, *, after: Sequence[str] | None = None, limit: int | None = None
) -> Iterator[list[Any]]:
    """Its rows in the order of their keys, as they are read: amounts as Money, percentages as Decimal or None."""
    found = report.statement(tx, about).subquery("found")
    keys = [_binary(found.c[one.name], tx.dialect) for one in report.keys(about.by)]
    header = report.header(about.by)
    names = [name for one in header for name in (one.of if one.of[0] else (one.name,))]
    wanted = select(*(found.c[name] for name in dict.fromkeys(names)))
    paged = wanted.order_by(*keys) if limit is None else page(wanted, keys, after, limit)
    for row in tx.execute(paged.execution_options(stream_results=True)).mappings():
        yield [_cell(one, row) for one in header]


def _binary(column: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Ordered by its code points on both engines: a collation is an engine's own."""
    return column.collate("C") if dialect == "postgresql" else column


def _cell(column: Column, row: Mapping[Any, Any]) -> Any:
    match column.unit:
        case "money":
            return Money(int(row[column.name]), row[MONEY_IN]) if row[MONEY_IN] else None
        case "count" | "days":
            return None if row[column.name] is None else int(row[column.name])
        case "percent":
            part, whole = (int(row[name]) for name in column.of)
            return (Decimal(part * 100) / Decimal(whole)).quantize(_CENT, ROUND_HALF_UP) if whole > 0 else None
        case "mean":
            total, parts = (int(row[name]) for name in column.of)
            return (Decimal(total) / Decimal(parts)).quantize(_TENTH, ROUND_HALF_UP) if parts > 0 else None
        case "text" | "day":
            if row[column.name] is None:
                raise InvariantBroken(f"a report has no {column.name}")
            return row[column.name]
