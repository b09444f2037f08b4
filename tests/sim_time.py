"""Time and chance of a simulation: a loop whose clock jumps to the next timer, a clock on it, ids from a seed.

Nothing here waits. While anything can run, no time passes; when nothing can, time jumps to the next timer, so two days
of lookups cost what their work costs. Threads would break that, so there are none: see `db/inline.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

START = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)


class NothingHappens(AssertionError):
    """Everybody waits for somebody else, and no timer runs."""


class _Jump:
    """In the place of the selector: no socket ever becomes ready, time passes instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise NothingHappens("everybody waits, and no timer runs")
        if timeout > 0:
            self._loop.passed += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets and threads. `passed` is its time in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        self._selector = _Jump(self)

    def time(self) -> float:
        return self.passed

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        raise AssertionError(f"{func} wants a thread, and there are none here")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time. What is still under way then is dropped."""
    loop = VirtualLoop()
    try:
        loop.set_exception_handler(lambda *_: None)  # what went wrong is told by the simulation's own sweep
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


class WorldClock:
    """The time of everybody in the world: the loop's, and what was jumped over."""

    def __init__(self) -> None:
        self.jumped = timedelta(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time()) + self.jumped

    def seconds(self) -> float:
        return self.now().timestamp()


class SeededIds:
    """Identifiers in the manner of ours: kind, milliseconds, chance."""

    def __init__(self, clock: WorldClock, chance: Random) -> None:
        self._clock = clock
        self._chance = chance

    def new(self, kind: str) -> str:
        millis = int(self._clock.now().timestamp() * 1000)
        return f"{kind}{millis:012x}{self._chance.getrandbits(56):014x}"

    def secret(self) -> str:
        return f"{self._chance.getrandbits(192):048x}"

    def token(self, size: int) -> str:
        return f"{self._chance.getrandbits(8 * size):0{2 * size}x}"


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set before that many seconds have passed."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def seeds_of(said: str) -> range:
    """`4711` is that seed; `1000-2000` are those between; `200x` are the first so many."""
    if said.endswith("x"):
        return range(1, int(said[:-1]) + 1)
    first, dash, last = said.partition("-")
    return range(int(first), int(last if dash else first) + 1)
