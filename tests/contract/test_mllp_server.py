"""The MLLP server over real sockets: order, splits, dirt, limits, and how a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fhirpay.hl7.framing import framed
from fhirpay.hl7.mllp_server import ConnectionDrop, Handler, MllpServer

pytestmark = pytest.mark.warns(
    "mllp.dropped", "mllp.failed", "mllp.idle", "mllp.junk", "mllp.refused", "mllp.too_large", "mllp.truncated"
)

PATIENCE_S = 5


async def echo(frame: bytes, peer: str) -> bytes | None:
    return b"ACK " + frame


@asynccontextmanager
async def serving(handler: Handler = echo, **options: Any) -> AsyncIterator[MllpServer]:
    server = MllpServer("127.0.0.1", 0, handler, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(1)


class Sender:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            whole = await self.reader.readuntil(b"\x1c\r")
        assert whole[:1] == b"\x0b"
        return whole[1:-2]

    async def is_closed(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def sender(server: MllpServer) -> AsyncIterator[Sender]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Sender(reader, writer)
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


async def test_many_messages_on_a_kept_open_connection() -> None:
    async with serving() as server, sender(server) as engine:
        for number in range(20):
            await engine.write(framed(b"MSH|%d\r" % number))
            assert await engine.answer() == b"ACK MSH|%d\r" % number


async def test_pipelined_messages_are_answered_in_order_one_at_a_time() -> None:
    in_hand = 0

    async def slow_first(frame: bytes, peer: str) -> bytes | None:
        nonlocal in_hand
        in_hand += 1
        assert in_hand == 1
        await asyncio.sleep(0.02 if frame == b"0" else 0)
        in_hand -= 1
        return frame

    async with serving(slow_first) as server, sender(server) as engine:
        await engine.write(b"".join(framed(b"%d" % number) for number in range(200)))
        assert [await engine.answer() for _ in range(200)] == [b"%d" % number for number in range(200)]


async def test_message_that_arrives_byte_by_byte() -> None:
    async with serving() as server, sender(server) as engine:
        data = b"noise\r\n" + framed(b"MSH|a\r")
        for at in range(len(data)):
            await engine.write(data[at : at + 1])
            await asyncio.sleep(0)
        assert await engine.answer() == b"ACK MSH|a\r"


async def test_missing_final_cr_is_tolerated() -> None:
    async with serving() as server, sender(server) as engine:
        await engine.write(b"\x0bMSH|a\r\x1c")
        assert await engine.answer() == b"ACK MSH|a\r"
        await engine.write(b"\x0bMSH|b\r\x1c\x0bMSH|c\r\x1c\r")
        assert [await engine.answer(), await engine.answer()] == [b"ACK MSH|b\r", b"ACK MSH|c\r"]


async def test_many_connections_do_not_wait_for_each_other() -> None:
    gate = asyncio.Event()

    async def handler(frame: bytes, peer: str) -> bytes | None:
        if frame == b"stuck":
            await gate.wait()
        return frame

    async with serving(handler) as server, sender(server) as stuck, sender(server) as other:
        await stuck.write(framed(b"stuck"))
        await other.write(framed(b"other"))
        assert await other.answer() == b"other"
        gate.set()
        assert await stuck.answer() == b"stuck"


async def test_no_answer_where_none_is_wanted() -> None:
    async def quiet(frame: bytes, peer: str) -> bytes | None:
        return None if frame == b"quiet" else frame

    async with serving(quiet) as server, sender(server) as engine:
        await engine.write(framed(b"quiet") + framed(b"loud"))
        assert await engine.answer() == b"loud"


@pytest.mark.parametrize("failure", [ConnectionDrop("nothing stored"), RuntimeError("a bug")])
async def test_failure_closes_without_an_answer_and_stops_nothing_else(failure: Exception) -> None:
    seen: list[bytes] = []

    async def handler(frame: bytes, peer: str) -> bytes | None:
        seen.append(frame)
        if frame == b"bad":
            raise failure
        return frame

    async with serving(handler) as server, sender(server) as engine, sender(server) as other:
        await engine.write(framed(b"good") + framed(b"bad") + framed(b"after"))
        assert await engine.answer() == b"good"
        assert await engine.is_closed()
        await other.write(framed(b"other"))
        assert await other.answer() == b"other"
        assert seen == [b"good", b"bad", b"other"]


async def test_truncated_frame_is_not_handled() -> None:
    seen: list[bytes] = []

    async def handler(frame: bytes, peer: str) -> bytes | None:
        seen.append(frame)
        return frame

    async with serving(handler) as server:
        async with sender(server) as engine:
            await engine.write(framed(b"whole") + b"\x0bMSH|half")
            assert await engine.answer() == b"whole"
        await until(lambda: not server.connections)
        assert seen == [b"whole"]


async def test_sender_that_stops_writing_still_gets_its_answers() -> None:
    async def slow(frame: bytes, peer: str) -> bytes | None:
        await asyncio.sleep(0.01)
        return frame

    async with serving(slow) as server, sender(server) as engine:
        await engine.write(framed(b"1") + framed(b"2") + framed(b"3"))
        engine.writer.write_eof()
        assert [await engine.answer() for _ in range(3)] == [b"1", b"2", b"3"]
        assert await engine.is_closed()


async def test_messages_of_a_sender_that_left_are_still_handled() -> None:
    seen: list[bytes] = []

    async def slow(frame: bytes, peer: str) -> bytes | None:
        await asyncio.sleep(0.01)
        seen.append(frame)
        return frame

    async with serving(slow) as server:
        async with sender(server) as engine:
            await engine.write(framed(b"1") + framed(b"2"))
        await until(lambda: seen == [b"1", b"2"])


@pytest.mark.parametrize("size", [2_000, 5_000_000])
async def test_oversized_message_is_answered_then_the_connection_closed(size: int) -> None:
    heads: list[bytes] = []

    def too_large(head: bytes) -> bytes | None:
        heads.append(head)
        return b"AE too large"

    async with serving(max_bytes=1_000, too_large=too_large) as server, sender(server) as engine:
        await engine.write(framed(b"first") + framed(b"MSH|" + b"x" * size))
        assert await engine.answer() == b"ACK first"
        assert await engine.answer() == b"AE too large"
        assert await engine.is_closed()
        assert heads[0].startswith(b"MSH|xxx")


async def test_oversized_message_without_an_answer_closes() -> None:
    async with serving(max_bytes=10) as server, sender(server) as engine:
        await engine.write(framed(b"x" * 100))
        assert await engine.is_closed()


async def test_silent_connection_is_closed_and_a_working_one_is_not() -> None:
    async def slow(frame: bytes, peer: str) -> bytes | None:
        await asyncio.sleep(0.3)
        return frame

    async with serving(slow, idle_timeout_s=0.1) as server, sender(server) as silent, sender(server) as busy:
        await busy.write(framed(b"work"))
        assert await silent.is_closed()
        assert await busy.answer() == b"work"
        assert await busy.is_closed()


async def test_connections_beyond_the_limit_are_closed() -> None:
    async with serving(max_connections=1) as server, sender(server) as first:
        await first.write(framed(b"a"))
        assert await first.answer() == b"ACK a"
        async with sender(server) as second:
            assert await second.is_closed()
        await first.write(framed(b"b"))
        assert await first.answer() == b"ACK b"


async def test_sender_that_reads_no_answers_does_not_fill_our_memory() -> None:
    async def large(frame: bytes, peer: str) -> bytes | None:
        return b"x" * 1_000_000

    async with serving(large, idle_timeout_s=0.2) as server, sender(server) as engine:
        await engine.write(b"".join(framed(b"%d" % number) for number in range(60)))
        await until(lambda: not server.connections or all(not c._writable.is_set() for c in server.connections))
        await until(lambda: all(c._closing for c in server.connections))


async def test_stop_finishes_the_message_in_hand_answers_and_closes() -> None:
    begun, seen = asyncio.Event(), list[bytes]()

    async def slow(frame: bytes, peer: str) -> bytes | None:
        begun.set()
        await asyncio.sleep(0.05)
        seen.append(frame)
        return frame

    async with serving(slow) as server, sender(server) as busy, sender(server) as idle:
        await busy.write(framed(b"in hand") + framed(b"next") + b"\x0bhalf")
        await begun.wait()
        await server.stop(PATIENCE_S)
        assert await busy.answer() == b"in hand"
        assert await busy.is_closed()
        assert await idle.is_closed()
        assert seen == [b"in hand"]
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_stop_cuts_off_what_takes_too_long() -> None:
    begun = asyncio.Event()

    async def endless(frame: bytes, peer: str) -> bytes | None:
        begun.set()
        await asyncio.sleep(3600)
        return frame

    async with serving(endless) as server, sender(server) as engine:
        await engine.write(framed(b"x"))
        await begun.wait()
        async with asyncio.timeout(PATIENCE_S):
            await server.stop(0.05)
        assert await engine.is_closed()
        assert server.connections == set()


async def test_handler_is_told_the_peer() -> None:
    peers: list[str] = []

    async def handler(frame: bytes, peer: str) -> bytes | None:
        peers.append(peer)
        return frame

    async with serving(handler) as server, sender(server) as engine:
        await engine.write(framed(b"x"))
        await engine.answer()
        host, port = engine.writer.get_extra_info("sockname")[:2]
        assert peers == [f"{host}:{port}"]


async def test_several_answers_to_one_message() -> None:
    async def twice(frame: bytes, peer: str) -> AsyncGenerator[bytes, None]:
        yield b"CA " + frame
        await asyncio.sleep(0.01)
        yield b"AA " + frame

    async with serving(twice) as server, sender(server) as engine:
        await engine.write(framed(b"1") + framed(b"2"))
        assert [await engine.answer() for _ in range(4)] == [b"CA 1", b"AA 1", b"CA 2", b"AA 2"]


async def test_failure_between_two_answers_closes() -> None:
    async def half(frame: bytes, peer: str) -> AsyncGenerator[bytes, None]:
        yield b"CA"
        raise ConnectionDrop("the database went away")

    async with serving(half) as server, sender(server) as engine:
        await engine.write(framed(b"1"))
        assert await engine.answer() == b"CA"
        assert await engine.is_closed()
