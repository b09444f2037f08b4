"""The worker loop, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import EhrUnavailable, LeaseLost, RuleBroken
from fhirpay.flow import lane
from fhirpay.flow.backoff import Backoff
from fhirpay.flow.lane import Work
from fhirpay.flow.worker import DONE, Done, Worker

pytestmark = [
    pytest.mark.warns("work.bug", "work.parked", "work.retry"),
    pytest.mark.unsound("the queue alone: nobody notes what parks"),
]

Handle = Callable[[Work], Awaitable[None]]


def put(tx: Tx, ref: str, key: str = "a") -> str:
    return lane.enqueue(tx, queue="outbox", kind="writeback", ref=ref, lanes=[key])


def worker_of(database: Database, units: Units, handle: Handle, **more: object) -> Worker:
    return Worker(database, units, queue="outbox", handlers={"writeback": handle}, **more)  # type: ignore[arg-type]


async def test_drain_works_until_nothing_is_due(database: Database, units: Units) -> None:
    done: list[str] = []

    async def handle(work: Work) -> None:
        done.append(work.ref)
        if work.ref == "one":
            await units.write(lambda tx: (put(tx, "three"), lane.complete(tx, work)))
        else:
            await units.write(lane.complete, work)

    await units.write(put, "one")
    await units.write(put, "two")
    assert await worker_of(database, units, handle).drain() == 3
    assert done == ["one", "two", "three"]


async def test_passing_trouble_is_retried_and_an_answer_that_stands_is_parked(
    database: Database, units: Units, clock: FrozenClock
) -> None:
    async def handle(work: Work) -> None:
        if work.ref == "down":
            raise EhrUnavailable("no route")
        if work.ref == "refused":
            raise RuleBroken("closed period")
        if work.ref == "lost":
            raise LeaseLost("taken")
        raise KeyError("a bug")

    parked: list[tuple[str, str]] = []

    def note(tx: Tx, work: Work, reason: str) -> None:
        parked.append((work.ref, reason))

    for ref in ("down", "refused", "lost", "bug"):
        await units.write(put, ref, ref)
    worker = worker_of(database, units, handle, on_parked=note)
    assert await worker.drain() == 4
    assert parked == [("refused", "rule-broken: closed period")]
    for _ in range(6):
        clock.advance(timedelta(minutes=1))
        await worker.drain()
    assert [row.reason for row in await units.read(lane.parked, "outbox")] == [
        "rule-broken: closed period",
        "bug: KeyError",
    ]
    assert parked[1] == ("bug", "bug: KeyError")
    assert await units.read(lane.pending_count, "outbox") == 2


async def test_what_a_handler_calls_done_is_ended_by_the_worker_and_lets_the_next_one_go(
    database: Database, units: Units, clock: FrozenClock
) -> None:
    seen: list[str] = []

    async def handle(work: Work) -> Done:
        seen.append(work.ref)
        if work.ref == "slow" and work.attempt == 1:
            clock.advance(timedelta(minutes=2))  # past its lease
            assert await thief.drain() == 2
        return DONE

    async def finish(work: Work) -> None:
        await units.write(lane.complete, work)

    thief = worker_of(database, units, finish)
    for ref in ("one", "slow", "two"):
        await units.write(put, ref)
    assert await worker_of(database, units, handle).drain() == 2
    assert seen == ["one", "slow"]
    assert await units.read(lane.pending_count, "outbox") == 0


async def test_ends_are_stored_with_the_next_claim_while_the_worker_runs(database: Database, units: Units) -> None:
    finished = asyncio.Event()
    seen: list[str] = []

    async def handle(work: Work) -> Done:
        seen.append(work.ref)
        if len(seen) == 20:
            finished.set()
        if work.ref == "a3":
            raise RuleBroken("refused")
        return DONE

    stop = asyncio.Event()
    worker = worker_of(database, units, handle, concurrency=4, poll_s=60)
    for n in range(5):
        for key in "abcd":
            await units.write(put, f"{key}{n}", key)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await finished.wait()
        stop.set()
    assert await units.read(lane.pending_count, "outbox") == 0
    assert [row.ref for row in await units.read(lane.parked, "outbox")] == ["a3"]
    for key in "abcd":
        assert [ref for ref in seen if ref.startswith(key)] == [f"{key}{n}" for n in range(5)]


async def test_running_is_woken_by_a_commit_and_works_lanes_side_by_side(database: Database, units: Units) -> None:
    together = 0
    most = 0
    all_in, finished = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def handle(work: Work) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        if most == 3:
            all_in.set()
        await asyncio.wait_for(all_in.wait(), 30)  # the first of each lane wait for each other
        together -= 1
        await units.write(lane.complete, work)
        done.append(work.ref)
        if len(done) == 9:
            finished.set()

    stop = asyncio.Event()
    # Polling alone would take a minute: what ends this test in time are the wake-ups.
    worker = worker_of(database, units, handle, concurrency=3, poll_s=60)
    async with asyncio.timeout(45), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await asyncio.sleep(0.05)
        for n in range(3):
            for key in "abc":
                await units.write(put, f"{key}{n}", key)
        await finished.wait()
        stop.set()
    assert most == 3
    for key in "abc":
        assert [ref for ref in done if ref.startswith(key)] == [f"{key}{n}" for n in range(3)]


async def test_stopping_waits_for_what_is_in_hand_and_gives_back_what_does_not_end(
    database: Database, units: Units
) -> None:
    begun = asyncio.Event()

    async def handle(work: Work) -> None:
        if work.ref == "slow":
            begun.set()
            await asyncio.sleep(60)
        await asyncio.sleep(0.1)
        await units.write(lane.complete, work)

    await units.write(put, "quick", "a")
    await units.write(put, "slow", "b")
    await units.write(put, "next", "a")
    stop = asyncio.Event()
    worker = worker_of(database, units, handle, concurrency=2, grace_s=0.5)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await begun.wait()
        stop.set()
    assert await units.read(lane.pending_count, "outbox") == 2
    left: list[str] = []

    async def quick(work: Work) -> None:
        assert work.attempt == 1
        left.append(work.ref)
        await units.write(lane.complete, work)

    await worker_of(database, units, quick).drain()
    assert sorted(left) == ["next", "slow"]


def test_waits_grow_to_the_cap_and_differ_between_items() -> None:
    backoff = Backoff(base=timedelta(seconds=1), cap=timedelta(minutes=1))
    assert [backoff.ceiling(n).total_seconds() for n in (1, 2, 3, 7, 40)] == [1, 2, 4, 60, 60]
    waits = [backoff.delay(6, f"wrk{n}") for n in range(200)]
    assert len(set(waits)) == 200
    assert min(waits) < timedelta(seconds=4) < timedelta(seconds=28) < max(waits) < timedelta(seconds=32)
    assert backoff.delay(6, "wrk1") == backoff.delay(6, "wrk1")


@pytest.mark.warns("work.turn_bug")
async def test_turn_that_meets_a_bug_does_not_end_the_worker(database: Database, units: Units) -> None:
    """One item that can't be parked used to end the loop for good: all that came after it lay there unseen."""
    seen: list[str] = []

    async def handle(work: Work) -> None:
        seen.append(work.ref)
        if work.ref == "bad":
            raise RuleBroken("refused")
        await units.write(lane.complete, work)

    broken = [True]
    failed = asyncio.Event()

    def note(tx: Tx, work: Work, reason: str) -> None:
        if broken[0]:
            failed.set()
            raise KeyError("a bug")

    stop = asyncio.Event()
    worker = worker_of(database, units, handle, on_parked=note, poll_s=0.05)
    await units.write(put, "bad", "a")
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await failed.wait()
        broken[0] = False
        await units.write(put, "good", "b")
        while await units.read(lane.pending_count, "outbox"):  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.02)
        stop.set()
    assert [row.ref for row in await units.read(lane.parked, "outbox")] == ["bad"]
