"""Enhanced mode over real sockets: CA at once, the application acknowledgement when the message has been worked on.

On the same connection, or by our own client at the feed's return address: there the other side is foreign code (the
`hl7` package's server), or one that misbehaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hl7.mllp import start_hl7_server

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.framing import framed
from fhirpay.hl7.reader import Message
from intake_world import FEED, World, ft1, message, told, verdict, world
from mllp_site import Site, sited
from tls_files import tls_files

pytestmark = pytest.mark.warns("hl7.refused", "message.parked", "mllp.refused")

CHARGE = ft1(1, "CG", "100.00&USD")
PARKS = ft1(1, "AJ", "5.00&USD")
BOTH = {15: "AL", 16: "AL"}
FILES = tls_files()

# ── who hears what ────────────────────────────────────────────────────────────────────────────────────────────────────

HEARS = {"AL": {"good", "bad"}, "NE": set[str](), "ER": {"bad"}, "SU": {"good"}}


async def test_each_msh_15_and_16_hears_what_it_asked_for(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids) as w, w.working():
        for number, (accept, application) in enumerate(product(HEARS, HEARS)):
            header, cell = {15: accept, 16: application}, (accept, application)

            async def send(name: str, line: str, **more: str) -> list[str]:
                fields = {**header, 11: more.get("processing", "P")}  # noqa: B023 - called at once
                sent = message(f"{name}{number}", line, account=f"A{number}", header=fields)  # noqa: B023
                return [verdict(one) for one in await w.send(sent)]

            first, second = HEARS[accept], HEARS[application]
            stored = ["CA"] * ("good" in first)
            assert await send("G", CHARGE) == stored + ["AA"] * ("good" in second), cell
            assert await send("P", PARKS) == stored + ["AE"] * ("bad" in second), cell
            refused = await send("R", CHARGE, processing="T")
            assert refused == (["CR"] if "bad" in first else ["AR"] * ("bad" in second)), cell
            assert await w.state(f"R{number}") == "", cell


@pytest.mark.parametrize(
    ("rule", "asked", "hears"),
    [
        ("original", BOTH, ["AA"]),
        ("original", {15: "NE", 16: "NE"}, ["AA"]),
        ("enhanced", {}, ["CA"]),
        ("enhanced", {16: "AL"}, ["CA", "AA"]),
        ("enhanced", {15: "NE", 16: "AL"}, ["AA"]),
        ("by-message", {}, ["AA"]),
        ("by-message", BOTH, ["CA", "AA"]),
    ],
)
async def test_the_profile_may_say_how_to_acknowledge(
    database: Database, clock: FrozenClock, rule: str, asked: dict[int, str], hears: list[str]
) -> None:
    feed = FEED.model_copy(update={"acknowledge": rule})
    async with world(database, clock, CountedIds(), feed=feed) as w, w.working():
        assert [verdict(one) for one in await w.send(message("M1", CHARGE, header=asked))] == hears


# ── on the same connection ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def site(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Site]:
    async with sited(database, clock, ids, feed=FEED.model_copy(update={"max_connections": 1})) as made:
        yield made


async def test_a_pending_answer_holds_up_no_other_message(site: Site) -> None:
    async with site.peer() as peer:
        await peer.send(message("M1", CHARGE, header=BOTH), message("M2", PARKS, account="A2", header=BOTH))
        assert [verdict(await peer.answer()) for _ in range(2)] == ["CA", "CA"]  # nobody works yet
        async with site.w.working():
            answers = [Message.parse(await peer.answer()) for _ in range(2)]
    assert {(one.get("MSA-1"), one.get("MSA-2")) for one in answers} == {("AA", "M1"), ("AE", "M2")}


async def test_a_sender_that_hung_up_keeps_no_slot_while_its_answer_is_pending(site: Site) -> None:
    """Nobody works, so the answer stays pending; there is one slot, and the next sender gets it at once."""
    for number in range(3):
        async with site.peer() as peer:
            await peer.send(message(f"M{number}", CHARGE, header=BOTH))
            assert verdict(await peer.answer()) == "CA"
    async with site.peer() as other:
        await other.send(message("M9", CHARGE))
        assert verdict(await other.answer()) == "AA"


async def test_who_only_stopped_writing_still_hears(site: Site) -> None:
    async with site.w.working(), site.peer() as peer:
        await peer.send(message("M1", CHARGE, header=BOTH))
        peer.writer.write_eof()
        assert [verdict(await peer.answer()) for _ in range(2)] == ["CA", "AA"]
        assert await peer.closed_without_a_word()


async def test_an_acknowledgement_of_our_acknowledgement_is_not_answered(site: Site) -> None:
    ack = b"MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|20261120||ACK|K1|P|2.5.1\rMSA|CA|00000000000000000001\r"
    async with site.peer() as peer:
        await peer.send(ack, message("M1", CHARGE))
        assert Message.parse(await peer.answer()).get("MSA-2") == "M1"


async def test_an_answer_that_takes_too_long_is_not_waited_for(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=FEED.model_copy(update={"ack_within_s": 0})) as w:
        w.house.intakes["clinic"].wakeups.set("message:other")
        assert [verdict(one) for one in await w.send(message("M1", CHARGE, header=BOTH))] == ["CA"]


# ── at a return address ───────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def returning(
    w_of: tuple[Database, FrozenClock], port: int, **settings: Any
) -> AsyncIterator[tuple[World, Callable[[], Awaitable[int]]]]:
    """The world of a feed with a return address, and what sends what is due there."""
    feed = FEED.model_copy(update={"ack_address": f"127.0.0.1:{port}", **settings})
    async with world(*w_of, CountedIds(), feed=feed) as w:
        writeback = w.system.workers()[2]
        yield w, writeback.drain


async def foreign_server(got: list[str], **options: Any) -> Any:
    """The `hl7` package's server: it reads with its own parser, and accepts with its own ACK."""

    async def accept(reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            try:
                heard = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            got.append(f"{heard.segment('MSA')[1]} {heard.segment('MSA')[2]} {heard['MSH.F15']}")
            writer.writemessage(heard.create_ack("CA"))
            await writer.drain()
        writer.close()

    return await start_hl7_server(accept, "127.0.0.1", 0, encoding="utf-8", **options)


async def test_the_application_answer_goes_to_the_return_address(database: Database, clock: FrozenClock) -> None:
    got: list[str] = []
    server = await foreign_server(got)
    async with server, returning((database, clock), server.sockets[0].getsockname()[1]) as (w, send):
        good = message("M1", CHARGE, header=BOTH)
        assert [verdict(one) for one in await w.send(good)] == ["CA"]
        await w.send(message("M2", PARKS, account="A2", header=BOTH))
        await w.send(message("M3", CHARGE, account="A3", header={15: "AL", 16: "ER"}))
        await w.send(message("M4", CHARGE, account="A4"))  # original mode: answered where it came in
        assert got == []
        await w.work()
        assert await send() == 2
        assert got == ["AA M1 AL", "AE M2 AL"]
        assert [verdict(one) for one in await w.send(good)] == ["CA"]
        assert (await w.work(), await send()) == (0, 0)


async def test_the_return_address_may_speak_tls(database: Database, clock: FrozenClock) -> None:
    from fhirpay.hl7.tls import server_context

    got: list[str] = []
    tls = server_context(FILES.cert, FILES.key, client_ca=FILES.ca)
    server = await foreign_server(got, ssl=tls)
    settings = {"ack_tls_ca": FILES.ca, "tls_cert": FILES.sender}
    async with server, returning((database, clock), server.sockets[0].getsockname()[1], **settings) as (w, send):
        await w.send(message("M1", CHARGE, header=BOTH))
        await w.work()
        await send()
        assert got == ["AA M1 AL"]


@pytest.mark.warns("hl7.ack_unheard", "work.retry", "mllp.late_answer")
async def test_it_is_sent_again_until_it_is_accepted(database: Database, clock: FrozenClock) -> None:
    got: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append((await reader.readuntil(b"\x1c\r"))[1:-2])
        control_id = Message.parse(got[-1]).control_id
        if len(got) == 2:
            writer.write(framed(b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|CA|another\r"))
        if len(got) == 3:
            writer.write(framed(b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|CA|" + control_id.encode() + b"\r"))
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with returning((database, clock), port) as (w, send):
        async with server:
            await w.send(message("M1", PARKS, header=BOTH))
            await w.work()
            for tries in (1, 2):
                await send()
                assert len(got) == tries
                clock.advance(timedelta(minutes=10))
        await send()  # nobody listens: never sent
        assert len(got) == 2
        clock.advance(timedelta(minutes=10))
        async with await asyncio.start_server(accept, "127.0.0.1", port):
            await send()
        clock.advance(timedelta(days=1))
        assert await send() == 0
    assert len({Message.parse(one).control_id for one in got}) == 1
    assert told(got[2])[0] == "AE"
    assert told(got[2])[3].startswith("it is kept, but not applied yet: FT1[1]-7")


@pytest.mark.warns("work.parked", "call.parked")
async def test_a_return_address_that_refuses_is_left_to_a_person(database: Database, clock: FrozenClock) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        control_id = Message.parse((await reader.readuntil(b"\x1c\r"))[1:-2]).control_id
        writer.write(framed(b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|CR|" + control_id.encode() + b"\r"))
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, returning((database, clock), server.sockets[0].getsockname()[1]) as (w, send):
        await w.send(message("M1", CHARGE, header=BOTH))
        await w.work()
        await send()
        (says,) = await w.list_of("parked_call")
        assert says.endswith("can't be done: rule-broken: the return address of 'clinic' refuses it with CR")


def test_an_address_is_host_and_port() -> None:
    from fhirpay.config import Interface

    for good in ("engine.example:6661", "[::1]:2575", "10.0.0.1:1"):
        assert Interface(name="x", account_key="PID-18", ack_address=good).ack_address == good
    for bad in ("engine.example", "http://engine:1", "engine:", "::1:25"):
        with pytest.raises(ValueError, match="write host:port"):
            Interface(name="x", account_key="PID-18", ack_address=bad)
