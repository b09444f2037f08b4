"""Commands that write: through a running `serve` where one holds the SQLite file, else on the database itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

from ..config import Settings
from ..errors import RuleBroken, StorageUnavailable
from ..wiring import System, admin_socket_of


class Operator(Protocol):
    """One tenant's data, for commands."""

    async def ingest(self, interface: str, message: bytes) -> list[bytes]: ...
    async def replay(self, *, message: str, interface: str) -> list[str]: ...


class _Here:
    def __init__(self, system: System, tenant: str) -> None:
        self._commands = system.commands
        self._tenant = tenant

    async def ingest(self, interface: str, message: bytes) -> list[bytes]:
        return await self._commands.ingest(self._tenant, interface, message)

    async def replay(self, *, message: str, interface: str) -> list[str]:
        return await self._commands.replay(self._tenant, message, interface)


class _There:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tenant: str) -> None:
        self._reader = reader
        self._writer = writer
        self._tenant = tenant

    async def ingest(self, interface: str, message: bytes) -> list[bytes]:
        body = base64.b64encode(message).decode()
        answer = await self._ask(command="ingest", interface=interface, message=body)
        return [base64.b64decode(one) for one in answer["answers"]]

    async def replay(self, *, message: str, interface: str) -> list[str]:
        return (await self._ask(command="replay", message=message, interface=interface))["replayed"]

    async def _ask(self, **asked: str) -> dict[str, Any]:
        self._writer.write(json.dumps({**asked, "tenant": self._tenant}).encode() + b"\n")
        await self._writer.drain()
        line = await self._reader.readline()
        if not line:
            raise StorageUnavailable("the running server hung up; try again")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuleBroken(f"{answer['error']} [{answer['code']}]")
        return answer


@contextlib.asynccontextmanager
async def through_server(loaded: Settings, tenant: str, build: Callable[[Settings], System]) -> AsyncIterator[Operator]:
    """An operator of the tenant's data, wherever the writer is."""
    path = admin_socket_of(loaded)
    if path is not None and path.exists():
        with contextlib.suppress(ConnectionRefusedError):
            reader, writer = await _connect(path)
            try:
                yield _There(reader, writer, tenant)
            finally:
                writer.close()
            return
    system = build(loaded)
    await system.database.start()
    try:
        yield _Here(system, tenant)
    finally:
        await system.close()
        await system.database.stop()


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(path), limit=64 * 1024 * 1024)
