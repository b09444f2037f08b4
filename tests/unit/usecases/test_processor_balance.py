"""What the processor holds for us against what the books say, with each difference in its labelled part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.payments import store as payments
from fhirpay.settlement.balances import Compared
from fhirpay.simulators import processor_rules as rules
from fhirpay.usecases import compare_balance
from fhirpay.usecases.compare_balance import CompareBalance
from fhirpay.usecases.desk_list import read
from payments_world import World, payments_world
from settlement_world import FEES, breaks, pays_out, pulled

pytestmark = pytest.mark.warns("settlement.balance_differs", "dispute.opened", "payment.returned", "operation.unknown")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        yield world


async def compared(world: World) -> dict[str, int]:
    """The parts of the only currency, with `remainder`."""
    found = await CompareBalance(world.units, world.tenant, world.registry, now=world.clock.now).run("main", now=True)
    (one,) = [one for one in found if one.seen.currency == "USD"] or [None]
    assert isinstance(one, Compared)
    assert one.books + sum(one.parts.values(), one.remainder) == one.seen.total
    return {label: part.minor for label, part in ({**one.parts, "remainder": one.remainder}).items()}


async def test_what_is_not_paid_out_yet_differs_by_its_fees_and_nothing_once_it_is(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    await world.paid(account, minor=80_00)
    await world.refund(first, 20_00)
    await world.work()
    await world.processor.control("lines", {"type": "fee", "amount": 25_00})
    await world.processor.control("lines", {"type": "reserve_held", "amount": 10_00})
    fees = 50_00 * 29 // 1000 + 80_00 * 29 // 1000 + 2 * 30
    told = {compare_balance.FEES: -fees, compare_balance.WITH_PAYOUT: -25_00, "remainder": 0}
    assert await compared(world) == told
    await pays_out(world)
    assert (await compared(world))["remainder"] == 0  # the payout isn't read yet
    await pulled(world)
    assert await compared(world) == {"remainder": 0}
    await pays_out(world, status="failed")
    assert (await compared(world))["remainder"] == 0
    await pulled(world)
    assert await compared(world) == {"remainder": 0}
    assert await breaks(world) == {"payout_failed"}


async def test_what_just_moved_may_be_told_yet_and_what_is_never_told_is_a_break_until_it_is(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    (document,) = (await world.processor.books())["payments"]
    await world.processor.control("disputes", {"payment": document["id"]})
    assert (await compared(world))["not_booked_yet"] < 0
    world.clock.advance(timedelta(days=1, hours=1))
    await pulled(world)
    assert await breaks(world) == set()  # once may be a list that lags behind
    world.clock.advance(timedelta(hours=1))
    await pulled(world)
    (told,) = await world.units.read(payments.breaks)
    assert (told.kind, told.merchant) == ("processor_balance_differs", "main")
    assert told.amount.minor < -50_00 + 1
    assert payment in told.says
    await world.deliver_events()
    await world.inbox.drain()
    await pulled(world)
    assert await breaks(world) == set()
    assert (await compared(world))["remainder"] == 0


async def test_money_that_is_only_in_our_books_and_money_that_is_only_there_are_told(world: World) -> None:
    books = world.processor.simulator.books
    with books.transaction():
        body = {"amount": 30_00, "currency": "USD", "reference": "made-elsewhere", "method": "tok_visa"}
        rules.confirm(books, rules.create(books, body), capture=True, base_url="http://x/")
    net = 30_00 - (30_00 * 29 // 1000 + 30)
    assert await compared(world) == {compare_balance.ON_ITS_WAY: net, "remainder": 0}
    world.clock.advance(timedelta(days=2))
    assert await compared(world) == {"remainder": net}
    await pays_out(world)
    await pulled(world)
    assert await compared(world) == {compare_balance.TOLD: net, "remainder": 0}  # by settlement_unmatched
    with books.transaction():
        books.move("capture", {"id": "", "currency": "USD"}, -1, source="x")
        books._db.execute("DELETE FROM line WHERE payout = ''")  # pyright: ignore[reportPrivateUsage]
    assert (await compared(world))["remainder"] == -30


async def test_a_bank_debit_that_is_listed_while_it_is_on_its_way_is_no_difference_however_long(world: World) -> None:
    await world.debited(await world.invoiced("ann", 50_00), "ba_ok")
    books = world.processor.simulator.books
    with books.transaction():
        (document,) = books.all("payment")
        books.move("capture", document, 50_00, source="listed_early")
    world.clock.advance(timedelta(days=4))
    found = await compared(world)
    assert (found[compare_balance.ON_ITS_WAY], found["remainder"]) == (50_00, 0)


async def test_it_is_read_daily_with_the_pull_and_kept_with_its_moment(world: World) -> None:
    from fhirpay.settlement import balances

    await world.paid(await world.invoiced("ann", 50_00))
    moments: set[object] = set()
    for hours in (0, 1, 22, 2):
        world.clock.advance(timedelta(hours=hours))
        await pulled(world)
        (one,) = await world.units.read(balances.last, "main")
        moments.add(one.read_at)
    assert len(moments) == 2
    assert (one.seen.total.minor, one.remainder.minor) == (50_00 - 50_00 * 29 // 1000 - 30, 0)


async def test_what_a_payouts_sum_tells_of_is_no_remainder_and_what_nothing_tells_of_is_beside_it(world: World) -> None:
    import json

    await world.paid(await world.invoiced("ann", 50_00))
    seen = await pays_out(world)
    books = world.processor.simulator.books
    (line,) = [one for one in books.lines(payout=seen["id"]) if one["type"] == "capture"]
    again = {**line, "id": f"{line['id']}b", "fee": line["fee"] + 1}
    with books.transaction():
        values = (again["id"], again["payout"], again["currency"], json.dumps(again))
        books._db.execute("INSERT INTO line (id, payout, currency, body) VALUES (?, ?, ?, ?)", values)  # pyright: ignore[reportPrivateUsage]
    await pulled(world)
    await pulled(world)
    assert await breaks(world) == {"payout_sum"}
    assert await compared(world) == {compare_balance.TOLD: line["fee"] + 1, "remainder": 0}
    (shown,) = (await world.units.read(read, kind="payout_sum")).lines  # the one line says both
    differs = Money(line["fee"] + 1, "USD")
    assert f"so is {differs} by which the processor's balance and the books differ" in shown.says
    with books.transaction():  # and money of no line
        books.move("capture", {"id": "", "currency": "USD"}, -1, source="x")
        books._db.execute("DELETE FROM line WHERE payout = ''")  # pyright: ignore[reportPrivateUsage]
    for _ in range(2):
        world.clock.advance(timedelta(hours=1))
        assert await compared(world) == {compare_balance.TOLD: differs.minor, "remainder": -30}
    (left,) = await world.units.read(payments.breaks, kind=compare_balance.DIFFERS)
    assert (left.amount.minor, f"{differs} told otherwise; -0.30 USD is left" in left.says) == (-30, True)
    (shown,) = (await world.units.read(read, kind="payout_sum")).lines
    assert f"so is {differs} by which" in shown.says
