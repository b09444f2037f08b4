"""The worker loop: claims due items, runs their handlers side by side, and deals with what a handler raises.

A handler calls `complete`, `retry` or `park` in its last unit, together with the effect. One that has nothing to store
returns `DONE`. What a handler raises instead becomes a retry with backoff (trouble that passes: a retryable
FhirpayError), a parked item (an answer that won't change: any other FhirpayError), or, for a bug, a retry at first and
parked after a few. The ends that are left to the worker are stored together, in the unit of its next claim. Started by
`wiring`, one per tenant and queue. To add work of a new kind: a handler in `handlers`, not a change here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from ..db.types import legible
from ..db.unit import Database, Tx, Units
from ..errors import FhirpayError, LeaseLost, StorageUnavailable
from ..log import Log
from .lane import complete_all, park, retry
from .lease import claim, give_back
from .wake import pause_s, work_topic
from .work import Work

log = Log("flow")


class Done(Enum):
    """What a handler returns that leaves the end of its item to the worker."""

    DONE = "done"


DONE = Done.DONE


@dataclass(frozen=True, slots=True)
class _Failed:
    work: Work
    code: str  # for the log: what was said may quote a patient
    reason: str
    again: bool

    @property
    def event(self) -> str:
        return "work.retry" if self.again else "work.parked"


@dataclass(frozen=True, slots=True)
class _Ends:
    """Items whose end the worker has to store."""

    done: list[Work] = field(default_factory=list[Work])
    failed: list[_Failed] = field(default_factory=list[_Failed])

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


Handler = Callable[[Work], Awaitable[Done | None]]
OnParked = Callable[[Tx, Work, str], None]

_BUG_ATTEMPTS = 5  # a bug may be the neighbour's (a table being migrated); five times the same is ours


class Worker:
    """Works on one queue of one tenant."""

    def __init__(
        self,
        database: Database,
        units: Units,
        *,
        queue: str,
        handlers: Mapping[str, Handler],
        lease_s: float = 60,
        poll_s: float = 1,
        concurrency: int = 4,
        owner: str = "worker",
        grace_s: float = 30,
        on_parked: OnParked | None = None,
    ) -> None:
        """`on_parked(tx, work, reason)` runs in the unit that parks an item, to note it where people look."""
        self._wakeups = database.wakeups
        self._units = units
        self._queue = queue
        self._topic = work_topic(queue)
        self._handlers = dict(handlers)
        self._lease = timedelta(seconds=lease_s)
        self._poll_s = poll_s
        self._concurrency = concurrency
        self._owner = owner
        self._grace_s = grace_s
        self._on_parked = on_parked
        self._in_hand: set[asyncio.Task[None]] = set()
        self._ends = _Ends()
        self._freed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then claim no more, wait for what is in hand, give back what doesn't end in time."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_at(stop))
            turn = 0
            while not stop.is_set():
                turn += 1
                seen = self._wakeups.count(self._topic)
                self._freed.clear()
                free = self._concurrency - len(self._in_hand)
                if free == 0:
                    await self._freed.wait()
                    continue
                claimed = await self._turn(free)
                for work in claimed:
                    task = group.create_task(self._handle(work))
                    self._in_hand.add(task)
                    task.add_done_callback(self._ended)
                if not claimed:
                    await self._wakeups.wait(self._topic, pause_s(self._poll_s, f"{self._owner}:{turn}"), since=seen)
            if self._in_hand:
                await asyncio.wait(self._in_hand, timeout=self._grace_s)
            for task in self._in_hand:
                task.cancel()
            if self._ends:
                await self._turn(0)

    async def drain(self) -> int:
        """Work, one item at a time, until nothing is due; how many items that were. For tests and commands."""
        count = 0
        while claimed := await self._end_and_claim(self._take_ends(), 1):
            for work in claimed:
                await self._handle(work)
                count += 1
        return count

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._freed.set()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._freed.set()
        self._wakeups.set(self._topic)

    def _take_ends(self) -> _Ends:
        ends, self._ends = self._ends, _Ends()
        return ends

    async def _turn(self, limit: int) -> list[Work]:
        """Store the ends that are due, and claim: one unit, since under load each is small."""
        ends = self._take_ends()
        try:
            return await self._end_and_claim(ends, limit)
        except StorageUnavailable as error:
            log.warning("work.claim_failed", queue=self._queue, code=error.code)
        except Exception as error:
            # A loop that ended here would leave everything lying that comes after, and nobody would be told.
            log.error("work.turn_bug", exc=True, queue=self._queue, error=type(error).__name__)
            ends = await self._one_by_one(ends)
        # With the next turn; those whose lease has run out by then are somebody else's.
        self._ends = _Ends(ends.done + self._ends.done, ends.failed + self._ends.failed)
        return []

    async def _one_by_one(self, ends: _Ends) -> _Ends:
        """Each end in a unit of its own, so that one that can't be stored costs nobody else theirs; those left to do.

        Whose end can't be stored is taken up again when its lease has run out.
        """
        each = [_Ends(done=[one]) for one in ends.done] + [_Ends(failed=[one]) for one in ends.failed]
        left = _Ends()
        for one in each:
            try:
                await self._end_and_claim(one, 0)
            except StorageUnavailable:
                left = _Ends(left.done + one.done, left.failed + one.failed)
            except Exception as error:
                work = [*one.done, *(failed.work for failed in one.failed)][0]
                log.error("work.end_bug", exc=True, work_id=work.work_id, kind=work.kind, error=type(error).__name__)
        return left

    async def _end_and_claim(self, ends: _Ends, limit: int) -> list[Work]:
        lost, claimed = await self._units.write(self._turn_unit, ends, limit)
        for work in lost:
            log.info("work.lease_lost", work_id=work.work_id, kind=work.kind)
        for one in ends.failed:
            if one.work not in lost:
                log.warning(one.event, work_id=one.work.work_id, kind=one.work.kind, code=one.code)
        return claimed

    def _turn_unit(self, tx: Tx, ends: _Ends, limit: int) -> tuple[list[Work], list[Work]]:
        lost = complete_all(tx, ends.done) if ends.done else []
        for one in ends.failed:
            try:
                self._fail(tx, one)
            except LeaseLost:  # and nothing of it was stored
                lost.append(one.work)
        if not limit:
            return lost, []
        return lost, claim(
            tx,
            queue=self._queue,
            kinds=self._handlers,
            owner=self._owner,
            lease=self._lease,
            limit=limit,
            on_parked=self._on_parked,
        )

    def _fail(self, tx: Tx, one: _Failed) -> None:
        if one.again:
            retry(tx, one.work, after=None, error=one.reason)
            return
        park(tx, one.work, reason=one.reason)
        if self._on_parked is not None:
            self._on_parked(tx, one.work, one.reason)

    async def _handle(self, work: Work) -> None:
        # Half the lease, from before the handler's first look at it: a worker that was paused for longer, also between
        # `still_ours` and its call, is cut off before it sends what another may have sent meanwhile.
        limit = asyncio.timeout(self._lease.total_seconds() / 2)
        try:
            async with limit:
                if await self._handlers[work.kind](work) is DONE:
                    self._ends.done.append(work)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(work))
            raise
        except LeaseLost:
            log.info("work.lease_lost", work_id=work.work_id, kind=work.kind)
        except FhirpayError as error:
            self._ends.failed.append(_Failed(work, error.code, legible(f"{error.code}: {error}"), error.retryable))
        except Exception as error:
            if limit.expired():
                code, reason, again = "out-of-time", "not ended within half its lease", True
            else:
                log.error("work.bug", exc=True, work_id=work.work_id, kind=work.kind, attempt=work.attempt)
                # The type alone: what a bug says may quote what it was working on.
                code, reason, again = "bug", f"bug: {type(error).__name__}", work.attempt < _BUG_ATTEMPTS
            self._ends.failed.append(_Failed(work, code, reason, again))
        if self._ends:
            self._wakeups.set(self._topic)  # the loop may be asleep, and others stand behind this one

    async def _give_back(self, work: Work) -> None:
        try:
            await self._units.write(give_back, work)
        except StorageUnavailable:
            log.warning("work.end_not_stored", work_id=work.work_id, kind=work.kind)
