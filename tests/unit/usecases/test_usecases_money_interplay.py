"""Refunds, disputes, returns and moved money of one payment, in each other's way: what is lost, owed and told.

An EHR is told everything at once here and again at the end: what it was told first stays true, and all that it was
told comes to what the payment pays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from disputes_world import disputed, goes_on, heard, holds
from fhirpay.billing import entries
from fhirpay.billing import money as billing
from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import disputes, refunds, store
from fhirpay.payments.port import Reference
from fhirpay.usecases import dispute as use_case
from fhirpay.usecases import staff
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as postings
from fhirpay.writeback.posted import all_lines, takes
from payments_world import World, payments_world, usd

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("dispute.opened", "dispute.lost", "refund.failed", "refund.failed_late", "payment.returned"),
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


def _told(tx: Tx, world: World, payment_id: str) -> dict[str, list[tuple[str, int]]]:
    """Each posting's lines: what it is about (empty: nothing yet), and how much."""
    found: dict[str, list[tuple[str, int]]] = {}
    for one in postings.of_payment(tx, payment_id):
        posted = posted_facts(tx, one, world.tenant)
        found[one.subject] = [
            ("" if line.advance else line.target, -line.amount.minor if takes(posted, line) else line.amount.minor)
            for line in all_lines(posted)
        ]
    return found


class Ehr:
    """What it was told of the payment, each posting as soon as there is one."""

    def __init__(self, world: World, payment_id: str) -> None:
        self.world, self.payment_id = world, payment_id
        self.has: dict[str, list[tuple[str, int]]] = {}

    async def told(self) -> None:
        now = await self.world.units.read(_told, self.world, self.payment_id)
        self.has = {**now, **self.has}

    async def stays(self) -> None:
        """It would have the same if it had heard of everything only now."""
        await self.told()
        assert await self.world.units.read(_told, self.world, self.payment_id) == self.has
        assert await self.world.units.read(examine) == []
        await self.world.sweep()

    async def agrees(self) -> None:
        """It has what we have."""
        await self.stays()
        sums: dict[str, int] = {}
        for about, minor in (line for lines in self.has.values() for line in lines):
            sums[about] = sums.get(about, 0) + minor
        assert {about: minor for about, minor in sums.items() if minor} == await self.world.units.read(
            _pays, self.payment_id
        )


def _pays(tx: Tx, payment_id: str) -> dict[str, int]:
    """What it pays by our books, and (empty) what stands as credit."""
    account = store.get(tx, payment_id).account_ref
    sums = {"": sum(one.amount.minor for one in billing.credits_of(tx, account) if one.payment_id == payment_id)}
    for share in billing.paid_by(tx, payment_id):
        target = obligations.obligation(tx, share.obligation_id).targets[0]
        sums[target] = sums.get(target, 0) + share.amount.minor
    return {about: minor for about, minor in sums.items() if minor}


async def release(world: World, account: str) -> None:
    """A person says that it is to be asked for again."""
    for hold in await world.units.read(entries.holds_of, account):
        await world.units.write(staff.release_hold, hold.source, by="ben", why="it is", tenant=world.tenant)


async def test_a_refund_that_a_dispute_stopped_is_credit_for_the_ehr_too(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    ehr = Ehr(world, payment_id)
    await ehr.told()
    await world.refund(payment_id, 30_00)
    theirs = await disputed(world, payment_id, fee=0)
    await heard(world)
    await ehr.agrees()
    await goes_on(world, theirs, status="lost")
    await heard(world)
    await ehr.agrees()
    assert await holds(world, account) == {"dispute_lost", "refunded"}


async def test_a_refund_that_failed_pays_again_what_it_had_paid(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundfails")
    ehr = Ehr(world, payment_id)
    await ehr.told()
    await world.refund(payment_id, 30_00)
    await world.work()
    await world.work(hours=49)
    (refund,) = await world.units.read(refunds.of_payment, payment_id)
    assert refund.state == "failed"
    await ehr.agrees()
    await release(world, account)
    assert await world.askable(account) == 0
    await ehr.agrees()


async def test_a_refund_that_fails_after_the_dispute_was_lost_leaves_its_part_to_the_loss(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, "tok_refundfails")
    ehr = Ehr(world, payment_id)
    await ehr.told()
    await world.refund(payment_id, 30_00)
    await world.work()
    theirs = await disputed(world, payment_id, fee=0)
    await goes_on(world, theirs, status="lost")
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 30_00
    await ehr.told()
    await world.work(hours=49)
    (refund,) = await world.units.read(refunds.of_payment, payment_id)
    assert refund.state == "failed"
    assert await world.balances() == {"ar_patient": 80_00, "charges_control": 80_00}
    assert "dispute_over" not in await world.breaks()
    await release(world, account)
    assert await world.askable(account) == 80_00
    await ehr.agrees()


@pytest.mark.parametrize("end", ["open", "lost", "returned"])
@pytest.mark.warns("operation.unknown")
async def test_a_refund_of_which_nobody_knew_is_not_sent_again_once_the_money_is_gone(world: World, end: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account)
    ehr = Ehr(world, payment_id)
    await world.processor.fault("refund", "before")  # it never arrived, which nobody can know yet
    await world.refund(payment_id, 30_00)
    await world.outbox.drain()
    if end == "returned":
        (theirs,) = await world.processor.payments(payment_id)
        await world.processor.control("decide", {"id": theirs["id"], "result": "returned", "code": "settlement_failed"})
    else:
        dispute = await disputed(world, payment_id, fee=0)
        if end == "lost":
            await goes_on(world, dispute, status="lost")
    await heard(world)
    await ehr.told()
    await world.until_quiet()
    (refund,) = await world.units.read(refunds.of_payment, payment_id)
    assert refund.state == "canceled"
    assert await world.processor.taken(payment_id) == 80_00  # but for what the bank took
    if end == "lost":
        assert await world.balances() == {"ar_patient": 80_00, "charges_control": 80_00}
    await ehr.agrees()


async def test_of_two_lost_disputes_the_second_takes_what_the_first_gives_back(world: World) -> None:
    account = await world.invoiced("ana", 100_00)
    payment_id = await world.paid(account)
    ehr = Ehr(world, payment_id)
    await world.refund(payment_id, 20_00)
    await world.work()
    first = await disputed(world, payment_id, amount=60_00, fee=0)
    second = await disputed(world, payment_id, amount=40_00, fee=0)
    await goes_on(world, first, status="lost")
    await goes_on(world, second, status="lost")
    await heard(world)
    assert (await world.balances())["dispute_receivable"] == 20_00
    await goes_on(world, first, status="won", reinstate=60_00)
    await heard(world)
    assert "dispute_receivable" not in await world.balances()
    assert sum(one.lost.minor for one in await world.units.read(disputes.of_payment, payment_id)) == 40_00
    assert "dispute_over" not in await world.breaks()
    await ehr.agrees()


async def test_a_refund_takes_off_what_the_books_and_the_ehr_both_take(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    ehr = Ehr(world, payment_id)
    await ehr.told()
    await world.cancel_invoice("ana-1")  # 80.00 are credit now
    await world.refund(payment_id, 80_00)
    await world.work()
    assert await world.units.read(_pays, payment_id) == {"Invoice/ana-2": 45_00}
    await ehr.agrees()


async def test_a_dispute_that_was_heard_of_before_the_capture_takes_it_when_it_comes(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    (theirs,) = await world.processor.payments(payment_id)
    await world.registry.of("main").capture(Reference(theirs["id"]), usd(80_00), idempotency_key="at the processor")
    dispute = await disputed(world, payment_id, fee=0)
    await goes_on(world, dispute, status="lost")
    seen = await world.registry.disputes("main").read_dispute(Reference(dispute))
    await world.units.write(use_case.settle, world.tenant, payment_id, seen, source="event:early")
    assert await world.balances() == {
        "ar_patient": 80_00,
        "charges_control": 80_00,
        "dispute_receivable": 80_00,
        "processor_clearing": -80_00,
    }
    world.seen_events |= {one["id"] for one in world.events() if "dispute" in one["type"]}  # none comes again
    await heard(world)
    assert await world.balances() == {"ar_patient": 80_00, "charges_control": 80_00}
    assert await holds(world, account) == {"dispute_lost"}
    await Ehr(world, payment_id).agrees()
