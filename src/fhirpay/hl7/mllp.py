"""MLLP over TCP, our side calling: a client with one message in flight, which says whether a message may have arrived.

The listening side is in `mllp_server`; the blocks are in `framing`.
"""

from __future__ import annotations

import asyncio
import contextlib

from ..errors import EhrUnavailable, FhirpayError
from .framing import Framer, framed


class AnswerLost(FhirpayError):
    """Sent, at least in part, and no answer came: it may have arrived. Resend only to a receiver that dedupes."""

    code = "answer-lost"


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
