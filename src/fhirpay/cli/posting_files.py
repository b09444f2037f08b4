"""`fhirpay writeback files …`: posting files, what the next one would hold, the word of who has asked the receiver."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ..config_posting_file import PostingFile
from ..domain.clock import SystemClock
from ..domain.money import Money
from ..usecases.make_files import FileMaker
from ..writeback import files as store
from ..writeback.files import File
from ..writeback.layout import load
from ..writeback.posting_file import Made
from ..writeback.store import Posting
from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, opened, out, reading, run, settings, tenant_name

files = typer.Typer(help="Posting files: list, show, preview; found, resend.", no_args_is_help=True)
Receiver = Annotated[str, typer.Argument(help="A posting file, as in the configuration.")]
Number = Annotated[int, typer.Argument(help="The file's number, as `list` shows it.")]


@files.command("list")
def list_files(
    receiver: Annotated[str, typer.Option("--receiver", help="Only of this one.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, the newest.")] = 20,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was made, the newest first: where it is, what its trailer says, and what to do."""

    async def main() -> list[File]:
        async with reading(config, tenant) as units:
            return await units.read(store.newest, last, receiver)

    for one in run(main):
        out(json.dumps(_facts(one)) if as_json else _text(one))


@files.command("show")
def show_file(receiver: Receiver, number: Number, tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """The file, byte for byte."""

    async def main() -> File:
        async with reading(config, tenant) as units:
            return await units.read(store.get, receiver, number)

    sys.stdout.buffer.write(run(main).body)
    sys.stdout.buffer.flush()


@files.command("preview")
def preview_file(receiver: Receiver, tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """What the next file would hold if it were made now. Nothing is kept."""

    async def main() -> tuple[PostingFile, tuple[list[tuple[str, Made]], list[Posting]]]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        to = owner.posting_file(receiver)
        layout = load(to.layout)
        async with opened(loaded, read_only=True) as database:
            units = database.units(owner.name)
            return to, await units.read(FileMaker(units, owner, to, layout, SystemClock()).preview)

    to, (made, refused) = run(main)
    for name, one in made:
        out(f"{name}  {one.lines} lines  {one.total}")
        out(one.body.decode(load(to.layout).encoding).rstrip("\r\n"))
    for posting in refused:
        out(f"{posting.posting_id} can't be written as it is now: it will wait for a person")
    if not made:
        out("nothing waits for a file")


@files.command("found")
def found_file(
    receiver: Receiver,
    number: Number,
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """The receiver has it: a file of which nobody knew counts as in place."""

    name = decided(
        config,
        tenant,
        lambda server: server.decide_file(receiver=receiver, number=number, there=True, by=by, reason=reason),
    )
    out(f"{name} is in place")


@files.command("resend")
def resend_file(
    receiver: Receiver,
    number: Number,
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """The same bytes once more, under the same name: say so only if the receiver hasn't booked them."""

    name = decided(
        config,
        tenant,
        lambda server: server.decide_file(receiver=receiver, number=number, there=False, by=by, reason=reason),
    )
    out(f"{name} is put there again")


def _facts(one: File) -> dict[str, str | int | None]:
    return {
        "receiver": one.connection,
        "number": one.number,
        "name": one.name,
        "state": one.state,
        "postings": one.postings,
        "lines": one.lines,
        "total": str(Money(one.total_minor, one.currency).decimal),
        "currency": one.currency,
        "sha256": one.hash,
        "madeAt": one.made_at.isoformat(),
        "placedAt": one.placed_at.isoformat() if one.placed_at else None,
        "says": one.reason,
        "decidedBy": one.decided_by,
        "decidedWhy": one.decided_why,
    }


def _text(one: File) -> str:
    total = Money(one.total_minor, one.currency)
    lines = [f"{one.connection} {one.number}  {one.state}  {one.name}  {one.lines} lines  {total}"]
    if one.state == "unknown":
        command = f"{one.connection} {one.number}, with --by and --reason"
        lines += [f"    {one.reason}", f"    then: fhirpay writeback files found {command}; or resend"]
    if one.decided_by:
        lines.append(f"    by {one.decided_by}: {one.decided_why}")
    return "\n".join(lines)
