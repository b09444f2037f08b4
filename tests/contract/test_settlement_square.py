"""Square's payouts: its documented entries, and our books against the look-alike's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.domain.settlement import LineKind
from fhirpay.errors import MessageInvalid
from fhirpay.payments.adapters import square_settlement as wire
from payments_world import World, payments_world
from processor_sides import SQUARE
from settlement_world import becomes, breaks, lines, payout, pays_out, pulled

pytestmark = pytest.mark.warns("dispute.opened")

# API reference, ListPayoutEntries: its example
PAYOUT = "po_4d28e6c4-7dd5-4de4-8ec9-a059277646a6"


def _amount(minor: int) -> dict[str, Any]:
    return {"amount": minor, "currency_code": "USD"}


REFUND = {
    "id": "poe_ZQWcw41d0SGJS6IWd4cSi8mKHk",
    "payout_id": PAYOUT,
    "effective_at": "2021-12-14T23:31:49Z",
    "type": "REFUND",
    "gross_amount_money": _amount(-50),
    "fee_amount_money": _amount(-2),
    "net_amount_money": _amount(-48),
    "type_refund_details": {
        "payment_id": "HVdG62HeMlti8YYf94oxrN",
        "refund_id": "HVdG62HeMlti8YYf94oxrN_dR8Nztxg7umf94oxrN12Ji5r2KW14FAY",
    },
}
CHARGE = {
    "id": "poe_EibbY9Ob1d0SGJS6IWd4cSiSi6wkaPk",
    "payout_id": PAYOUT,
    "effective_at": "2021-12-14T23:31:49Z",
    "type": "CHARGE",
    "gross_amount_money": _amount(100),
    "fee_amount_money": _amount(19),
    "net_amount_money": _amount(81),
    "type_charge_details": {"payment_id": "HVdG62H5K3291d0SGJS6IWd4cSi8YY"},
}


def test_the_documented_entries_are_read_to_the_letter() -> None:
    page = wire.lines({"cursor": "TbfI80z98Xc2LdApCyZ2NvCYLpkPurYLR16GRIttpMJ55mrSIMzHgtkcRQdT0mOnTtfHO",
                       "payout_entries": [REFUND, CHARGE]})  # fmt: skip
    refund, charge = page.lines
    assert (refund.kind, refund.of) == (LineKind.REFUND, REFUND["type_refund_details"]["refund_id"])  # type: ignore[index]
    assert (refund.gross, refund.fee, refund.net) == tuple(Money(minor, "USD") for minor in (-50, -2, -48))
    assert (charge.kind, charge.of) == (LineKind.PAYMENT, "HVdG62H5K3291d0SGJS6IWd4cSi8YY")
    assert (charge.gross, charge.fee, charge.net) == tuple(Money(minor, "USD") for minor in (100, 19, 81))
    assert page.after.startswith("Tbf")


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
