"""`fhirpay cutover …`: a feed taken over from another system: where it stands, opening balances, going live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..usecases.cutover import Standing, standings
from .admin import ByOption, Operator, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run, settings, tenant_name, text_of

cutover = typer.Typer(help="Taking over from another system: status, opening balances, go-live.", no_args_is_help=True)

PreviewOption = Annotated[bool, typer.Option("--preview", help="Show what it would do, and change nothing.")]
InterfaceArgument = Annotated[str, typer.Argument(help="The interface that is taken over.")]


@cutover.command("status")
def status(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Each interface with a watermark: whether it is live, what is off, what waits, opening balances."""

    async def main() -> list[Standing]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        async with reading(config, tenant) as units:
            return await units.read(standings, owner)

    for one in run(main):
        if as_json:
            out(json.dumps(_facts(one)))
        else:
            for line in one.lines:
                out(line)


def _facts(one: Standing) -> dict[str, object]:
    def sums(name: str) -> dict[str, object]:
        found = getattr(one, name)
        return {"count": found.count, **{code: str(sum_.decimal) for code, sum_ in found.by_currency.items()}}

    stage = one.stage
    said = {"interface": stage.feed, "watermark": stage.watermark.isoformat(), "stage": "backfill"}
    if stage.live_since is not None:
        said |= {"stage": "live", "since": stage.live_since.isoformat(), "by": stage.said_by, "why": stage.said_why}
    figures = {"before": sums("memos"), "openings": sums("balances"), "waits": sums("waits")}
    return {**said, **figures, "parked": one.parked, "uncovered": one.uncovered, "warnings": one.warnings}


@cutover.command("go-live")
def go_live(
    interface: InterfaceArgument,
    by: ByOption = "",
    reason: ReasonOption = "",
    preview: PreviewOption = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """From now on ask for what is not of before the watermark, and for opening balances. `--preview` first."""

    said = {"interface": interface, "by": by, "reason": reason}
    for line in decided(config, tenant, lambda server: server.go_live(**said, preview=preview)):
        out(line)


@cutover.command("opening")
def opening(
    file: Annotated[Path, typer.Argument(help="CSV: reference,account,amount,currency and maybe assigner.")],
    interface: Annotated[str, typer.Option("--interface", help="The interface whose account numbers these are.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    preview: PreviewOption = False,
    without_unknown: Annotated[
        bool, typer.Option("--without-unknown", help="Book the others where accounts are not known yet.")
    ] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Book what accounts owed at go-live. Status 1 when a line is wrong or unknown. Again, it books nothing twice."""

    async def booked(server: Operator) -> tuple[list[str], bool]:
        asked = {"text": text_of(file), "interface": interface, "by": by, "reason": reason, "preview": preview}
        return await server.opening_balances(**asked, without_unknown=without_unknown)

    lines, fine = decided(config, tenant, booked)
    for line in lines:
        out(line)
    if not fine:
        raise typer.Exit(1)


@cutover.command("reverse")
def reverse(
    reference: Annotated[str, typer.Argument(help="The reference of the opening balance.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take a wrong opening balance back, by an entry of its own; what was paid of it becomes credit."""

    account = decided(config, tenant, lambda server: server.reverse_opening(reference=reference, by=by, reason=reason))
    out(f"{reference} of {account} is taken back")
