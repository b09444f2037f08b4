"""`fhirpay ingest`, `messages`, `replay`: taking messages in from files, finding them, trying them again."""

from __future__ import annotations

import getpass
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigInvalid
from ..hl7.batch import read_batch
from ..hl7.reader import Message
from ..inbox.search import LIMIT, Selector, search
from ..inbox.store import InboxMessage
from ..wiring import build
from .admin import through_server
from .context import ConfigOption, JsonOption, TenantOption, content_of, out, reading, run, settings, tenant_name
from .selection import (
    AccountOption,
    ControlIdOption,
    PatientOption,
    SinceOption,
    StateOption,
    TypeOption,
    UntilOption,
    checked,
    moment,
)

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
    batch = read_batch(content_of(path))
    for warning in batch.warnings:
        typer.echo(f"fhirpay: {path.name}: {warning}", err=True)
    return batch.messages


def _why(answer: bytes) -> str:
    message = Message.parse(answer)
    return " ".join(part for part in (message.get("ERR-7") or message.get("ERR-2"), message.get("ERR-8")) if part)


def messages(
    patient: PatientOption = "",
    account: AccountOption = "",
    control_id: ControlIdOption = "",
    type_: TypeOption = "",
    state: StateOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    interface: InterfaceOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the newest.")] = LIMIT,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find messages that came in, the newest first. By patient or account: those that have been worked on."""

    async def main() -> list[InboxMessage]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        times = moment(since, owner), moment(until, owner)
        wanted = checked(Selector(patient, account, control_id, type_, interface, state, *times))
        async with reading(config, tenant) as units:
            return await units.read(search, wanted, loaded.hash_key.encode(), limit=limit)

    for one in run(main):
        accounts = [key.rpartition("|")[2] for key in one.account_keys]
        if as_json:
            said = {"messageId": one.message_id, "controlId": one.control_id, "type": one.label, "state": one.state}
            at = {"interface": one.interface, "receivedAt": one.received_at.isoformat(), "accounts": accounts}
            out(json.dumps({**said, **at, "detail": one.detail}))
        else:
            where = (
                f"{one.label or one.kind} {one.control_id} from {one.interface}, account {', '.join(accounts) or '-'}"
            )
            out(f"{one.message_id}  {one.received_at:%Y-%m-%d %H:%M}  {one.state:8}  {where}  {one.detail}".rstrip())


def replay(
    message: Annotated[str, typer.Argument(help="A message id (msg…) or a control id (MSH-10).")] = "",
    parked: Annotated[bool, typer.Option("--parked", help="All messages that wait for a person.")] = False,
    ignore: Annotated[
        str,
        typer.Option("--ignore", help="Never apply this parked message, for this reason; what waits for it goes on."),
    ] = "",
    patient: PatientOption = "",
    account: AccountOption = "",
    control_id: ControlIdOption = "",
    type_: TypeOption = "",
    state: StateOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the newest.")] = LIMIT,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would change in FHIR and money.")] = False,
    why: Annotated[str, typer.Option("--reason", help="Why, kept with the messages.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who; else the user of this machine.")] = "",
    interface: InterfaceOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Work on stored messages again, after a mapping or a profile was mended. What was right already stays.

    Name one, or say --parked, or select as with `fhirpay messages`; what is pending already is not queued twice.
    """

    async def main() -> list[str]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        times = moment(since, owner), moment(until, owner)
        chosen = Selector(patient, account, control_id, type_, "", state, *times)
        if [bool(message), parked, not chosen.empty].count(True) != 1 or (ignore and not message):
            raise ConfigInvalid("name a message, or say --parked, or select some; --ignore takes one message")
        async with through_server(loaded, owner.name, build) as server:
            who = by or getpass.getuser()
            if ignore:
                return await server.set_aside(message=message, interface=interface, reason=ignore, by=who)
            said = {"by": who, "why": why}
            if chosen.empty and not preview:
                return await server.replay(message=message, interface=interface, limit=limit, **said)
            if chosen.empty:
                chosen = Selector(state="parked") if parked else Selector(control_id=message)
            wanted = checked(replace(chosen, interface=interface))
            return await server.replay_selected(wanted=wanted, limit=limit, preview=preview, **said)

    done = run(main)
    for line in done:
        out(line)
    if not preview:
        more = f"; {limit} at most: run it again for more" if len(done) == limit else ""
        out(f"{len(done)} {'set aside' if ignore else 'queued again'}{more}")
