"""`fhirpay export …`: bulk exports of EHRs, how far they are, begun and cancelled by hand."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..db.unit import Tx
from ..polling import exports
from ..polling.exports import Job
from .admin import decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run, settings, tenant_name

export = typer.Typer(help="Bulk exports of EHRs: status, start, cancel.", no_args_is_help=True)
EhrArgument = Annotated[str, typer.Argument(help="The connection's name.")]


@export.command("status")
def show(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Each connection with `bulk`: until when all is read, and how far the export is that is under way."""

    async def main() -> list[tuple[str, Job | None]]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        names = [one.name for one in owner.connections if one.bulk]

        def found(tx: Tx) -> list[tuple[str, Job | None]]:
            return [(name, exports.find(tx, name)) for name in names]

        async with reading(config, tenant) as units:
            return await units.read(found)

    for name, job in run(main):
        out(json.dumps(_facts(name, job)) if as_json else _text(name, job))


def _facts(name: str, job: Job | None) -> dict[str, str | int | None]:
    job = job or Job("idle", None)
    return {
        "connection": name,
        "state": job.state,
        "loadedUntil": job.loaded_at and job.loaded_at.isoformat(),
        "startedAt": job.started_at and job.started_at.isoformat(),
        "nextStepAt": job.due_at and job.due_at.isoformat(),
        "progress": job.progress,
        "file": job.file,
        "line": job.line,
        "new": job.taken,
        "badLines": job.bad,
        "failures": job.failures,
    }


def _text(name: str, job: Job | None) -> str:
    if job is None:
        return f"{name}: not begun"
    until = f"all is read until {job.loaded_at:%Y-%m-%d %H:%M}" if job.loaded_at else "nothing is read yet"
    match job.state:
        case "running":
            says = f"the EHR is at work since {job.started_at:%Y-%m-%d %H:%M} ({job.progress or 'it says no more'})"
        case "reading":
            says = f"file {job.file + 1}, {job.line} lines, {job.taken} resources new, {job.bad} lines unreadable"
        case "ending":
            says = "the EHR is told that it may throw it away"
        case _:
            says = f"the next one at {job.due_at:%Y-%m-%d %H:%M}" if job.due_at else "no other one is planned"
    return f"{name}: {until}; {says}" + (f"; {job.failures} failures in a row" if job.failures else "")


@export.command("start")
def start(
    ehr: EhrArgument,
    whole: Annotated[bool, typer.Option("--whole", help="Of all since poll_since, not since the last one.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Ask the EHR for an export now. Refused while one is under way."""
    decided(config, tenant, lambda server: server.export(ehr=ehr, action="whole" if whole else "start"))
    out(f"an export of {ehr} is asked for; `fhirpay export status` says how far it is")


@export.command("cancel")
def cancel(ehr: EhrArgument, tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """End the export that is under way: the EHR is told, and nothing more of it is read."""
    decided(config, tenant, lambda server: server.export(ehr=ehr, action="cancel"))
    out(f"the export of {ehr} is cancelled; what was read of it stays")
