"""MLLP over TCP: a server that answers each message in order, and a client with one message in flight.

The server knows frames, not HL7: a handler gets a message's bytes and gives back the answer's, or None for no answer,
or an iterator of several answers; it raises ConnectionDrop when nothing could be stored (the sender keeps the message
and comes again). One message of a connection is in hand at a time, so what a sender wrote first is stored first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from ..errors import EhrUnavailable, FhirpayError
from ..log import Log
from .framing import Framer, framed

log = Log("mllp")

Handler = Callable[[bytes, str], Awaitable[bytes | None] | AsyncIterator[bytes]]
_LINGER_S = 10
_QUEUED_MAX = 64  # whole messages read ahead of the one in hand, before we stop reading


class ConnectionDrop(Exception):
    """Close without an answer."""


class AnswerLost(FhirpayError):
    """Sent, at least in part, and no answer came: it may have arrived. Resend only to a receiver that dedupes."""

    code = "answer-lost"


class MllpServer:
    """Listens at `host`:`port` (0: any free one; `port` says which after `start`).

    `too_large(first_bytes)` gives the answer to a message beyond `max_bytes`; after it the connection is closed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        max_bytes: int = 10_000_000,
        idle_timeout_s: float = 600,
        max_connections: int = 200,
        too_large: Callable[[bytes], bytes | None] | None = None,
        name: str = "",
    ) -> None:
        self.host, self.port, self.name = host, port, name
        self.handler = handler
        self.too_large = too_large
        self.max_bytes = max_bytes
        self.idle_timeout_s = idle_timeout_s
        self.max_connections = max_connections
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("mllp.listening", interface=self.name, host=self.host, port=self.port)

    async def stop(self, grace_s: float = 10) -> None:
        """Stop accepting; finish each message in hand, answer it, close. What is not done in `grace_s` is cut off."""
        if self._server is None:
            return
        self._server.close()
        tasks = [task for connection in list(self.connections) if (task := connection.finish()) is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self.connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None
        log.info("mllp.stopped", interface=self.name, port=self.port)


class _Connection(asyncio.Protocol):
    """One sender. Frames queue up in order; a task lives as long as there are any."""

    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._framer = Framer(server.max_bytes)
        self._queue: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._writable = asyncio.Event()
        self._writable.set()
        self._last_heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False  # no further frame is taken into hand
        self._lingering = False  # refused; what still comes in is thrown away
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._noted_junk = self._noted_cut = 0

    # ------------------------------------------------------------ what the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername") or ("", 0)
        self._peer = f"{peer[0]}:{peer[1]}"
        self._transport = opened = cast(asyncio.Transport, transport)
        if len(self._server.connections) >= self._server.max_connections:
            self._note("mllp.refused", reason="too many connections", count=len(self._server.connections))
            opened.abort()
            return
        self._server.connections.add(self)
        self._timer = self._loop.call_later(self._server.idle_timeout_s, self._check_idle)

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        if self._closing:
            return
        self._queue.extend(self._framer.feed(data))
        if self._lingering:
            if self._framer.over:
                self._close()
            return
        if self._framer.junk != self._noted_junk or self._framer.cut != self._noted_cut:
            self._note_dirt()
        if self._task is None and (self._queue or self._framer.oversized is not None):
            self._task = self._loop.create_task(self._work())
        if len(self._queue) > _QUEUED_MAX and self._transport:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        if self._framer.pending:
            self._note("mllp.truncated", size=self._framer.pending)
        if self._task is None:
            return False
        self._closing = True
        return True  # the sender only stopped writing: what it sent is still handled and answered

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._writable.set()
        if self._timer:
            self._timer.cancel()
        if exc and self._framer.pending:
            self._note("mllp.truncated", size=self._framer.pending)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ------------------------------------------------------------ the loop

    async def _work(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                if self._transport and not self._queue:
                    self._transport.resume_reading()
                await self._answer(frame)
            if self._framer.oversized is not None and not self._closing:
                self._refuse(self._framer.oversized)
        except ConnectionDrop as drop:
            self._note("mllp.dropped", reason=str(drop))
            self._give_up()
        except Exception as error:
            # Nothing is known to be stored, so nothing is said: the sender keeps the message.
            log.error("mllp.failed", exc=True, interface=self._server.name, error=type(error).__name__)
            self._give_up()
        finally:
            self._task = None
            self._last_heard = self._loop.time()
            if self._closing and self._transport:
                self._transport.close()

    async def _answer(self, frame: bytes) -> None:
        replies = self._server.handler(frame, self._peer)
        if isinstance(replies, AsyncIterator):
            async for reply in replies:
                await self._write(reply)
        elif (reply := await replies) is not None:
            await self._write(reply)

    async def _write(self, reply: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(framed(reply))
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._server.idle_timeout_s):
                    await self._writable.wait()
            except TimeoutError:
                raise ConnectionDrop("the sender doesn't read its answers") from None

    def _refuse(self, head: bytes) -> None:
        self._note("mllp.too_large", size=self._server.max_bytes)
        reply = self._server.too_large(head) if self._server.too_large else None
        if reply is None or self._transport is None:
            self._closing = True
            return
        self._transport.write(framed(reply))
        # Closing with bytes unread would reset the connection, and the answer would be lost with it.
        self._lingering = True
        if self._framer.over:
            self._closing = True
            return
        self._loop.call_later(_LINGER_S, self._close)

    # ------------------------------------------------------------ ends

    def finish(self) -> asyncio.Task[None] | None:
        """Take no further frame; the task of the one in hand, if any (it closes the connection)."""
        self._closing = True
        self._queue.clear()
        if self._task is None:
            self._close()
        return self._task

    def _close(self) -> None:
        self._closing = True
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _give_up(self) -> None:
        self._queue.clear()
        self._closing = True

    def _check_idle(self) -> None:
        limit = self._server.idle_timeout_s
        quiet = self._loop.time() - self._last_heard
        if self._task is None and quiet >= limit:
            self._note("mllp.idle", due_s=round(limit))
            if self._framer.pending:
                self._note("mllp.truncated", size=self._framer.pending)
            if self._transport:
                self._transport.close()
            return
        self._timer = self._loop.call_later(limit if self._task else limit - quiet, self._check_idle)

    def _note_dirt(self) -> None:
        if self._framer.junk > self._noted_junk:
            self._note("mllp.junk", size=self._framer.junk - self._noted_junk)
        if self._framer.cut > self._noted_cut:
            self._note("mllp.truncated", count=self._framer.cut - self._noted_cut)
        self._noted_junk, self._noted_cut = self._framer.junk, self._framer.cut

    def _note(self, event: str, **fields: object) -> None:
        log.warning(event, interface=self._server.name, port=self._server.port, host=self._peer, **fields)


class MllpClient:
    """Sends one message at a time over a connection that is opened when needed and kept."""

    def __init__(
        self, host: str, port: int, *, timeout_s: float = 30, connect_timeout_s: float = 5, max_bytes: int = 1_000_000
    ) -> None:
        self.host, self.port = host, port
        self.timeout_s, self.connect_timeout_s = timeout_s, connect_timeout_s
        self._max_bytes = max_bytes
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, message: bytes) -> bytes:
        """The answer. Raises EhrUnavailable when nothing was sent, AnswerLost when the message may have arrived."""
        async with self._turn:
            reader, writer = await self._connected()
            framer = Framer(self._max_bytes)
            try:
                async with asyncio.timeout(self.timeout_s):
                    writer.write(framed(message))
                    await writer.drain()
                    while True:
                        data = await reader.read(65536)
                        if not data:
                            raise AnswerLost("the connection was closed before an answer came")
                        for answer in framer.feed(data):
                            return answer
                        if framer.oversized is not None:
                            raise AnswerLost("the answer was too large to be one")
            except TimeoutError:
                await self._disconnect()
                raise AnswerLost(f"no answer within {self.timeout_s} s") from None
            except OSError as error:
                await self._disconnect()
                raise AnswerLost(f"the connection broke: {type(error).__name__}") from None
            except BaseException:
                # Also a cancelled wait: its answer must not be taken for the next message's.
                await self._disconnect()
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._disconnect()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self._disconnect()
        if self._streams is None:
            try:
                async with asyncio.timeout(self.connect_timeout_s):
                    self._streams = await asyncio.open_connection(self.host, self.port)
            except (OSError, TimeoutError) as error:
                raise EhrUnavailable(f"no connection to {self.host}:{self.port}: {type(error).__name__}") from None
        return self._streams

    async def _disconnect(self) -> None:
        if self._streams is None:
            return
        writer = self._streams[1]
        self._streams = None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
