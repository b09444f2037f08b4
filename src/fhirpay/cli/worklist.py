"""`fhirpay worklist`: what waits for a person, also beside a running server. Decisions go by the API, with a name."""

from __future__ import annotations

from typing import Annotated

import typer

from ..db.unit import Tx
from ..fhir.json import dumps
from ..usecases.desk_list import read
from ..web.api import views
from ..web.api.payments import account_ref
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run


def worklist(
    account: Annotated[str, typer.Option("--account", help="Only of this account: Account/ID, or system|value.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only lines of this kind.")] = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what waits for a person, oldest first, with what to do next."""

    def found(tx: Tx) -> list[views.Json]:
        ref = account_ref(tx, account) if account else None
        lines: list[views.Json] = []
        page = read(tx, account_ref=ref, kind=kind or None)
        lines += [views.line(one, tx.now) for one in page.lines]
        while page.last is not None:
            page = read(tx, account_ref=ref, kind=kind or None, after=page.last)
            lines += [views.line(one, tx.now) for one in page.lines]
        return lines

    async def main() -> list[views.Json]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    lines = run(main)
    for line in lines:
        out(dumps(line) if as_json else _as_text(line))
    if not as_json:
        out(f"{len(lines)} lines")


def _as_text(line: views.Json) -> str:
    amount = "" if line["amount"] is None else f"  {line['amount']['value']} {line['amount']['currency']}"
    account = f"  {line['account']}" if line["account"] else ""
    head = f"{line['id']}  {line['kind']}{account}{amount}  {line['age_days']} d"
    return f"{head}\n   {line['says']}\n   → {line['next']}"
