"""Disputes as Adyen tells of them: by events alone, each stating how far it has come and which money moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from disputes_world import heard, holds, the
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import store
from payments_world import World, payments_world, usd
from processor_sides import ADYEN

pytestmark = pytest.mark.warns("dispute.opened", "dispute.lost", "work.retry")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=ADYEN) as made:
        yield made


async def captured(world: World) -> tuple[str, str]:
    """Account and payment."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "captured"
    return account, payment_id


async def opened(world: World, payment_id: str, **body: Any) -> str:
    theirs = (await world.units.read(store.get, payment_id)).processor_ref
    return (await world.processor.control("disputes", {"payment": theirs, **body}))["id"]


async def then(world: World, theirs: str, event: str) -> None:
    await world.processor.control(f"disputes/{theirs}", {"event": event})


async def test_a_chargeback_is_held_booked_won_and_lost_in_a_second_round(world: World) -> None:
    account, payment_id = await captured(world)
    theirs = await opened(world, payment_id)
    await heard(world)
    assert (await holds(world, account), "dispute_receivable" in await world.balances()) == ({"card_dispute"}, False)
    (line,) = [one for one in await world.units.read(list_open) if one.kind == "dispute"]
    assert "by 2026-12-04" in line.says
    await then(world, theirs, "CHARGEBACK")
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 80_00
    await then(world, theirs, "INFORMATION_SUPPLIED")
    await heard(world)
    assert str((await the(world, payment_id)).state) == "under_review"
    await then(world, theirs, "CHARGEBACK_REVERSED")
    await heard(world)
    assert (await holds(world, account), await world.breaks()) == (set(), set())
    assert "dispute_receivable" not in await world.balances()
    await world.sweep()
    await then(world, theirs, "SECOND_CHARGEBACK")
    await heard(world)
    found = await the(world, payment_id)
    assert (str(found.state), found.round, found.lost) == ("lost", 2, usd(80_00))
    assert (await holds(world, account), (await world.balances())["ar_patient"]) == ({"dispute_lost"}, 80_00)
    await world.sweep()


async def test_one_that_nobody_defends_is_lost_when_its_time_is_over(world: World) -> None:
    account, payment_id = await captured(world)
    theirs = await opened(world, payment_id, amount=30_00, event="CHARGEBACK")
    await then(world, theirs, "DISPUTE_DEFENSE_PERIOD_ENDED")
    await heard(world)
    found = await the(world, payment_id)
    assert (str(found.state), found.lost, await holds(world, account)) == ("lost", usd(30_00), {"dispute_lost"})
    assert await world.breaks() == set()
    await world.sweep()


@pytest.mark.parametrize("order", [(4, 3, 2, 1, 0), (2, 4, 0, 3, 1)])
async def test_in_whatever_order_its_events_come_the_end_is_the_same(world: World, order: tuple[int, ...]) -> None:
    account, payment_id = await captured(world)
    theirs = await opened(world, payment_id)
    for event in ("CHARGEBACK", "INFORMATION_SUPPLIED", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK"):
        await then(world, theirs, event)
    told = [event for event in world.events() if event["id"] not in world.seen_events]
    world.seen_events |= {event["id"] for event in told}
    for number in (*order, *order):
        assert (await world.event(told[number])).status_code == 200
        await world.inbox.drain()
    await world.work(hours=3, steps=12)
    found = await the(world, payment_id)
    assert (str(found.state), found.round, found.lost) == ("lost", 2, usd(80_00))
    assert [one.says for one in await world.units.read(store.breaks)] == []
    assert await holds(world, account) == {"dispute_lost"}
    await world.sweep()


END = {"by": "mia", "why": "the Customer Area shows it"}


async def ended(world: World, dispute_id: str, how: str) -> int:
    body, key = {"ended": how, **END}, {"Idempotency-Key": f"{dispute_id}-{how}"}
    return (await world.api.post(f"/api/v1/disputes/{dispute_id}/end", json=body, headers=key)).status_code


@pytest.mark.parametrize(
    ("stated", "told", "differs"),
    [
        ("lost", "DISPUTE_DEFENSE_PERIOD_ENDED", False),
        ("lost", "CHARGEBACK_REVERSED", True),
        ("won", "CHARGEBACK_REVERSED", False),
        ("won", "DISPUTE_DEFENSE_PERIOD_ENDED", True),
    ],
)
async def test_one_of_which_no_event_tells_the_end_is_ended_by_a_person_until_one_does(
    world: World, stated: str, told: str, differs: bool
) -> None:
    account, payment_id = await captured(world)
    theirs = await opened(world, payment_id, event="CHARGEBACK")
    await heard(world)
    found = await the(world, payment_id)
    assert await ended(world, found.dispute_id, stated) == 200
    found = await the(world, payment_id)
    assert (str(found.state), found.ended_by, found.ended_why) == (stated, "client:desk/mia", END["why"])
    assert await holds(world, account) == ({"dispute_lost"} if stated == "lost" else set())
    assert await world.breaks() == ({"dispute_short"} if stated == "won" else set())
    assert await ended(world, found.dispute_id, "won" if stated == "lost" else "lost") == 422
    await then(world, theirs, told)
    await heard(world)
    found = await the(world, payment_id)
    lost = told != "CHARGEBACK_REVERSED"
    assert (str(found.state), found.lost) == (("lost", usd(80_00)) if lost else ("won", usd(0)))
    assert await world.breaks() == ({"by_hand_differs"} if differs else set())
    assert await holds(world, account) == ({"dispute_lost"} if lost else set())
    assert "dispute_receivable" not in await world.balances()


async def test_what_goes_on_with_a_dispute_of_another_systems_payment_is_nobodys_work_here(world: World) -> None:
    """A merchant account that takes payments beside ours: every step of theirs would be a line on the worklist."""
    _, payment_id = await captured(world)
    theirs = await opened(world, payment_id, event="CHARGEBACK")
    await then(world, theirs, "CHARGEBACK_REVERSED")
    event = world.events()[-1]
    foreign = {
        "pspReference": "FOREIGNDISPUTE01",
        "originalReference": "FOREIGNPAYMENT01",
        "merchantReference": "theirs",
    }
    assert (await world.event({**event, "item": {**event["item"], **foreign}})).status_code == 200
    await world.inbox.drain()
    await world.work(hours=200, steps=40)
    assert await world.breaks() == set()
