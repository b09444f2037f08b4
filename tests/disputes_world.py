"""What tests of disputes do in a payments world: the payer's bank acts at the processor, and we hear of it."""

from __future__ import annotations

from typing import Any

from fhirpay.billing import entries
from fhirpay.payments import disputes
from fhirpay.payments.records import Dispute
from payments_world import World


async def disputed(world: World, payment_id: str, **body: Any) -> str:
    """The payer's bank disputes it; the processor's id of the dispute."""
    (paid,) = await world.processor.payments(payment_id)
    made = await world.processor.control("disputes", {"payment": paid["id"], **body})
    return made["id"]


async def goes_on(world: World, theirs: str, **body: Any) -> None:
    await world.processor.control(f"disputes/{theirs}", body)


async def heard(world: World) -> None:
    """Every event that is out is worked on."""
    await world.deliver_events()
    await world.inbox.drain()
    await world.outbox.drain()


async def the(world: World, payment_id: str) -> Dispute:
    (only,) = await world.units.read(disputes.of_payment, payment_id)
    return only


async def holds(world: World, account: str) -> set[str]:
    return {one.name for one in await world.units.read(entries.holds_of, account)}
