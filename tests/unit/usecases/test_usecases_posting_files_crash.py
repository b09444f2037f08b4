"""A process that dies at any step of putting a file there, and folders that can't take one: the receiver gets each file
once at most, whole, and what can't be known waits for a person.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_built import charged, paid, refunded, tenant

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.lane import release
from fhirpay.usecases.post_file import again, found
from fhirpay.usecases.unposted import unposted
from fhirpay.writeback.out_folder import LocalOutFolder
from files_world import NAME, Files, paid_in_yen

# What is told apart here is the folder's and the worker's, not the database's.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STEPS = ("clear", "write", "placing", "rename", "placed")


class Died(BaseException):
    """The process: nothing of ours catches it."""


@dataclass
class Receiver(LocalOutFolder):
    """A folder, and who takes files from it. `die` is a step, and whether before or after it."""

    path: Path
    die: tuple[str, str] = ("", "")
    takes: bool = False
    taken: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    parts: list[str] = field(default_factory=list[str])  # that were to be written
    full: int = 0  # so many writes find no room
    meanwhile: dict[str, Callable[[], Awaitable[None]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[None]]]
    )

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[Any]:
        async with super().visit():
            yield self

    async def clear(self, name: str) -> None:
        await self.step("clear", lambda: self._clear(name))

    async def write(self, part: str, body: bytes) -> None:
        self.parts.append(part)
        if self.full:
            self.full -= 1
            (self.path / part).write_bytes(body[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.die == ("write", "within"):
            (self.path / part).write_bytes(body[:10])
            raise Died
        await self.step("write", lambda: self._write(part, body))

    async def rename(self, part: str, name: str) -> None:
        await self.step("rename", lambda: self._rename(part, name))

    async def step(self, name: str, do: Callable[[], Any]) -> None:
        self.at(name, "before")
        if first := self.meanwhile.pop(name, None):
            await first()
        do()
        if self.takes:
            self.take()
        self.at(name, "after")

    def at(self, name: str, when: str) -> None:
        if self.die == (name, when):
            raise Died

    def take(self) -> None:
        for one in self.path.iterdir():
            if not one.name.startswith("."):
                self.taken.append((one.name, one.read_bytes()))
                one.unlink()


class Dying:
    """Units that the process dies before or after: those of the handler that puts files there."""

    def __init__(self, units: Any, receiver: Receiver) -> None:
        self._units, self._receiver = units, receiver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._units, name)

    async def write(self, fn: Any, *given: Any, **named: Any) -> Any:
        step = fn.__name__.lstrip("_")
        self._receiver.at(step, "before")
        done = await self._units.write(fn, *given, **named)
        self._receiver.at(step, "after")
        return done


@dataclass
class World:
    database: Database
    clock: FrozenClock
    folder: Path
    receiver: Receiver

    def process(self, **more: Any) -> Files:
        made = Files(self.database, self.clock, tenant(), self.folder, out=self.receiver, **more)
        made.post._units = Dying(made.units, self.receiver)  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage]
        return made

    async def after_the_lease(self, **more: Any) -> Files:
        self.receiver.die = ("", "")
        self.clock.advance(timedelta(minutes=30))
        restarted = self.process(**more)
        await restarted.work()
        return restarted


@pytest.fixture
def world(database: Database, clock: FrozenClock, tmp_path: Path) -> World:
    folder = tmp_path / "out"
    folder.mkdir()
    return World(database, clock, folder, Receiver(folder))


async def made(world: World) -> tuple[Files, str]:
    one = world.process()
    built = await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    await one.make()
    return one, built.payment


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_after_a_crash_at_any_step_the_file_is_there_once(world: World, step: str, when: str) -> None:
    one, payment_id = await made(world)
    file = await one.file()
    world.receiver.die = (step, when)
    with pytest.raises(Died):
        await one.work()
    restarted = await world.after_the_lease()
    assert restarted.there() == {file.name: file.body.decode()}
    assert [posting.state for posting in await one.postings(payment_id)] == ["posted", "posted"]
    assert await one.open_items() == []


async def test_what_was_half_written_is_written_again_and_cleared_up(world: World) -> None:
    one, _ = await made(world)
    world.receiver.die = ("write", "within")
    with pytest.raises(Died):
        await one.work()
    assert [len(text) for text in one.there().values()] == [10]
    restarted = await world.after_the_lease()
    assert restarted.there() == {(await one.file()).name: (await one.file()).body.decode()}


@pytest.mark.warns("call.parked")
@pytest.mark.parametrize(("step", "when"), [(step, when) for step in STEPS for when in ("before", "after")])
async def test_a_receiver_that_takes_it_at_once_never_gets_it_twice(world: World, step: str, when: str) -> None:
    one, payment_id = await made(world)
    file = await one.file()
    world.receiver.takes = True
    world.receiver.die = (step, when)
    with pytest.raises(Died):
        await one.work()
    restarted = await world.after_the_lease()
    assert world.receiver.taken == [(file.name, file.body)]
    state = (await one.file()).state
    if (step, when) in (("rename", "after"), ("placed", "before")):  # nothing that is left could tell
        assert state == "unknown"
        (item,) = await one.open_items()
        assert f"{file.name} or not, and it isn't there any more" in item.says
        assert "stands in file 1" in (await one.units.read(unposted))[0].todo
        await restarted.work()
        await one.units.write(found, NAME, 1, by="ann", why="they have it")
        await restarted.work()
        assert world.receiver.taken == [(file.name, file.body)]
    assert (await one.file()).state == "placed"
    assert [posting.state for posting in await one.postings(payment_id)] == ["posted", "posted"]
    assert await one.open_items() == []


@pytest.mark.warns("posting_file.unplaced")
@pytest.mark.parametrize("takes", [False, True])
@pytest.mark.parametrize("step", ["clear", "write", "rename"])
async def test_a_worker_that_was_paused_while_another_took_over_adds_nothing(
    world: World, step: str, takes: bool
) -> None:
    one, _ = await made(world)
    file = await one.file()
    world.receiver.takes = takes

    async def another() -> None:
        world.clock.advance(timedelta(minutes=30))
        await world.process().worker("another").drain()

    world.receiver.meanwhile[step] = another
    await one.work()
    world.receiver.take()
    assert world.receiver.taken == [(file.name, file.body)]
    assert (await one.file()).state == "placed"


async def test_who_begins_to_write_late_cuts_off_nothing_that_another_is_about_to_rename(world: World) -> None:
    one, _ = await made(world)
    world.receiver.die = ("write", "before")
    with pytest.raises(Died):
        await one.work()

    async def late() -> None:
        (world.folder / world.receiver.parts[0]).write_bytes(b"half")

    world.receiver.meanwhile["rename"] = late
    restarted = await world.after_the_lease()
    file = await one.file()
    assert restarted.there()[file.name] == file.body.decode()


@pytest.mark.warns("call.parked", "work.parked")
@pytest.mark.parametrize("stage", ["shadow", "assist"])
async def test_a_file_that_stands_beside_its_place_stays_there_once_the_stage_is_lowered(
    world: World, stage: str
) -> None:
    one, _ = await made(world)
    file = await one.file()
    world.receiver.die = ("rename", "before")
    with pytest.raises(Died):
        await one.work()
    lowered = await world.after_the_lease(stage=stage)
    (item,) = await one.open_items()
    assert f"is at stage '{stage}'" in item.says
    assert file.name not in lowered.there()
    await one.units.write(again, NAME, 1, by="ann", why="not posted by hand")
    raised = await world.after_the_lease()
    assert raised.there() == {file.name: file.body.decode()}
    assert await one.open_items() == []


@pytest.mark.warns("call.parked")
async def test_what_waits_for_a_person_is_not_written_by_a_replay_and_holds_up_the_later_ones(world: World) -> None:
    one, _ = await made(world)
    world.receiver.takes, world.receiver.die = True, ("rename", "after")
    with pytest.raises(Died):
        await one.work()
    restarted = await world.after_the_lease()
    await one.units.write(release, (await one.file()).work_id)
    await restarted.work()
    assert ((await one.file()).state, len(world.receiver.taken)) == ("unknown", 1)
    another = await one.units.write(paid_in_yen, one.tenant)
    await restarted.round()
    assert ((await one.file(2)).state, len(world.receiver.taken)) == ("made", 1)
    await one.units.write(found, NAME, 1, by="ann", why="they have it")
    await restarted.work()
    assert [name[-10:] for name, _ in world.receiver.taken] == ["000001.txt", "000002.txt"]
    assert [posting.state for posting in await one.postings(another)] == ["posted"]


@pytest.mark.warns("posting_file.unplaced")
async def test_a_folder_that_is_full_or_gone_is_on_the_worklist_until_it_takes_the_file(world: World) -> None:
    one, _ = await made(world)
    file = await one.file()
    world.receiver.full = 1
    await one.work()
    (item,) = await one.open_items()
    assert item.says.endswith(f"waits here: {os.strerror(errno.ENOSPC)}")
    world.folder.rename(world.folder.with_name("away"))
    world.clock.advance(timedelta(hours=1))
    await one.work()
    (item,) = await one.open_items()
    assert f"there is no folder {world.folder}" in item.says
    world.folder.with_name("away").rename(world.folder)
    world.clock.advance(timedelta(hours=1))
    await one.work()
    assert one.there() == {file.name: file.body.decode()}
    assert await one.open_items() == []


@pytest.mark.warns("call.parked")
async def test_another_file_of_that_name_is_left_as_it_is(world: World) -> None:
    one, _ = await made(world)
    file = await one.file()
    (world.folder / file.name).write_text("theirs")
    await one.work()
    assert one.there() == {file.name: "theirs"}
    assert (await one.file()).state == "unknown"
    (item,) = await one.open_items()
    assert "another file is named" in item.says
