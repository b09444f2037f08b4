"""Authorize.Net's settled batches: gross, without fees or payouts, each transaction a line of what it is of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid
from fhirpay.payments.adapters import authorizenet_settlement as wire
from fhirpay.payments.adapters.authorizenet_wire import read_json
from fhirpay.settlement import store
from payments_world import World, payments_world
from processor_sides import AUTHORIZENET
from settlement_world import breaks, pulled

pytestmark = pytest.mark.warns("operation.unknown", "work.retry")

SAMPLES = Path(__file__).parents[1] / "samples" / "authorizenet"
TRANSACTION: dict[str, Any] = read_json((SAMPLES / "get_transaction_list.json").read_bytes())["transactions"][0]


@pytest.mark.parametrize("change", [{"settleAmount": 2.5}, {"settleAmount": Decimal("2.001")}, {"submitTimeUTC": None}])
def test_what_is_not_a_transaction_is_refused_with_its_place(change: dict[str, Any]) -> None:
    with pytest.raises(MessageInvalid) as refused:
        wire.lines({"transactions": [TRANSACTION, {**TRANSACTION, **change}]}, "USD")
    assert refused.value.location == "transactions[1]"


@pytest.mark.parametrize("said", [{}, {"currencies": ["USD", "CAD"]}, {"currencies": "USD"}])
def test_an_account_without_one_currency_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(MessageInvalid):
        wire.currency_of(said)
    assert wire.currency_of(read_json(b'\xef\xbb\xbf{"currencies": ["CAD"]}')) == "CAD"


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=AUTHORIZENET) as world:
        yield world


async def test_a_batch_matches_gross_and_moves_no_money_in_the_books(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    await world.paid(account, minor=80_00)
    await world.processor.control("settle", {})
    before = await world.balances()
    done = await pulled(world)
    assert (done.payouts, done.lines, done.waiting) == (1, 2, 0)
    (batch,) = await world.units.read(store.some)
    assert (batch.state, batch.amount, batch.complete) == ("deposit_expected", Money(130_00, "USD"), True)
    assert await world.balances() == before
    assert await breaks(world) == set()
    await world.refund(first, 20_00)
    await world.work(hours=2)
    await world.processor.control("settle", {})
    await pulled(world)
    newest = (await world.units.read(store.some))[0]
    assert (newest.amount, newest.complete) == (Money(-20_00, "USD"), True)
    assert await breaks(world) == set()


async def test_a_payment_that_its_bank_did_not_settle_is_for_a_person(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    (document,) = (await world.processor.books())["payments"]
    await world.processor.control("settle", {"failing": [document["id"]]})
    await pulled(world)
    assert await breaks(world) == {"settlement_adjustment"}
