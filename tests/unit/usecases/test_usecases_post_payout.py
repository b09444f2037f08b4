"""A payout is posted once, to who takes payouts alone, when the bank has it, and comes to the bank's line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bank_files import CSV, csv_of
from bank_world import KEY
from ehr_running import TOKEN, Running, running_ehr
from fhirpay.config import BankAccount
from fhirpay.config_connection import Connection
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.worker import Worker
from fhirpay.payments import store as payments
from fhirpay.usecases.explain import explain
from fhirpay.usecases.match_postings import match_source
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.take_bank_file import TakeBankFile
from fhirpay.writeback import store
from fhirpay.writeback.payout_posting import PAYOUT_SYSTEM
from payments_world import World, payments_world
from settlement_world import FEES, becomes, controls, payout, pays_out, pulled
from writeback_world import KIND, R4, R5, Desk

pytestmark = pytest.mark.warns("posting.put_off")


class Told:
    """A practice that is paid out, its bank, and two connections to one server: `cash` takes payouts, `ehr` none."""

    def __init__(self, world: World, ehr: Running) -> None:
        self.world, self.ehr = world, ehr
        common: dict[str, Any] = {"base_url": ehr.base_url, "token": TOKEN, "private_network": True}
        cash = Connection(name="cash", writes=(), payout_target=True, organization="clinic", **common)
        both = (cash, Connection(name="ehr", **common))
        world.tenant = world.tenant.model_copy(update={"connections": both})
        self.clients = {one.name: Desk.client(one.name, one.base_url) for one in both}
        self._work()

    def _work(self) -> None:
        units, tenant = self.world.units, self.world.tenant
        handlers = {"writeback": PostBack(units, tenant, self.clients).run}
        self.worker = Worker(self.world.database, units, queue="outbox", handlers=handlers, on_parked=note_parked_call)

    def takes_from(self, day: date) -> None:
        """`cash` takes the payouts from that day on."""
        cash, ehr = self.world.tenant.connections
        both = (cash.model_copy(update={"payouts_from": day}), ehr)
        self.world.tenant = self.world.tenant.model_copy(update={"connections": both})
        self._work()

    def banks(self, account: BankAccount = CSV) -> None:
        self.world.tenant = self.world.tenant.model_copy(update={"bank_accounts": (account,)})
        self._work()

    async def bank(self, minor: int, ref: str, day: str = "2026-11-21") -> None:
        files = TakeBankFile(self.world.units, self.world.tenant, KEY)
        await files.take("main", "statement.csv", csv_of([(day, minor, f"b{day}{minor}", f"TRANSFER {ref}")]))

    async def turn(self) -> list[dict[str, Any]]:
        """An hour later: what is due is pulled and posted; the payouts that the EHR has, by its own books."""
        self.world.clock.advance(timedelta(hours=1))
        self.ehr.at(self.world.clock.now())
        await pulled(self.world)
        await self.worker.drain()
        return [one for one in self.ehr.stored(KIND) if one["identifier"][0]["system"] == PAYOUT_SYSTEM]


@pytest.fixture
async def told(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with payments_world(database, clock) as world, running_ehr() as ehr:
        await world.processor.control("settings", {"fees": FEES})
        ehr.ehr.seed({"resourceType": "Organization", "id": "clinic", "name": "The practice"})
        made = Told(world, ehr)
        try:
            yield made
        finally:
            for one in made.clients.values():
                await one.aclose()


def total(resource: dict[str, Any]) -> int:
    money = resource.get("paymentAmount") or resource["amount"]
    lines = resource.get("detail") or resource.get("allocation") or []
    assert sum((Decimal(line["amount"]["value"]) for line in lines), Decimal()) == Decimal(money["value"])
    return int(Decimal(money["value"]).scaleb(2))


@pytest.mark.parametrize("version", [R4, R5])
async def test_it_is_posted_once_the_bank_has_it_with_a_line_for_each_and_the_fees(told: Told, version: str) -> None:
    told.ehr.ehr.switches.fhir_version = version
    told.banks()
    world = told.world
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    second = await world.paid(account, minor=80_00)
    refund = await world.refund(first, 20_00)
    await world.work()
    seen = await pays_out(world, status="paid", arrives_on="2026-11-21")
    await told.turn()
    assert await told.turn() == [], "the processor says that it is paid; the bank doesn't have it yet"
    told.ehr.fault("lost_answer", methods=["PUT"])
    await told.bank(seen["amount"], seen["id"])
    await told.turn()
    (there,) = await told.turn()
    assert total(there) == seen["amount"]
    lines = there.get("detail") or there["allocation"]
    named = [(line.get("predecessor", {}).get("value"), str(line["amount"]["value"])) for line in lines]
    fees = (50_00 + 80_00) * 29 // 1000 + 2 * 30
    assert sorted(named, key=str) == sorted(
        [(first, "50.00"), (second, "80.00"), (refund, "-20.00"), (None, str(Decimal(-fees).scaleb(-2)))], key=str
    )
    known = await payout(world, seen)
    assert known.state == "posted"
    (posting,) = await world.units.read(store.of_subject, known.payout_id)
    assert (posting.connection, posting.state) == ("cash", "posted")
    chain = str(await world.units.read(explain, first))
    assert f"{KIND}/{known.payout_id}" in chain
    assert first in str(await world.units.read(explain, posting.posting_id))
    await world.units.write(match_source, world.tenant, "report", "cash")  # a payout is no payment of an account
    assert await told.turn() == [there]


async def test_one_that_fails_after_it_was_posted_is_taken_back_once(told: Told) -> None:
    told.banks()
    await told.world.paid(await told.world.invoiced("ann", 50_00))
    seen = await pays_out(told.world, status="paid", arrives_on="2026-11-21")
    await told.turn()
    await told.bank(seen["amount"], seen["id"])
    assert [total(one) for one in await told.turn()] == [seen["amount"]]
    await becomes(told.world, seen, "failed")
    await told.turn()
    first, back = await told.turn()
    assert (total(first), total(back)) == (seen["amount"], -seen["amount"])
    lines = back["detail"]
    assert [one["predecessor"]["value"] for one in lines] == [one["identifier"]["value"] for one in first["detail"]]
    assert (await payout(told.world, seen)).state == "failed"
    assert {one.kind for one in await told.world.units.read(payments.breaks)} >= {"payout_failed"}


async def test_where_nobody_reads_the_bank_the_processors_word_has_to_do_also_below_zero_and_of_nothing(
    told: Told,
) -> None:
    world = told.world
    await world.processor.control("lines", {"type": "fee", "amount": 25_00})
    seen = await pays_out(world, status="paid")
    assert seen["amount"] == -25_00
    await told.turn()  # its lines come with this pull, and are looked at with the next one
    assert [total(one) for one in await told.turn()] == [-25_00]
    assert (await payout(world, seen)).state == "paid", "the bank's line is what makes it `bank_matched`"
    await controls(world)
    await world.processor.control("lines", {"type": "fee", "amount": 10_00})
    await world.processor.control("lines", {"type": "reserve_released", "amount": 10_00})
    again = await pays_out(world, status="paid")
    assert again["amount"] == 0
    await told.turn()
    assert [total(one) for one in await told.turn()] == [-25_00, 0]


async def test_one_that_did_not_arrive_is_never_posted_nor_taken_back(told: Told) -> None:
    told.banks()
    await told.world.paid(await told.world.invoiced("ann", 50_00))
    seen = await pays_out(told.world, status="paid")
    await told.turn()
    await becomes(told.world, seen, "failed")
    await told.turn()
    assert await told.turn() == []
    assert await told.world.units.read(store.of_connection, "cash") == []


async def test_none_is_posted_that_was_made_before_the_day_from_which_they_are_taken_there(told: Told) -> None:
    world = told.world
    today = world.clock.now().date()
    told.takes_from(today + timedelta(days=1))
    await world.processor.control("lines", {"type": "fee", "amount": 25_00})
    seen = await pays_out(world, status="paid")
    await told.turn()
    assert await told.turn() == [], "somebody has typed it in there"
    told.takes_from(today)
    assert [total(one) for one in await told.turn()] == [seen["amount"]]
    told.takes_from(today + timedelta(days=1))
    await becomes(world, seen, "failed")
    await told.turn()
    assert sorted(total(one) for one in await told.turn()) == [-25_00, 25_00], (
        "what was posted is taken back all the same"
    )


async def test_one_that_was_posted_before_its_banks_files_were_read_is_posted_for_good_once_the_bank_has_it(
    told: Told,
) -> None:
    await told.world.paid(await told.world.invoiced("ann", 50_00))
    seen = await pays_out(told.world, status="paid", arrives_on="2026-11-21")
    await told.turn()
    (there,) = await told.turn()
    assert (await payout(told.world, seen)).state == "paid"
    told.banks()
    await told.bank(seen["amount"], seen["id"])
    assert await told.turn() == [there]
    assert (await payout(told.world, seen)).state == "posted"
