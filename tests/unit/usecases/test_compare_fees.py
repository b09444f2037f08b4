"""Fees of payments against what was agreed: what is off is told with its amount, until it is right, or said to be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from sqlalchemy import BigInteger, literal, select

from fhirpay.config import AgreedFees, FeeRate
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import store as payments
from fhirpay.reconciliation.agreed_fees import agreed_for, lines_by_payment
from fhirpay.reconciliation.fee_terms import Rate
from fhirpay.reconciliation.legs import open_breaks
from fhirpay.usecases import desk_list
from fhirpay.usecases.compare_fees import KIND
from fhirpay.usecases.reconcile import ALWAYS, Reconcile
from payments_world import World, payments_world
from settlement_world import FEES, pays_out, pulled

CARD = FeeRate(percent="2.9", fixed="0.30")
AGREED = AgreedFees(card=(CARD,), ach=(CARD,), dispute="15.00", ach_return="4.00")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        yield world


async def compared(world: World, *agreed: AgreedFees, days: tuple[str, str] = ALWAYS) -> dict[str, int]:
    """What is told by these terms, by payment."""
    merchant = world.tenant.merchants[0].model_copy(update={"fees": agreed})
    await Reconcile(world.units, world.tenant.model_copy(update={"merchants": (merchant,)})).look(days=days)
    found = await world.units.read(payments.breaks, kind=KIND)
    return {one.subject: one.amount.minor for one in found if one.amount}


async def paid_at(world: World, account: str, minor: int, **fees: int) -> str:
    """A card payment while the processor takes other fees than its own."""
    await world.processor.control("settings", {"fees": {**FEES, **fees}})
    payment = await world.paid(account, minor=minor)
    await world.processor.control("settings", {"fees": FEES})
    return payment


async def settled(world: World) -> None:
    await pays_out(world)
    await pulled(world)


def given_back(world: World, payment: str, minor: int) -> None:
    """The processor gives back of a payment's fee, in a line of its own."""
    books = world.processor.simulator.books
    theirs = next(one for one in books.by_reference("payment", payment) if one["capture"])
    with books.transaction():
        books.move("capture", theirs, 0, source=f"ch_fee_{minor}", fee=-minor - FEES["fixed"])


@pytest.mark.warns("dispute.opened", "payment.returned")
async def test_a_fee_that_is_off_is_told_with_its_amount_and_its_lines_and_goes_with_a_line_that_makes_it_right(
    world: World,
) -> None:
    ann = await world.invoiced("ann", 70_00, 71_00, 50_00, 60_00)
    dear, cheap = await paid_at(world, ann, 70_00, per_mille=35), await paid_at(world, ann, 71_00, fixed=10)
    refunded, disputed = await paid_at(world, ann, 50_00), await paid_at(world, ann, 60_00)
    debited = await world.debited(await world.invoiced("bea", 80_00), "ba_unauthorized")
    await world.work(hours=45 * 24, steps=9)
    assert await world.state(debited) == "returned"
    await world.refund(refunded, 20_00)
    theirs = next(one for one in (await world.processor.books())["payments"] if one["reference"] == disputed)
    await world.processor.control("disputes", {"payment": theirs["id"]})
    await world.work(hours=1)
    await settled(world)
    off = {dear: 42, cheap: -21}  # this processor rounds down
    assert await compared(world, AGREED) == off
    assert await compared(world, AGREED) == off  # once
    (one,) = [one for one in await world.units.read(payments.breaks, kind=KIND) if one.subject == dear]
    ((line,),) = (await world.units.read(lines_by_payment, [dear])).values()
    assert one.says == (
        f"the fees of {dear} are 2.75 USD in its lines ({line}); 2.33 USD is agreed for a payment of 70.00 USD by card"
    )
    less = AGREED.model_copy(update={"dispute": "10.00", "ach_return": "3.00"})
    assert await compared(world, less) == {**off, disputed: 5_00, debited: 1_00}
    silent = AgreedFees(card=(CARD,))  # nothing was said of disputes and debits
    assert await compared(world, silent) == off
    given_back(world, dear, 42)
    await settled(world)
    assert await compared(world, AGREED) == {cheap: -21}
    assert await world.breaks() <= {KIND, "mandate_stopped", "payment_returned", "dispute"}


async def test_terms_count_from_their_day_and_of_several_rates_any_may_be_the_one(world: World) -> None:
    payment = await paid_at(world, await world.invoiced("ann", 100_00), 100_00, per_mille=44)
    await settled(world)
    day = date.fromisoformat((await world.units.read(payments.get, payment)).business_date or "")
    abroad = AgreedFees(card=(CARD, FeeRate(percent="4.4", fixed="0.30")))
    assert await compared(world, abroad) == {}
    assert await compared(world, AGREED) == {payment: 1_50}
    tomorrow = AGREED.model_copy(update={"since": day + timedelta(days=1)})
    assert await compared(world, abroad, tomorrow) == {}
    assert await compared(world, tomorrow, abroad.model_copy(update={"since": day})) == {}
    today = AGREED.model_copy(update={"since": day})
    assert await compared(world, today, abroad) == {payment: 1_50}
    apart = (day + timedelta(days=1)).isoformat()
    assert await compared(world, abroad, days=(apart, apart)) == {payment: 1_50}  # of other days nothing is said
    assert await compared(world, AgreedFees(card_present=(CARD,))) == {}  # that method is not compared
    assert await compared(world, AGREED.model_copy(update={"currency": "EUR"})) == {}
    assert await compared(world) == {}


async def test_what_a_person_has_accepted_stays_so_until_its_amount_is_another_or_it_comes_back(world: World) -> None:
    payment = await paid_at(world, await world.invoiced("ann", 70_00), 70_00, per_mille=35)
    await settled(world)

    async def accepted() -> bool:
        (one,) = await world.units.read(payments.breaks, kind=KIND)
        await world.units.write(lambda tx: desk_list.done(tx, one.break_key, by="ann", why="promised for next month"))
        assert await compared(world, AGREED) == {}
        return [each.accepted for each in await world.units.read(open_breaks, ["main"])] == [True]

    assert await compared(world, AGREED) == {payment: 42}
    assert await accepted()
    dear = AgreedFees(card=(FeeRate(percent="3.5", fixed="0.30"),))
    assert await compared(world, dear) == {}
    assert await compared(world, AGREED) == {payment: 42}  # it was gone, and has come back
    assert await accepted()
    given_back(world, payment, 12)
    await settled(world)
    assert await compared(world, AGREED) == {payment: 30}


@pytest.mark.warns("dispute.opened")
async def test_the_fee_of_a_refund_and_of_a_dispute_counts_once_however_many_lines_there_are(world: World) -> None:
    ann = await world.invoiced("ann", 50_00, 60_00)
    refunded, disputed = await paid_at(world, ann, 50_00), await paid_at(world, ann, 60_00)
    await world.refund(refunded, 20_00)
    await world.work()
    books = world.processor.simulator.books
    with books.transaction():  # its line has a fee of its own
        (line,) = [one for one in books.lines(payout="") if one["type"] == "refund"]
        books.save_line({**line, "fee": 25})
        books._db.execute("UPDATE movement SET amount = amount - 25 WHERE type = 'refund'")  # pyright: ignore[reportPrivateUsage]
    theirs = next(one for one in (await world.processor.books())["payments"] if one["reference"] == disputed)
    dispute = await world.processor.control("disputes", {"payment": theirs["id"], "amount": 40_00})
    await world.processor.control(f"disputes/{dispute['id']}", {"withdraw": 20_00, "fee": 0})
    await world.work(hours=1)
    await settled(world)
    costs = AGREED.model_copy(update={"refund": "0.25"})
    assert await compared(world, costs) == {}
    assert await compared(world, AGREED) == {refunded: 25}
    assert await compared(world, costs.model_copy(update={"dispute": "14.00"})) == {disputed: 1_00}


async def test_a_card_that_was_held_to_a_reader_has_the_rate_of_cards_that_are_present(world: World) -> None:
    payment = await world.on_reader(await world.invoiced("ann", 100_00))
    await world.processor.at_reader("rd_front", "tap", card="5555555555554444")
    await world.work(hours=0.1)
    assert await world.state(payment) == "captured"
    await settled(world)
    present = FeeRate(percent="2.7", fixed="0.05")
    assert await compared(world, AGREED) == {}  # of these nothing is said
    assert await compared(world, AgreedFees(card=(CARD,), card_present=(present,))) == {payment: 3_20 - 2_75}
    assert await compared(world, AgreedFees(card_present=(CARD,))) == {}


async def test_a_refund_gives_its_share_back_where_that_is_agreed(world: World) -> None:
    payment = await paid_at(world, await world.invoiced("ann", 100_00), 100_00)  # 3.20
    await world.refund(payment, 25_00)
    await world.work()
    await settled(world)
    assert await compared(world, AGREED) == {}
    gives = AGREED.model_copy(update={"refund_returns": True, "refund": "0.10"})
    assert await compared(world, gives) == {payment: 80 - 10}
    given_back(world, payment, 70)
    await settled(world)
    assert await compared(world, gives) == {}


async def test_each_database_rounds_as_it_is_agreed_whatever_the_amount(world: World) -> None:
    for taken in (1, 49, 50, 17_241, 10**12 + 1, 10**18 - 1):
        for rate in (Rate(29_000, 30, 0, None), Rate(8_000, 0, 100, 500), Rate(999_999, 0, 0, None)):
            asked = select(agreed_for(rate, literal(taken, BigInteger)))
            assert await world.units.read(lambda tx, asked=asked: tx.scalar(asked)) == rate.of(taken)
