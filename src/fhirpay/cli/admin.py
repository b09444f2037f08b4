"""Commands that write: through a running `serve` where one holds the SQLite file, else on the database itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer

from ..config import Settings
from ..errors import FhirpayError, NotPermitted, StorageUnavailable
from ..inbox.search import Selector
from ..usecases.by_hand import Found
from ..wiring import System, admin_socket_of, build
from .context import run, settings, tenant_name

T = TypeVar("T")
ByOption = Annotated[str, typer.Option("--by", help="Who says so; kept with it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with it.")]


class Operator(Protocol):
    """One tenant's data, for commands."""

    async def ingest(self, interface: str, message: bytes) -> list[bytes]: ...
    async def replay(self, *, message: str, interface: str, limit: int, by: str, why: str) -> list[str]: ...
    async def replay_selected(self, *, wanted: Selector, limit: int, preview: bool, by: str, why: str) -> list[str]: ...
    async def replay_mended(self) -> list[str]: ...
    async def sweep(self, *, merchant: str) -> int: ...
    async def pull(self, *, merchant: str) -> list[int]: ...
    async def say_by_hand(self, found: Found) -> str: ...
    async def set_aside(self, *, message: str, interface: str, reason: str, by: str) -> list[str]: ...
    async def resolve_posting(self, *, some_id: str, found: str, absent: bool, ehr: str) -> str: ...
    async def confirm_postings(self, *, some_id: str, ehr: str, by: str, why: str) -> list[str]: ...
    async def reject_posting(self, *, some_id: str, ehr: str, by: str, why: str) -> str: ...

    async def decide_file(self, *, receiver: str, number: int, there: bool, by: str, reason: str) -> str: ...
    async def undo_merge(self, *, merge: str, reason: str, by: str) -> str: ...
    async def go_live(self, *, interface: str, by: str, reason: str, preview: bool) -> list[str]: ...
    async def opening_balances(
        self, *, text: str, interface: str, by: str, reason: str, preview: bool, without_unknown: bool
    ) -> tuple[list[str], bool]: ...
    async def reverse_opening(self, *, reference: str, by: str, reason: str) -> str: ...
    async def write_off(self, *, obligation: str, kind: str, amount: str, by: str, reason: str) -> str: ...
    async def recover(self, *, entry: str, by: str, reason: str) -> str: ...
    async def move_period(self, *, month: str, closed: bool, by: str, reason: str) -> str: ...
    async def export(self, *, ehr: str, action: str) -> str: ...
    async def take_settlement_report(self, *, merchant: str, name: str, data: bytes) -> str: ...

    async def take_bank_file(self, *, account: str, name: str, data: bytes) -> str: ...
    async def take_report(self, *, receiver: str, name: str, data: bytes) -> str: ...
    async def read_back(self, *, connection: str) -> str: ...
    async def match_by_hand(self, *, lines: list[str], payouts: list[str], by: str, reason: str) -> str: ...
    async def unmatch(self, *, line: str, by: str, reason: str) -> str: ...
    async def book_receipt(self, *, line: str, by: str, reason: str) -> str: ...
    async def bank(self, **asked: str) -> dict[str, Any]: ...
    async def done(self, *, line: str, by: str, reason: str) -> str: ...
    async def reconcile(self, *, merchant: str, first: str, last: str) -> dict[str, int]: ...
    async def tell_again(self, *, endpoint: str, event: str, since: str, until: str) -> list[str]: ...
    async def skip_event(self, *, endpoint: str, event: str) -> str: ...
    async def close(self, **asked: str) -> dict[str, Any]: ...


class _Told(FhirpayError):
    """The server's own error, said here."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  (each kind has its own; this one is told)


class _Here:
    def __init__(self, system: System, tenant: str) -> None:
        self._commands = system.commands
        self._tenant = tenant

    async def ingest(self, interface: str, message: bytes) -> list[bytes]:
        return await self._commands.ingest(self._tenant, interface, message)

    async def replay(self, *, message: str, interface: str, limit: int, by: str, why: str) -> list[str]:
        return await self._commands.replay(self._tenant, message, interface, limit, by, why)

    async def replay_selected(self, *, wanted: Selector, limit: int, preview: bool, by: str, why: str) -> list[str]:
        return await self._commands.replay_selected(self._tenant, wanted, limit, preview, by, why)

    async def replay_mended(self) -> list[str]:
        return await self._commands.replay_mended(self._tenant)

    async def sweep(self, *, merchant: str) -> int:
        return await self._commands.sweep(self._tenant, merchant)

    async def pull(self, *, merchant: str) -> list[int]:
        return await self._commands.pull(self._tenant, merchant)

    async def say_by_hand(self, found: Found) -> str:
        return await self._commands.say_by_hand(self._tenant, found)

    async def set_aside(self, *, message: str, interface: str, reason: str, by: str) -> list[str]:
        return await self._commands.set_aside(self._tenant, message, interface, reason, by)

    async def resolve_posting(self, *, some_id: str, found: str, absent: bool, ehr: str) -> str:
        return await self._commands.resolve_posting(self._tenant, some_id, found, absent, ehr)

    async def confirm_postings(self, *, some_id: str, ehr: str, by: str, why: str) -> list[str]:
        return await self._commands.confirm_postings(self._tenant, some_id, ehr, by, why)

    async def reject_posting(self, *, some_id: str, ehr: str, by: str, why: str) -> str:
        return await self._commands.reject_posting(self._tenant, some_id, ehr, by, why)

    async def decide_file(self, *, receiver: str, number: int, there: bool, by: str, reason: str) -> str:
        return await self._commands.decide_file(self._tenant, receiver, number, there, by, reason)

    async def undo_merge(self, *, merge: str, reason: str, by: str) -> str:
        return await self._commands.undo_merge(self._tenant, merge, reason, by)

    async def go_live(self, *, interface: str, by: str, reason: str, preview: bool) -> list[str]:
        return await self._commands.go_live(self._tenant, interface, by, reason, preview)

    async def opening_balances(
        self, *, text: str, interface: str, by: str, reason: str, preview: bool, without_unknown: bool
    ) -> tuple[list[str], bool]:
        return await self._commands.opening_balances(
            self._tenant, text, interface, by, reason, preview, without_unknown
        )

    async def reverse_opening(self, *, reference: str, by: str, reason: str) -> str:
        return await self._commands.reverse_opening(self._tenant, reference, by, reason)

    async def write_off(self, *, obligation: str, kind: str, amount: str, by: str, reason: str) -> str:
        return await self._commands.write_off(self._tenant, obligation, kind, amount, by, reason)

    async def recover(self, *, entry: str, by: str, reason: str) -> str:
        return await self._commands.recover(self._tenant, entry, by, reason)

    async def move_period(self, *, month: str, closed: bool, by: str, reason: str) -> str:
        return await self._commands.move_period(self._tenant, month, closed, by, reason)

    async def export(self, *, ehr: str, action: str) -> str:
        return await self._commands.export(self._tenant, ehr, action)

    async def take_settlement_report(self, *, merchant: str, name: str, data: bytes) -> str:
        return await self._commands.take_settlement_report(self._tenant, merchant, name, data)

    async def take_bank_file(self, *, account: str, name: str, data: bytes) -> str:
        return await self._commands.take_bank_file(self._tenant, account, name, data)

    async def take_report(self, *, receiver: str, name: str, data: bytes) -> str:
        return await self._commands.take_report(self._tenant, receiver, name, data)

    async def read_back(self, *, connection: str) -> str:
        return await self._commands.read_back(self._tenant, connection)

    async def match_by_hand(self, *, lines: list[str], payouts: list[str], by: str, reason: str) -> str:
        return await self._commands.match_by_hand(self._tenant, lines, payouts, by, reason)

    async def unmatch(self, *, line: str, by: str, reason: str) -> str:
        return await self._commands.unmatch(self._tenant, line, by, reason)

    async def book_receipt(self, *, line: str, by: str, reason: str) -> str:
        return await self._commands.book_receipt(self._tenant, line, by, reason)

    async def done(self, *, line: str, by: str, reason: str) -> str:
        return await self._commands.done(self._tenant, line, by, reason)

    async def reconcile(self, *, merchant: str, first: str, last: str) -> dict[str, int]:
        return await self._commands.reconcile(self._tenant, merchant, first, last)

    async def tell_again(self, *, endpoint: str, event: str, since: str, until: str) -> list[str]:
        return await self._commands.tell_again(self._tenant, endpoint, event, since, until)

    async def skip_event(self, *, endpoint: str, event: str) -> str:
        return await self._commands.skip_event(self._tenant, endpoint, event)

    async def bank(self, **asked: str) -> dict[str, Any]:
        return await self._commands.bank_said.answer(self._tenant, asked)

    async def close(self, **asked: str) -> dict[str, Any]:
        return await self._commands.closes.answer(self._tenant, asked)


class _There:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tenant: str) -> None:
        self._reader = reader
        self._writer = writer
        self._tenant = tenant

    async def ingest(self, interface: str, message: bytes) -> list[bytes]:
        body = base64.b64encode(message).decode()
        answer = await self._ask(command="ingest", interface=interface, message=body)
        return [base64.b64decode(one) for one in answer["answers"]]

    async def replay(self, *, message: str, interface: str, limit: int, by: str, why: str) -> list[str]:
        asked = {"command": "replay", "message": message, "interface": interface, "limit": limit}
        return (await self._ask(**asked, by=by, why=why))["replayed"]

    async def replay_selected(self, *, wanted: Selector, limit: int, preview: bool, by: str, why: str) -> list[str]:
        asked = {"command": "replay_selected", "wanted": wanted.as_json(), "limit": limit, "preview": preview}
        return (await self._ask(**asked, by=by, why=why))["replayed"]

    async def replay_mended(self) -> list[str]:
        return (await self._ask(command="replay_mended"))["replayed"]

    async def sweep(self, *, merchant: str) -> int:
        return (await self._ask(command="sweep", merchant=merchant))["found"]

    async def pull(self, *, merchant: str) -> list[int]:
        return (await self._ask(command="pull", merchant=merchant))["pulled"]

    async def say_by_hand(self, found: Found) -> str:
        return (await self._ask(command="say_by_hand", found=asdict(found)))["payment"]

    async def set_aside(self, *, message: str, interface: str, reason: str, by: str) -> list[str]:
        asked = {"command": "set_aside", "message": message, "interface": interface, "reason": reason}
        return (await self._ask(**asked, by=by))["set_aside"]

    async def resolve_posting(self, *, some_id: str, found: str, absent: bool, ehr: str) -> str:
        asked = {"command": "resolve_posting", "posting": some_id, "found": found, "absent": absent, "ehr": ehr}
        return (await self._ask(**asked))["resolved"]

    async def confirm_postings(self, *, some_id: str, ehr: str, by: str, why: str) -> list[str]:
        asked = {"command": "confirm_postings", "posting": some_id, "ehr": ehr, "by": by}
        return (await self._ask(**asked, why=why))["confirmed"]

    async def reject_posting(self, *, some_id: str, ehr: str, by: str, why: str) -> str:
        asked = {"command": "reject_posting", "posting": some_id, "ehr": ehr, "by": by}
        return (await self._ask(**asked, why=why))["rejected"]

    async def decide_file(self, *, receiver: str, number: int, there: bool, by: str, reason: str) -> str:
        asked = {"command": "decide_file", "receiver": receiver, "number": number, "there": there}
        return (await self._ask(**asked, by=by, reason=reason))["file"]

    async def undo_merge(self, *, merge: str, reason: str, by: str) -> str:
        return (await self._ask(command="undo_merge", merge=merge, reason=reason, by=by))["undone"]

    async def go_live(self, *, interface: str, by: str, reason: str, preview: bool) -> list[str]:
        asked = {"command": "go_live", "interface": interface, "preview": preview}
        return (await self._ask(**asked, by=by, reason=reason))["says"]

    async def opening_balances(
        self, *, text: str, interface: str, by: str, reason: str, preview: bool, without_unknown: bool
    ) -> tuple[list[str], bool]:
        asked = {"command": "opening_balances", "text": text, "interface": interface, "preview": preview}
        answer = await self._ask(**asked, without_unknown=without_unknown, by=by, reason=reason)
        return answer["says"], answer["fine"]

    async def reverse_opening(self, *, reference: str, by: str, reason: str) -> str:
        asked = {"command": "reverse_opening", "reference": reference}
        return (await self._ask(**asked, by=by, reason=reason))["account"]

    async def write_off(self, *, obligation: str, kind: str, amount: str, by: str, reason: str) -> str:
        asked = {"command": "write_off", "obligation": obligation, "kind": kind, "amount": amount}
        return (await self._ask(**asked, by=by, reason=reason))["entry"]

    async def recover(self, *, entry: str, by: str, reason: str) -> str:
        return (await self._ask(command="recover", entry=entry, by=by, reason=reason))["entry"]

    async def move_period(self, *, month: str, closed: bool, by: str, reason: str) -> str:
        asked = {"command": "move_period", "month": month, "closed": closed}
        return (await self._ask(**asked, by=by, reason=reason))["head"]

    async def export(self, *, ehr: str, action: str) -> str:
        return (await self._ask(command="export", ehr=ehr, action=action))["export"]

    async def take_settlement_report(self, *, merchant: str, name: str, data: bytes) -> str:
        file = base64.b64encode(data).decode()
        return (await self._ask(command="take_settlement_report", merchant=merchant, name=name, file=file))["says"]

    async def take_bank_file(self, *, account: str, name: str, data: bytes) -> str:
        file = base64.b64encode(data).decode()
        return (await self._ask(command="take_bank_file", account=account, name=name, file=file))["says"]

    async def take_report(self, *, receiver: str, name: str, data: bytes) -> str:
        file = base64.b64encode(data).decode()
        return (await self._ask(command="take_report", receiver=receiver, name=name, file=file))["says"]

    async def read_back(self, *, connection: str) -> str:
        return (await self._ask(command="read_back", connection=connection))["says"]

    async def match_by_hand(self, *, lines: list[str], payouts: list[str], by: str, reason: str) -> str:
        asked = {"command": "match_by_hand", "lines": lines, "payouts": payouts}
        return (await self._ask(**asked, by=by, reason=reason))["match"]

    async def unmatch(self, *, line: str, by: str, reason: str) -> str:
        return (await self._ask(command="unmatch", line=line, by=by, reason=reason))["match"]

    async def book_receipt(self, *, line: str, by: str, reason: str) -> str:
        return (await self._ask(command="book_receipt", line=line, by=by, reason=reason))["line"]

    async def done(self, *, line: str, by: str, reason: str) -> str:
        return (await self._ask(command="done", line=line, by=by, reason=reason))["line"]

    async def reconcile(self, *, merchant: str, first: str, last: str) -> dict[str, int]:
        return (await self._ask(command="reconcile", merchant=merchant, first=first, last=last))["done"]

    async def tell_again(self, *, endpoint: str, event: str, since: str, until: str) -> list[str]:
        asked = {"command": "tell_again", "endpoint": endpoint, "event": event}
        return (await self._ask(**asked, since=since, until=until))["queued"]

    async def skip_event(self, *, endpoint: str, event: str) -> str:
        return (await self._ask(command="skip_event", endpoint=endpoint, event=event))["skipped"]

    async def bank(self, **asked: str) -> dict[str, Any]:
        return await self._ask(command="bank", **asked)

    async def close(self, **asked: str) -> dict[str, Any]:
        return await self._ask(command="close", **asked)

    async def _ask(self, **asked: Any) -> dict[str, Any]:
        self._writer.write(json.dumps({**asked, "tenant": self._tenant}).encode() + b"\n")
        await self._writer.drain()
        line = await self._reader.readline()
        if not line:
            raise StorageUnavailable("the running server hung up; try again")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise _Told(answer["error"], answer["code"])
        return answer


def decided(config: Path | None, tenant: str, decide: Callable[[Operator], Awaitable[T]]) -> T:
    """What a person decides at the command line, wherever the writer is; an error is a sentence and a status."""

    async def main() -> T:
        loaded = settings(config)
        async with through_server(loaded, tenant_name(loaded, tenant), build) as server:
            return await decide(server)

    return run(main)


@contextlib.asynccontextmanager
async def through_server(loaded: Settings, tenant: str, build: Callable[[Settings], System]) -> AsyncIterator[Operator]:
    """An operator of the tenant's data, wherever the writer is."""
    path = admin_socket_of(loaded)
    streams = await _connect(path) if path is not None else None
    if streams is not None:
        reader, writer = streams
        try:
            yield _There(reader, writer, tenant)
        finally:
            writer.close()
        return
    system = build(loaded)
    try:
        await system.database.start()
        yield _Here(system, tenant)
    finally:
        await system.close()
        await system.database.stop()


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """The running server's socket; None when no server is there, also where one that was killed left its socket."""
    try:
        return await asyncio.open_unix_connection(str(path), limit=64 * 1024 * 1024)
    except PermissionError:
        raise NotPermitted(f"{path} belongs to another user: run this as the one who runs `fhirpay serve`") from None
    except OSError:
        return None
