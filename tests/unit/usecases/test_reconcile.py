"""What payouts show and what the ledger has are compared as sets: each difference once, until it is gone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from sqlalchemy import text

from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import store as payments
from fhirpay.reconciliation.legs import legs, open_breaks
from fhirpay.reconciliation.verdicts import KINDS
from fhirpay.simulators.processor_books import Books
from fhirpay.usecases.desk_list import done, read
from fhirpay.usecases.reconcile import Done, Reconcile
from payments_world import World, payments_world
from settlement_world import FEES, controls, pays_out, pulled

pytestmark = pytest.mark.warns("settlement.line_changed")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        yield world


async def looked(world: World, **only: Any) -> Done:
    return await Reconcile(world.units, world.tenant).look(**only)


class Reads:
    """A tenant's database that nothing is written to."""

    def __init__(self, world: World) -> None:
        self.tenant, self.dialect, self.read = world.units.tenant, world.units.dialect, world.units.read

    async def write(self, fn: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{fn.__qualname__} writes what is there already")


async def looked_again(world: World, **only: Any) -> Done:
    """Looked, where all that is so is known already: nothing is written."""
    return await Reconcile(cast("Units", Reads(world)), world.tenant).look(**only)


async def told(world: World) -> dict[tuple[str, str], int]:
    found = await world.units.read(payments.breaks)
    return {(one.kind, one.subject): one.amount.minor for one in found if one.kind in KINDS}


async def sql(world: World, statement: str, **values: Any) -> None:
    def run(tx: Tx) -> None:
        tx.execute(text(statement), values)

    await world.units.write(run)


async def settled(world: World, *amounts: int) -> list[str]:
    """Payments of these amounts, in a payout that is known here."""
    account = await world.invoiced("ann", *amounts)
    made = [await world.paid(account, minor=minor) for minor in amounts]
    await pays_out(world)
    await pulled(world)
    return made


async def test_what_agrees_is_matched_by_reference_and_told_of_nobody(world: World) -> None:
    first, _ = await settled(world, 50_00, 80_00)
    await world.refund(first, 20_00)
    await world.work()
    await pays_out(world)
    await pulled(world)
    assert await looked(world) == Done(matched=3, unknown=0, payments=2, breaks=0)
    assert await looked_again(world) == Done(matched=0, unknown=0, payments=2, breaks=0)
    _, lines, _ = await world.units.read(legs, ["main"])
    assert (lines.by_rule, lines.left, lines.share(["reference"])) == ({("reference", "certain"): 3}, 0, "100.00")


@pytest.mark.unsound("hands in the database")
async def test_each_difference_has_its_name_its_amount_and_goes_once_it_is_gone(world: World) -> None:
    one, two, three, four = await settled(world, 50_00, 60_00, 70_00, 80_00)
    of = "UPDATE payout_line SET {} WHERE payment_id = :payment AND kind = 'payment'"
    await sql(world, of.format("gross_minor = gross_minor - 1"), payment=one)
    await sql(world, of.format("fee_minor = fee_minor + 2"), payment=two)
    twice = "INSERT INTO payout_line SELECT {} FROM payout_line WHERE payment_id = :payment AND kind = 'payment'"
    columns = await world.units.read(lambda tx: list(tx.execute(text("SELECT * FROM payout_line")).keys()))
    again = ", ".join("line_ref || '_again'" if name == "line_ref" else name for name in columns)
    await sql(world, twice.format(again), payment=three)
    await looked(world)
    amounts = {("amount_differs", one): -1, ("fee_differs", two): 2, ("paid_out_twice", three): 70_00}
    assert await told(world) == amounts
    await looked_again(world)
    assert await told(world) == amounts  # once
    await sql(world, of.format("gross_minor = gross_minor + 1"), payment=one)
    await looked(world)
    assert set(await told(world)) == set(amounts) - {("amount_differs", one)}
    assert four not in {subject for _, subject in await told(world)}


@pytest.mark.unsound("hands in the database")
async def test_what_a_person_accepted_stays_closed_until_its_amount_is_another_or_it_comes_back(world: World) -> None:
    one, two = await settled(world, 50_00, 60_00)
    more = "UPDATE payout_line SET gross_minor = gross_minor + :more WHERE payment_id = :payment AND kind = 'payment'"
    for payment in (one, two):
        await sql(world, more, payment=payment, more=-1)
    await looked(world)

    async def accept(payment: str) -> None:
        found = (await world.units.read(read, kind="amount_differs")).lines
        (line,) = [line.line_id for line in found if line.subject == payment]
        await world.units.write(lambda tx: done(tx, line, by="kim", why="the processor rounds"))

    await accept(one)
    await looked(world)
    await looked(world)
    assert await told(world) == {("amount_differs", two): -1}
    shown = [(each.count, each.minor, each.accepted) for each in await world.units.read(open_breaks, ["main"])]
    assert shown == [(1, -1, False), (1, -1, True)]
    await sql(world, more, payment=one, more=-2)
    await looked(world)
    assert await told(world) == {("amount_differs", one): -3, ("amount_differs", two): -1}
    await accept(one)
    await sql(world, more, payment=one, more=3)  # it is no longer so
    await looked(world)
    assert [each.accepted for each in await world.units.read(open_breaks, ["main"])] == [False]
    await sql(world, more, payment=one, more=-3)  # and comes back
    await looked(world)
    assert (await told(world))["amount_differs", one] == -3


async def test_a_payment_in_no_payout_is_told_once_all_of_its_days_are_known(world: World) -> None:
    account = await world.invoiced("ann", 10_00, 30_00)
    await world.paid(account, minor=10_00)
    await pays_out(world)
    await pulled(world)
    late = await world.paid(account, minor=30_00)
    await world.work(hours=10 * 24)
    await pulled(world)
    await looked(world)
    assert await told(world) == {}  # it may yet come
    await world.work(hours=5 * 24)
    await looked(world)
    assert await told(world) == {}  # payouts of these days have not been read
    await pulled(world)
    await looked(world)
    assert await told(world) == {("missing_at_processor", late): -30_00}
    await pays_out(world)
    await pulled(world)
    await looked(world)
    assert await told(world) == {}


@pytest.mark.unsound("hands in the database")
async def test_a_line_that_names_nothing_is_the_only_payment_that_it_can_be_or_none(world: World) -> None:
    one, two, three = await settled(world, 50_00, 60_00, 60_00)
    await sql(
        world,
        "UPDATE payout_line SET payment_ref = '', our_ref = '', of_ref = '', payment_id = '', state = 'waiting'"
        " WHERE kind = 'payment'",
    )
    done = await looked(world)
    assert (done.matched, done.unknown) == (1, 2)

    def matches(tx: Tx) -> list[tuple[str, ...]]:
        return [tuple(row) for row in tx.execute(text("SELECT payment_id, rule, confidence FROM line_match"))]

    assert await world.units.read(matches) == [(one, "amount_and_day", "probable")]
    assert await looked_again(world) == Done(matched=0, unknown=2, payments=3, breaks=done.breaks)
    # Other days hold no other payment that it could be, as far as they tell.
    assert (await looked_again(world, days=("2000-01-01", "2000-01-02"))).payments == 0
    assert {two, three}.isdisjoint(re.findall("pay[0-9a-z]+", str(await world.units.read(matches))))


@pytest.mark.unsound("the processor lists what it hasn't paid out, and not what it has")
async def test_what_a_payout_lists_twice_or_not_at_all_is_told_by_the_payout_alone_and_its_fee_is_booked_once(
    world: World,
) -> None:
    account = await world.invoiced("ann", 10_00, 50_00, 60_00)
    made: list[str] = []
    for minor in (10_00, 50_00, 60_00):  # from the first on payouts are known
        made.append(await world.paid(account, minor=minor))
        paid_out = await pays_out(world)
        if minor != 10_00:
            listed_otherwise(world, paid_out, twice=minor == 50_00)
    await pulled(world)
    await looked(world)
    assert (await told(world), await gaps(world)) == ({}, [50_00 - 1_75, 60_00 - 2_04])
    fees = {minor: minor * 29 // 1000 + 30 for minor in (10_00, 50_00)}
    assert (await world.balances())["fees"] == sum(fees.values())
    await world.work(hours=15 * 24)
    await pulled(world)
    await looked(world)
    assert await told(world) == {}
    listed = (await world.units.read(read)).lines
    for minor, payment in zip((50_00 - 1_75, 60_00 - 2_04), made[1:], strict=True):  # the one line names both
        (one,) = [line for line in listed if line.amount and abs(line.amount.minor) == minor]
        assert (one.kind, payment in one.says, one.account_ref) == ("payout_sum", True, account)


@pytest.mark.parametrize("returned", [True, False])
async def test_what_was_paid_out_twice_is_taken_back_with_its_fee_or_without_and_nothing_differs(
    world: World, returned: bool
) -> None:
    account = await world.invoiced("ann", 50_00, 70_00)
    first, second = [await world.paid(account, minor=minor) for minor in (50_00, 70_00)]
    books: Books = world.processor.simulator.books
    documents = {one["reference"]: one for one in (await world.processor.books())["payments"]}

    def again(payment: str, *, back: bool) -> None:
        document = documents[payment]
        minor, of = document["amount_captured"], document["capture"]["id"]
        with books.transaction():
            if back:
                fee = minor * FEES["per_mille"] // 1000 + FEES["fixed"]
                books.move("void", document, -minor, source=f"void_{of}", fee=-fee if returned else 0)
            else:
                books.move("capture", document, minor, source=of)

    again(first, back=False)
    await pays_out(world)
    await pulled(world)
    again(second, back=True)  # before it was taken a second time
    await pays_out(world)
    await pulled(world)
    await looked(world)
    assert ("paid_out_twice", first) in await told(world)
    again(first, back=True)
    again(second, back=False)
    await pays_out(world)
    await pulled(world)
    await controls(world)
    assert await told(world) == {}


@pytest.mark.warns("payment.returned")
async def test_a_return_that_was_reversed_before_its_lines_came_differs_by_no_fee(world: World) -> None:
    payment = await world.debited(await world.invoiced("ann", 80_00), "ba_ok")
    await world.work(hours=45 * 24, steps=9)
    assert await world.state(payment) == "captured"
    await pays_out(world)
    await pulled(world)
    (document,) = (await world.processor.books())["payments"]
    for result in ("returned", "reversed"):
        await world.processor.control("decide", {"id": document["id"], "result": result, "code": "R01"})
        await world.work(hours=1)
    assert await world.state(payment) == "captured"
    await looked(world)
    assert await told(world) == {}
    await pays_out(world)
    await pulled(world)
    await controls(world)


def listed_otherwise(world: World, paid_out: dict[str, Any], *, twice: bool) -> None:
    """The one line of a payout is there twice, by two ids, or not at all."""
    books: Books = world.processor.simulator.books
    line = next(one for one in books.lines(payout=paid_out["id"]) if one["type"] == "capture")
    with books.transaction():
        if twice:
            again = {**line, "id": f"{line['id']}b"}
            values = (again["id"], again["payout"], again["currency"], json.dumps(again))
            books._db.execute("INSERT INTO line (id, payout, currency, body) VALUES (?, ?, ?, ?)", values)  # pyright: ignore[reportPrivateUsage]
        else:
            books.save_line({**line, "payout": "nowhere"})


async def gaps(world: World) -> list[int]:
    found = await world.units.read(lambda tx: payments.breaks(tx, kind="payout_sum"))
    return sorted(abs(one.amount.minor) for one in found if one.amount)
