"""One sender's connection: frames in, in order, each handled and answered; what may go wrong on the way. Bytes only.

Made by `mllp_server`. The handler gets a message's bytes and gives back the answer's, or None for no answer, or an
iterator of several answers; it raises ConnectionDrop when nothing could be stored (the sender keeps the message and
comes again). One message of a connection is in hand at a time, so what a sender wrote first is stored first. An answer
that comes later (`Later`) holds up nothing: the next message is taken meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, cast

from ..log import Log
from .framing import Framer, framed

if TYPE_CHECKING:
    from .mllp_server import MllpServer

log = Log("mllp")

Later = Callable[[], Awaitable[bytes | None]]
Handler = Callable[[bytes, str], Awaitable[bytes | None] | AsyncIterator[bytes | Later]]
_LINGER_S = 10
_HANDSHAKE_S = 10
_QUEUED_MAX = 64  # whole messages read ahead of the one in hand, before we stop reading
_QUEUED_BYTES = 4_000_000  # the same in bytes: large messages are not read ahead by the dozen
_LATER_MAX = 64  # answers that come later, before we take no further message
_AFTER_EOF_S = 2  # a sender that stopped writing may still read: that long it gets the answers that come later
_SPARE_S = 30  # without a whole message for that long, a connection gives way when all slots are taken


class ConnectionDrop(Exception):
    """Close without an answer. `code` says why in the log, which keeps no other words."""

    def __init__(self, text: str, *, code: str = "dropped") -> None:
        super().__init__(text)
        self.code = code


class Connection(asyncio.Protocol):
    """Frames queue up in order; a task lives as long as there are any."""

    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._framer = Framer(server.max_bytes)
        self._queue: deque[bytes] = deque()
        self._queued = 0  # bytes of those
        self._task: asyncio.Task[None] | None = None
        self._later: set[asyncio.Task[None]] = set()
        self._securing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._writable = asyncio.Event()
        self._writable.set()
        self._last_heard = self._last_whole = self._loop.time()
        self._begun = 0.0  # when the frame that is still coming in began
        self._known = False  # it has sent a whole message
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False  # no further frame is taken into hand
        self._hung_up = False  # the sender writes no more
        self._lingering = False  # refused; what still comes in is thrown away
        self._opened: asyncio.Transport | None = None  # as it was accepted, before TLS
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._noted_junk = self._noted_cut = 0

    # ------------------------------------------------------------ what the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername") or ("", 0)
        self._peer = f"{peer[0]}:{peer[1]}"
        self._opened = opened = cast(asyncio.Transport, transport)
        if code := self._server.refusal(peer[0]):
            self._note("mllp.refused", code=code, count=len(self._server.connections))
            opened.abort()
            return
        self._server.connections.add(self)
        self._timer = self._loop.call_later(self._server.idle_timeout_s, self._check_idle)
        if self._server.tls is None:
            self._transport = opened
            return
        opened.pause_reading()  # the first bytes are the handshake's
        self._securing = self._loop.create_task(self._secure(opened))

    async def _secure(self, opened: asyncio.Transport) -> None:
        assert self._server.tls is not None
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                secured = await self._loop.start_tls(opened, self, self._server.tls, server_side=True)
        except OSError as error:  # also SSLError, TimeoutError, ConnectionError
            reason = getattr(error, "reason", None) or type(error).__name__
            self._note("mllp.refused", code="tls-failed", reason=reason)
            secured = None
        if secured is None:
            opened.abort()
            self.connection_lost(None)
            return
        self._transport = cast(asyncio.Transport, secured)
        self._begin()

    def data_received(self, data: bytes) -> None:
        self._last_heard = now = self._loop.time()
        if self._closing:
            return
        framer = self._framer
        if not framer.pending:
            self._begun = now
        if whole := framer.feed(data):
            self._queue.extend(whole)
            self._queued += sum(map(len, whole))
            self._known, self._last_whole, self._begun = True, now, now
        if self._lingering:
            if framer.over:
                self._close()
            return
        if framer.junk != self._noted_junk or framer.cut != self._noted_cut:
            self._note_dirt()
        self._begin()
        if (len(self._queue) > _QUEUED_MAX or self._queued > _QUEUED_BYTES) and self._transport:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        if self._framer.pending:
            self._note("mllp.truncated", size=self._framer.pending)
        if self._server.tls is not None or (self._task is None and not self._later):
            return False  # TLS knows no half of a connection
        self._closing = self._hung_up = True
        if self._task is None:
            self._leave()
        return True  # the sender only stopped writing: what it sent is still handled and answered

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.leaving.discard(self)
        self._transport = None
        self._writable.set()
        if self._timer:
            self._timer.cancel()
        for task in self._later:
            task.cancel()
        if exc and self._framer.pending:
            self._note("mllp.truncated", size=self._framer.pending)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ------------------------------------------------------------ the loop

    def _begin(self) -> None:
        if self._task is None and self._transport and (self._queue or self._framer.oversized is not None):
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                self._queued -= len(frame)
                if self._transport and not self._queue:
                    self._transport.resume_reading()
                await self._answer(frame)
            if self._framer.oversized is not None and not self._closing:
                self._refuse(self._framer.oversized)
        except ConnectionDrop as drop:
            self._note("mllp.dropped", code=drop.code)
            self._give_up()
        except Exception as error:
            # Nothing is known to be stored, so nothing is said: the sender keeps the message.
            log.error("mllp.failed", exc=True, interface=self._server.name, error=type(error).__name__)
            self._give_up()
        finally:
            self._task = None
            self._last_heard = self._begun = self._loop.time()
            if self._hung_up and self._later:
                self._leave()
            elif self._closing:
                self._close()

    async def _answer(self, frame: bytes) -> None:
        replies = self._server.handler(frame, self._peer)
        if isinstance(replies, AsyncIterator):
            async for reply in replies:
                if isinstance(reply, bytes):
                    await self._write(reply)
                else:
                    await self._put_off(reply)
        elif (reply := await replies) is not None:
            await self._write(reply)

    async def _put_off(self, reply: Later) -> None:
        while len(self._later) >= _LATER_MAX:
            await asyncio.wait(self._later, return_when=asyncio.FIRST_COMPLETED)
        if self._transport is None:
            return  # nobody is there to hear it
        task = self._loop.create_task(self._follow(reply))
        self._later.add(task)
        task.add_done_callback(self._followed)

    async def _follow(self, reply: Later) -> None:
        try:
            if (answer := await reply()) is not None:
                await self._write(answer)
        except ConnectionDrop as drop:
            self._note("mllp.dropped", code=drop.code)
            self._close()
        except Exception as error:
            log.error("mllp.failed", exc=True, interface=self._server.name, error=type(error).__name__)
            self._close()

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._later.discard(task)
        if self._hung_up and self._task is None and not self._later:
            self._close()

    async def _write(self, reply: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(framed(reply))
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._server.idle_timeout_s):
                    await self._writable.wait()
            except TimeoutError:
                raise ConnectionDrop("the sender doesn't read its answers", code="answers-unread") from None

    def _refuse(self, head: bytes) -> None:
        self._note("mllp.too_large", size=self._server.max_bytes)
        reply = self._server.too_large(head) if self._server.too_large else None
        if reply is None or self._transport is None:
            self._closing = True
            return
        self._transport.write(framed(reply))
        # Closing with bytes unread would reset the connection, and the answer would be lost with it.
        if self._framer.over:
            self._closing = True
            return
        self._lingering = True
        self._loop.call_later(_LINGER_S, self._close)

    # ------------------------------------------------------------ ends

    def finish(self) -> asyncio.Task[None] | None:
        """Take no further frame; the task of the one in hand, if any (it closes the connection)."""
        self._closing, self._hung_up = True, False
        self._drop_queue()
        if self._task is None:
            self._close()
        return self._task

    def is_spare(self) -> bool:
        """Nothing is in hand for it, and it has sent no whole message yet, or none for long."""
        idle = self._task is None and not self._later
        return idle and (not self._known or self._loop.time() - self._last_whole >= _SPARE_S)

    def standing(self) -> tuple[bool, bool, float]:
        """Who gives way first: those that never sent a message, then the longest without one."""
        return self._known, self._framer.pending > 0, self._last_whole

    def give_way(self) -> None:
        self._note("mllp.gave_way", count=len(self._server.connections))
        self._server.connections.discard(self)
        self.abort()

    def _leave(self) -> None:
        """It has hung up, and only answers that come later are left: it keeps no slot, and is closed soon."""
        self._server.connections.discard(self)
        self._server.leaving.add(self)
        self._loop.call_later(_AFTER_EOF_S, self._close)

    def _close(self) -> None:
        self._closing = True
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if opened := self._transport or self._opened:
            opened.abort()

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _give_up(self) -> None:
        self._drop_queue()
        self._closing, self._hung_up = True, False

    def _check_idle(self) -> None:
        limit = self._server.idle_timeout_s
        now = self._loop.time()
        # A frame that has begun must end in time as well: a byte now and then keeps nothing open.
        quiet = now - (self._begun if self._framer.pending else self._last_heard)
        if self._task is None and not self._later and quiet >= limit:
            self._note("mllp.idle", due_s=round(limit))
            if self._framer.pending:
                self._note("mllp.truncated", size=self._framer.pending)
            if self._transport:
                self._transport.close()
            else:
                self.abort()
            return
        busy = self._task is not None or bool(self._later)
        self._timer = self._loop.call_later(limit if busy else limit - quiet, self._check_idle)

    def _note_dirt(self) -> None:
        if self._framer.junk > self._noted_junk:
            self._note("mllp.junk", size=self._framer.junk - self._noted_junk)
        if self._framer.cut > self._noted_cut:
            self._note("mllp.truncated", count=self._framer.cut - self._noted_cut)
        self._noted_junk, self._noted_cut = self._framer.junk, self._framer.cut

    def _note(self, event: str, **fields: object) -> None:
        log.warning(event, interface=self._server.name, port=self._server.port, host=self._peer, **fields)
