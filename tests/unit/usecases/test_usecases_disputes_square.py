"""Disputes as Square tells of them: no lines of money, no fee, an own state for one that was accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from disputes_world import disputed, goes_on, heard, holds, the
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import store
from payments_world import World, payments_world, usd
from processor_sides import SQUARE

pytestmark = pytest.mark.warns("dispute.opened", "dispute.lost")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=SQUARE) as made:
        yield made


async def test_an_inquiry_becomes_a_dispute_with_a_deadline_and_is_won(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    theirs = await disputed(world, payment_id, status="inquiry")
    await heard(world)
    assert ("dispute_receivable" in await world.balances(), await holds(world, account)) == (False, {"card_dispute"})
    await goes_on(world, theirs, status="needs_response")
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 80_00
    (line,) = [one for one in await world.units.read(list_open) if one.kind == "dispute"]
    assert "by 2026-12-02" in line.says
    await goes_on(world, theirs, status="under_review")
    await goes_on(world, theirs, status="won")
    await heard(world)
    found = await the(world, payment_id)
    assert (str(found.state), str(found.funds), await holds(world, account)) == ("won", "reinstated", set())
    assert "dispute_receivable" not in await world.balances()
    await world.sweep()


async def test_one_that_is_lost_of_a_page_is_owed_again_on_hold(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    await world.processor.pay_page((await world.units.read(store.get, payment_id)).hosted_url or "")
    await heard(world)
    theirs = await disputed(world, payment_id, amount=50_00)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    found = await the(world, payment_id)
    assert (str(found.state), found.lost, found.fee) == ("lost", usd(50_00), usd(0))
    assert (await world.balances())["ar_patient"] == 50_00
    assert (await holds(world, account), await world.askable(account)) == ({"dispute_lost"}, 0)
    await world.sweep()


@pytest.mark.warns("operation.unknown")
@pytest.mark.parametrize("fault", ["lost_answer", "lost_request"])
async def test_one_that_is_given_up_is_accepted_once_though_no_answer_came(world: World, fault: str) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await disputed(world, payment_id)
    await heard(world)
    await world.processor.fault("accept", fault)
    dispute_id = (await the(world, payment_id)).dispute_id
    body = {"by": "ben", "why": "the patient is right"}
    url = f"/api/v1/disputes/{dispute_id}/accept"
    assert (await world.api.post(url, json=body, headers={"Idempotency-Key": "k"})).status_code == 200
    await world.until_quiet()
    found = await the(world, payment_id)
    assert (str(found.state), found.lost) == ("accepted", usd(80_00))
    assert [one["state"] for one in (await world.processor.books())["disputes"]] == ["ACCEPTED"]
    await world.sweep()
