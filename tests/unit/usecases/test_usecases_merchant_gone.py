"""A merchant that is no longer configured, with payments of its own still here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds
from fhirpay.usecases.refund import NewRefund, request
from payments_world import World, payments_world


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def test_no_refund_is_promised_that_nobody_can_send(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    gone = world.tenant.model_copy(update={"merchants": ()})
    with pytest.raises(RuleBroken, match="'main' is not configured"):
        await world.units.write(request, NewRefund(payment_id, "a test", "test"), gone)
    assert await world.units.read(refunds.of_payment, payment_id) == []
    assert await world.askable(account) == 0
    await world.sweep()
