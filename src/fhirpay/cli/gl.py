"""`fhirpay ledger gl`: the general journal of some days as CSV, for the practice's general ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from enum import StrEnum
from tempfile import TemporaryFile
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from ..db.unit import Tx
from ..domain.csv_text import csv_lines
from ..domain.money import Money
from ..errors import ConfigInvalid, ValueInvalid
from ..ledger.as_of import written
from ..ledger.chart import Side
from ..ledger.closed import closed_through
from ..ledger.journal import DayLine, Mapped
from ..ledger.month import Month
from ..usecases.gl_export import gl_export, gl_postings
from .balances import RecordedOption
from .context import ConfigOption, TenantOption, friendly, opened, run, settings, tenant_name

_DAY_COLUMNS = ("date", "gl_account", "title", "debit", "credit", "currency", "first_entry", "last_entry", "entries")
_ENTRY_COLUMNS = ("date", "gl_account", "title", "debit", "credit", "currency", "entry", "entry_id", "event", "late_of")
_ENTRY_COLUMNS += ("account", "facility", "merchant", "till", "payment")


class By(StrEnum):
    DAY = "day"
    ENTRY = "entry"


def gl(
    period: Annotated[str, typer.Option("--period", help="A month, as in 2026-03.")] = "",
    first: Annotated[str, typer.Option("--from", help="The first business day.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last business day, included.")] = "",
    by: Annotated[By, typer.Option("--by", help="Summed by day and account, or each posting.")] = By.DAY,
    recorded_by: RecordedOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """The general journal as CSV, by the accounts of `gl_accounts` (configuration). An account without one is an error.

    Standard error says whether the days are closed: then the same command gives the same lines again.
    """

    async def main() -> tuple[int, date | None]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        zone = ZoneInfo(owner.facilities[0].zone if owner.facilities else "UTC")
        try:
            books = replace(written("", recorded_by, zone), day=end)
        except ValueInvalid as error:
            raise ConfigInvalid(str(error)) from None

        def found(tx: Tx) -> tuple[int, date | None]:
            exported = gl_export(tx, owner, begin, books)
            rows = _by_day(exported.lines) if by is By.DAY else by_entry(gl_postings(tx, owner, begin, books))
            spool.seek(0)
            spool.truncate()
            spool.writelines(csv_lines(rows))
            return exported.left_out, closed_through(tx)

        async with opened(loaded, read_only=True) as database:
            return await database.units(owner.name).read(found)

    with friendly(), TemporaryFile("w+", encoding="utf-8", newline="") as spool:
        begin, end = _days(period, first, last)
        left_out, through = run(main)
        spool.seek(0)
        for line in spool:
            sys.stdout.write(line)
        sys.stdout.flush()
        if through is None or end > through:
            typer.echo(f"{end} isn't closed: these lines may still become more", err=True)
        if left_out:
            says = f"{left_out} entries of charges are left out: the EHR's books have them"
            typer.echo(f"{says} (map charges_control to have them in)", err=True)


def _days(period: str, first: str, last: str) -> tuple[date, date]:
    if bool(period) == bool(first or last):
        raise ConfigInvalid("say which days: --period 2026-03, or --from 2026-03-01 --to 2026-03-15")
    try:
        if period:
            month = Month.parse(period)
            return month.first, month.last
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise ConfigInvalid(f"'{first}' to '{last}': write both days, as in 2026-03-15") from None
    except ValueInvalid as error:
        raise ConfigInvalid(str(error)) from None
    if begin > end:
        raise ConfigInvalid(f"{begin} is after {end}")
    return begin, end


def _amounts(side: Side, minor: int, currency: str) -> tuple[str, str]:
    amount = str(Money(minor, currency).decimal)
    return (amount, "") if side is Side.DEBIT else ("", amount)


def _by_day(lines: Iterable[DayLine]) -> Iterator[list[str]]:
    yield [*_DAY_COLUMNS]
    for one in lines:
        amounts = _amounts(one.side, one.minor, one.currency)
        seqs = (str(one.first), str(one.last), str(one.entries))
        yield [one.day.isoformat(), one.to.number, one.to.title, *amounts, one.currency, *seqs]


def by_entry(postings: Iterable[Mapped]) -> Iterator[list[str]]:
    """The rows of `--by entry`, their names first."""
    yield [*_ENTRY_COLUMNS]
    for one in postings:
        leg = one.leg
        amounts = _amounts(leg.side, leg.minor, leg.currency)
        of = (str(leg.seq), leg.entry_id, leg.event, leg.late_of)
        along = (leg.account, leg.facility, leg.merchant, leg.till, leg.payment)
        yield [leg.day.isoformat(), one.to.number, one.to.title, *amounts, leg.currency, *of, *along]
