"""`fhirpay ledger balances`: what each account stood at, as of a day or moment, and by what was known then."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

import typer

from ..config import Tenant
from ..errors import ConfigInvalid
from ..ledger.as_of import AsOf, Line, balances_as_of
from ..ledger.chain import Head
from .context import ConfigOption, JsonOption, TenantOption, friendly, opened, out, run, settings, tenant_name
from .selection import moment

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

AsOfOption = Annotated[str, typer.Option("--as-of", help="A business day, included, or a moment; else all there is.")]
RecordedOption = Annotated[
    str,
    typer.Option("--recorded-by", help="Only what was in the books then: a day, a moment, an entry's number, a head."),
]
ByOption = Annotated[
    list[str] | None,
    typer.Option("--by", help="account_ref, obligation, payment, refund, merchant or till; repeatable."),
]
AccountsOption = Annotated[list[str] | None, typer.Option("--account", help="Only this account; repeatable.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="As CSV (RFC 4180), with a heading.")]


def balances(
    as_of: AsOfOption = "",
    recorded_by: RecordedOption = "",
    by: ByOption = None,
    account: AccountsOption = None,
    as_csv: CsvOption = False,
    as_json: JsonOption = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Balances of accounts that aren't zero, on each account's normal side (an asset's is debit)."""
    along = by or []

    async def main() -> list[Line]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        wanted = _as_of(as_of, recorded_by, owner)
        async with opened(loaded, read_only=True) as database:
            units = database.units(owner.name)
            return await units.read(balances_as_of, wanted, by=along, accounts=account or [])

    with friendly():
        lines = run(main)
        if as_json:
            for one in lines:
                amount = {"amount": str(one.amount.decimal), "currency": one.amount.currency}
                out(json.dumps({"account": one.account, **one.dims, **amount}))
        elif as_csv:
            out(_csv(lines, along))
        else:
            for one in lines:
                out("  ".join([one.account, *(value or "-" for value in one.dims.values()), str(one.amount)]))


def _as_of(day_or_moment: str, recorded: str, owner: Tenant) -> AsOf:
    day = _day(day_or_moment) if _DAY.fullmatch(day_or_moment) else None
    until = None if day else moment(day_or_moment, owner)
    if recorded.isdigit() and recorded.isascii():
        return AsOf(day, until, seq=int(recorded))
    if ":" in recorded and recorded.partition(":")[0].isdigit() and "-" not in recorded:
        return AsOf(day, until, seq=Head.parse(recorded).seq)
    if _DAY.fullmatch(recorded):  # the day is included, as its place counts it
        next_day = moment((_day(recorded) + timedelta(days=1)).isoformat(), owner)
        assert next_day is not None
        return AsOf(day, until, recorded_until=next_day - timedelta(microseconds=1))
    return AsOf(day, until, recorded_until=moment(recorded, owner))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigInvalid(f"'{text}' is no day of the calendar") from None


def _csv(lines: Sequence[Line], by: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["account", *by, "currency", "amount"])
    writer.writerows([one.account, *one.dims.values(), one.amount.currency, one.amount.decimal] for one in lines)
    return text.getvalue().rstrip("\n")
