"""Our processes in a simulation: each a `System` as `wiring` builds it, that may die at any point, or stand still.

A point is where a process meets something outside of its own memory: before and after a unit of work, before a call
leaves and when its answer comes, when a wait ends. Dead means dead: what the process does in its last breath (a
`finally`, a lease to give back) reaches nobody, and its log is not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from fhirpay import wiring
from fhirpay.db.unit import Dialect, TenantUnits
from fhirpay.db.wakeups import Wakeups
from fhirpay.errors import StorageUnavailable
from fhirpay.flow.lease import take_over_all
from sim_net import App

if TYPE_CHECKING:
    from sim_world import World

# From here the next thing to happen is a call, and the lease has been looked at for the last time. No program can
# prevent a call that leaves after its lease when it is the program that sleeps, so nobody stands still here for long.
LAST_LOOK = frozenset(
    {
        "after TakePayment._sending",
        "after Refunds._sending",
        "after LookUp._resending",
        "after _sending",
        "before sending",
    }
)

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


class Died(BaseException):
    """The process is gone, and whoever was in it."""


@dataclass
class Trap:
    """At the `nth` time that a process comes to this point (any, when empty), it dies, or stands still for a while."""

    point: str
    nth: int
    seconds: float = 0


class Process:
    """One running program. `roles`: web, intake and workers, or workers alone."""

    def __init__(self, world: World, name: str, *, chance: Random, web: bool) -> None:
        self.world = world
        self.name = name
        self.web = web
        self.dead = False
        self.traps: list[Trap] = []
        self._chance = chance
        self._free = asyncio.Event()
        self._free.set()
        self._tasks: dict[asyncio.Task[Any], Coroutine[Any, Any, Any]] = {}
        self.database = SharedDatabase(self)
        self.system = wiring.build(
            world.settings,
            clock=world.clock,
            ids=world.ids,
            transport=world.net.transport(self),
            database=self.database,
        )

    async def start(self, *, alone: bool) -> None:
        """As `app.serving` does it. `alone`: nobody else can hold a lease, as on SQLite."""
        self.world.tell(self.name, "starts")
        if alone:
            try:
                for house in self.system.houses.values():
                    await house.units.write(take_over_all)
            except StorageUnavailable:
                self.kill("could not start")
        stop = asyncio.Event()
        for worker in self.system.workers(self.name):
            self.spawn(worker.run(stop))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that dies with the process."""

        async def inside() -> Any:
            CURRENT.set(self)
            try:
                return await work
            except BaseException as error:
                if not self.dead:
                    self.world.tell(self.name, "task ended", type(error).__name__)
                raise

        task = asyncio.get_running_loop().create_task(inside())
        self._tasks[task] = work
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task).close()  # where it never began
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.dead:
            self.world.trouble(f"{self.name} raised {type(error).__name__}: {error}")

    # ── dying and standing still ──────────────────────────────────────────────────────────────────────────────────

    async def point(self, what: str) -> None:
        """Nothing, most of the time. Raises Died."""
        self._alive()
        for trap in self.traps:
            if trap.point in ("", what):
                trap.nth -= 1
                if trap.nth == 0:
                    self.traps.remove(trap)
                    if not trap.seconds:
                        self.kill(what)
                        raise Died
                    self.stop(trap.seconds, what)
                    break
        if not self._free.is_set() and what not in LAST_LOOK:
            await self._free.wait()
            self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise Died

    def kill(self, what: str) -> None:
        self.world.tell(self.name, "dies", what)
        self.dead = True
        self._free.set()
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        self.world.bereaved(self)

    def stop(self, seconds: float, what: str = "") -> None:
        """Stand still at the next point, wherever that is."""
        if self.dead or not self._free.is_set():
            return
        self.world.tell(self.name, "stands still", what)
        self._free.clear()

        async def go_on() -> None:
            self.go_on()

        self.world.later(seconds, go_on())

    def go_on(self) -> None:
        if not self._free.is_set():
            self.world.tell(self.name, "goes on")
            self._free.set()

    # ── what others reach ─────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, handle: Callable[[App], Awaitable[None]]) -> asyncio.Task[None] | None:
        """A request to our web role."""

        async def handled() -> None:
            await handle(self.system.web)

        return None if self.dead else self.spawn(handled())

    async def take_frame(self, interface: str, frame: bytes) -> bytes:
        """A frame over MLLP: its answer, the moment that the listener would send it. Raises ConnectionError."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def handled() -> None:
            intake = self.system.house("main").intakes[interface]
            try:
                async for answer in intake.answers(frame, source="mllp"):
                    await self.point("answers a frame")
                    if not answered.done():  # else the sender has given up
                        answered.set_result(answer)
            except StorageUnavailable:  # nothing could be stored: say nothing and close
                pass
            finally:
                if not answered.done():
                    answered.set_exception(ConnectionError("closed"))

        if self.dead:
            raise ConnectionError("refused")
        self.spawn(handled())
        return await answered


class SharedDatabase:
    """One process's way to the database: its own wake-ups, and a point before and after each unit."""

    dialect: Dialect = "sqlite"

    def __init__(self, process: Process) -> None:
        self.wakeups = Wakeups()
        self._process = process
        self._world = process.world

    def units(self, tenant: str) -> TenantUnits:
        return TenantUnits(self, tenant, self.dialect)

    async def start(self) -> None:
        """It is open already."""

    async def stop(self) -> None:
        """It stays open."""

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any:
        name = _name(fn)
        await self._before(name)
        fails = self._world.storage_fails()
        if fails == "before":
            self._world.tell(self._process.name, name, "not stored")
            raise StorageUnavailable("the database can't store anything now")
        value = await self._world.inline.write_unit(tenant, fn, args, kwargs, urgent)
        self._world.committed()
        await self._process.point(f"after {name}")
        if fails == "after":
            self._world.tell(self._process.name, name, "stored, and nobody knows")
            raise StorageUnavailable("the commit got no answer")
        await asyncio.sleep(self._world.pause())
        return value

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        await self._before(_name(fn))
        return await self._world.inline.read_unit(tenant, fn, args, kwargs)

    async def _before(self, name: str) -> None:
        await asyncio.sleep(self._world.pause())
        await self._process.point(f"before {name}")


def _name(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__qualname__", fn))
