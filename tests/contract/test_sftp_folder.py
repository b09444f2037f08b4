"""Files fetched by SFTP, against asyncssh's server: each file's messages are kept once, whatever breaks in between."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid, FilesRefused, FilesUnreachable
from fhirpay.hl7.batch import read_batch
from fhirpay.inbox.remote_folder import RemoteFolder
from fhirpay.net.sftp import SftpServer
from fhirpay.usecases.take_files import FileFeed
from fhirpay.wiring_files import file_feeds
from intake_world import FEED, World, ft1, message, verdict, world
from sftp_running import PASSWORD, Running, private, public, sftp_server

pytestmark = pytest.mark.warns("hl7.refused", "files.unreachable", "files.stuck", "files.no_message")
GOOD = message("M1", ft1(1, "CG", "100.00&USD"))
BAD = message("M2", ft1(1, "CG", "10&USD"), account="")
LAST = message("M3", ft1(2, "CG", "1.00&USD"))
BATCH = b"BHS|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|20261120||||B-7\r" + GOOD + BAD + LAST


@pytest_asyncio.fixture
async def w(databases: Any, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        yield await stack.enter_async_context(world(database, clock, ids))


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with sftp_server(tmp_path) as running:
        yield running


def feed(w: World, server: Running, *, pattern: str = "*", marker: str = "", **settings: Any) -> FileFeed:
    where = server.settings(**settings)
    folder = RemoteFolder(SftpServer("clinic", where), where)
    return FileFeed(w.house.intakes["clinic"], folder, pattern=pattern, marker=marker)


def put(server: Running, name: str = "feed.hl7", data: bytes = BATCH) -> Path:
    path = server.files / "in" / name
    path.write_bytes(data)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def verdicts(path: Path) -> list[str]:
    return [verdict(one) for one in read_batch(path.read_bytes()).messages]


async def items(w: World) -> dict[str, str]:
    return {item.kind: item.says for item in await w.house.units.read(list_open)}


# ── what is taken ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_taken_once_complete_and_its_reply_stands_beside_it(w: World, server: Running) -> None:
    one = feed(w, server)
    put(server, data=BATCH[:40])
    put(server, "next.hl7.tmp")
    assert await one.look() == []
    put(server)
    assert await one.look() == []  # it has grown since
    assert await one.look() == ["feed.hl7"]
    done = server.files / "in" / "done"
    assert names(done) == ["feed.hl7", "feed.hl7.ack"]
    assert verdicts(done / "feed.hl7.ack") == ["AA", "AE", "AA"]
    assert (done / "feed.hl7").read_bytes() == BATCH
    assert (await w.state("M1"), await w.state("M2"), await w.state("M3")) == ("received", "", "received")
    assert "1 of 3 messages" in (await items(w))["batch_refused"]
    put(server, data=LAST)
    await one.look()
    await one.look()
    assert names(done) == ["feed.hl7", "feed.hl7.2", "feed.hl7.2.ack", "feed.hl7.ack"]


async def test_the_marker_that_its_sender_writes_behind_it_makes_a_file_complete(w: World, server: Running) -> None:
    one = feed(w, server, marker=".done", pattern="*.hl7", out="../out", done="taken", password=PASSWORD, key="")
    put(server)
    put(server, "notes.txt")
    put(server, "notes.txt.done")
    for _ in range(3):
        assert await one.look() == []
    put(server, "feed.hl7.done", b"")
    await one.look()
    assert await one.look() == ["feed.hl7"]
    assert names(server.files / "in") == ["notes.txt", "notes.txt.done", "taken"]
    assert names(server.files / "out") == ["feed.hl7.ack"]


async def test_what_holds_no_message_is_put_aside(w: World, server: Running) -> None:
    one = feed(w, server)
    put(server, data=b"\r\n")
    await one.look()
    await one.look()
    assert names(server.files / "in" / "failed") == ["feed.hl7", "feed.hl7.ack"]


async def test_a_name_that_is_no_text_is_taken_as_any_other(w: World, server: Running) -> None:
    (server.files / "in" / "caf\udce9.hl7").write_bytes(BATCH)
    one = feed(w, server)
    await one.look()
    assert len(await one.look()) == 1
    assert "(caf�.hl7)" in (await items(w))["batch_refused"]


# ── what breaks ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_lost_at_any_step_loses_nothing_and_doubles_nothing(w: World, server: Running) -> None:
    """The server has done the step and we are not told; before the step is after the one before."""
    step = cuts = 0
    one = feed(w, server)
    while True:
        step += 1
        name = f"feed{step}.hl7"
        put(server, name)
        await one.look()
        server.done.clear()
        server.orders[step] = "cut after"
        try:
            await one.look()
        except FilesUnreachable:
            cuts += 1
            server.orders.clear()
            await one.look()
        done = server.files / "in" / "done"
        assert names(server.files / "in") == ["done"], step
        assert {name, f"{name}.ack"} <= set(names(done)), step
        assert verdicts(done / f"{name}.ack") == ["AA", "AE", "AA"], step
        if server.orders:  # it has fewer steps
            break
    assert cuts > 10
    assert len(await w.received("M1")) == len(await w.received("M3")) == 1
    await w.work()
    assert await w.askable() == "101.00 USD"


async def test_a_file_that_is_cut_short_is_not_read(w: World, server: Running) -> None:
    path = put(server)
    one = feed(w, server)
    await one.look()
    server.before["read"] = lambda: path.write_bytes(BATCH[:-20])
    assert await one.look() == []
    assert await w.received("M1") == []


async def test_a_file_that_vanishes_holds_up_no_other(w: World, server: Running) -> None:
    path = put(server, "a.hl7", GOOD)
    put(server, "b.hl7", LAST)
    one = feed(w, server)
    await one.look()
    server.before["open"] = path.unlink  # before it is read
    assert await one.look() == ["b.hl7"]
    assert (await w.received("M1"), await w.state("M3")) == ([], "received")
    path.write_bytes(GOOD)
    await one.look()
    server.before["rename"] = path.unlink  # once it is taken in
    assert await one.look() == ["a.hl7"]
    assert await w.state("M1") == "received"


async def test_a_file_that_is_written_anew_meanwhile_is_another_file(w: World, server: Running) -> None:
    path = put(server, data=GOOD)
    one = feed(w, server)
    await one.look()
    server.before["posix_rename"] = lambda: path.write_bytes(GOOD + LAST)
    assert await one.look() == []
    await one.look()
    assert await one.look() == ["feed.hl7"]
    assert await w.state("M3") == "received"
    assert verdicts(server.files / "in" / "done" / "feed.hl7.ack") == ["AA", "AA"]


async def test_a_file_that_can_not_be_moved_is_for_a_person_and_holds_up_no_other(w: World, server: Running) -> None:
    put(server, "a.hl7", GOOD)
    put(server, "b.hl7", LAST)
    one = feed(w, server)
    await one.look()
    server.orders["rename"] = "refuse"
    assert await one.look() == ["b.hl7"]
    assert "a.hl7, stays where it is: Permission denied" in (await items(w))["file_stuck"]
    server.done.clear()
    assert await one.look() == []  # not at once again
    assert "open" not in server.done
    (server.files / "in" / "a.hl7").rename(server.files / "a.hl7")  # somebody moves it
    await one.look()
    assert "file_stuck" not in await items(w)
    (server.files / "a.hl7").rename(server.files / "in" / "a.hl7")
    server.orders["rename"] = "refuse"
    await one.look()
    await one.look()
    assert "file_stuck" in await items(w)
    again = feed(w, server)  # as after a restart
    await again.look()
    assert await again.look() == ["a.hl7"]
    assert "file_stuck" not in await items(w)
    assert len(await w.received("M1")) == 1


async def test_a_server_without_extensions_does_as_well(w: World, server: Running) -> None:
    server.extensions = False
    server.orders["rename"] = "cut after"  # of the reply, which is written again
    put(server)
    one = feed(w, server)
    await one.look()
    with pytest.raises(FilesUnreachable):
        await one.look()
    assert await one.look() == ["feed.hl7"]
    assert names(server.files / "in" / "done") == ["feed.hl7", "feed.hl7.ack"]


async def test_a_server_that_hangs_is_given_up(w: World, server: Running) -> None:
    put(server)
    far = SftpServer("clinic", server.settings())
    one = FileFeed(w.house.intakes["clinic"], RemoteFolder(far, server.settings()))
    await one.look()
    soon = server.settings(timeout_s=0.2)
    server.before["open"] = lambda: setattr(far, "settings", soon)  # what follows is what hangs, and nothing else
    server.orders["read"] = "hang"
    with pytest.raises(FilesUnreachable, match="no answer in time"):
        await one.look()


# ── who it is ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_server_is_told_nothing_and_a_person_is_told_at_once(w: World, server: Running) -> None:
    put(server)
    with pytest.raises(FilesRefused):
        await feed(w, server, host_keys=(public("somebody"),), password=PASSWORD).look()
    assert server.logins == []
    assert "its key is none of host_keys" in (await items(w))["files_unreachable"]
    await feed(w, server, host_keys=(public("somebody"), public("server"))).look()  # a key that is being replaced
    assert "files_unreachable" not in await items(w)


async def test_a_server_that_does_not_let_us_in_is_for_a_person(w: World, server: Running) -> None:
    for wrong in ({"key": private("somebody")}, {"key": "", "password": "another"}):
        with pytest.raises(FilesRefused, match="doesn't let us in"):
            await feed(w, server, **wrong).look()
    one = feed(w, server)
    server.lets_in = False
    with pytest.raises(FilesRefused):
        await one.look()
    assert "doesn't let us in" in (await items(w))["files_unreachable"]
    server.lets_in = True
    await one.look()
    assert "files_unreachable" not in await items(w)


async def test_a_server_that_is_down_for_a_moment_is_no_news(w: World, server: Running) -> None:
    one = feed(w, server, port=1)
    for failed in range(1, 4):
        with pytest.raises(FilesUnreachable, match="can't be reached"):
            await one.look()
        assert ("files_unreachable" in await items(w)) == (failed == 3)


async def test_what_can_not_work_is_told_at_start(
    w: World, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def feeds(**settings: Any) -> list[FileFeed]:
        return file_feeds(w.house.intakes["clinic"], FEED.model_copy(update={"sftp": server.settings(**settings)}))

    with pytest.raises(ConfigInvalid, match="is no public key"):
        feeds(host_keys=("clinic.example ssh-ed25519",))
    with pytest.raises(ConfigInvalid, match=r"sftp\.key can't be used"):
        feeds(key=str(tmp_path / "id_ed25519"))
    with pytest.raises(ValueError, match="a password, or a key"):
        server.settings(key="")
    with pytest.raises(ValueError, match="at least 1 item"):
        server.settings(host_keys=())
    (tmp_path / "id_ed25519").write_text(private("client"))
    (made,) = feeds(key=str(tmp_path / "id_ed25519"))
    await made.look()
    for name in ("fhirpay.inbox.remote_folder", "fhirpay.net.sftp"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ConfigInvalid, match=r"asyncssh isn't installed: install fhirpay\[sftp\]"):
        feeds()
