"""`fhirpay map`, `ingest`, `replay`: looking at messages, taking them in from files, trying them again."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import Facility, Interface, Settings
from ..errors import ConfigInvalid, MessageInvalid
from ..fhir.json import dumps, loads
from ..hl7.batch import read_batch
from ..hl7.reader import Message
from ..hl7.strict import Finding, check
from ..mapping.loader import interface as shipped_interface
from ..mapping.preview import MappedResult, failed
from ..mapping.preview import map_file as preview
from ..wiring import build
from .admin import through_server
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, run, settings, tenant_name

InterfaceOption = Annotated[str, typer.Option("--interface", help="The interface whose rules apply.")]


def map_file(
    file: Annotated[Path, typer.Argument(help="A file with one HL7v2 message, or many.")],
    interface: InterfaceOption = "sample",
    against: Annotated[
        Path | None, typer.Option("--against", help="A folder of expected Bundles, one JSON file a message.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say which rule set what.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also check against the standard's own tables; errors give status 1.")
    ] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the R4 transaction Bundle of each message, without storing anything. Status 1 when one can't be mapped.

    With --strict and --json each message gives two lines: what it becomes, and an OperationOutcome of the check.
    """
    with friendly():
        profile, facility = profile_of(settings(config), tenant, interface)
        results = preview(file, profile, facility, explain=explain)
        wrong = failed(results)
        for result in results:
            wrong |= _show(result, as_json, explain, against)
            wrong |= strict and _show_findings(result, as_json)
        if wrong:
            raise typer.Exit(1)


def profile_of(loaded: Settings, tenant: str, name: str) -> tuple[Interface, Facility]:
    """The interface of the configuration, else one of those that ship with fhirpay."""
    if loaded.tenants:
        owner = loaded.tenant(tenant_name(loaded, tenant))
        if any(known.name == name for known in owner.interfaces):
            found = owner.interface(name)
            return found, owner.facility(found.facility)
    found = shipped_interface(name)
    return found, Facility(name=found.facility)


def _show(result: MappedResult, as_json: bool, explain: bool, against: Path | None) -> bool:
    """Print one result; whether it differs from what was expected."""
    resource = result.resource()
    beside = result.outcome if result.bundle is not None else None
    if as_json:
        out(dumps(resource))
        for issue in beside["issue"] if beside else ():
            typer.echo(f"fhirpay: message {result.position}: {_issue(issue)}", err=True)
    else:
        out(f"── message {result.position}: {result.label or 'unreadable'} {result.control_id}")
        out(dumps(resource, indent=2))
        if beside:
            out(dumps(beside, indent=2))
    if explain and result.trace is not None:
        for line in result.trace.lines():
            typer.echo(f"   {line}", err=as_json)
    return against is not None and _differs(result, against)


def _show_findings(result: MappedResult, as_json: bool) -> bool:
    """Print what the standard's tables say about a message, by location; whether there are errors."""
    if result.message is None:  # why it can't be read has been said
        return False
    findings = sorted(check(result.message), key=lambda one: (one.location, one.severity, one.text))
    if as_json:
        out(dumps({"resourceType": "OperationOutcome", "issue": [_as_issue(one) for one in findings] or [_SOUND]}))
    else:
        for one in findings:
            out(f"   {one.severity} {one.location}: {one.text}")
        out(f"   {len(findings)} departures from HL7 {result.message.version}")
    return any(one.severity == "error" for one in findings)


_SOUND = {"severity": "information", "code": "informational", "details": {"text": "as the standard's tables say"}}


def _as_issue(finding: Finding) -> dict[str, Any]:
    text = {"text": finding.text}
    return {"severity": finding.severity, "code": "structure", "details": text, "location": [finding.location]}


def _issue(issue: dict[str, Any]) -> str:
    text = issue.get("details", {}).get("text") or issue.get("diagnostics", "")
    return ": ".join([*issue.get("location", []), text])


def _differs(result: MappedResult, against: Path) -> bool:
    """Whether it is another resource than the one in the folder, to the last digit of each amount."""
    control_id = result.control_id
    name = control_id if re.fullmatch(r"[\w-][\w.-]*", control_id) else str(result.position)
    path = against / f"{name}.json"
    try:
        expected = loads(path.read_bytes())
    except OSError as error:
        typer.echo(f"fhirpay: there is no {path} to compare with ({error.strerror})", err=True)
        return True
    except MessageInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from None
    if _exact(expected) == _exact(loads(dumps(result.resource()))):
        return False
    typer.echo(f"fhirpay: message {result.position} differs from {path}", err=True)
    return True


def _exact(value: Any) -> Any:
    """With numbers as they are written: 125.5 is not 125.50."""
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return f"number {value}" if isinstance(value, Decimal | int) and not isinstance(value, bool) else value


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files of HL7v2 messages, one or many in each.")],
    interface: InterfaceOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take in messages from files, as if they had come over MLLP. Status 1 when one was refused; the rest is kept."""

    async def main() -> bool:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        name = interface or (owner.interfaces[0].name if len(owner.interfaces) == 1 else "")
        if not name:
            raise ConfigInvalid("name the interface with --interface: " + ", ".join(i.name for i in owner.interfaces))
        owner.interface(name)
        refused = False
        async with through_server(loaded, owner.name, build) as server:
            for path in paths:
                for number, message in enumerate(_messages(path), 1):
                    answers = await server.ingest(name, message)
                    if not answers:  # it came before by a connection, and wanted no acknowledgement there
                        out(f"{path.name} message {number}: kept before")
                    for answer in answers:
                        verdict = Message.parse(answer).get("MSA-1")
                        refused |= verdict not in ("AA", "CA")
                        out(f"{path.name} message {number}: {verdict} {_why(answer)}".rstrip())
        return refused

    if run(main):
        raise typer.Exit(1)


def _messages(path: Path) -> list[bytes]:
    try:
        batch = read_batch(path.read_bytes())
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be read: {error.strerror}") from None
    for warning in batch.warnings:
        typer.echo(f"fhirpay: {path.name}: {warning}", err=True)
    return batch.messages


def _why(answer: bytes) -> str:
    message = Message.parse(answer)
    return " ".join(part for part in (message.get("ERR-7") or message.get("ERR-2"), message.get("ERR-8")) if part)


def replay(
    message: Annotated[str, typer.Argument(help="A message id (msg…) or a control id (MSH-10).")] = "",
    parked: Annotated[bool, typer.Option("--parked", help="All messages that wait for a person.")] = False,
    ignore: Annotated[
        str,
        typer.Option("--ignore", help="Never apply this parked message, for this reason; what waits for it goes on."),
    ] = "",
    interface: InterfaceOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Work on a stored message again, after a mapping or a profile was mended. What was right already stays."""

    async def main() -> list[str]:
        loaded = settings(config)
        if bool(message) is parked or (ignore and parked):
            raise ConfigInvalid("name a message, or say --parked; --ignore takes one message")
        async with through_server(loaded, tenant_name(loaded, tenant), build) as server:
            if ignore:
                return await server.set_aside(message=message, interface=interface, reason=ignore)
            return await server.replay(message=message, interface=interface)

    done = run(main)
    for message_id in done:
        out(message_id)
    out(f"{len(done)} {'set aside' if ignore else 'queued again'}")
