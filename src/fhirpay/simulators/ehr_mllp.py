"""The simulated EHR on the HL7v2 side: it sends messages as an interface engine would, and takes what it is sent.

MLLP release 1: <VT> message <FS><CR>. Used by `ehr.py`, the demo and tests. Its own code on purpose, so that a
mistake in ours isn't made on both sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_START, _END = b"\x0b", b"\x1c\r"


async def send_mllp(host: str, port: int, message: bytes, *, timeout_s: float = 10) -> bytes:
    """Send one message on a new connection; the ACK as it came. Raises OSError, TimeoutError, IncompleteReadError."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(_START + message + _END)
            await writer.drain()
            answer = await reader.readuntil(_END)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    return answer.removesuffix(_END).removeprefix(_START)


def acknowledge(message: bytes) -> bytes:
    """An AA for whatever came, naming its MSH-10."""
    header = message.split(b"\r", 1)[0].split(b"|")
    control_id = header[9] if len(header) > 9 else b""
    return b"MSH|^~\\&|EHR|EHR|||20260101||ACK|A" + control_id + b"|P|2.5.1\rMSA|AA|" + control_id + b"\r"


@asynccontextmanager
async def listening(host: str, port: int, keep: Callable[[bytes], None]) -> AsyncIterator[int]:
    """A listener that keeps every message and answers AA; its port. `keep` runs in a thread, before the answer."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            while True:
                message = (await reader.readuntil(_END)).removesuffix(_END).removeprefix(_START)
                await asyncio.to_thread(keep, message)
                writer.write(_START + acknowledge(message) + _END)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            serving.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
