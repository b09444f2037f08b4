"""Lanes and topics are text from outside: any of it can be kept, and none of it stops the queue."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.flow import lane
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim
from fhirpay.flow.worker import Worker

SCATTERED = "".join(
    hashlib.sha256(str(n).encode()).hexdigest() for n in range(100)
)  # nothing that a database could press together
TEXTS = {"long": SCATTERED, "wide": "ü€" * 1500 + SCATTERED, "nul": "a\x00b", "half a pair": "a\ud800b", "plain": "a"}
LEASE = timedelta(minutes=1)


@pytest.mark.unsound("the queue alone: nobody notes what parks")
@pytest.mark.parametrize("key", TEXTS.values(), ids=TEXTS)
async def test_any_text_is_a_lane_and_a_topic(units: Units, key: str) -> None:
    async def put(ref: str) -> str:
        topics = {"needs": [key], "blocks": [key], "suspends": [key]}
        return await units.write(
            lambda tx: lane.enqueue(tx, queue="inbox", kind="hl7", ref=ref, lanes=[key], once_key=key + ref, **topics)
        )

    async def taken() -> list[Work]:
        return await units.write(lambda tx: claim(tx, queue="inbox", kinds=["hl7"], owner="me", lease=LEASE))

    first, second = await put("1"), await put("2")
    assert await put("1") == first
    (work,) = await taken()
    assert work.work_id == first
    await units.write(lane.park, work, reason=f"no such {key}")
    assert await units.read(lane.suspended, [key]) == [first]
    assert await taken() == []  # it waits behind the first, by its topic
    await units.write(lane.release, first)
    (work,) = await taken()
    await units.write(lane.complete, work)
    (work,) = await taken()
    assert work.work_id == second
    await units.write(lane.retry, work, after=None, error=f"no such {key}")


@pytest.mark.unsound("the queue alone: nobody notes what parks")
async def test_a_night_of_charges_may_park_as_one_message(units: Units) -> None:
    """A statement takes at most 65,535 parameters on PostgreSQL."""
    many = [f"charge:{n}" for n in range(17_000)]

    async def put(ref: str) -> str:
        return await units.write(
            lambda tx: lane.enqueue(tx, queue="inbox", kind="hl7", ref=ref, lanes=[ref], needs=many, blocks=many)
        )

    first = await put("1")
    (work,) = await units.write(lambda tx: claim(tx, queue="inbox", kinds=["hl7"], owner="me", lease=LEASE))
    await units.write(lane.park, work, reason="a code that nobody knows")
    await put("2")
    assert await units.write(lambda tx: claim(tx, queue="inbox", kinds=["hl7"], owner="me", lease=LEASE)) == []
    parked = await units.read(lane.parked, "inbox")
    assert [one.waits_for for one in parked] == [None, first]


@pytest.mark.warns("work.bug", "work.parked", "work.retry", "work.turn_bug", "work.end_bug")
@pytest.mark.unsound("the queue alone: nobody notes what parks")
async def test_an_end_that_cant_be_stored_keeps_nobody_else_waiting(
    database: Database, units: Units, clock: FrozenClock
) -> None:
    seen: list[str] = []

    async def handle(work: Work) -> None:
        seen.append(work.ref)
        raise RuleBroken(f"{work.ref} is not for us, nor is \x00 or \ud800")

    noted: list[str] = []

    def note(_: object, work: Work, reason: str) -> None:
        if work.ref == "bad":
            raise ValueError(reason)
        noted.append(work.ref)

    for ref in ("bad", "good", "better"):
        await units.write(lambda tx, ref=ref: lane.enqueue(tx, queue="outbox", kind="writeback", ref=ref, lanes=[ref]))
    worker = Worker(database, units, queue="outbox", handlers={"writeback": handle}, on_parked=note)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    for _ in range(3000):
        if {"good", "better"} <= set(noted) and await units.read(lane.pending_count, "outbox") == 1:
            break
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert sorted(one.ref for one in await units.read(lane.parked, "outbox")) == ["better", "good"]
    clock.advance(LEASE)
    (again,) = await units.write(lambda tx: claim(tx, queue="outbox", kinds=["writeback"], owner="me", lease=LEASE))
    assert again.ref == "bad"
