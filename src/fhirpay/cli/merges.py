"""`fhirpay merges …`: what was merged, renumbered and moved, by which message, and the undoing of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..parties.merges import Merge, listed
from .admin import decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run

merges = typer.Typer(help="Merges of patients, accounts and visits: list, undo.", no_args_is_help=True)


@merges.command("list")
def list_merges(
    ref: Annotated[str, typer.Option("--of", help="Only of this Patient/ID, Account/ID or Encounter/ID.")] = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was merged into what, when and by which message, the latest first."""

    async def main() -> list[Merge]:
        async with reading(config, tenant) as units:
            return await units.read(listed, ref=ref)

    found = run(main)
    for one in found:
        out(json.dumps(_facts(one)) if as_json else _text(one))
    if not as_json:
        out(f"{len(found)} merges")


def _facts(one: Merge) -> dict[str, str | None]:
    return {
        "merge": one.merge_id,
        "kind": one.kind,
        "about": one.about,
        "old": one.old_ref,
        "new": one.new_ref,
        "event": one.event,
        "message": one.message_id,
        "interface": one.interface,
        "mergedAt": one.merged_at.isoformat(),
        "undoneAt": one.undone_at.isoformat() if one.undone_at else None,
        "undoneBy": one.undone_by,
        "undoneWhy": one.undone_why,
    }


def _text(one: Merge) -> str:
    match one.kind:
        case "merge":
            says = f"{one.old_ref} into {one.new_ref}"
        case "move":
            says = f"{one.about} from {one.old_ref} to {one.new_ref}"
        case _:
            says = f"{one.about} has another number"
    undone = f"  undone by {one.undone_by}: {one.undone_why}" if one.undone_at else ""
    return f"{one.merge_id}  {one.merged_at:%Y-%m-%d %H:%M}  {one.event} {one.message_id}  {says}{undone}"


@merges.command("undo")
def undo_merge(
    merge: Annotated[str, typer.Argument(help="The merge (mrg…).")],
    reason: Annotated[str, typer.Option("--reason", help="Why it was wrong; kept with it.")],
    by: Annotated[str, typer.Option("--by", help="Who says so; kept with it.")],
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Move back what the merge moved. Refused where later messages or payments stand in the way."""

    undone = decided(config, tenant, lambda server: server.undo_merge(merge=merge, reason=reason, by=by))
    out(f"{undone} is undone")
