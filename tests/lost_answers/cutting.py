"""A TCP proxy before a FHIR server that cuts exchanges at the point it is told, and counts what it cut.

A connection carries one exchange, which is how our client calls (net/http.py): the request is read whole, what of it is
meant to arrive is given to the server on a connection of its own, and of the answer goes back what is meant to. The
server behind it is a real one that sees nothing but sockets.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_HOST = "127.0.0.1"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


class Cut(StrEnum):
    """Where an exchange breaks off."""

    BEFORE_REQUEST = "before the request was passed on"
    IN_REQUEST = "in the request"
    WORKING = "while the server works on it"
    BEFORE_ANSWER = "before the first byte of the answer"
    IN_HEAD = "in the head of the answer"
    AFTER_HEAD = "between the head of the answer and its body"
    IN_BODY = "in the body of the answer"

    @property
    def loses_answer(self) -> bool:
        """The server had all of the request, and did what it does."""
        return self not in (Cut.BEFORE_REQUEST, Cut.IN_REQUEST)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes


Plan = Callable[[Request], Cut | None]


@dataclass
class Proxy:
    """`plan` says of each request where it is cut. `cuts` counts by method and place."""

    upstream: tuple[str, int]
    plan: Plan
    port: int = 0
    cuts: Counter[tuple[str, Cut]] = field(default_factory=Counter)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _by_reset: int = 0

    async def quiet(self) -> None:
        """Returns when the server has done all that was passed on to it."""
        while self._open:
            await asyncio.wait(set(self._open))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._exchange(reader, writer)
        finally:
            writer.close()
            self._open.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        cut = self.plan(Request(method, path, body))
        if cut is not None:
            self.cuts[method, cut] += 1
        if cut is Cut.BEFORE_REQUEST:
            return self._break(writer)
        sent = head + body
        if cut is Cut.IN_REQUEST:
            sent = sent[: len(head) + len(body) // 2 if body else len(head) // 2]
        if cut is Cut.WORKING:
            self._break(writer)
        answer = await self._asked(sent, whole=cut is not Cut.IN_REQUEST)
        if cut is None:
            writer.write(answer)
            return await writer.drain()
        head_end = answer.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in answer else 0
        kept = {Cut.IN_HEAD: head_end // 2, Cut.AFTER_HEAD: head_end, Cut.IN_BODY: (head_end + len(answer)) // 2}
        if part := answer[: kept.get(cut, 0)]:
            writer.write(part)
            await writer.drain()
        self._break(writer)

    async def _asked(self, sent: bytes, *, whole: bool) -> bytes:
        reader, writer = await asyncio.open_connection(*self.upstream)
        try:
            writer.write(sent)
            await writer.drain()
            return await reader.read() if whole else b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _break(self, writer: asyncio.StreamWriter) -> None:
        """By FIN and by RST in turn: a peer that went away, and one that is torn from the net."""
        self._by_reset += 1
        sock = writer.get_extra_info("socket")
        if self._by_reset % 2 and sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


@asynccontextmanager
async def cutting(port: int, plan: Plan) -> AsyncIterator[Proxy]:
    """A proxy before what listens there."""
    proxy = Proxy((_HOST, port), plan)
    server = await asyncio.start_server(proxy.serve, _HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.quiet()
        await server.wait_closed()
