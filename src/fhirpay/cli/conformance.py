"""`fhirpay conformance`: a new feed graded before it goes live, an interface's profile and its specification."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from .. import log
from ..config import Settings, Tenant
from ..conformance import counts
from ..conformance.counts import Checked, Found
from ..conformance.feed import Grade, grade
from ..conformance.profile import Profile, describe, profile_text, schema_text
from ..conformance.report import as_html, as_json, as_text, counted_json, counted_text
from ..conformance.sample import Source, read
from ..conformance.spec import as_html as spec_page
from ..domain.clock import SystemClock
from ..errors import ConfigInvalid
from ..hl7.reader import Message
from ..hl7.strict import check
from ..inbox.store import recent_bodies
from ..mapping.preview import read_file
from ..usecases.grade_sample import grade_sample
from .context import ConfigOption, JsonOption, TenantOption, friendly, opened, out, reading, run, settings, tenant_name
from .maps import profile_of
from .messages import InterfaceOption

conformance = typer.Typer(help="What a feed's sender does, against what was agreed.", no_args_is_help=True)

STATUS = {Grade.READY: 0, Grade.NOT_READY: 1, Grade.QUESTIONS: 3}


@conformance.command()
def feed(
    files: Annotated[list[Path], typer.Argument(help="A sample of the feed: files of HL7v2 messages.")],
    interface: InterfaceOption = "sample",
    html: Annotated[Path | None, typer.Option("--html", help="Also write the report as a page, to send on.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Name every place, and what to ask about notes too.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json_: JsonOption = False,
) -> None:
    """Grade a sample of a new feed before it goes live: what is missing or ambiguous, which amounts would be wrong.

    Status 0: ready; 3: ready with questions; 1: not ready. Nothing is stored.
    """
    with friendly():
        loaded = settings(config)
        log.setup("ERROR")  # what waits for a person is printed
        owner, rules, facility = profile_of(loaded, tenant, interface)
        sources = [Source(path.name, read_file(path)) for path in files]
        now, own = SystemClock().now(), loaded.mappings_folder
        report = run(lambda: grade_sample(sources, owner, rules, facility, now=now, own=own))
        if html is not None:
            html.write_text(as_html(report), encoding="utf-8")
        if as_json_:
            out(as_json(report))
        else:
            for line in as_text(report, every_place=every):
                out(line)
        if status := STATUS[report.grade]:
            raise typer.Exit(status)


@conformance.command()
def profile(
    interface: Annotated[str, typer.Argument(help="An interface of the configuration, or one that ships.")],
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of profiles instead.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Print what an interface takes, as JSON: messages, fields, codes, answers, and what each does to money."""
    with friendly():
        found = _described(config, tenant, interface)
        out(schema_text() if schema else profile_text(found))


@conformance.command()
def spec(
    interface: Annotated[str, typer.Argument(help="An interface of the configuration, or one that ships.")],
    to: Annotated[Path | None, typer.Option("--html", help="Write the page here instead of printing it.")] = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Write the interface's specification as one page that the sender's analyst can print and sign."""
    with friendly():
        found = _described(config, tenant, interface)
        text = spec_page(found, on=SystemClock().now().date())
        if to is None:
            out(text)
        else:
            to.write_text(text, encoding="utf-8")
            out(f"written to {to}")


@conformance.command()
def traffic(
    interface: Annotated[
        str, typer.Argument(help="An interface of the configuration; else all that were checked.")
    ] = "",
    last: Annotated[
        int, typer.Option("--last", help="Grade so many of its newest messages now instead.", min=0, max=10_000)
    ] = 0,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json_: JsonOption = False,
) -> None:
    """Show where the messages that came in depart from what was agreed and from the standard: by place and kind.

    A server counts them by itself (setting conformance_check). Reads beside it; nothing is changed or delayed.
    """
    with friendly():
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        if interface:
            owner.interface(interface)
        if last:
            if not interface:
                raise ConfigInvalid("name the interface whose newest messages are to be graded")
            _graded_now(loaded, owner, interface, last, as_json_=as_json_)
            return
        counted = run(lambda: _counted(config, tenant, interface))
        for line in counted_json(counted) if as_json_ else counted_text(counted):
            out(line)


async def _counted(config: Path | None, tenant: str, interface: str) -> list[tuple[Checked, list[Found]]]:
    async with reading(config, tenant) as units:
        checked = await units.read(counts.checked, interface)
        return [(one, await units.read(counts.found, one.interface)) for one in checked]


def _graded_now(loaded: Settings, owner: Tenant, interface: str, last: int, *, as_json_: bool) -> None:
    async def stored() -> list[bytes]:
        async with opened(loaded, read_only=True) as database:
            return await database.units(owner.name).read(recent_bodies, interface, last)

    rules = owner.interface(interface)
    bodies = run(stored)
    sources = [Source("stored messages", b"".join(body.rstrip(b"\r\n") + b"\r" for body in bodies))]
    facility, now = owner.facility(rules.facility), SystemClock().now()
    # Not tried out: what came before these messages is not among them, so what would be owed can't be said.
    report = grade(read(sources, rules, facility, now=now, own=loaded.mappings_folder))
    if as_json_:
        out(as_json(report))
        return
    for line in as_text(report):
        out(line)
    departs = Counter(
        (one.severity, one.location, one.text)
        for body in bodies
        for one in set(check(Message.parse(body, charset_fallback=rules.charset_fallback)))
    )
    out(f"The standard's tables ({len(departs)} kinds of departures)")
    for (severity, location, text), count in sorted(departs.items(), key=lambda one: (-one[1], one[0])):
        out(f"  {count} × {severity} {location}: {text}")


def _described(config: Path | None, tenant: str, interface: str) -> Profile:
    loaded = settings(config)
    _, rules, facility = profile_of(loaded, tenant, interface)
    return describe(rules, facility, loaded.mappings_folder)
