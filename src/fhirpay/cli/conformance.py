"""`fhirpay conformance`: a new feed graded before it goes live, an interface's profile and its specification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..conformance.feed import Grade, grade_feed
from ..conformance.profile import Profile, describe, profile_text, schema_text
from ..conformance.report import as_html, as_json, as_text
from ..conformance.sample import Source
from ..conformance.spec import as_html as spec_page
from ..domain.clock import SystemClock
from ..errors import ConfigInvalid
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, settings
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
        _, rules, facility = profile_of(loaded, tenant, interface)
        sources = [Source(path.name, _bytes(path)) for path in files]
        report = grade_feed(sources, rules, facility, now=SystemClock().now(), own=loaded.mappings_folder)
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


def _described(config: Path | None, tenant: str, interface: str) -> Profile:
    loaded = settings(config)
    _, rules, facility = profile_of(loaded, tenant, interface)
    return describe(rules, facility, loaded.mappings_folder)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be read: {error.strerror}") from None
