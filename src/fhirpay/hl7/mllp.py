"""MLLP out: one message in flight on a connection that is kept, and what can be said when no answer comes.

It knows frames, not HL7: who sends says which frame is the answer. Whatever else comes (the late answer to an earlier
message, a second copy of one) is not taken for it. After silence the next message gets a new connection, and the old
one is heard for a while: an answer that comes late still tells what became of its message. The listening side is in
`mllp_server`; the blocks are in `framing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from ..errors import EhrUnavailable, FhirpayError
from ..log import Log
from .framing import Framer, framed

log = Log("mllp")

_LINGER_S = 300.0
_LINGERING_MAX = 4
_ADMITS_S = 0.2
# What a server says when it doesn't take our certificate: with TLS 1.3 only after we believe to be connected. It ended
# the handshake by that, so nothing that we wrote was read as a message.
_NOT_ADMITTED = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE", "DECRYPT_ERROR")


class AnswerLost(FhirpayError):
    """Sent, at least in part, and no answer came: it may have arrived. Resend only to a receiver that dedupes."""

    code = "answer-lost"


class Heard(Enum):
    """What a frame is to the one who waits: somebody else's, a first of two, or what was waited for."""

    OTHER = "other"
    MORE = "more"
    DONE = "done"


Hears = Callable[[bytes], Heard]


@dataclass(eq=False)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framer: Framer
    frames: list[bytes] = field(default_factory=list[bytes])
    used_at: float = 0
    answered: bool = False  # at least once

    @property
    def ended(self) -> bool:
        return self.reader.at_eof() or self.writer.is_closing()


class MllpClient:
    """Sends to `host`:`port`, over TLS where `tls` is given. `admit` is asked before each connection.

    `on_late` gets the frames that nobody waited for.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = 30,
        connect_timeout_s: float = 5,
        max_bytes: int = 1_000_000,
        keep_open_s: float = 60,
        tls: ssl.SSLContext | None = None,
        tls_name: str = "",
        admit: Callable[[], Awaitable[None]] | None = None,
        on_late: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.timeout_s, self.connect_timeout_s = timeout_s, connect_timeout_s
        self.on_late = on_late
        self._max_bytes = max_bytes
        self._keep_open_s = keep_open_s
        self._tls, self._tls_name = tls, tls_name
        self._admit = admit
        self._turn = asyncio.Lock()
        self._line: _Line | None = None
        self._old: dict[asyncio.Task[None], _Line] = {}

    async def send(self, message: bytes) -> bytes:
        """The first frame that comes back. Raises as `talk`."""
        first: list[bytes] = []

        def hears(frame: bytes) -> Heard:
            first.append(frame)
            return Heard.DONE

        await self.talk(message, hears)
        return first[0]

    async def talk(self, message: bytes, hears: Hears, *, anew: bool = False) -> None:
        """Send, and give each frame to `hears` until it is DONE; each of its MOREs renews the time.

        `anew` uses no connection on which an answer to the same message may still be under way. Raises EhrUnavailable
        when nothing was sent, AnswerLost when the message may have arrived, and what `hears` raises.
        """
        async with self._turn:
            line = await self._connected(anew)
            late: list[bytes] = []
            try:
                await self._exchange(line, message, hears, late)
            except TimeoutError:
                self._leave(line)
                raise AnswerLost(f"no answer within {self.timeout_s:g} s") from None
            except ssl.SSLError as error:
                await self._disconnect()
                if not line.answered and any(word in str(error.reason or "") for word in _NOT_ADMITTED):
                    raise EhrUnavailable(f"{self.host}:{self.port} doesn't admit us: {error.reason}") from None
                raise AnswerLost("the connection broke: TLS") from None
            except OSError as error:
                await self._disconnect()
                raise AnswerLost(f"the connection broke: {type(error).__name__}") from None
            except BaseException:
                # Also a cancelled wait: its answer must not be taken for the next message's.
                await self._disconnect()
                raise
            finally:
                for frame in late:
                    await self._tell(frame)
            line.answered = True
            if self._keep_open_s == 0:
                await self._disconnect()

    async def close(self) -> None:
        async with self._turn:
            await self._disconnect()
        for task in list(self._old):
            task.cancel()
        await asyncio.gather(*self._old, return_exceptions=True)

    # ------------------------------------------------------------ one message

    async def _exchange(self, line: _Line, message: bytes, hears: Hears, late: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.timeout_s) as limit:
            line.writer.write(framed(message))
            await line.writer.drain()
            while True:
                frame = await self._frame(line)
                match hears(frame):
                    case Heard.OTHER:
                        late.append(frame)
                    case Heard.MORE:
                        limit.reschedule(loop.time() + self.timeout_s)
                    case Heard.DONE:
                        line.used_at = loop.time()
                        return

    async def _frame(self, line: _Line) -> bytes:
        while not line.frames:
            data = await line.reader.read(65536)
            if not data:
                raise AnswerLost("the connection was closed before an answer came")
            line.frames += line.framer.feed(data)
            if line.framer.oversized is not None:
                raise AnswerLost("the answer was too large to be one")
        return line.frames.pop(0)

    async def _tell(self, frame: bytes) -> None:
        log.warning("mllp.late_answer", host=self.host, port=self.port, size=len(frame))
        if self.on_late is not None:
            await self.on_late(frame)

    # ------------------------------------------------------------ connections

    async def _connected(self, anew: bool) -> _Line:
        if self._line is not None:
            await asyncio.sleep(0)  # a close that has arrived is seen before we write
            idle = asyncio.get_running_loop().time() - self._line.used_at
            if anew or self._line.ended or idle >= self._keep_open_s:
                await self._disconnect()
        if self._line is None:
            self._line = await self._open()
        return self._line

    async def _open(self) -> _Line:
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                if self._admit is not None:
                    await self._admit()
                name = (self._tls_name or self.host) if self._tls else None
                streams = await asyncio.open_connection(self.host, self.port, ssl=self._tls, server_hostname=name)
        except (OSError, TimeoutError) as error:
            raise EhrUnavailable(f"no connection to {self.host}:{self.port}: {_reason(error)}") from None
        line = _Line(*streams, Framer(self._max_bytes))
        if self._tls is not None and not await self._admitted(line):
            await _closed(line)
            raise EhrUnavailable(f"{self.host}:{self.port} ended the connection before anything was sent: TLS")
        return line

    async def _admitted(self, line: _Line) -> bool:
        """With TLS 1.3 a server refuses our certificate when we believe to be connected: give it a moment to say so.

        What it says later is told by `talk`, as far as it can be known then.
        """
        if line.writer.get_extra_info("ssl_object").version() != "TLSv1.3":
            return True
        clock = asyncio.get_running_loop().time
        until = clock() + _ADMITS_S
        while clock() < until:
            if line.reader.exception() is not None or line.ended:
                return False
            await asyncio.sleep(_ADMITS_S / 10)
        return True

    def _leave(self, line: _Line) -> None:
        """Silence: nothing more is sent on it, and what it says late is heard."""
        self._line = None
        if len(self._old) >= _LINGERING_MAX:
            next(iter(self._old)).cancel()
        task = asyncio.get_running_loop().create_task(self._linger(line))
        self._old[task] = line
        task.add_done_callback(self._old.pop)

    async def _linger(self, line: _Line) -> None:
        try:
            async with asyncio.timeout(_LINGER_S):
                while True:
                    await self._tell(await self._frame(line))
        except (OSError, AnswerLost):  # TimeoutError is an OSError
            pass
        finally:
            await _closed(line)

    async def _disconnect(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await _closed(line)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    return type(error).__name__


async def _closed(line: _Line) -> None:
    line.writer.close()
    with contextlib.suppress(OSError):
        await line.writer.wait_closed()
