"""`fhirpay report`: figures as of a day or of a period, as text, CSV or JSON; works beside a running server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any

import typer

from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import ConfigInvalid, ValueInvalid
from ..reports.frame import Asked, Column, Report, Wish, asked, rows
from ..reports.registry import REPORTS, report_of
from ..reports.shown import about, as_csv, as_object, described
from .balances import CsvOption, RecordedOption
from .context import ConfigOption, JsonOption, TenantOption, friendly, opened, out, run, settings, shown, tenant_name

_IN_MEMORY = 8_000_000  # bytes; a longer report is on the disk until it is written out
NameArgument = Annotated[str, typer.Argument(help="A report's name, or `list`.")]
AsOfOption = Annotated[str, typer.Option("--as-of", help="A business day, included; else today.")]
FromOption = Annotated[str, typer.Option("--from", help="The first business day of a period.")]
ToOption = Annotated[str, typer.Option("--to", help="Its last one, included; else today.")]
ByOption = Annotated[list[str] | None, typer.Option("--by", help="Split by this; repeatable. `list` says by what.")]


def report(
    name: NameArgument,
    as_of: AsOfOption = "",
    recorded_by: RecordedOption = "",
    first: FromOption = "",
    to: ToOption = "",
    by: ByOption = None,
    csv: CsvOption = False,
    as_json: JsonOption = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Print a report: what it counts, and its rows. `fhirpay report list` names all."""
    with friendly():
        if name == "list":
            for one in REPORTS.values():
                out(json.dumps(described(one)) if as_json else f"{one.name}: {one.says}")
            return
        if csv and as_json:
            raise ConfigInvalid("--csv or --json, not both")
        wanted, write = report_of(name), _as_csv if csv else _as_json if as_json else _as_text
        wish = Wish(as_of, recorded_by, first, to, tuple(by or ()))
        # Written out once all is read: a unit may run again, and a pipe may be slow.
        with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="") as spool:

            def read(tx: Tx, owner: Tenant) -> None:
                spool.seek(0)
                spool.truncate()
                spool.writelines(write(wanted, *_read(tx, wanted, wish, owner)))

            async def main() -> None:
                loaded = settings(config)
                owner = loaded.tenant(tenant_name(loaded, tenant))
                async with opened(loaded, read_only=True) as database:
                    await database.units(owner.name).read(read, owner)

            run(main)
            spool.seek(0)
            for line in spool:
                sys.stdout.write(line if csv else shown(line, sys.stdout))
            sys.stdout.flush()


def _read(tx: Tx, report: Report, wish: Wish, owner: Tenant) -> tuple[Asked, Iterator[list[Any]]]:
    try:
        about = asked(tx, report, wish, owner)
    except ValueInvalid as error:
        raise ConfigInvalid(str(error)) from None
    return about, rows(tx, report, about)


def _as_csv(report: Report, asked: Asked, found: Iterator[list[Any]]) -> Iterator[str]:
    return as_csv(report.header(asked.by), found)


def _as_json(report: Report, asked: Asked, found: Iterator[list[Any]]) -> Iterator[str]:
    header = report.header(asked.by)
    yield json.dumps(about(report, asked)) + "\n"
    yield from (json.dumps(as_object(header, row)) + "\n" for row in found)


def _as_text(report: Report, asked: Asked, found: Iterator[list[Any]]) -> Iterator[str]:
    yield f"{report.says}\n{report.denominators}\n"
    header = report.header(asked.by)
    yield "  ".join(one.name for one in header) + "\n"
    for row in found:
        yield "  ".join(_word(one, cell) for one, cell in zip(header, row, strict=True)) + "\n"


def _word(column: Column, cell: Any) -> str:
    if isinstance(cell, Money):
        return str(cell.decimal)
    return "-" if cell in (None, "") else f"{cell} %" if column.unit == "percent" else str(cell)
