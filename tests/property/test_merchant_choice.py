"""Two processors, whatever goes wrong on the way to each: at most one has money for a payment, by both their books."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

import processor_running
from fhirpay.config import Merchant
from fhirpay.config_route import Route
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.worker import Worker
from fhirpay.payments import registry as registries
from fhirpay.payments import store
from fhirpay.usecases.explain import explain
from payments_world import World, handlers_of, payments_world
from processor_running import now

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("work.retry", "work.parked", "payment.other_merchant", "operation.unknown"),
]

# What becomes of a call that opens a page, and whether the processor provably knows nothing of it.
UNREACHED = ("refused", "connect timeout", "429")
DOUBTFUL = ("answer lost", "reset", "500", "garbage")
ANSWERS = ("ok", "declined")
SEQUENCES = 24


@dataclass
class Roads(httpx2.AsyncBaseTransport):
    """The way to both processors. `faults` by port: what becomes of the next calls that open a page there."""

    faults: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    reached: Counter[int] = field(default_factory=Counter[int])

    def __post_init__(self) -> None:
        self._real = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        port = request.url.port or 0
        waiting = self.faults.get(port) or []
        opens = request.method == "POST" and request.url.path == "/v1/checkouts"
        fault = waiting.pop(0) if opens and waiting else "ok"
        match fault:
            case "refused":
                raise httpx2.ConnectError("connection refused")
            case "connect timeout":
                raise httpx2.ConnectTimeout("no connection")
            case "429":
                return httpx2.Response(429, json={"error": {"code": "slow_down"}})
            case "reset":
                raise httpx2.ReadError("connection reset")
            case "500":
                return httpx2.Response(500, json={})
            case "declined":
                return httpx2.Response(422, json={"error": {"code": "amount_too_large"}})
            case _:
                self.reached[port] += opens
                answer = await self._real.handle_async_request(request)
                if fault == "answer lost":
                    await answer.aclose()
                    raise httpx2.ReadTimeout("no answer")
                if fault == "garbage":
                    await answer.aclose()
                    return httpx2.Response(200, content=b"<html>")
                return answer

    async def aclose(self) -> None:
        await self._real.aclose()


@dataclass
class Two:
    world: World
    other: processor_running.Running
    roads: Roads

    @property
    def ports(self) -> tuple[int, int]:
        first, second = (httpx2.URL(one.base_url).port for one in (self.world.processor, self.other))
        assert first
        assert second
        return first, second

    async def pages(self, payment_id: str) -> list[tuple[str, str]]:
        """Every page of the payment that either processor knows of, whether or not we ever learned its address."""
        found: list[tuple[str, str]] = []
        for name, side in (("main", self.world.processor), ("second", self.other)):
            books: dict[str, Any] = await side.books()
            found += [(name, one["url"]) for one in books["checkouts"] if one["reference"] == payment_id]
        return found

    async def taken(self, payment_id: str) -> dict[str, int]:
        sides = {"main": self.world.processor, "second": self.other}
        return {name: await side.taken(payment_id) for name, side in sides.items()}


@pytest.fixture
async def two(database: Database, clock: FrozenClock) -> AsyncIterator[Two]:
    roads = Roads()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(payments_world(database, clock))
        other = await stack.enter_async_context(processor_running.running_processor())
        await other.control("clock", {"advance_s": (clock.now() - now()).total_seconds()})
        first = world.tenant.merchants[0]
        second = Merchant(**{**first.model_dump(), "name": "second", "base_url": other.base_url})
        world.tenant = world.tenant.model_copy(
            update={
                "merchants": (first, second),
                "routes": (Route(name="both", merchants=("main", "second")),),
            }
        )
        world.registry = registries.build(world.tenant, transport=roads)
        stack.push_async_callback(world.registry.aclose)
        handlers = handlers_of(world.units, world.tenant, world.registry)
        world.outbox = Worker(database, world.units, queue="outbox", handlers=handlers)
        yield Two(world, other, roads)


async def run(two: Two, name: str, first: list[str], second: list[str]) -> str:
    """A payment on a page, with these faults on the way to each processor; all that can be paid is paid."""
    world = two.world
    account = await world.invoiced(name, 80_00)
    two.roads.faults = dict(zip(two.ports, (list(first), list(second)), strict=True))
    payment_id = await world.start(account)
    for _ in range(8):
        await world.work(hours=0.02)
    for _, url in await two.pages(payment_id):
        await world.processor.pay_page(url)
    await world.work(hours=0.5)
    return payment_id


async def test_at_most_one_processor_has_money_whatever_goes_wrong_on_the_way(two: Two) -> None:
    chance = random.Random(4711)
    went_over = 0
    for number in range(SEQUENCES):
        weights = (*UNREACHED * 4, *DOUBTFUL, *ANSWERS)
        faults = [[chance.choice(weights) for _ in range(chance.randint(0, 6))] for _ in range(2)]
        two.roads.reached.clear()
        payment_id = await run(two, f"p{number}", *faults)
        taken = await two.taken(payment_id)
        said = (number, faults, taken)
        assert sum(1 for money in taken.values() if money) <= 1, said
        assert len({merchant for merchant, _ in await two.pages(payment_id)}) <= 1, said
        payment = await two.world.units.read(store.get, payment_id)
        operations = await two.world.units.read(store.operations_of, payment_id)
        if payment.merchant == "second":
            went_over += 1
            assert faults[0][:3] == [one for one in faults[0][:3] if one in UNREACHED], said
            assert not two.roads.reached[two.ports[0]], said
            assert [str(one.state) for one in operations[:-1]] == ["cancelled"], said
            assert operations[0].sent_at is None, said
        assert taken.get(payment.merchant, 0) == sum(taken.values()), said
    assert 2 < went_over < SEQUENCES


async def test_a_processor_that_is_never_reached_is_passed_over_and_explain_says_so(two: Two) -> None:
    payment_id = await run(two, "ana", ["refused", "429", "connect timeout"], [])
    payment = await two.world.units.read(store.get, payment_id)
    assert (payment.merchant, payment.state) == ("second", "captured")
    assert await two.taken(payment_id) == {"main": 0, "second": 80_00}
    shown = (await two.world.api.get(f"/api/v1/payments/{payment_id}")).json()
    assert [(one["merchant"], one["tries"], one["not_reached"]) for one in shown["tried"]] == [
        ("main", 3, 3),
        ("second", 1, 0),
    ]
    chain = await two.world.units.read(explain, payment_id)
    assert "merchant 'main' was tried 3 times and never reached" in str(chain)


@pytest.mark.parametrize("fault", [*DOUBTFUL, "declined"])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_doubt_or_an_answer_is_enough_to_stay(two: Two, fault: str, place: int) -> None:
    first = ["refused"] * 9
    first.insert(place, fault)
    payment_id = await run(two, "ana", first, [])
    payment = await two.world.units.read(store.get, payment_id)
    assert payment.merchant == "main"
    assert two.roads.reached[two.ports[1]] == 0


async def test_a_stored_method_stays_with_who_keeps_it(two: Two) -> None:
    account = await two.world.invoiced("ana", 80_00)
    method = await two.world.method(account)
    port = two.ports[0]

    async def refuse(request: httpx2.Request) -> httpx2.Response:
        if request.url.port == port:
            raise httpx2.ConnectError("refused")
        raise AssertionError("another processor was asked")

    two.roads.handle_async_request = refuse  # type: ignore[method-assign]
    payment_id = await two.world.start(account, method_id=method)
    for _ in range(20):
        await two.world.work(hours=0.05)
    payment = await two.world.units.read(store.get, payment_id)
    assert (payment.merchant, payment.state, payment.failure_code) == ("main", "canceled", "processor-unavailable")
