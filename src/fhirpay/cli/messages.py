"""`fhirpay ingest`, `replay`: taking messages in from files, trying them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigInvalid
from ..hl7.batch import read_batch
from ..hl7.reader import Message
from ..wiring import build
from .admin import through_server
from .context import ConfigOption, TenantOption, out, run, settings, tenant_name

InterfaceOption = Annotated[str, typer.Option("--interface", help="The interface whose rules apply.")]


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
