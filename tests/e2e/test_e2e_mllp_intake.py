"""A hospital's engine at our port: real listeners from the program's own wiring, a plain socket at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Database, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.reader import Message
from fhirpay.inbox.store import find_by_control_id
from intake_world import ft1, message, segment, told, verdict
from mllp_site import Peer, Site, sited

pytestmark = pytest.mark.warns("hl7.refused", "message.parked", "mllp.dropped", "mllp.too_large", "mllp.truncated")

CHARGE = ft1(1, "CG", "100.00&USD")


@pytest.fixture
async def site(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Site]:
    async with sited(database, clock, ids) as made:
        yield made


async def test_many_messages_on_one_connection_each_get_their_own_answer(site: Site) -> None:
    async with site.peer() as peer:
        sent = [message(f"M{number}", ft1(number, "CG", "1.00&USD")) for number in range(1, 31)]
        await peer.send(*sent)
        answers = [Message.parse(await peer.answer()) for _ in sent]
    assert [(one.get("MSA-1"), one.get("MSA-2")) for one in answers] == [("AA", f"M{n}") for n in range(1, 31)]
    await site.w.work()
    assert await site.w.askable() == "30.00 USD"


async def test_many_connections_at_once(site: Site) -> None:
    async def one(number: int) -> None:
        async with site.peer() as peer:
            for turn in range(3):
                name = f"C{number}-{turn}"
                await peer.send(message(name, ft1(turn, "CG", "1&USD"), account=f"A{number}"))
                assert Message.parse(await peer.answer()).get("MSA-2") == name
                assert await site.w.state(name) == "received"

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(one(number))


async def test_two_interfaces_keep_their_own_rules(site: Site) -> None:
    async with site.peer("clinic") as clinic, site.peer("lab") as lab:
        for peer in (clinic, lab):
            await peer.send(message("M1", CHARGE))
            assert verdict(await peer.answer()) == "AA"
            await peer.send(message("M1", ft1(2, "CG", "5.00&USD")))
        assert verdict(await clinic.answer()) == "AA"
        assert told(await lab.answer())[:3] == ("AE", "MSH-10", "205")  # the lab promised unique ids
    await site.w.work()
    assert await site.w.askable("A100") == "105.00 USD"
    assert await site.w.askable("VA100", "urn:lab") == "0"  # and has not said that it carries coverage
    assert len(await site.w.owed("VA100", "urn:lab")) == 1


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
async def test_bytes_come_as_the_network_likes_and_lines_end_as_the_sender_likes(site: Site, ending: bytes) -> None:
    frames = b"".join(b"\x0b" + message(name, CHARGE).replace(b"\r", ending) + b"\x1c\r" for name in ("M1", "M2", "M3"))
    async with site.peer() as peer:
        for start in range(0, len(frames), 97):
            await peer.write(frames[start : start + 97])
            await asyncio.sleep(0)
        assert [Message.parse(await peer.answer()).get("MSA-2") for _ in range(3)] == ["M1", "M2", "M3"]


async def test_a_duplicate_on_another_connection_gets_the_same_bytes(site: Site) -> None:
    answers: list[bytes] = []
    for _ in range(2):
        async with site.peer() as peer:
            await peer.send(message("M1", CHARGE))
            answers.append(await peer.answer())
    assert answers[0] == answers[1]
    assert await site.w.work() == 1


async def test_a_truncated_frame_is_kept_by_its_sender(site: Site) -> None:
    async with site.peer() as peer:
        await peer.write(b"\x0b" + message("M1", CHARGE)[:-40])
    async with site.peer() as peer:
        # Given up half-way and begun anew on the same connection: the whole one counts.
        await peer.write(b"\x0b" + message("M1", CHARGE)[:60])
        await peer.send(message("M2", CHARGE))
        assert Message.parse(await peer.answer()).get("MSA-2") == "M2"
    assert await site.w.received("M1") == []
    await site.still_takes("M3")


async def test_fifty_megabytes_are_refused_and_the_listener_goes_on(site: Site) -> None:
    huge = message("M1", CHARGE, segment("NTE", {1: "1", 3: "x" * 50_000_000}))
    async with site.peer() as peer:
        await peer.send(huge)
        assert told(await peer.answer()) == ("AE", "MSH", "102", "the message is larger than 10000000 bytes")
        assert await peer.closed_without_a_word()
    assert await site.w.received("M1") == []
    await site.still_takes("M2")


async def test_a_refused_message_does_not_hold_up_the_next_on_its_connection(site: Site) -> None:
    async with site.peer() as peer:
        await peer.send(message("M1", CHARGE, header={11: "T"}), message("", CHARGE), message("M2", CHARGE))
        assert told(await peer.answer())[:3] == ("AR", "MSH-11", "202")
        assert told(await peer.answer())[:3] == ("AE", "MSH-10", "101")
        assert verdict(await peer.answer()) == "AA"
    assert await site.w.work() == 1


async def test_when_nothing_can_be_stored_nothing_is_said(site: Site, database: Database) -> None:
    async with site.peer() as peer:
        await database.stop()
        await peer.send(message("M1", CHARGE))
        assert await peer.closed_without_a_word()
        await database.start()
    async with site.peer() as peer:
        await peer.send(message("M1", CHARGE))
        assert verdict(await peer.answer()) == "AA"
    assert await site.w.work() == 1


async def test_enhanced_mode_is_answered_twice_on_the_same_connection(site: Site) -> None:
    both = {15: "AL", 16: "AL"}
    async with site.w.working(), site.peer() as peer:
        await peer.send(message("M1", CHARGE, header=both))
        assert [verdict(await peer.answer()) for _ in range(2)] == ["CA", "AA"]
        await peer.send(message("M2", ft1(2, "AJ", "1.00&USD"), header=both))
        assert verdict(await peer.answer()) == "CA"
        assert told(await peer.answer())[0] == "AE"


async def test_enhanced_mode_may_want_the_application_answer_alone_or_none(site: Site) -> None:
    async with site.w.working(), site.peer() as peer:
        await peer.send(message("M1", CHARGE, header={15: "NE", 16: "AL"}))
        assert verdict(await peer.answer()) == "AA"
        assert await site.w.state("M1") == "applied"
        await peer.send(message("M2", ft1(2, "CG", "1&USD"), header={15: "NE", 16: "NE"}))
        await site.settled("M2", "applied")
        await peer.silence()


async def test_a_card_number_stays_out_of_the_database(site: Site) -> None:
    async with site.peer() as peer:
        await peer.send(message("M1", CHARGE, segment("NTE", {1: "1", 3: "card 4111111111111111 exp 12/30"})))
        code, place, _, _ = told(await peer.answer())
    assert (code, place) == ("AA", "NTE[1]-3")
    (kept,) = await site.w.received("M1")
    assert b"4111111111111111" not in (kept.body or b"")
    await site.w.work()
    assert await site.w.askable() == "100.00 USD"


# ── a process of its own ──────────────────────────────────────────────────────────────────────────────────────────────

CONFIG = """
database = "sqlite:///{folder}/fhirpay.db"
hash_key = "{key}"
log_level = "ERROR"
http_port = {http}
[[tenants]]
[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "k"
[[tenants.facilities]]
name = "main"
[[tenants.interfaces]]
name = "clinic"
mllp_port = {mllp}
account_key = "PID-18"
"""


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, clock: FrozenClock) -> None:
    http, mllp = free_ports(2)
    url, config = f"sqlite:///{tmp_path}/fhirpay.db", tmp_path / "fhirpay.toml"
    config.write_text(CONFIG.format(folder=tmp_path, key="k" * 32, http=http, mllp=mllp))
    migrate(url)
    fhirpay = str(Path(sys.executable).with_name("fhirpay"))
    server = await asyncio.create_subprocess_exec(fhirpay, "serve", "--config", str(config), cwd=tmp_path)
    acknowledged: set[str] = set()

    async def sender(number: int) -> None:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", mllp))
        try:
            for turn in range(1000):
                await peer.send(message(f"K{number}-{turn}", ft1(turn, "CG", "1.00&USD"), account=f"A{number}"))
                answer = Message.parse(await peer.answer())
                assert answer.get("MSA-1") == "AA"
                acknowledged.add(answer.get("MSA-2"))
                if len(acknowledged) == 300:
                    server.kill()
        finally:
            peer.writer.close()
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()

    try:
        async with asyncio.timeout(30):
            while len(acknowledged) < 300 and server.returncode is None:
                ends = await asyncio.gather(*(sender(number) for number in range(8)), return_exceptions=True)
                assert all(isinstance(end, OSError | asyncio.IncompleteReadError) for end in ends), ends
                await asyncio.sleep(0.1)  # it is not up yet
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()
    assert len(acknowledged) >= 300
    after = open_database(url, clock=clock, ids=CountedIds(), read_only=True)
    await after.start()
    units = after.units("main")
    kept = {name for name in acknowledged if len(await units.read(find_by_control_id, name)) == 1}
    await after.stop()
    assert kept == acknowledged
