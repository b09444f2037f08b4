"""`fhirpay writeback …`: what no EHR has confirmed, the word of whoever has looked, and what staff let go out."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated

import typer

from ..errors import ConfigInvalid
from ..fhir.json import dumps
from ..usecases.agreement import GOOD_PERCENT, Agreement, agreement
from ..usecases.agreement_text import as_facts, as_text
from ..usecases.unposted import Unposted, unposted
from . import ehr_said
from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run, settings, tenant_name
from .posting_files import files

writeback = typer.Typer(
    help="Postings to EHRs: list, resolve, confirm, reject, agreement, report, read-back, said; files.",
    no_args_is_help=True,
)
writeback.add_typer(files, name="files")
writeback.command("report")(ehr_said.take_report)
writeback.command("read-back")(ehr_said.read_back)
writeback.command("said")(ehr_said.list_said)
PostingArgument = Annotated[str, typer.Argument(help="The posting (pst…), payment, refund or adjustment.")]
EhrOption = Annotated[str, typer.Option("--ehr", help="At which EHR, where it is open at several.")]


@writeback.command("list")
def list_postings(
    everything: Annotated[bool, typer.Option("--all", help="Also what gets there by itself.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What waits for a person: EHR, payment or refund, amount, age, what the matter is, and what to do."""

    async def main() -> list[Unposted]:
        async with reading(config, tenant) as units:
            return await units.read(unposted)

    found = run(main)
    shown = [one for one in found if everything or one.waits_for_a_person]
    for one in shown:
        out(json.dumps(_facts(one)) if as_json else _text(one))
    if not as_json:
        waiting = sum(one.waits_for_a_person for one in found)
        out(f"{waiting} for a person, {len(found) - waiting} on their way")


def _facts(one: Unposted) -> dict[str, str | int | None]:
    return {
        "posting": one.posting.posting_id,
        "ehr": one.posting.connection,
        "subject": one.posting.subject,
        "payment": one.posting.payment_id or None,
        "amount": str(one.amount.decimal),
        "currency": one.amount.currency,
        "state": one.posting.state,
        "attempts": one.posting.attempts,
        "ageSeconds": int(one.age.total_seconds()),
        "says": one.says,
        "todo": one.todo,
    }


def _text(one: Unposted) -> str:
    posting = one.posting
    kind = (
        "payout"
        if posting.is_payout
        else "adjustment"
        if posting.is_adjustment
        else "refund"
        if posting.is_refund
        else "payment"
    )
    lines = [
        f"{posting.posting_id}  {posting.state}  {kind} {posting.subject}  {one.amount}  "
        f"at '{posting.connection}' since {_age(one.age)}",
        *([f"    {one.says}"] if one.says else []),
        f"    {one.todo}",
    ]
    return "\n".join(lines)


def _age(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"


@writeback.command("resolve")
def resolve_posting(
    posting: Annotated[str, typer.Argument(help="The posting (pst…), payment or refund.")],
    found: Annotated[str, typer.Option("--found", help="It is there, under this id.")] = "",
    absent: Annotated[bool, typer.Option("--absent", help="It isn't there: send it again.")] = False,
    ehr: EhrOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say what you saw at the EHR, of a posting that waits for a person."""

    said = {"some_id": posting, "found": found, "ehr": ehr}
    posting_id = decided(config, tenant, lambda server: server.resolve_posting(**said, absent=absent))
    out(f"{posting_id} {'is posted as ' + found if found else 'is sent again'}")


@writeback.command("confirm")
def confirm_posting(
    posting: PostingArgument = "",
    everything: Annotated[bool, typer.Option("--all", help="All that wait; with --ehr, those of one EHR.")] = False,
    ehr: EhrOption = "",
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Let what waits for staff go out (`stage = "assist"`); or, by its id, what was kept in shadow."""

    with friendly():
        if bool(posting) is everything:
            raise ConfigInvalid("say which posting, or --all")
    said = {"some_id": posting, "ehr": ehr, "by": by, "why": reason}
    for one in decided(config, tenant, lambda server: server.confirm_postings(**said)):
        out(f"{one} is confirmed, and is sent")


@writeback.command("reject")
def reject_posting(
    posting: PostingArgument,
    ehr: EhrOption = "",
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """What waits for staff is never posted, nor what takes it back."""
    said = {"some_id": posting, "ehr": ehr, "by": by, "why": reason}
    out(f"{decided(config, tenant, lambda server: server.reject_posting(**said))} is rejected: it is never sent")


@writeback.command("agreement")
def show_agreement(
    receiver: Annotated[str, typer.Argument(help="The connection or destination.")],
    since: Annotated[datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="From this day on.")] = None,
    least: Annotated[int, typer.Option("--least", min=0, max=100, help="Per cent that do.")] = GOOD_PERCENT,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Would we have posted what staff posted? The share that both have, and what only one has. Status 1: too few, or
    below `--least`.
    """

    async def main() -> Agreement:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        async with reading(config, tenant) as units:
            return await units.read(agreement, receiver, owner, since=since.date() if since else None)

    found = run(main)
    for line in [dumps(as_facts(found))] if as_json else as_text(found):
        out(line)
    if not found.good(least):
        raise typer.Exit(1)
