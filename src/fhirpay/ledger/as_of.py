"""What the balances were: as of a moment of the world, and by what was in the books at a moment of record.

Read by `fhirpay ledger balances` and by the export of a period. Two dates are two questions: what had happened by then
(`day`, `occurred_until`), and what of it we knew by then (`recorded_until`, `seq`). A report of March, printed again in
June with the same `seq`, says the same. It reads entries and their postings, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken, ValueInvalid
from .chain import Mark
from .chart import CHART, Side
from .entry import DIMS
from .store import COLUMNS, net
from .tables import LedgerEntry, LedgerPosting

_entry, _posting = table(LedgerEntry), table(LedgerPosting)
_DIGITS = 18  # of a number that both engines hold
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class AsOf:
    """Which entries count: those that keep to every limit that is set. Each limit is inclusive.

    `day` is the last business date, `occurred_until` the last moment of the world; `recorded_until` the last moment at
    which it came into the books, `seq` the last entry of the chain.
    """

    day: date | None = None
    occurred_until: datetime | None = None
    recorded_until: datetime | None = None
    seq: int | None = None

    def limits(self) -> list[Any]:
        """As conditions on `ledger_entry`."""
        found: list[Any] = []
        if self.day is not None:
            found.append(_entry.c.business_date <= self.day.isoformat())
        if self.occurred_until is not None:
            found.append(_entry.c.occurred_at <= self.occurred_until)
        if self.recorded_until is not None:
            found.append(_entry.c.recorded_at <= self.recorded_until)
        if self.seq is not None:
            found.append(_entry.c.seq <= self.seq)
        return found


def written(as_of: str, recorded_by: str, zone: ZoneInfo) -> AsOf:
    """The limits as people write them: a day, included, or a moment; of the record also an entry's number or a head.

    A moment without an offset, and a day of the record, are as `zone` counts. Raises ValueInvalid.
    """
    day = day_of(as_of, "as_of") if _DAY.fullmatch(as_of) else None
    until = None if day or not as_of else _moment(as_of, zone, "as_of")
    number, of_head, _ = recorded_by.partition(":")
    if number.isdigit() and number.isascii():
        if len(number) > _DIGITS:
            raise ValueInvalid("the books have no entry of that number", location="recorded_by")
        return AsOf(day, until, seq=Mark.parse(recorded_by).head.seq if of_head else int(number))
    if _DAY.fullmatch(recorded_by):
        return AsOf(day, until, recorded_until=end_of(day_of(recorded_by, "recorded_by"), zone))
    return AsOf(day, until, recorded_until=_moment(recorded_by, zone, "recorded_by") if recorded_by else None)


def day_of(text: str, named: str) -> date:
    """Raises ValueInvalid, with the name of what was asked for."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueInvalid(f"'{text[:40]}' is no day of the calendar", location=named) from None
    if not 1900 <= day.year <= 9998:  # of a day before and after it there is a moment in any zone
        raise ValueInvalid(f"'{text[:40]}' is no day that books have", location=named)
    return day


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The last moment of a day as this zone counts: 23 or 25 hours after its first one where the clock changes."""
    next_day = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
    return next_day.astimezone(UTC) - timedelta(microseconds=1)


def _moment(text: str, zone: ZoneInfo, named: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        says = f"'{text[:40]}' is no moment; write 2026-11-20 or 2026-11-20T15:00"
        raise ValueInvalid(says, location=named) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


@dataclass(frozen=True, slots=True)
class Line:
    """One account along `dims` (empty text: the posting names none), on the account's normal side; never zero."""

    account: str
    amount: Money
    dims: dict[str, str] = field(default_factory=dict[str, str])


def balances_as_of(
    tx: Tx,
    as_of: AsOf,
    *,
    by: Sequence[str] = (),
    accounts: Collection[str] = (),
    only: Mapping[str, Collection[str]] | None = None,
) -> list[Line]:
    """The balances that aren't zero, by account, each of `by` and currency, in this order.

    `by` are of account_ref, obligation, payment, refund, merchant, till; no `accounts` are all; `only` of postings that
    name one of these, by the same names. Raises RuleBroken for what isn't one of them. Their debits less credits are
    zero in each currency, where all accounts are asked for.
    """
    _check([*by, *(only or {})], accounts)
    query, given = _summed(tuple(by), bool(accounts)), {"tenant": tx.tenant, "accounts": list(accounts)}
    limits = [*as_of.limits(), *(_posting.c[COLUMNS[name]].in_(ids) for name, ids in (only or {}).items())]
    rows = tx.all(query.where(*limits).params(given)) if limits else tx.all(query, **given)
    lines: list[Line] = []
    for row in rows:
        sign = 1 if CHART[row["account"]].normal is Side.DEBIT else -1
        amount = Money(sign * int(row["minor"]), row["currency"])
        lines.append(Line(row["account"], amount, {name: row[name] for name in by}))
    # Here and not in SQL: an engine's collation is its own, and the same books have to be the same lines.
    return sorted(lines, key=lambda one: (one.account, *one.dims.values(), one.amount.currency))


@cache
def _summed(by: tuple[str, ...], of_accounts: bool) -> Any:
    """Every balance that isn't zero, of the `accounts` where they are asked for."""
    along = [func.coalesce(_posting.c[COLUMNS[name]], "").label(name) for name in by]
    query = (
        select(_posting.c.account, *along, _posting.c.currency, net(Side.DEBIT).label("minor"))
        .join(_entry, (_entry.c.tenant_id == _posting.c.tenant_id) & (_entry.c.entry_id == _posting.c.entry_id))
        .where(_entry.c.tenant_id == bindparam("tenant"))
        .group_by(_posting.c.account, *(_posting.c[COLUMNS[name]] for name in by), _posting.c.currency)
        .having(net(Side.DEBIT) != 0)
    )
    return query.where(_posting.c.account.in_(bindparam("accounts", expanding=True))) if of_accounts else query


def _check(by: Sequence[str], accounts: Collection[str]) -> None:
    if unknown := [name for name in by if name not in DIMS]:
        raise RuleBroken(f"balances are not kept by {', '.join(unknown)}: they are by {', '.join(DIMS)}")
    if unknown := [name for name in accounts if name not in CHART]:
        raise RuleBroken(f"'{unknown[0]}' is not in the chart of accounts")
