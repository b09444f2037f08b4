"""What is parked or held by a refund leaves the list by its own door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.billing import entries, worklist
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.flow import lane
from fhirpay.flow.worker import Worker
from fhirpay.outbox import add
from fhirpay.payments import store
from fhirpay.usecases import desk_list, staff
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.replay import replay_messages
from payments_world import World, payments_world, usd

# ── parked calls ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def parked_call(units: Units, database: Database, kind: str) -> tuple[str, str]:
    """A call that its handler refused for good: its work and its line."""

    async def refuses(work: lane.Work) -> None:
        raise RuleBroken("the other side said no")

    work_id = await units.write(add, kind, "ref1", ["lane"])
    handlers = {kind: refuses}
    worker = Worker(database, units, queue="outbox", handlers=handlers, on_parked=note_parked_call)
    assert await worker.drain() == 1
    (line,) = (await units.read(desk_list.read)).lines
    assert (line.kind, line.subject) == ("parked_call", work_id)
    return work_id, line.line_id


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_parked_call_is_tried_again_by_its_work_id(units: Units, database: Database) -> None:
    work_id, _ = await parked_call(units, database, "writeback")
    assert await units.write(replay_messages, message=work_id) == [work_id]
    assert (await units.read(desk_list.read)).lines == ()
    assert await units.read(lane.pending_count, "outbox") == 1


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_posting_that_was_made_by_hand_is_done(units: Units, database: Database) -> None:
    _, line = await parked_call(units, database, "writeback")
    await units.write(desk_list.done, line, by="ann", why="posted by hand")
    assert (await units.read(desk_list.read)).lines == ()
    assert await units.read(lane.parked, "outbox") == []


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_call_that_moves_money_is_never_dropped(units: Units, database: Database) -> None:
    work_id, line = await parked_call(units, database, "payment.submit")
    with pytest.raises(RuleBroken, match=f"fhirpay replay {work_id}"):
        await units.write(desk_list.done, line, by="ann", why="seen")
    assert len((await units.read(desk_list.read)).lines) == 1
    assert len(await units.read(lane.parked, "outbox")) == 1


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def test_what_a_refund_gave_back_is_asked_for_again_when_its_hold_is_released(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    mine = await world.units.write(_hold, world, account)
    refund_id = await world.refund(payment_id, 30_00)
    await world.work()
    lines = (await world.units.read(desk_list.read, account_ref=account)).lines
    assert [(one.kind, one.subject, one.amount) for one in lines] == [("refunded", refund_id, usd(30_00))]
    opened = {one.name: one for one in await world.units.read(entries.all_holds, account)}
    assert set(opened) == {"other", "refunded"}
    assert await world.askable(account) == 0
    await world.units.write(
        staff.release_hold, opened["refunded"].hold_id, by="ann", why="she keeps the visit", tenant=world.tenant
    )
    assert (await world.units.read(desk_list.read, account_ref=account)).lines == ()
    assert await world.askable(account) == 0  # the hold that staff opened is another one
    await world.units.write(staff.release_hold, mine, by="ann", why="answered", tenant=world.tenant)
    assert await world.askable(account) == 30_00
    assert {one.kind for one in await world.units.read(worklist.list_open)} == {"payment_due"}
    await world.sweep()


def _hold(tx: Tx, world: World, account: str) -> str:
    return staff.open_hold(tx, account, "other", says="waits for an answer", by="ann", tenant=world.tenant)


async def test_a_hold_by_staff_closes_the_page_that_a_payer_was_sent_to(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    await world.units.write(_hold, world, account)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.failure_says) == ("canceled", "waits for an answer")
