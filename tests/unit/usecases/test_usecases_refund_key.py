"""A refund is not sent under another key as long as an earlier call of it may still come: it would pay back twice."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import refunds, store
from fhirpay.payments.adapters import adyen_wire, square_wire, stripe_wire
from fhirpay.payments.port import OperationKind, Outcome, Unknown
from fhirpay.usecases import by_hand
from fhirpay.usecases.by_hand import Found
from payments_world import World, payments_world

pytestmark = pytest.mark.warns("operation.unknown", "refund.failed", "refund.failed_late", "work.retry")
REFUND = OperationKind.REFUND


async def lost(world: World, times: int = 1000) -> tuple[str, str, str]:
    """A refund of a part whose calls don't arrive; its payment, itself and the key of its first call."""
    payment_id = await world.paid(await world.invoiced("anna", 80_00))
    await world.processor.fault("refund", "lost_request", times=times)
    refund_id = await world.refund(payment_id, 30_00)
    await world.outbox.drain()

    def key(tx: Tx) -> str:
        return store.operations_of(tx, payment_id)[-1].key

    return payment_id, refund_id, await world.units.read(key)


async def wakes(world: World, payment_id: str, refund_id: str, key: str) -> httpx2.Response:
    """The worker that was stopped right before its call makes it now."""
    (paid,) = await world.processor.payments(payment_id)
    body = f'{{"amount": 3000, "payment": "{paid["id"]}", "reference": "{refund_id}"}}'
    headers = {"authorization": f"Bearer {world.side.secret_key}", "idempotency-key": key}
    headers["content-type"] = "application/json"
    return await world.processor.http.post(f"{world.processor.base_url}/v1/refunds", content=body, headers=headers)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: stripe_wire.answered_otherwise(409, {"code": "idempotency_key_in_use"}, REFUND),
        lambda: stripe_wire.answered_otherwise(503, {}, REFUND),
        lambda: square_wire.answered_otherwise(504, {}, None),
        lambda: square_wire.answered_otherwise(409, {"errors": [{"code": "CONFLICT"}]}, None),
        lambda: adyen_wire.answered_otherwise(422, {"errorCode": "704"}, transient=False),
        lambda: adyen_wire.answered_otherwise(500, {"errorType": "internal"}, transient=False),
        lambda: square_wire.answered_otherwise(500, {"errors": [{"category": "API_ERROR"}]}, None),
        lambda: stripe_wire.answered_otherwise(500, {}, REFUND),
    ],
)
def test_answer_that_does_not_spend_the_key_leaves_the_call_on_its_way(answer: Callable[[], Outcome]) -> None:
    """A conflict says that the first call is being worked on, a gateway's error that nobody has seen the repeat."""
    outcome = answer()
    assert isinstance(outcome, Unknown)
    assert outcome.silent


def test_stored_error_spends_the_key() -> None:
    outcome = stripe_wire.answered_otherwise(500, {"type": "api_error"}, REFUND)
    assert isinstance(outcome, Unknown)
    assert not outcome.silent


@pytest.mark.parametrize("lost_times", [4, 1000])
async def test_worker_that_wakes_after_hours_pays_nothing_back_twice(
    database: Database, clock: FrozenClock, lost_times: int
) -> None:
    async with payments_world(database, clock) as world:
        payment_id, refund_id, key = await lost(world, lost_times)
        await world.work(hours=6, steps=12)
        world.processor.simulator.faults.waiting.clear()
        assert (await wakes(world, payment_id, refund_id, key)).is_success
        await world.until_quiet()
        assert [one["amount"] for one in (await world.processor.books())["refunds"]] == [30_00]
        assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
        assert await world.breaks() == set()
        await world.sweep()


async def test_key_that_died_unanswered_is_for_a_person(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock) as world:
        payment_id, refund_id, _ = await lost(world)
        await world.work(hours=30, steps=15)
        world.processor.simulator.faults.waiting.clear()
        await world.until_quiet()
        assert (await world.processor.books())["refunds"] == []
        (operation,) = await world.units.read(store.unknown_operations)
        assert operation.refund_id == refund_id
        assert "unknown_outcome" in await world.breaks()
        said = Found(operation.operation_id, "not_done", "mia", "not there", "its list of refunds")
        await world.units.write(by_hand.say, said, world.tenant, world.registry)
        await world.refund(payment_id, 30_00)
        await world.until_quiet()
        assert [one["amount"] for one in (await world.processor.books())["refunds"]] == [30_00]
        await world.sweep()


async def test_key_that_was_answered_is_given_up_for_another(database: Database, clock: FrozenClock) -> None:
    """A stored error: whatever comes under that key now is answered by it."""
    async with payments_world(database, clock) as world:
        payment_id = await world.paid(await world.invoiced("anna", 80_00))
        await world.processor.fault("refund", "error500")
        refund_id = await world.refund(payment_id, 30_00)
        await world.until_quiet()
        assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
        await world.sweep()
