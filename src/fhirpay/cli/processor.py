"""`fhirpay processor …`: what was done at a processor, and what nobody knows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigInvalid
from ..settlement import store as settlement
from ..settlement.store import Payout
from ..usecases.by_hand import Found
from .admin import ByOption, ReasonOption, decided
from .context import (
    ConfigOption,
    JsonOption,
    TenantOption,
    content_of,
    friendly,
    out,
    reading,
    run,
    settings,
    tenant_name,
)

processor = typer.Typer(
    help="Processors: sweep for events that never came, say what became of what nobody knows, pull and list payouts.",
    no_args_is_help=True,
)


@processor.command("sweep")
def sweep_events(
    merchant: Annotated[str, typer.Argument(help="The merchant, as in the configuration.")] = "main",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Read the processor's own list of events, and take in those that were never delivered. Done daily by itself."""
    found = decided(config, tenant, lambda server: server.sweep(merchant=merchant))
    out(f"{found} events of '{merchant}' had not come")


@processor.command("pull")
def pull_payouts(
    merchant: Annotated[str, typer.Argument(help="The merchant, as in the configuration.")] = "main",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Read what the processor has paid out, line by line, and book it. Done hourly by itself."""
    payouts, lines, booked, waiting = decided(config, tenant, lambda server: server.pull(merchant=merchant))
    out(f"'{merchant}': {payouts} payouts seen, {lines} lines read, {booked} of all settled, {waiting} wait")


@processor.command("report")
def take_report(
    file: Annotated[Path, typer.Argument(help="A report of what was paid out, as the processor made it (Adyen: CSV).")],
    merchant: Annotated[str, typer.Option("--merchant", help="The merchant, as in the configuration.")] = "main",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take in a report that was downloaded by hand, and book what is new in it."""
    with friendly():
        data = content_of(file)
    out(
        decided(
            config, tenant, lambda server: server.take_settlement_report(merchant=merchant, name=file.name, data=data)
        )
    )


@processor.command("payouts")
def list_payouts(
    merchant: Annotated[str, typer.Option("--merchant", help="Only of this one.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, the newest.")] = 20,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was paid out, the newest first: how much, how far it is, whether its lines are here."""

    async def main() -> list[Payout]:
        async with reading(config, tenant) as units:
            return await units.read(settlement.some, merchant=merchant, limit=last)

    found = run(main)
    if merchant and not found:  # of a merchant that was taken out of the configuration payouts may be here
        with friendly():
            loaded = settings(config)
            loaded.tenant(tenant_name(loaded, tenant)).merchant(merchant)
    for one in found:
        out(json.dumps(_facts(one)) if as_json else _text(one))


def _facts(one: Payout) -> dict[str, str | bool]:
    return {
        "payout": one.payout_id,
        "merchant": one.merchant,
        "processorReference": one.processor_ref,
        "state": str(one.state),
        "amount": str(one.amount.decimal),
        "currency": one.amount.currency,
        "itemised": one.itemised,
        "complete": one.complete,
        "arrivesOn": one.arrives_on,
        "createdAt": one.created_at.isoformat(),
    }


def _text(one: Payout) -> str:
    lines = "" if one.complete else ", its lines aren't all here" if one.itemised else ", without lines"
    arrives = f", arrives {one.arrives_on}" if one.arrives_on else ""
    return f"{one.created_at:%Y-%m-%d} {one.merchant} {one.processor_ref}  {one.amount}  {one.state}{arrives}{lines}"


@processor.command("found")
def say_by_hand(
    operation: Annotated[str, typer.Argument(help="The operation (opn…), as the worklist and `explain` name it.")],
    done: Annotated[str, typer.Option("--done", help="It was done, and the processor calls it so.")] = "",
    not_done: Annotated[bool, typer.Option("--not-done", help="It wasn't done, and won't be.")] = False,
    evidence: Annotated[str, typer.Option("--evidence", help="What shows it; no patient, no card number.")] = "",
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say what became of an operation that nobody knows, once its processor had the time to say it."""
    with friendly():
        if bool(done) is not_done:
            raise ConfigInvalid("say --done ID or --not-done")
    found = Found(operation, "done" if done else "not_done", by, reason, evidence, done)
    payment = decided(config, tenant, lambda server: server.say_by_hand(found))
    out(f"{operation} {'was done, as ' + done if done else 'was not done'}; see `fhirpay explain {payment}`")
