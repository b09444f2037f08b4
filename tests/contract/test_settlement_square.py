"""Square's payouts: entries that are none, and our books against the look-alike's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.settlement import LineKind
from fhirpay.errors import MessageInvalid
from fhirpay.payments.adapters import square_settlement as wire
from payments_world import World, payments_world
from processor_sides import SQUARE
from settlement_world import becomes, breaks, lines, payout, pays_out, pulled

pytestmark = pytest.mark.warns("dispute.opened")

SAMPLES = Path(__file__).parents[1] / "samples" / "square"
REFUND, CHARGE = json.loads((SAMPLES / "list_payout_entries.json").read_bytes())["payout_entries"]


def _amount(minor: int) -> dict[str, Any]:
    return {"amount": minor, "currency_code": "USD"}


@pytest.mark.parametrize(
    "change",
    [{"net_amount_money": _amount(-47)}, {"gross_amount_money": {"amount": -50}}, {"effective_at": None}, {"type": 3}],
)
def test_what_is_not_an_entry_is_refused_with_its_place(change: dict[str, Any]) -> None:
    with pytest.raises(MessageInvalid) as refused:
        wire.lines({"payout_entries": [CHARGE, {**REFUND, **change}]})
    assert refused.value.location == "payout_entries[1]"


def test_a_type_that_is_not_known_is_for_a_person() -> None:
    (line,) = wire.lines({"payout_entries": [{**CHARGE, "type": "ESCHEATMENT"}]}).lines
    assert (line.kind, line.raw_type) == (LineKind.OTHER, "ESCHEATMENT")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=SQUARE) as world:
        yield world


async def test_payments_a_refund_a_dispute_and_a_reserve_come_to_the_payout(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    second = await world.paid(account, minor=80_00)
    await world.refund(first, 20_00)
    await world.work()
    await world.work(hours=49)
    (document,) = [one for one in (await world.processor.books())["payments"] if second in one["references"]]
    await world.processor.control("disputes", {"payment": document["id"]})
    await world.deliver_events()
    await world.inbox.drain()
    await world.processor.control("lines", {"type": "reserve_held", "amount": 10_00})
    await world.processor.control("lines", {"type": "fee", "amount": 3_00})
    seen = await pays_out(world)
    done = await pulled(world)
    assert (done.waiting, await breaks(world)) == (0, set())
    balances = await world.balances()
    assert "processor_clearing" not in balances
    assert (balances["payout_in_transit"], balances["reserve_held"]) == (seen["amount_money"]["amount"], 10_00)
    assert {one.payment_id for one in await lines(world, seen)} == {first, second, ""}


async def test_one_that_failed_is_paid_out_anew_and_one_without_entries_is_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, status="paid")
    await pulled(world)
    await becomes(world, seen, "failed")
    await pulled(world)
    assert (await payout(world, seen)).state == "failed"
    assert (await world.balances())["processor_clearing"] == seen["amount_money"]["amount"]
    await pays_out(world, status="paid")
    await pulled(world)
    assert "processor_clearing" not in await world.balances()
    assert await breaks(world) == {"payout_failed"}
    await pays_out(world, amount=5_00)
    await pulled(world)
    assert await breaks(world) == {"payout_failed", "payout_not_itemised"}
