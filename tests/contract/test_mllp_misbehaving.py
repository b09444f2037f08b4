"""Senders that misbehave, beside one that doesn't: that one is served as before. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from test_mllp_server import sender, serving, until

from fhirpay.hl7 import mllp_connection
from fhirpay.hl7.framing import framed
from fhirpay.hl7.mllp_server import MllpServer

pytestmark = pytest.mark.warns(
    "mllp.dropped", "mllp.gave_way", "mllp.idle", "mllp.junk", "mllp.refused", "mllp.truncated"
)

IDLE = 300


async def served(server: MllpServer) -> None:
    async with sender(server) as good:
        for number in range(3):
            await good.write(framed(b"%d" % number))
            assert await good.answer() == b"ACK %d" % number


async def test_idle_connections_beyond_all_slots_keep_nobody_out() -> None:
    async with serving(max_connections=20) as server, contextlib.AsyncExitStack() as idle, sender(server) as known:
        await known.write(framed(b"a"))
        assert await known.answer() == b"ACK a"
        for _ in range(IDLE):
            await idle.enter_async_context(sender(server))
        await until(lambda: len(server.connections) == 20)
        await served(server)
        await known.write(framed(b"b"))  # who has sent a message keeps its place
        assert await known.answer() == b"ACK b"


async def test_senders_that_leak_connections_after_a_message_give_way_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp_connection, "_SPARE_S", 0)
    async with serving(max_connections=3) as server, contextlib.AsyncExitStack() as leaked:
        for number in range(9):
            one = await leaked.enter_async_context(sender(server))
            await one.write(framed(b"%d" % number))
            assert await one.answer() == b"ACK %d" % number
        await served(server)


async def test_connections_with_work_in_hand_never_give_way() -> None:
    go = asyncio.Event()

    async def slow(frame: bytes, peer: str) -> bytes | None:
        await go.wait()
        return frame

    async with serving(slow, max_connections=2) as server, sender(server) as one, sender(server) as two:
        await one.write(framed(b"1"))
        await two.write(framed(b"2"))
        await until(lambda: sum(c._task is not None for c in server.connections) == 2)
        async with sender(server) as third:
            assert await third.is_closed()
        go.set()
        assert [await one.answer(), await two.answer()] == [b"1", b"2"]


async def test_a_byte_now_and_then_keeps_no_connection_open() -> None:
    async with serving(idle_timeout_s=0.3) as server, sender(server) as loris:

        async def drip() -> None:
            with contextlib.suppress(OSError):
                await loris.write(b"\x0bMSH|")
                while True:
                    await asyncio.sleep(0.05)
                    await loris.write(b"x")

        dripping = asyncio.create_task(drip())
        await served(server)
        assert await loris.is_closed()
        dripping.cancel()


async def test_one_that_never_reads_its_answers_delays_no_other() -> None:
    async def large(frame: bytes, peer: str) -> bytes | None:
        return b"x" * 1_000_000 if frame == b"deaf" else b"ACK " + frame

    async with serving(large) as server, sender(server) as deaf:
        await deaf.write(framed(b"deaf") * 40)
        await until(lambda: any(not c._writable.is_set() for c in server.connections))
        await served(server)


async def test_large_messages_of_one_that_never_reads_are_not_read_ahead_by_the_dozen() -> None:
    """What it may pile up here is bounded in bytes, not in messages alone."""
    size = 1_000_000

    async def large(frame: bytes, peer: str) -> bytes | None:
        return b"x" * 2_000_000 if len(frame) == size else b"ACK " + frame

    async with serving(large) as server, sender(server) as deaf:

        async def pour() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await deaf.write(framed(b"d" * size))

        pouring = asyncio.create_task(pour())
        await until(lambda: any(not c._writable.is_set() and len(c._queue) > 3 for c in server.connections))
        await served(server)
        await asyncio.sleep(0.3)
        assert max(len(c._queue) for c in server.connections) <= 6
        pouring.cancel()


async def test_keep_alive_bytes_and_missing_final_cr_are_passed_over() -> None:
    async with serving() as server, sender(server) as engine:
        await engine.write(b"\r\n\x00\r\x0bMSH|a\n\x1c\r\r\n \x0bMSH|b\r\n\x1c")
        assert [await engine.answer(), await engine.answer()] == [b"ACK MSH|a\n", b"ACK MSH|b\r\n"]
