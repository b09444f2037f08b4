"""`fhirpay ledger …`: is the ledger whole, and its export for a verifier that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigInvalid, InvariantBroken
from ..ledger.chain import Head
from ..ledger.check import Report
from ..ledger.verify import export as export_lines
from ..ledger.verify import verify as verify_books
from ..ledger.verify import verify_export
from .balances import balances
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run

ledger = typer.Typer(help="The books: balances, verify, export.", no_args_is_help=True)

ledger.command()(balances)

HeadOption = Annotated[
    list[str] | None, typer.Option("--head", help="A head printed earlier, such as 42:ab12…: shows a cut-off tail.")
]


@ledger.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export to verify offline instead of the database.")] = None,
    head: HeadOption = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the hash chain, the balance of each entry and the control equations. Status 1 when anything is wrong."""
    with friendly():
        known = [Head.parse(text) for text in head or ()]

        async def from_database() -> Report:
            async with reading(config, tenant) as units:
                return await units.read(verify_books, known=known)

        report = run(from_database) if file is None else _from_export(file, known)
        _show(report, as_json)


def _from_export(file: Path, known: list[Head]) -> Report:
    try:
        with file.open(encoding="utf-8") as lines:
            return verify_export(lines, known=known)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{file} can't be read: {error}") from None


@ledger.command()
def export(tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """Write the whole ledger as JSON lines to standard output: ids and amounts, no health information."""

    async def main() -> list[str]:
        async with reading(config, tenant) as units:
            return await units.read(lambda tx: list(export_lines(tx)))

    for line in run(main):
        out(line)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        problems = [{"kind": p.kind, "seq": p.seq, "says": p.says} for p in report.problems]
        out(json.dumps({"entries": report.entries, "head": str(report.head), "problems": problems}))
    else:
        for problem in report.problems:
            out(str(problem))
        out(f"{report.entries} entries, head {report.head}")
    if not report.ok:
        raise InvariantBroken(f"the ledger is not whole: {len(report.problems)} problems")
