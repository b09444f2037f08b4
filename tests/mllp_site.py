"""A hospital's engine at our port: real listeners from the program's own wiring, a plain socket at the other end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fhirpay.config import Interface
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from intake_world import FEED, World, ft1, message, verdict, world

PATIENCE_S = 20


@dataclass
class Peer:
    """A sender that knows bytes only."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, *messages: bytes) -> None:
        await self.write(b"".join(b"\x0b" + one + b"\x1c\r" for one in messages))

    async def answer(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            frame = await self.reader.readuntil(b"\x1c\r")
        assert frame[:1] == b"\x0b"
        return frame[1:-2]

    async def silence(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await self.reader.read(1)

    async def closed_without_a_word(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@dataclass
class Site:
    w: World
    ports: dict[str, int]

    @asynccontextmanager
    async def peer(self, interface: str = "clinic", tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[interface], ssl=tls)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()

    async def settled(self, control_id: str, state: str) -> None:
        """Waits for a worker beside the test."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.w.state(control_id) != state:  # noqa: ASYNC110 - another task brings it there
                await asyncio.sleep(0.01)

    async def still_takes(self, control_id: str) -> None:
        """The listener goes on, and nothing that went wrong before is in the way."""
        async with self.peer() as peer:
            await peer.send(message(control_id, ft1(7, "CG", "7.00&USD"), account="A700"))
            assert verdict(await peer.answer()) == "AA"
        assert await self.w.state(control_id) == "received"


@asynccontextmanager
async def sited(
    database: Database, clock: FrozenClock, ids: Ids, *, feed: Interface = FEED, **options: Any
) -> AsyncIterator[Site]:
    """`feed` and the lab's, both listening at a free port of this machine. `options` are the world's."""
    async with world(database, clock, ids, feed=feed.model_copy(update={"mllp_port": 0}), lab_port=0, **options) as w:
        listeners = w.system.listeners()
        for listener in listeners:
            await listener.start()
        yield Site(w, {listener.name: listener.port for listener in listeners})
        for listener in listeners:
            await listener.stop(1)
        await w.check_books()
