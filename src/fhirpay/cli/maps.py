"""`fhirpay map`: what messages become, what a change of the mappings would change, and putting it in force."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import log
from ..config import Facility, Interface, Merchant, Settings, Tenant
from ..domain.clock import SystemClock
from ..errors import ConfigInvalid
from ..mapping.loader import interface as shipped_interface
from ..mapping.loader import load
from ..mapping.preview import MappedResult, failed, map_file
from ..mapping.release import release as freeze
from ..usecases.trial import Tried, trial
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, settings, tenant_name
from .map_output import differs, show_findings, show_result
from .messages import InterfaceOption


class _FileOrCommand(TyperGroup):
    """`fhirpay map FILE` is `fhirpay map show FILE`: what is no command is a file or an option of `show`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


maps = typer.Typer(cls=_FileOrCommand, help=__doc__, no_args_is_help=True)


@maps.command()
def show(
    file: Annotated[Path, typer.Argument(help="A file with one HL7v2 message, or many.")],
    interface: InterfaceOption = "sample",
    expected: Annotated[
        Path | None, typer.Option("--expected", help="A folder of expected Bundles, one JSON file a message.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each element which line of which file.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also check against the standard's own tables; errors give status 1.")
    ] = False,
    owed: Annotated[bool, typer.Option("--owed", help="With --json: another line with what becomes owed.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show of each message the segments, the FHIR R4 and what becomes owed; store nothing. `fhirpay map FILE` will do.

    Status 1 when a message can't be mapped. --json gives its transaction Bundle a line; with --strict an
    OperationOutcome of the check follows.
    """
    with friendly():
        loaded = settings(config)
        log.setup("ERROR")  # what waits for a person is printed
        owner, profile, facility = profile_of(loaded, tenant, interface)
        used = load(profile.mapping, None, loaded.mappings_folder)
        results = map_file(file, profile, facility, explain=explain or not as_json, maps=used)
        trying = owed or not as_json
        tried = asyncio.run(_try(owner, profile, results, loaded)) if trying else [None] * len(results)
        wrong = failed(results)
        for result, after in zip(results, tried, strict=True):
            show_result(result, after, as_json=as_json, explain=explain)
            wrong |= expected is not None and differs(result, expected)
            wrong |= strict and show_findings(result, as_json)
        if wrong:
            raise typer.Exit(1)


async def _try(
    owner: Tenant, profile: Interface, results: Sequence[MappedResult], loaded: Settings
) -> list[Tried | None]:
    used = load(profile.mapping, None, loaded.mappings_folder)
    async with trial(owner, profile, used, now=SystemClock().now()) as world:
        return [await world.run(result.data) for result in results]


def profile_of(loaded: Settings, tenant: str, name: str) -> tuple[Tenant, Interface, Facility]:
    """The interface of the configuration, else one of those that ship with fhirpay, in a tenant made for it."""
    if loaded.tenants:
        owner = loaded.tenant(tenant_name(loaded, tenant))
        if any(known.name == name for known in owner.interfaces):
            found = owner.interface(name)
            return owner, found, owner.facility(found.facility)
    found = shipped_interface(name, own=loaded.mappings_folder)
    facility = Facility(name=found.facility)
    merchant = Merchant(name=facility.merchant, processor="simulated", secret_key="none")
    return Tenant(facilities=(facility,), merchants=(merchant,), interfaces=(found,)), found, facility


@maps.command()
def release(
    by: Annotated[str, typer.Option("--by", help="Who releases; else the user of this machine.")] = "",
    why: Annotated[str, typer.Option("--why", help="What has changed, for whoever looks at the list later.")] = "",
    config: ConfigOption = None,
) -> None:
    """Put the working copy of the site's mappings in force: a running server takes it with its next message."""
    with friendly():
        own = settings(config).mappings_folder
        if own is None:
            raise ConfigInvalid("set `mappings` to the folder of the site's own mappings: only they are released")
        made = freeze(own, by=by or getpass.getuser(), at=SystemClock().now(), why=why)
        out(f"in force: {made.hash[:16]}, released by {made.by}, {made.at[:19]}")
