"""How a dispute ends where not all is as it should be: less comes back than was taken, and what else took the money."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from disputes_world import disputed, goes_on, heard, the
from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import returns, store
from fhirpay.usecases import credit
from payments_world import World, payments_world, usd

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("dispute.opened", "dispute.lost", "payment.returned"),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def short(world: World) -> list[int]:
    return [one.amount.minor for one in await world.units.read(store.breaks) if one.kind == "dispute_short"]


async def test_what_did_not_come_back_of_one_that_was_won_is_a_break_until_it_does(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="won", reinstate=50_00)
    await heard(world)
    assert ((await world.balances())["dispute_receivable"], await short(world)) == (30_00, [30_00])
    await goes_on(world, theirs, reinstate=20_00)
    await heard(world)
    assert ((await world.balances())["dispute_receivable"], await short(world)) == (10_00, [10_00])
    await goes_on(world, theirs, reinstate=10_00)
    await heard(world)
    assert ("dispute_receivable" in await world.balances(), await world.breaks()) == (False, set())
    await world.sweep()


async def test_one_that_was_lost_and_then_won_of_less_leaves_nothing_in_between(world: World) -> None:
    """What does not come back stays lost: it is in no receivable, so nothing is missing there."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    await goes_on(world, theirs, status="won", reinstate=50_00)
    await heard(world)
    assert ((await the(world, payment_id)).lost, await world.breaks()) == (usd(30_00), set())
    await world.sweep()


async def test_a_return_of_what_a_dispute_had_taken_is_carried_out_once_the_dispute_is_won(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, "ba_ok")
    await world.work(hours=50)
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    (paid,) = await world.processor.payments(payment_id)
    await world.processor.control("decide", {"id": paid["id"], "result": "returned", "code": "R10"})
    await heard(world)
    assert await world.breaks() == {"return_unexplained"}
    (back,) = await world.units.read(returns.of_payment, payment_id)
    assert back.booked_at is None
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    (back,) = await world.units.read(returns.of_payment, payment_id)
    assert (back.booked_at is not None, await world.breaks()) == (True, set())
    balances = await world.balances()
    assert balances["ar_patient"] == 80_00
    assert balances.keys().isdisjoint({"unapplied_credit", "dispute_receivable"})
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_money_of_a_disputed_payment_is_not_moved_until_the_dispute_has_ended(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 20_00)
    payment_id = await world.paid(account, minor=80_00)
    owed = await world.units.read(obligations.obligations_of, account)
    first, second = (one.obligation_id for one in owed)
    theirs = await disputed(world, payment_id, fee=0)
    await heard(world)
    said = {"by": "ann", "reason": "the other one", "tenant": world.tenant}
    with pytest.raises(RuleBroken, match="is disputed"):
        await world.units.write(credit.reallocate, payment_id, first, second, usd(20_00), **said)
    with pytest.raises(RuleBroken, match="is disputed"):
        await world.units.write(credit.apply, account, payment_id, second, None, **said)
    await goes_on(world, theirs, status="won", reinstate=80_00)
    await heard(world)
    with pytest.raises(RuleBroken, match="no credit"):
        await world.units.write(credit.apply, account, payment_id, second, None, **said)
