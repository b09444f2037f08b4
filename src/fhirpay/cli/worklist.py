"""`fhirpay worklist`: what waits for a person, also beside a running server; `worklist done`: it was seen to."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from ..db.unit import Tx
from ..errors import ConfigInvalid
from ..fhir.json import dumps
from ..reconciliation.kinds import KINDS, Owner
from ..usecases.desk_list import read
from ..web.api import views
from ..web.api.payments import account_ref
from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run

worklist = typer.Typer(help="List what waits for a person, oldest first, with who sees to it and the command for it.")


@worklist.callback(invoke_without_command=True)
def list_lines(
    context: typer.Context,
    account: Annotated[str, typer.Option("--account", help="Only of this account: Account/ID, or system|value.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only lines of this kind.")] = "",
    owner: Annotated[str, typer.Option("--owner", help="Only what this role sees to, such as 'front desk'.")] = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what waits for a person, oldest first, with who sees to it, what to do next and the command for it."""
    if context.invoked_subcommand is not None:
        return

    def found(tx: Tx) -> list[views.Json]:
        ref = account_ref(tx, account) if account else None
        lines: list[views.Json] = []
        page = read(tx, account_ref=ref, kind=kind or None)
        lines += [views.line(one, tx.now) for one in page.lines]
        while page.last is not None:
            page = read(tx, account_ref=ref, kind=kind or None, after=page.last)
            lines += [views.line(one, tx.now) for one in page.lines]
        return [one for one in lines if owner in ("", one["owner"])]

    async def main() -> list[views.Json]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    with friendly():
        if owner and owner not in get_args(Owner):
            raise ConfigInvalid(f"nobody is '{owner}' here; there are: {', '.join(get_args(Owner))}")
        lines = run(main)
        if not lines and kind and kind not in KINDS:
            raise ConfigInvalid(f"there is no kind '{kind}'; `fhirpay worklist` shows those of its lines")
    for line in lines:
        out(dumps(line) if as_json else _as_text(line))
    if not as_json:
        out(f"{len(lines)} lines")


def _as_text(line: views.Json) -> str:
    amount = "" if line["amount"] is None else f"  {line['amount']['value']} {line['amount']['currency']}"
    account = f"  {line['account']}" if line["account"] else ""
    head = f"{line['id']}  {line['kind']}{account}{amount}  {line['owner']}  {line['age_days']} d"
    return f"{head}\n   {line['says']}\n   → {line['next']}\n   $ {line['command']}"


@worklist.command("done")
def say_done(
    line: Annotated[str, typer.Argument(help="The line's id, as the list has it.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that a line was dealt with: it leaves the list, and comes back when it happens again.

    A break that is still so is accepted, and stays off while it is of the same amount.
    """
    out(f"{decided(config, tenant, lambda server: server.done(line=line, by=by, reason=reason))} is done")
