"""Bags of cash and checks at the bank: each once, by its slip or a rule, what was counted otherwise told; books follow.

Bags go to the bank on 2026-11-20, a Friday; their days are over on the 24th, and the bank's file of the 25th is here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bank_files import CSV, Line
from bank_world import KEY, BankWorld
from desk_world import account, balances, cash, check, take, usd
from fhirpay.bank import store as bank
from fhirpay.config import BankAccount
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import store as payments
from fhirpay.usecases import bank_bag, tills
from fhirpay.usecases.age_in_transit import look
from fhirpay.usecases.decide_bank import book_fee, match_by_hand
from fhirpay.usecases.desk_list import done
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.explain import explain
from fhirpay.usecases.returned_check import ReturnedCheck, take_back
from fhirpay.usecases.unmatch_bank import unmatch

FRIDAY, MONDAY, TUESDAY, LAST = "2026-11-20", "2026-11-23", "2026-11-24", "2026-11-26"
_ALL = {"payouts_only": False}
FILLER: Line = (LAST, -1_00, "Z", "SERVICE FEE")  # the bank's days are known until then


class Bags(BankWorld):
    """Cash enough in the safe, and a clock that goes on."""

    def __init__(
        self, database: Database, clock: FrozenClock, account: BankAccount = CSV.model_copy(update=_ALL)
    ) -> None:
        super().__init__(database.units("main"), account)
        self.clock = clock

    async def fill(self) -> None:
        await self.units.write(
            tills.fill_safe, "main", usd(9000_00), "opening", self.tenant, by="ben", reason="it lay there"
        )
        await self.bank([("2026-11-19", -2_00, "Y", "SERVICE FEE")])

    async def bag(self, minor: int, slip: str = "") -> str:
        return await self.units.write(bank_bag.pack, bank_bag.NewBag("main", "ben", (), slip, usd(minor)), self.tenant)

    async def over(self, *lines: Line) -> None:
        """A week later, with the bank's lines until then."""
        self.clock.advance(timedelta(days=7))
        await self.bank([*lines, FILLER])

    async def found(self) -> list[tuple[str, str, str, int, int]]:
        """By what was matched: kind, rule, confidence, the gap, and what its lines come to."""

        def read(tx: Tx) -> list[tuple[str, str, str, int, int]]:
            from sqlalchemy import text

            query = "SELECT d.what, m.rule, m.confidence, m.gap_minor, (SELECT sum(l.amount_minor) FROM bank_line l"
            query += " WHERE l.match_id = m.match_id) FROM bank_matched d JOIN bank_match m ON m.match_id = d.match_id"
            rows: list[tuple[Any, ...]] = [tuple(row) for row in tx.execute(text(query))]
            return sorted((row[0], row[1], row[2], row[3], int(row[4])) for row in rows)

        return await self.units.read(read)

    async def told(self) -> list[tuple[str, int]]:
        await look(self.units, self.tenant)
        found = await self.units.read(payments.breaks)
        return sorted((one.kind, one.amount.minor if one.amount else 0) for one in found)

    async def line(self, minor: int) -> str:
        lines = await self.units.read(lambda tx: bank.some(tx, "main", unmatched=False, limit=50))
        return next(one.line_id for one in lines if one.amount.minor == minor)

    async def say(self, lines: list[str], of: list[str]) -> None:
        def write(tx: Tx) -> str:
            return match_by_hand(tx, self.tenant, KEY, lines=lines, payouts=of, by="kim", why="the bank's page")

        await self.units.write(write)

    async def take_back(self, line: str) -> None:
        await self.units.write(lambda tx: unmatch(tx, self.tenant, KEY, line, by="kim", why="it is another's"))

    async def transit(self) -> int:
        assert await self.units.read(examine) == []
        return (await self.units.read(balances)).get("deposit_in_transit", 0)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> Bags:
    made = Bags(database, clock)
    await made.fill()
    return made


async def test_a_line_that_names_the_slip_is_its_bag_at_once_whatever_zeros_it_has(world: Bags) -> None:
    await world.bag(310_00, "004711")
    await world.bag(310_00, "4712")
    await world.bank([(MONDAY, 310_00, "R1", "DEPOSIT SLIP 0000004712"), (MONDAY, 310_00, "R2", "DEPOSIT 4711")])
    assert await world.found() == [("deposit", "reference", "certain", 0, 310_00)] * 2
    assert await world.transit() == 0
    assert await world.match() == 0
    assert (await world.units.read(balances))["bank"] == 620_00


async def test_one_slip_of_two_bags_over_three_lines_is_one_match(world: Bags) -> None:
    await world.bag(100_00, "SLIP-77")
    await world.bag(50_00, "SLIP-77")
    parts = ((60_00, "A"), (60_00, "B"), (30_00, "C"))
    await world.bank([(MONDAY, cents, ref, "COUNTER CREDIT SLIP-77") for cents, ref in parts])
    assert await world.found() == [("deposit", "reference", "certain", 0, 150_00)] * 2
    assert await world.transit() == 0


async def test_without_a_slip_the_only_line_the_day_s_sum_and_the_only_two_lines_are_found_once_their_days_are_over(
    world: Bags,
) -> None:
    await world.bag(200_01)
    await world.bank([(MONDAY, 200_01, "A", "DEPOSIT")])
    assert await world.found() == []  # who is the only one isn't known yet
    assert await world.told() == []
    await world.over()
    assert await world.found() == [("deposit", "amount", "probable", 0, 200_01)]
    first = await world.bag(70_00)  # of the 27th
    await world.bag(80_05)
    world.clock.advance(timedelta(days=3))  # the 30th
    await world.bag(91_00)
    world.clock.advance(timedelta(days=7))
    lines: list[Line] = [
        ("2026-11-30", 150_05, "B", "X"),
        ("2026-12-01", 30_00, "C", "X"),
        ("2026-12-02", 61_00, "D", "X"),
    ]
    await world.bank([*lines, ("2026-12-06", -3_00, "E", "FEE")])
    assert await world.found() == [
        ("deposit", "amount", "probable", 0, 200_01),
        ("deposit", "day", "probable", 0, 150_05),
        ("deposit", "day", "probable", 0, 150_05),
        ("deposit", "split", "possible", 0, 91_00),
    ]
    assert await world.transit() == 0
    assert await world.told() == []
    shown = (await world.units.read(explain, await world.line(150_05))).found_as
    assert shown.startswith("a bank line of bag bag")
    assert first in shown


async def test_a_bag_of_another_amount_at_the_bank_is_that_bag_and_the_rest_stays_and_is_told(world: Bags) -> None:
    bag = await world.bag(100_00, "4711-A")
    await world.bank([(MONDAY, 98_00, "A", "DEPOSIT 4711-A")])
    assert await world.found() == []  # the rest may be another line
    await world.over()
    assert await world.found() == [("deposit", "reference", "certain", 2_00, 98_00)]
    assert await world.told() == [("deposit_differs", 2_00)]
    assert await world.transit() == 2_00
    await world.bank([(LAST, 2_00, "B", "CORRECTION")])
    line, rest = await world.line(98_00), await world.line(2_00)
    await world.take_back(line)
    assert await world.transit() == 100_00
    assert await world.found() == []  # no rule makes it again
    assert await world.told() == [("deposit_outstanding", 100_00)]
    await world.say([line, rest], [bag])
    assert await world.found() == [("deposit", "by_hand", "certain", 0, 100_00)]
    assert await world.told() == []
    assert await world.transit() == 0


async def test_what_the_bank_counted_otherwise_without_a_slip_a_person_says(world: Bags) -> None:
    bag, other = await world.bag(100_00), await world.bag(55_00)
    await world.over((MONDAY, 103_00, "A", "DEPOSIT"))
    assert await world.told() == [("deposit_outstanding", 55_00), ("deposit_outstanding", 100_00)]
    line = await world.line(103_00)
    with pytest.raises(RuleBroken, match="isn't expected in 'main'"):
        await world.say([line], ["bag-of-nobody"])
    await world.say([line], [bag])
    assert await world.told() == [("deposit_differs", -3_00), ("deposit_outstanding", 55_00)]
    assert await world.transit() == 52_00
    await world.bank([(TUESDAY, 55_00, "B", "DEPOSIT")])
    assert await world.told() == [("deposit_differs", -3_00)]  # the other one went by itself
    assert (await world.units.read(explain, other)).found_as == f"bag {other} of 55.00 USD, {FRIDAY}"


async def test_what_may_be_two_bags_or_a_payout_is_told_and_never_chosen(world: Bags) -> None:
    await world.bag(40_00)
    await world.pays("po_same01", 40_00, FRIDAY)
    await world.bag(60_00)
    await world.bag(60_00)
    await world.over((MONDAY, 40_00, "A", "DEPOSIT"), (MONDAY, 60_00, "B", "DEPOSIT"))
    assert await world.found() == []
    assert await world.told() == [
        ("bank_ambiguous", 40_00),
        ("deposit_ambiguous", 40_00),
        ("deposit_ambiguous", 60_00),
        ("deposit_ambiguous", 60_00),
    ]
    line = await world.line(40_00)
    await world.say([line], ["po_same01"])
    assert ("deposit_outstanding", 40_00) in await world.told()
    assert ("deposit_ambiguous", 40_00) not in await world.told()


@pytest.mark.warns("payment.returned")
async def test_cash_and_a_check_are_followed_to_the_bank_and_a_bounced_check_back(world: Bags) -> None:
    units = world.units
    ref = await units.write(account, "ann", 50_00, 30_00)
    paid = await take(units, ref, check("1041"), 50_00)
    handed = await take(units, ref, cash(), 30_00)
    wish = bank_bag.NewBag("main", "ben", (paid,), "770077", usd(30_00))
    bag = await units.write(bank_bag.pack, wish, world.tenant)
    await world.bank([(MONDAY, 80_00, "A", "DEPOSIT 770077")])
    for one in (paid, handed, bag, await world.line(80_00)):
        shown = (await units.read(explain, one)).as_text()
        assert f"bag {bag} of 80.00 USD, {FRIDAY}, slip 770077" in shown
        assert "80.00 USD on 2026-11-23 in account 'main', by rule 'reference', certain" in shown
    await units.write(take_back, ReturnedCheck(paid, "insufficient_funds", "eve", usd(12_00)), world.tenant)
    books = await units.read(balances)
    back: list[Line] = [
        (TUESDAY, -50_00, "B", "RETURNED DEPOSITED ITEM CHECK 1041"),
        (TUESDAY, -12_00, "C", "ITEM FEE"),
    ]
    await world.over(*back)
    assert await world.found() == [
        ("bounce", "reference", "certain", 0, -50_00),
        ("bounce_fee", "amount", "probable", 0, -12_00),
        ("deposit", "reference", "certain", 0, 80_00),
    ]
    assert await units.read(balances) == books  # it left the bank when staff entered it
    await world.take_back(await world.line(-50_00))
    assert await units.read(balances) == books
    assert await world.transit() == 0


@pytest.mark.warns("payment.returned")
async def test_two_checks_bounce_on_a_day_and_each_fee_that_names_its_check_is_its_own(world: Bags) -> None:
    units = world.units
    ref = await units.write(account, "ann", 90_00)
    handed = [await take(units, ref, check(number), 45_00) for number in ("1041", "1042")]
    await units.write(bank_bag.pack, bank_bag.NewBag("main", "ben", tuple(handed), "770077", usd(0)), world.tenant)
    for one in handed:
        await units.write(take_back, ReturnedCheck(one, "insufficient_funds", "eve", usd(12_00)), world.tenant)
    back = [
        (TUESDAY, -cents, f"{number}{cents}", f"RETURNED ITEM CHECK {number}")
        for number in ("1041", "1042")
        for cents in (45_00, 12_00)
    ]
    await world.over((MONDAY, 90_00, "A", "DEPOSIT 770077"), *back)
    assert await world.found() == [
        ("bounce", "reference", "certain", 0, -45_00),
        ("bounce", "reference", "certain", 0, -45_00),
        ("bounce_fee", "reference", "certain", 0, -12_00),
        ("bounce_fee", "reference", "certain", 0, -12_00),
        ("deposit", "reference", "certain", 0, 90_00),
    ]
    assert await units.read(payments.breaks) == []


async def test_a_bag_of_an_account_whose_lines_are_not_here_is_not_told(database: Database, clock: FrozenClock) -> None:
    world = Bags(database, clock)
    await world.units.write(
        tills.fill_safe, "main", usd(9000_00), "opening", world.tenant, by="ben", reason="it lay there"
    )
    await world.bag(10_00)
    clock.advance(timedelta(days=30))
    assert await world.told() == []
    await world.bank([("2026-12-18", 1_00, "A", "X")])  # the first that is known is later
    assert await world.told() == []
    await world.bank([("2026-11-20", 1_00, "B", "X")])
    assert await world.told() == [("deposit_outstanding", 10_00)]


async def test_a_line_of_nothing_that_names_a_slip_moves_nothing_and_stops_nothing(world: Bags) -> None:
    await world.bag(100_00, "4711-A")
    await world.over((MONDAY, 0, "A", "DEPOSIT 4711-A, SEE DETAIL"))
    assert await world.found() == []
    assert await world.told() == [("deposit_outstanding", 100_00)]
    await world.bank([(TUESDAY, 100_00, "B", "DEPOSIT 4711-A")])
    assert await world.found() == [("deposit", "reference", "certain", 0, 100_00)]


async def test_a_slip_s_number_in_the_text_of_a_payout_decides_nothing(world: Bags) -> None:
    await world.bag(100_00, "4711")
    await world.pays("po_same01", 540_00, MONDAY)
    await world.over((MONDAY, 540_00, "A", "ACH 4711 CREDIT"))
    assert await world.found() == []
    assert await world.told() == [("deposit_ambiguous", 100_00)]
    assert await world.transit() == 100_00


async def test_a_bag_of_nothing_is_refused_in_words(world: Bags) -> None:
    with pytest.raises(RuleBroken, match="there is nothing in this bag"):
        await world.bag(0)


async def test_a_line_whose_match_was_taken_back_is_of_nobody_again_and_told_unless_that_was_accepted(
    database: Database, clock: FrozenClock
) -> None:
    world = Bags(database, clock, CSV)
    await world.fill()
    await world.over((MONDAY, 33_00, "A", "X"), (MONDAY, 44_00, "B", "X"))
    clock.advance(timedelta(days=5))
    await world.match()
    line, known = await world.line(33_00), await world.line(44_00)
    await world.units.write(lambda tx: done(tx, f"bank:bank_line_of_nobody:{known}", by="kim", why="the rent"))
    await world.units.write(lambda tx: book_fee(tx, world.tenant, line, merchant="main", by="kim", why="a fee"))
    assert ("bank_line_of_nobody", 33_00) not in await world.told()
    await world.take_back(line)
    told = await world.told()
    assert ("bank_line_of_nobody", 33_00) in told
    assert ("bank_line_of_nobody", 44_00) not in told
