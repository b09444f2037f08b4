"""`fhirpay writeback report | read-back | said`: what an EHR says was posted there, against what we have posted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..writeback import said
from ..writeback.said import Entry
from .admin import decided
from .context import ConfigOption, JsonOption, TenantOption, content_of, friendly, out, reading, run

ReceiverOption = Annotated[
    str, typer.Option("--connection", help="The connection, destination or posting file that it is of.")
]


def take_report(
    file: Annotated[Path, typer.Argument(help="The EHR's report of what is posted there, a CSV.")],
    connection: ReceiverOption,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take in an EHR's own report, and compare it with what was posted there. The same file again does nothing."""
    with friendly():
        data = content_of(file)
    out(decided(config, tenant, lambda server: server.take_report(receiver=connection, name=file.name, data=data)))


def read_back(
    connection: Annotated[str, typer.Argument(help="The connection; it needs `read_back`.")],
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Search what an EHR has of payments, and compare it with what was posted there."""
    out(decided(config, tenant, lambda server: server.read_back(connection=connection)))


def list_said(
    receiver: Annotated[str, typer.Argument(help="The connection, destination, posting file or interface.")],
    unmatched: Annotated[bool, typer.Option("--open", help="Only what nothing here is known to be.")] = False,
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, the newest.")] = 50,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What an EHR says was posted, the newest first: what of ours it is, and by which rule."""

    async def main() -> list[Entry]:
        async with reading(config, tenant) as units:
            return await units.read(said.some, receiver, unmatched=unmatched, limit=last)

    for one in run(main):
        out(json.dumps(_facts(one)) if as_json else _text(one))


def _facts(one: Entry) -> dict[str, str]:
    return {
        "entry": one.entry_id,
        "source": one.source,
        "saidBy": one.said_by,
        "day": one.day.isoformat(),
        "amount": str(one.amount.decimal),
        "currency": one.amount.currency,
        "number": one.number,
        "at": one.said_at,
        "is": one.subject,
        "rule": one.rule,
        "confidence": one.confidence,
    }


def _text(one: Entry) -> str:
    is_it = f"{one.subject} ({one.rule}, {one.confidence})" if one.subject else "open"
    return f"{one.day} {one.entry_id}  {one.amount}  {one.source} {one.said_at}  {is_it}"
