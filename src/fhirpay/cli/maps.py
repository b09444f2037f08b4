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
from ..errors import ConfigInvalid, FhirpayError, RuleBroken
from ..mapping.lint.check import lint as check_maps
from ..mapping.lint.messages import messages_in
from ..mapping.loader import interface as shipped_interface
from ..mapping.loader import load
from ..mapping.preview import MappedResult, failed, map_file
from ..mapping.release import release as freeze
from ..mapping.release import released_maps
from ..usecases.compare_maps import compare
from ..usecases.trial import Tried, trial
from ..wiring import build
from .admin import through_server
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, settings, tenant_name
from .map_output import differs, show_comparison, show_findings, show_lint, show_message, show_result
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
    file: Annotated[Path | None, typer.Argument(help="A file with one HL7v2 message, or many.")] = None,
    interface: InterfaceOption = "sample",
    against: Annotated[
        Path | None, typer.Option("--against", help="A folder of messages: working copy against released mappings.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="With --against: status 0 though money differs.")] = False,
    expected: Annotated[
        Path | None, typer.Option("--expected", help="A folder of expected Bundles, one JSON file a message.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each element which line of which file.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also check against the standard's own tables; errors give status 1.")
    ] = False,
    as_message: Annotated[
        bool, typer.Option("--message", help="A message Bundle each: MessageHeader, what it says, Provenance.")
    ] = False,
    owed: Annotated[bool, typer.Option("--owed", help="With --json: another line with what becomes owed.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show of each message the segments, the FHIR R4 and what becomes owed; store nothing. `fhirpay map FILE` will do.

    Status 1 when a message can't be mapped. --json gives its transaction Bundle a line; with --strict an
    OperationOutcome of the check follows. --message gives a message Bundle a line instead, with header and provenance
    as HL7's guide has them. --against runs a folder of messages through the working copy of the site's
    mappings and through the released ones; status 1 when money differs.
    """
    with friendly():
        loaded = settings(config)
        log.setup("ERROR")  # what waits for a person is printed
        if (file is None) is (against is None):
            raise ConfigInvalid("name a file of messages, or a folder of them with --against")
        if against is not None:
            money = _against(loaded, tenant, interface, against, as_json=as_json)
            raise typer.Exit(1 if money and not accept else 0)
        assert file is not None
        owner, profile, facility = profile_of(loaded, tenant, interface)
        used = load(profile.mapping, None, loaded.mappings_folder)
        results = map_file(file, profile, facility, explain=explain or not as_json, maps=used)
        if as_message:
            for result in results:
                show_message(result, profile, facility, used, SystemClock().now())
            raise typer.Exit(1 if failed(results) else 0)
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


def _against(loaded: Settings, tenant: str, interface: str, folder: Path, *, as_json: bool) -> list[str]:
    """Print what the working copy does otherwise than what is released; the differences in money."""
    owner, profile, facility = profile_of(loaded, tenant, interface)
    own = loaded.mappings_folder
    found = asyncio.run(
        compare(
            folder,
            owner,
            profile,
            facility,
            released=released_maps(own, profile),
            working=load(profile.mapping, None, own),
            now=SystemClock().now(),
        )
    )
    show_comparison(found, as_json=as_json)
    return [str(one) for one in found.money]


@maps.command()
def lint(
    messages: Annotated[
        list[Path] | None, typer.Argument(help="Messages to try: files, or folders of them. None: the files alone.")
    ] = None,
    interface: InterfaceOption = "sample",
    notes: Annotated[bool, typer.Option("--notes", help="Also what is only good to know.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the mappings of an interface: dead lines, paths that HL7 or FHIR don't have, codes that are missing.

    The base and what the site lays over it, before anybody runs them. With messages also: which rules and lines none of
    them reaches, and which of their values have no line in a code table. Status 1 when there are errors.
    """
    with friendly():
        loaded = settings(config)
        _, profile, facility = profile_of(loaded, tenant, interface)
        given = [one for path in messages or () for one in messages_in(path)]
        found = check_maps(profile, facility, given, own=loaded.mappings_folder)
        show_lint(found, len(given), notes=notes, as_json=as_json)
        if any(one.severity == "error" for one in found):
            raise typer.Exit(1)


@maps.command()
def release(
    by: Annotated[str, typer.Option("--by", help="Who releases; else the user of this machine.")] = "",
    why: Annotated[str, typer.Option("--why", help="What has changed, for whoever looks at the list later.")] = "",
    against: Annotated[
        Path | None, typer.Option("--against", help="A folder of messages: not released when money differs for them.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Release though money differs; kept with the release.")
    ] = False,
    interface: InterfaceOption = "sample",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Put the working copy of the site's mappings in force: a running server takes it with its next message."""
    with friendly():
        loaded = settings(config)
        own = loaded.mappings_folder
        if own is None:
            raise ConfigInvalid("set `mappings` to the folder of the site's own mappings: only they are released")
        money: list[str] = []
        if against is not None:
            log.setup("ERROR")
            money = _against(loaded, tenant, interface, against, as_json=False)
            if money and not accept:
                raise RuleBroken("not released: money differs. Look at each difference, then say --accept")
        made = freeze(own, by=by or getpass.getuser(), at=SystemClock().now(), why=why, accepted=money)
        out(f"in force: {made.hash[:16]}, released by {made.by}, {made.at[:19]}")
        try:
            queued = asyncio.run(_replayed(loaded))
        except FhirpayError as error:  # no database yet, or another host's: its server does it by itself
            out(f"messages that waited for a code were not looked at here: {error}")
        else:
            out(f"{queued} messages that waited for a line of a code table are queued again")


async def _replayed(loaded: Settings) -> int:
    """Of all tenants, how many."""
    found = 0
    for tenant in loaded.tenants:
        async with through_server(loaded, tenant.name, build) as server:
            found += len(await server.replay_mended())
    return found
