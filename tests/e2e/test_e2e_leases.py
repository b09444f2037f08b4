"""Two workers with the real handlers: one is killed, or paused past its lease and woken, and there is one effect.

Who comes late is stopped by the fence before it writes. What no fence reaches is a call that it was about to make when
it was paused, after it had asked whether the work was still its own. There the processor's own id for the payment
saves us, or the key that a resend shares with it; and a worker whose process was stopped is cut off before it sends,
which is all that a processor without ids and keys, or an EHR that only lets one search, leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from ehr_running import TOKEN as EHR_TOKEN
from ehr_running import running_ehr
from fhirpay.config import Connection, Tenant
from fhirpay.db.unit import Database, Tx, Units, open_database
from fhirpay.domain.clock import FrozenClock, SystemClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow import lane
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim, still_ours
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.payments import refunds
from fhirpay.payments import registry as registries
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.postings import enqueue
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import Line, PostedPayment
from fhirpay.writeback.store import Posting
from intake_world import message, segment
from intake_world import world as intake_world
from payments_world import World, handlers_of, payments_world

pytestmark = pytest.mark.warns("operation.unknown", "work.retry", "call.parked")

PAST = timedelta(seconds=61)  # more than a lease


@dataclass
class Road(httpx2.AsyncBaseTransport):
    """The way to the other side: the first call to `at` stops there, in the one place that no fence reaches."""

    at: str = ""
    stops: str = "until woken"  # or "the process": nothing of it runs meanwhile, its timers either
    stopped_s: float = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.at and request.method != "GET" and self.at in request.url.path:
            self.at = ""
            self.reached.set()
            if self.stops == "the process":
                time.sleep(self.stopped_s)  # noqa: ASYNC251 (that is what is meant)
            else:
                await self.woken.wait()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Two:
    """A world with a first worker whose way can be stopped, and a second one with eyes and a way of its own."""

    world: World
    road: Road
    second: Worker

    def first(self, lease_s: float = 60) -> Worker:
        w = self.world
        handlers = handlers_of(w.units, w.tenant, w.registry)
        return Worker(w.database, w.units, queue="outbox", handlers=handlers, lease_s=lease_s)

    async def later(self, by: timedelta = PAST) -> None:
        self.world.clock.advance(by)
        await self.world.processor.control("clock", {"advance_s": by.total_seconds()})

    async def taken_over(self) -> None:
        """The second worker does what there is, and looks again until nothing is left to find out."""
        for minutes in (1, 1, 2, 5, 30):
            await self.second.drain()
            await self.later(timedelta(minutes=minutes))
        await self.second.drain()


@pytest.fixture
async def two(
    database: Database, database_url: str, clock: FrozenClock, open_it: Callable[[str], Database]
) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        road = Road()
        world = await stack.enter_async_context(payments_world(database, clock, timeout_s=30, transport=road))
        other = database
        if database.dialect == "postgresql":  # as another process has
            other = open_it(database_url)
            await other.start()
            stack.push_async_callback(other.stop)
        units = other.units("main")
        registry = registries.build(world.tenant, transport=Road())
        stack.push_async_callback(registry.aclose)
        second = Worker(other, units, queue="outbox", handlers=handlers_of(units, world.tenant, registry))
        yield Two(world, road, second)


async def _ends(two: Two, first: asyncio.Task[int], *, killed: bool) -> None:
    """The first worker's end: it never comes back, or it wakes when all is over."""
    if killed:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    else:
        two.road.woken.set()
        await first


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "paused and woken"])
async def test_a_payment_whose_worker_stops_right_before_the_call_is_taken_once(two: Two, killed: bool) -> None:
    world = two.world
    account = await world.invoiced("ana", 80_00)
    payment = await world.start(account, method_id=await world.method(account))
    two.road.at = "/confirm"
    first = asyncio.create_task(two.first().drain())
    await two.road.reached.wait()
    await two.second.drain()
    assert await world.state(payment) == "created"  # the lease runs: nobody else touches it
    await two.later()
    await two.taken_over()
    assert await world.state(payment) == "captured"
    await _ends(two, first, killed=killed)
    assert await world.processor.taken(payment) == 80_00
    assert len(await world.processor.payments(payment)) == 1
    await world.sweep()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "paused and woken"])
async def test_a_refund_whose_worker_stops_right_before_the_call_is_given_once(two: Two, killed: bool) -> None:
    world = two.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    refund = await world.refund(payment, 30_00)
    two.road.at = "/refunds"
    first = asyncio.create_task(two.first().drain())
    await two.road.reached.wait()
    await two.later()
    await two.taken_over()
    assert (await world.units.read(refunds.get, refund)).state == "succeeded"
    await _ends(two, first, killed=killed)
    assert await world.processor.taken(payment) == 50_00
    await world.sweep()


async def test_a_lookup_whose_worker_stops_before_it_sends_again_changes_nothing_when_it_wakes(two: Two) -> None:
    world = two.world
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "lost_request")
    payment = await world.start(account, method_id=await world.method(account))
    await two.first().drain()
    two.road.at = "/confirm"  # of the resend, by the lookup
    await two.later(timedelta(seconds=10))
    first = asyncio.create_task(two.first().drain())
    await two.road.reached.wait()
    await two.later()
    await two.taken_over()
    assert await world.state(payment) == "captured"
    await _ends(two, first, killed=False)
    assert await world.processor.taken(payment) == 80_00
    await world.sweep()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_worker_whose_process_was_stopped_sends_nothing_when_it_goes_on(two: Two) -> None:
    """For processors that honour no keys: what was not sent before the pause is not sent after it."""
    world = two.world
    payment = await world.paid(await world.invoiced("ana", 80_00))
    await world.refund(payment, 30_00)
    lease_s = 6.0
    two.road.at, two.road.stops, two.road.stopped_s = "/refunds", "the process", lease_s / 2 + 0.5
    first = two.first(lease_s)
    await first.drain()
    assert two.road.reached.is_set()
    assert await world.processor.taken(payment) == 80_00
    await two.later()
    await two.taken_over()
    assert await world.processor.taken(payment) == 50_00
    await world.sweep()


async def test_a_message_whose_worker_comes_late_is_applied_once(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    """Its mapping is done, its unit is late: the fence rolls the whole unit back."""
    async with intake_world(database, clock, ids) as world:
        charge = segment("FT1", {1: "1", 2: "T1", 4: "20261120", 6: "CG", 7: "99213", 10: "1", 11: "125.50"})
        await world.send(message("M1", charge))
        reached, woken = asyncio.Event(), asyncio.Event()
        late = _Late(world.house.units, reached, woken)
        messages = replace(world.house.messages, units=late)
        slow = Worker(database, world.house.units, queue="inbox", handlers={"hl7": messages.hl7})
        first = asyncio.create_task(slow.drain())
        await reached.wait()
        assert await world.work() == 0
        clock.advance(PAST)
        assert await world.work() == 1
        owed = await world.owed()
        woken.set()
        await first
        assert await world.state("M1") == "applied"
        assert len(owed) == 1
        assert await world.owed() == owed
        await world.check_books()


class _Late:
    """A worker's units; what it writes waits until it is woken."""

    def __init__(self, units: Units, reached: asyncio.Event, woken: asyncio.Event) -> None:
        self._units, self._reached, self._woken = units, reached, woken
        self.tenant, self.dialect = units.tenant, units.dialect
        self.read = units.read

    async def write(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self._reached.set()
        await self._woken.wait()
        return await self._units.write(fn, *args, **kwargs)


@asynccontextmanager
async def _skewed(url: str, hours: float, ids: CountedIds) -> AsyncIterator[Units]:
    """The eyes of a process on a machine whose clock is hours off; leases go by the database's."""
    clock = FrozenClock(SystemClock().now() + timedelta(hours=hours))
    database = open_database(url, clock=clock, ids=ids)
    await database.start()
    try:
        yield database.units("main")
    finally:
        await database.stop()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_worker_whose_clock_is_hours_off_changes_nothing(database_url: str, ids: CountedIds) -> None:
    def put(tx: Tx, queue: str) -> str:
        return lane.enqueue(tx, queue=queue, kind="k", ref="r", lanes=["a"])

    def take(tx: Tx, queue: str) -> list[Work]:
        return claim(tx, queue=queue, kinds=["k"], owner="t", lease=timedelta(minutes=10))

    async with _skewed(database_url, -5, ids) as behind, _skewed(database_url, +5, ids) as ahead:
        for queue, mine, others in (("q1", behind, ahead), ("q2", ahead, behind)):
            await mine.write(put, queue)
            (work,) = await mine.write(take, queue)
            assert await others.write(take, queue) == []
            assert await others.read(still_ours, work)
            await mine.write(lane.retry, work, after=timedelta(hours=1), error="busy")
            assert await others.write(take, queue) == []
            assert not await others.read(still_ours, work)


def _facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    amount = Money(80_00, "USD")
    visit = {"type": "Encounter", "identifier": {"system": "urn:visit", "value": "1"}}
    shown = {"zone": "America/New_York", "processor": "sim", "reference": "ch_1", "refund_of": ""}
    return PostedPayment(id=posting.subject, amount=amount, at=tx.now, lines=[Line(1, amount, visit)], **shown)


@pytest.mark.parametrize("update_create", [True, False], ids=["put", "if-none-exist"])
async def test_a_posting_whose_worker_stops_right_before_the_call_is_there_once(
    database: Database, units: Units, clock: FrozenClock, update_create: bool
) -> None:
    async with AsyncExitStack() as stack:
        ehr = await stack.enter_async_context(running_ehr())
        ehr.ehr.switches.update_create = update_create
        tenant = Tenant(
            name="main",
            connections=(Connection(name="ehr", base_url=ehr.base_url, token=EHR_TOKEN, private_network=True),),
        )
        stopped = Road(at="/PaymentReconciliation")
        workers: list[Worker] = []
        for road in (stopped, Road()):
            http = client(ehr.base_url, allow_private=True, timeout_s=30, transport=road)
            fhir = FhirClient("ehr", http, FixedToken(EHR_TOKEN), retry_wait_s=0)
            stack.push_async_callback(fhir.aclose)
            post_back = PostBack(units, tenant, {"ehr": fhir}, facts=_facts)
            workers.append(Worker(database, units, queue="outbox", handlers={"writeback": post_back.run}))
        (posting,) = await units.write(enqueue, payment_id="pay1", tenant=tenant)
        first = asyncio.create_task(workers[0].drain())
        await stopped.reached.wait()
        for _ in range(4):
            clock.advance(timedelta(minutes=20))
            await workers[1].drain()
        # What was marked as sent and isn't there is not sent again without proof: a person looks.
        assert (await units.read(postings.get, posting)).state in ("posted", "unknown")
        stopped.woken.set()
        await first
        assert len({one["id"] for one in ehr.stored("PaymentReconciliation")}) == 1
