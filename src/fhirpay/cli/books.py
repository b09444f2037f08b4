"""`fhirpay ledger …`: is the ledger whole, and its export for a verifier that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from joserfc.jwk import KeySet

from ..errors import ConfigInvalid, InvariantBroken
from ..ledger.chain import Mark
from ..ledger.check import Report
from ..ledger.store import mark as current_mark
from ..ledger.verify import export as export_lines
from ..ledger.verify import verify as verify_books
from ..ledger.verify import verify_export
from ..smart import heads
from .balances import balances
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run, text_of
from .gl import gl
from .periods import close, periods, reopen
from .signing import signer

ledger = typer.Typer(help="The books: balances, periods, verify, export, head.", no_args_is_help=True)

for command in (balances, gl, close, reopen, periods):
    ledger.command()(command)

HeadOption = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        help="A head printed earlier, 42:ab12… or 42:ab12…+3:cd34…, or (with --jwks) signed: shows a cut-off tail.",
    ),
]
JwksOption = Annotated[
    Path | None, typer.Option("--jwks", help="Our public keys (`fhirpay keys jwks`): the export has to be signed.")
]


@ledger.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export to verify offline instead of the database.")] = None,
    head: HeadOption = None,
    jwks: JwksOption = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the hash chain, the balance of each entry and the control equations. Status 1 when anything is wrong."""
    with friendly():
        keys = None if jwks is None else heads.public_keys(text_of(jwks))
        known = [_known(text, keys) for text in head or ()]

        async def from_database() -> Report:
            async with reading(config, tenant) as units:
                return await units.read(verify_books, known=known)

        report = run(from_database) if file is None else _from_export(file, known, keys)
        _show(report, as_json)


def _known(text: str, keys: KeySet | None) -> Mark:
    return Mark.parse(heads.read(text, keys).head if keys is not None and ":" not in text else text)


def _from_export(file: Path, known: list[Mark], keys: KeySet | None) -> Report:
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            return verify_export(lines, known=known, keys=keys)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{file} can't be read: {error}") from None


@ledger.command()
def export(tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """Write the whole ledger as JSON lines to standard output: ids and amounts, no health information.

    Its head is signed where the tenant has keys.
    """

    async def main() -> list[str]:
        async with reading(config, tenant) as units:
            sign = signer(config, units.tenant)
            return await units.read(lambda tx: list(export_lines(tx, sign=sign)))

    for line in run(main):
        out(line)


@ledger.command()
def head(tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """Print the head of the chain, to be kept elsewhere; below it, where the tenant has keys, signed.

    Once a period was closed, the last step that closed or opened one is in it.
    """

    async def main() -> list[str]:
        async with reading(config, tenant) as units:
            sign = signer(config, units.tenant)
            now = await units.read(current_mark)
            return [str(now), *([sign(now)] if sign else [])]

    for line in run(main):
        out(line)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        problems = [{"kind": p.kind, "seq": p.seq, "says": p.says} for p in report.problems]
        out(json.dumps({"entries": report.entries, "head": str(report.mark), "problems": problems}))
    else:
        for problem in report.problems:
            out(str(problem))
        out(f"{report.entries} entries, head {report.mark}")
    if not report.ok:
        raise InvariantBroken(f"the ledger is not whole: {len(report.problems)} problems")
