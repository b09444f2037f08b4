"""Disputes as Stripe tells of them: the same books, through its own object, events and money."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from disputes_world import disputed, goes_on, heard, holds, the
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from payments_world import World, payments_world, usd
from processor_sides import STRIPE

pytestmark = pytest.mark.warns("dispute.opened", "dispute.lost")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=STRIPE) as made:
        yield made


async def test_a_dispute_is_won_and_lost_in_a_second_round(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id)
    await heard(world)
    assert (await the(world, payment_id)).fee == usd(15_00)
    assert (await world.balances())["dispute_receivable"] == 80_00
    await goes_on(world, theirs, status="won", reinstate=80_00, fee_back=15_00)
    await heard(world)
    assert (await holds(world, account), (await the(world, payment_id)).fee) == (set(), usd(0))
    await goes_on(world, theirs, status="needs_response", withdraw=80_00)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    found = await the(world, payment_id)
    assert (found.state, found.round, found.lost) == ("lost", 2, usd(80_00))
    assert await holds(world, account) == {"dispute_lost"}
    await world.sweep()


async def test_one_that_nobody_can_answer_is_lost_from_the_start(world: World) -> None:
    """As a bank debit is that its payer says was not authorized."""
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    await disputed(world, payment_id, status="lost", reason="debit_not_authorized")
    await heard(world)
    found = await the(world, payment_id)
    assert (found.state, found.lost, found.reason) == ("lost", usd(80_00), "debit_not_authorized")
    assert (await world.balances())["ar_patient"] == 80_00
    assert await world.askable(account) == 0
    await world.sweep()


@pytest.mark.warns("operation.unknown")
async def test_one_that_is_given_up_is_closed_once_though_the_answer_is_lost(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await disputed(world, payment_id)
    await heard(world)
    await world.processor.fault("accept", "lost_answer")
    dispute_id = (await the(world, payment_id)).dispute_id
    body = {"by": "ben", "why": "the patient is right"}
    url = f"/api/v1/disputes/{dispute_id}/accept"
    assert (await world.api.post(url, json=body, headers={"Idempotency-Key": "k"})).status_code == 200
    await world.until_quiet()
    assert ((await the(world, payment_id)).state, (await the(world, payment_id)).lost) == ("accepted", usd(80_00))
    await world.sweep()
