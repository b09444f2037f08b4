"""The MLLP client: one message in flight, and it says whether a message may have arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from fhirpay.errors import EhrUnavailable
from fhirpay.hl7.framing import framed
from fhirpay.hl7.mllp import AnswerLost, MllpClient

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[int]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def client(port: int, timeout_s: float = 2) -> AsyncIterator[MllpClient]:
    one = MllpClient("127.0.0.1", port, timeout_s=timeout_s)
    try:
        yield one
    finally:
        await one.close()


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        message = (await reader.readuntil(b"\x1c\r"))[1:-2]
        writer.write(b"noise" + framed(b"ACK " + message))


async def test_answers_come_back_to_their_messages() -> None:
    async with peer(answering) as port, client(port) as engine:
        answers = await asyncio.gather(*(engine.send(b"%d" % number) for number in range(30)))
        assert answers == [b"ACK %d" % number for number in range(30)]


async def test_nobody_listening_means_never_sent() -> None:
    async with peer(answering) as port:
        pass
    async with client(port) as engine:
        with pytest.raises(EhrUnavailable):
            await engine.send(b"x")


async def test_silence_is_not_knowing_and_a_late_answer_is_not_the_next_ones() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            message = (await reader.readuntil(b"\x1c\r"))[1:-2]
            if message == b"slow":
                await asyncio.sleep(0.3)
            writer.write(framed(b"ACK " + message))

    async with peer(late) as port, client(port, timeout_s=0.1) as engine:
        with pytest.raises(AnswerLost):
            await engine.send(b"slow")
        assert await engine.send(b"quick") == b"ACK quick"


async def test_cancelled_wait_leaves_no_answer_behind() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            message = (await reader.readuntil(b"\x1c\r"))[1:-2]
            await asyncio.sleep(0.05)
            writer.write(framed(b"ACK " + message))

    async with peer(late) as port, client(port) as engine:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.send(b"given up"), 0.01)
        assert await engine.send(b"next") == b"ACK next"


@pytest.mark.parametrize("reset", [False, True])
async def test_close_after_sending_is_not_knowing_then_it_reconnects(reset: bool) -> None:
    connections = 0

    async def closing_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            return await answering(reader, writer)
        await reader.readuntil(b"\x1c\r")
        if reset:
            writer.transport.abort()

    async with peer(closing_once) as port, client(port) as engine:
        with pytest.raises(AnswerLost):
            await engine.send(b"x")
        assert await engine.send(b"y") == b"ACK y"


async def test_connection_closed_while_idle_is_opened_again() -> None:
    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(framed(b"ACK"))

    async with peer(one_each) as port, client(port) as engine:
        for _ in range(3):
            assert await engine.send(b"x") == b"ACK"
            await asyncio.sleep(0.05)


async def test_endless_answer_is_cut_off() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(b"\x0b" + b"x" * 2_000_000)
        await reader.read()

    async with peer(endless) as port, client(port) as engine:
        with pytest.raises(AnswerLost):
            await engine.send(b"x")
