"""`fhirpay ledger balances`: what each account stood at, as of a day or moment, and by what was known then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from ..config import Tenant
from ..domain.csv_text import csv_lines
from ..errors import ConfigInvalid, ValueInvalid
from ..ledger.as_of import AsOf, Line, balances_as_of, written
from .context import ConfigOption, JsonOption, TenantOption, friendly, opened, out, run, settings, tenant_name

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
    try:
        return written(day_or_moment, recorded, ZoneInfo(owner.facilities[0].zone if owner.facilities else "UTC"))
    except ValueInvalid as error:
        raise ConfigInvalid(str(error)) from None


def _csv(lines: Sequence[Line], by: Sequence[str]) -> str:
    rows = ([one.account, *one.dims.values(), one.amount.currency, one.amount.decimal] for one in lines)
    return "".join(csv_lines([["account", *by, "currency", "amount"], *rows])).removesuffix("\r\n")
