"""What can go wrong with a payment beyond one call and its answer (that is the fault matrix: tests/matrix).

Workers die, what is owed changes under way, events come that we can't use: one effect at the processor each time, and
our books agree with its books.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.inbox.tables import InboxRow
from fhirpay.net.http import client
from fhirpay.payments import store
from fhirpay.usecases.take_payment import TakePayment
from payments_world import World, payments_world, usd

# The races of PostgreSQL are test_usecases_payments.py's and the API's; what goes wrong out there is the same on both.
pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "webhook.refused", "work.retry"),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, timeout_s=10) as made:
        yield made


async def ends_well(world: World, payment_id: str, *, captured: int = 80_00) -> None:
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(captured))
    assert await world.breaks() == set()
    await world.sweep()


async def test_what_could_not_be_sent_for_long_is_given_up_and_free_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    adapter: Any = world.registry._processors["main"]
    listening = adapter._http
    adapter._http = client("http://127.0.0.1:9", allow_private=True)
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work(hours=1, steps=10)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "processor-unavailable")
    assert await world.askable(account) == 80_00
    adapter._http = listening
    await world.until_quiet()
    assert (await world.processor.books())["payments"] == []
    await world.sweep()


async def test_never_sent_after_it_was_prepared_is_sent_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "rate_limited", times=3)
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work(hours=0.2, steps=8)
    await ends_well(world, payment_id)
    (operation,) = await world.units.read(store.operations_of, payment_id)
    assert operation.attempt == 4


async def test_insurance_found_before_it_is_sent_stops_the_payment(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, method_id=await world.method(account))

    def cancel_invoice(tx: Any) -> None:
        from fhirpay.fhir import store as fhir
        from fhirpay.usecases.collect import reassess_accounts

        found = fhir.get(tx, "Invoice", "ana-1")
        assert found is not None
        fhir.put(tx, {**found.resource, "status": "cancelled"})
        reassess_accounts(tx, [account], world.tenant)

    await world.units.write(cancel_invoice)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_code) == ("canceled", "no-longer-owed")
    assert await world.processor.taken(payment_id) == 0
    await world.sweep()


# ── a worker dies ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process is gone: nothing is caught, nothing is given back."""


class Deadly:
    """A processor at which the worker dies, before or after one of its calls."""

    def __init__(self, processor: Any, call: str, *, after: bool) -> None:
        self._processor = processor
        self._call = call
        self._after = after
        self.died = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._processor, name)
        if name != self._call or self.died:
            return found

        async def deadly(*args: Any, **more: Any) -> Any:
            self.died = True
            if self._after:
                await found(*args, **more)
            raise Killed

        return deadly


async def until_it_dies(world: World) -> None:
    for _ in range(3):
        await world.outbox.drain()
        world.clock.advance(timedelta(seconds=2))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["prepare", "submit", "lookup", "refund"])
async def test_a_worker_dies_at_a_call(world: World, call: str, after: bool) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    deadly = Deadly(world.registry.of("main"), call, after=after)
    if call == "lookup":
        await world.processor.fault("confirm", "lost_answer")
    world.registry._processors["main"] = deadly  # type: ignore[assignment]
    payment_id = await world.start(account, method_id=method)
    if call == "refund":
        await world.work()
        await world.refund(payment_id, 30_00)
    with pytest.raises(Killed):
        await until_it_dies(world)
    world.registry._processors["main"] = deadly._processor
    world.clock.advance(timedelta(seconds=61))  # the lease runs out; nobody helps
    await world.until_quiet()
    await ends_well(world, payment_id)
    if call == "refund":
        assert (await world.units.read(store.get, payment_id)).refunded == usd(30_00)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["capture", "void"])
async def test_a_worker_dies_at_a_second_call(world: World, call: str, after: bool) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    deadly = Deadly(world.registry.of("main"), call, after=after)
    world.registry._processors["main"] = deadly  # type: ignore[assignment]
    await (world.capture(payment_id) if call == "capture" else world.void(payment_id))
    with pytest.raises(Killed):
        await until_it_dies(world)
    world.registry._processors["main"] = deadly._processor
    world.clock.advance(timedelta(seconds=61))
    await world.until_quiet()
    if call == "capture":
        return await ends_well(world, payment_id)
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    assert await world.breaks() == set()
    await world.sweep()


@pytest.mark.parametrize("unit", ["_sending", "_finish"])
async def test_a_worker_dies_in_or_right_after_a_unit(world: World, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account, method_id=await world.method(account))
    original = getattr(TakePayment, unit)

    async def dies(self: TakePayment, work: Any) -> None:
        def dead(tx: Any, *args: Any) -> Any:
            original(self, tx, *args)
            raise RuntimeError("the unit is rolled back whole")

        monkeypatch.setattr(self, unit, dead, raising=False)
        with pytest.raises(RuntimeError):
            await run(self, work)
        monkeypatch.undo()
        raise Killed

    run: Callable[[TakePayment, Any], Awaitable[None]] = TakePayment.run
    handler = world.outbox._handlers["payment.submit"].__self__  # type: ignore[attr-defined]
    world.outbox._handlers["payment.submit"] = lambda work: dies(handler, work)
    with pytest.raises(Killed):
        await world.outbox.drain()
    world.outbox._handlers["payment.submit"] = handler.run
    world.clock.advance(timedelta(seconds=61))
    await world.until_quiet()
    await ends_well(world, payment_id)


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_twice_late_in_any_order_and_before_the_answer(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "lost_answer")
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.outbox.drain()
    refund_id = None
    for _ in range(2):
        for event in reversed(world.events()):
            assert (await world.event(event)).status_code == 200
        await world.inbox.drain()
        if refund_id is None:
            refund_id = await world.refund(payment_id, 30_00)
            await world.work()
    await world.until_quiet()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.captured, payment.refunded) == (usd(80_00), usd(30_00))
    await ends_well(world, payment_id)


def events_in(tx: Tx, state: str) -> list[str]:
    """The ids of the events whose message is in this state."""
    inbox = table(InboxRow)
    return [row["control_id"] for row in tx.all(select(inbox).where(inbox.c.state == state))]


async def test_an_event_is_kept_once_and_a_forged_one_not_at_all(world: World) -> None:

    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    (event,) = [one for one in world.events() if one["type"] == "payment.captured"]
    first = (await world.event(event)).json()
    again = (await world.event(event)).json()
    assert (first["duplicate"], again["duplicate"], again["message"]) == (False, True, first["message"])
    forged = await world.event({**event, "id": "evt_forged"}, secret="whsec_guessed")
    assert (forged.status_code, forged.headers["content-type"]) == (401, "application/problem+json")
    assert forged.json()["code"] == "not-authenticated"
    world.clock.advance(timedelta(seconds=-301))
    old = await world.api.post("/webhooks/simulated/main", content=b"{}", headers={"simulator-signature": "t=1,v1=0"})
    assert old.status_code == 401
    assert (await world.api.post("/webhooks/simulated/other", content=b"{}")).status_code == 404
    world.clock.advance(timedelta(seconds=301))
    kept = await world.units.read(events_in, "received")
    assert kept == [event["id"]]
    await world.inbox.drain()
    await ends_well(world, payment_id)


async def test_events_about_what_we_do_not_know_are_kept_and_ignored(world: World) -> None:

    doc = {"object": "payment", "id": "sp_elsewhere", "reference": "somebody-elses", "status": "captured"}
    await world.event({"id": "evt_1", "type": "payment.captured", "created": 1, "data": {"object": doc}})
    await world.event(
        {"id": "evt_2", "type": "moon.rises", "created": 1, "data": {"object": {"object": "moon", "id": "m"}}}
    )
    await world.inbox.drain()
    assert len(await world.units.read(events_in, "ignored")) == 2
    assert await world.balances() == {}


async def test_what_is_captured_under_an_unheard_of_status_stays_unknown_and_is_told(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_weird")
    await world.work(hours=2, steps=8)
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == "created"
    assert await world.askable(account) == 0  # it may have been paid: nobody is asked again
    assert await world.breaks() == {"unknown_outcome"}
    (operation,) = await world.units.read(store.unknown_operations)
    assert operation.payment_id == payment_id
