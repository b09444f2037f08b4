"""Files and batches: each message has its own fate, a file moves once all is kept, and no crash doubles a thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import FilesRefused
from fhirpay.flow.backoff import Backoff
from fhirpay.hl7.batch import read_batch
from fhirpay.hl7.framing import COMMITTED, NOT_COMMITTED
from fhirpay.hl7.reader import Message
from fhirpay.inbox.bounds import MESSAGES_MAX
from fhirpay.inbox.folder import LocalFolder, Seen, free_name
from fhirpay.usecases import receive_batch
from fhirpay.usecases.receive_batch import take_batch, take_file
from fhirpay.usecases.take_files import FileFeed
from intake_world import FEED, World, ft1, message, told, verdict, world
from mllp_site import sited

pytestmark = pytest.mark.warns(
    "hl7.refused", "files.no_message", "files.unreachable", "files.failed", "message.parked", "work.parked"
)
GOOD = message("M1", ft1(1, "CG", "100.00&USD"))
BAD = message("M2", ft1(1, "CG", "10&USD"), account="")
LAST = message("M3", ft1(2, "CG", "1.00&USD"))
HEAD = b"BHS|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|20261120||||B-7\r"
BATCH = HEAD + GOOD + BAD + LAST.rstrip(b"\r")  # no trailer, no final CR


@pytest_asyncio.fixture
async def w(databases: Any, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        yield await stack.enter_async_context(world(database, clock, ids))


def folder_of(w: World, path: Path) -> FileFeed:
    return FileFeed(w.house.intakes["clinic"], LocalFolder(path))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def items(w: World) -> dict[str, str]:
    return {item.kind: item.says for item in await w.house.units.read(list_open)}


async def test_a_file_is_taken_once_complete_and_its_reply_stands_beside_it(w: World, tmp_path: Path) -> None:
    folder, file = folder_of(w, tmp_path), tmp_path / "feed.hl7"
    file.write_bytes(BATCH[:40])
    (tmp_path / "next.hl7.tmp").write_bytes(GOOD)
    assert await folder.look() == []
    file.write_bytes(BATCH)
    assert await folder.look() == []  # it has grown since
    assert await folder.look() == ["feed.hl7"]
    reply = (tmp_path / "done" / "feed.hl7.ack").read_bytes()
    assert reply.split(b"\r")[0].endswith(b"|B-7")
    assert [verdict(one) for one in read_batch(reply).messages] == ["AA", "AE", "AA"]
    assert (tmp_path / "done" / "feed.hl7").read_bytes() == BATCH
    assert names(tmp_path) == ["done", "next.hl7.tmp"]
    assert (await w.state("M1"), await w.state("M2"), await w.state("M3")) == ("received", "", "received")
    assert "1 of 3 messages" in (await items(w))["batch_refused"]


async def test_a_crash_before_the_move_has_no_double_effect(w: World, tmp_path: Path) -> None:
    file = tmp_path / "feed.hl7"
    file.write_bytes(BATCH)
    await take_batch(w.house.intakes["clinic"], GOOD)  # as far as it came
    for _ in range(2):  # a new process each time: the first dies after the reply and before the move
        folder = folder_of(w, tmp_path)
        await folder.look()
        assert await folder.look() == ["feed.hl7"]
        (tmp_path / "done" / "feed.hl7").rename(file)
    assert len(await w.received("M1")) == len(await w.received("M3")) == 1
    await w.work()
    assert await w.askable() == "101.00 USD"


async def test_the_same_name_again_is_another_file(w: World, tmp_path: Path) -> None:
    folder = folder_of(w, tmp_path)
    for body in (GOOD, LAST):
        (tmp_path / "feed.hl7").write_bytes(body)
        await folder.look()
        await folder.look()
    assert (tmp_path / "done" / "feed.hl7").read_bytes() == GOOD
    assert (tmp_path / "done" / "feed.hl7.2").read_bytes() == LAST


def test_a_free_name_is_found_with_few_questions_however_often_it_came() -> None:
    for there in (*range(20), 10_000):
        taken = {"feed.hl7", *(f"feed.hl7.{number}" for number in range(2, there + 1))} if there else set()
        asking, asked = free_name("feed.hl7"), 0
        wanted, found = next(asking), ""
        while not found:
            asked += 1
            try:
                wanted = asking.send(wanted in taken)
            except StopIteration as end:
                found = end.value
        assert found == (f"feed.hl7.{there + 1}" if there else "feed.hl7")
        assert asked < 30


async def test_what_holds_no_message_is_put_aside(w: World, tmp_path: Path) -> None:
    folder = folder_of(w, tmp_path)
    (tmp_path / "empty.hl7").write_bytes(b"\r\n")
    await folder.look()
    await folder.look()
    assert names(tmp_path / "failed") == ["empty.hl7", "empty.hl7.ack"]


async def test_what_does_not_add_up_is_for_a_person_and_refuses_nothing(w: World) -> None:
    for _ in range(2):
        taken = await take_batch(w.house.intakes["clinic"], HEAD + GOOD + LAST + b"BTS|3||90.00\r")
        assert [verdict(one) for one in taken.answers] == ["AA", "AA"]
    assert len(await w.house.units.read(list_open)) == 1
    says = (await items(w))["batch_differs"]
    assert "BTS-1 says 3 messages, 2 were found; BTS-3 says 90.00, the amounts of its FT1 sum to 101.00" in says


async def test_a_batch_of_refused_messages_lets_others_go_on(w: World) -> None:
    """What is refused waits for no database: without a pause after each, nobody else would be served meanwhile."""
    batch = asyncio.create_task(take_batch(w.house.intakes["clinic"], b"MSH|x\r" * 300))
    turns = 0
    while not batch.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(batch.result().answers) == 300
    assert turns >= 300


async def test_whatever_goes_wrong_with_a_folder_it_is_looked_at_again(w: World, tmp_path: Path) -> None:
    stop, looks = asyncio.Event(), 0

    class Broken(LocalFolder):
        async def listed(self) -> dict[str, Seen]:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise ValueError
            if looks == 2:
                raise FilesRefused("the folder can't be read")
            if await w.received("M1"):
                stop.set()
            return await super().listed()

    (tmp_path / "feed.hl7").write_bytes(GOOD)
    async with asyncio.timeout(10):
        await FileFeed(
            w.house.intakes["clinic"], Broken(tmp_path), settles_s=0.001, backoff=Backoff(cap=timedelta())
        ).run(stop)
    assert names(tmp_path) == ["done"]


async def test_a_folder_that_can_not_be_read_is_for_a_person(w: World, tmp_path: Path) -> None:
    one = folder_of(w, tmp_path / "feed")
    with pytest.raises(FilesRefused):
        await one.look()
    assert "No such file or directory" in (await items(w))["files_unreachable"]
    (tmp_path / "feed").mkdir()
    await one.look()
    assert "files_unreachable" not in await items(w)


TOO_MANY = HEAD + GOOD + LAST + b"MSH|1||x\r" * (MESSAGES_MAX - 1)


async def test_a_batch_of_too_many_is_refused_once_and_nothing_of_it_is_kept(w: World) -> None:
    """A reply of 40 times its size, and 7 s of work, to whoever writes 100,000 lines."""
    taken = await take_batch(w.house.intakes["clinic"], TOO_MANY + b"MSH|1||x\r" * 95_000)
    says = "a batch has at most 5000 messages, and nothing of this one is kept: send it as several"
    assert [told(one) for one in taken.answers] == [("AE", "MSH[5001]", "102", says)]
    assert taken.refused
    assert Message.parse(taken.answers[0]).get("MSA-2") == "M1"
    assert await w.received("M1") == await w.received("M3") == []


async def test_a_file_has_any_number_of_messages_and_a_stop_leaves_the_rest_for_later(
    w: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_batch, "MESSAGES_MAX", 2)
    (tmp_path / "feed.hl7").write_bytes(BATCH)
    folder, stop = folder_of(w, tmp_path), asyncio.Event()

    def told_once(piece: bytes) -> None:
        if piece.startswith(b"MSH"):
            stop.set()

    assert await take_file(w.house.intakes["clinic"], BATCH, name="feed.hl7", reply=told_once, stop=stop) is None
    assert (await w.state("M1"), await w.received("M3")) == ("received", [])
    await folder.look(stop)
    assert await folder.look(stop) == []
    assert names(tmp_path) == ["feed.hl7"]
    assert await folder.look() == ["feed.hl7"]
    reply = read_batch((tmp_path / "done" / "feed.hl7.ack").read_bytes())
    assert [verdict(one) for one in reply.messages] == ["AA", "AE", "AA"]
    assert reply.warnings == []
    assert len(await w.received("M1")) == len(await w.received("M3")) == 1


async def test_release_2_commits_nothing_of_a_batch_that_is_refused_as_a_whole(
    databases: Any, clock: FrozenClock, ids: CountedIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_batch, "MESSAGES_MAX", 2)
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        feed = FEED.model_copy(update={"mllp_release": 2})
        site = await stack.enter_async_context(sited(database, clock, ids, feed=feed))
        async with site.peer() as peer:
            await peer.send(BATCH)
            assert await peer.answer() == NOT_COMMITTED
            assert [verdict(one) for one in read_batch(await peer.answer()).messages] == ["AE"]
            await peer.send(HEAD + GOOD + BAD)
            assert await peer.answer() == COMMITTED


async def test_a_batch_over_mllp_is_answered_by_one(databases: Any, clock: FrozenClock, ids: CountedIds) -> None:
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        site = await stack.enter_async_context(sited(database, clock, ids))
        async with site.peer() as peer:
            await peer.send(BATCH)
            reply = read_batch(await peer.answer())
            assert [verdict(one) for one in reply.messages] == ["AA", "AE", "AA"]
            assert reply.warnings == []
            await peer.send(GOOD)
            assert verdict(await peer.answer()) == "AA"
        assert len(await site.w.received("M1")) == 1
