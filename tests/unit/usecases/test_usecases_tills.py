"""Cash in a till besides payments: open once, moved with who and why, counted, and never more out than is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from desk_world import TENANT, account, balances, card, cash, sound, take, usd
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.money import Money
from fhirpay.errors import FhirpayError, NotFound, RuleBroken
from fhirpay.ledger import store as ledger
from fhirpay.payments import till_sessions
from fhirpay.payments.till_sessions import Session
from fhirpay.usecases import bank_bag, desk, desk_refund, tills


async def filled(units: Units, minor: int, source: tills.Source = "opening") -> None:
    await units.write(tills.fill_safe, "main", usd(minor), source, TENANT, by="eve", reason="")


async def opened(units: Units, minor: int | None = None, till: str = "front") -> str:
    return await units.write(tills.open_till, till, TENANT, by="ann", float_=None if minor is None else usd(minor))


async def moved(units: Units, kind: till_sessions.Kind, minor: int, reason: str = "") -> None:
    await units.write(tills.move_cash, "front", kind, usd(minor), TENANT, by="ben", reason=reason)


async def counted(units: Units, minor: int, *, close: bool = False) -> None:
    await units.write(tills.count, "front", usd(minor), TENANT, by="ben", close=close)


async def in_drawer(units: Units, till: str = "front") -> int:
    return (await units.read(tills.holds, till, "USD")).minor


async def test_a_day_of_a_till_ends_with_what_was_counted_and_the_bank_gets_what_was_dropped(units: Units) -> None:
    await filled(units, 150_00)
    await filled(units, 50_00, "bank")
    session = await opened(units, 100_00)
    ref = await units.write(account, "ana", 300_00)
    paid = await take(units, ref, cash(), 250_00)
    await take(units, ref, card(), 50_00)
    wish = desk_refund.DeskRefund(paid, "cash", "front", "ben", "too much", usd(20_00))
    await units.write(desk_refund.give, wish, TENANT)
    await moved(units, "drop", 200_00)
    await moved(units, "pay_in", 10_00, "found under the desk")
    await moved(units, "pay_out", 15_00, "stamps")
    assert await in_drawer(units) == 125_00
    await counted(units, 125_00)
    await counted(units, 126_00)
    await counted(units, 123_50, close=True)
    assert await in_drawer(units) == 123_50
    await units.write(bank_bag.pack, bank_bag.NewBag("main", "ben", (), "7", usd(300_00)), TENANT)
    found = await units.read(balances)
    assert (found.get("cash_safe", 0), found["deposit_in_transit"], found["petty_cash"]) == (0, 300_00, 5_00)
    assert (found["over_short"], found["bank"], found["opening_balance"]) == (1_50, -50_00, 150_00)
    kept = await units.read(till_sessions.get, session)
    assert (kept.opened_by, kept.closed_by, kept.business_date) == ("ann", "ben", "2026-11-20")
    moves = await units.read(till_sessions.moves_of, session)
    assert [(one.kind, one.amount.minor, one.moved_by, one.reason) for one in moves] == [
        ("float", 100_00, "ann", ""),
        ("drop", 200_00, "ben", ""),
        ("pay_in", 10_00, "ben", "found under the desk"),
        ("pay_out", 15_00, "ben", "stamps"),
    ]
    counts = await units.read(till_sessions.counts_of, session)
    assert [(one.expected.minor, one.counted.minor) for one in counts] == [
        (125_00, 125_00),
        (125_00, 126_00),
        (126_00, 123_50),
    ]
    kinds = [one.entry.kind for one in await units.read(lambda tx: ledger.entries_for(tx, till="front"))]
    assert [kind for kind in kinds if kind in ("cash_over", "cash_short")] == ["cash_over", "cash_short"]
    await sound(units)
    await opened(units)  # what was left in it is its start
    assert await in_drawer(units) == 123_50


async def test_a_closed_till_takes_and_gives_nothing(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash(), 40_00)
    await counted(units, 40_00, close=True)
    before = await units.read(balances)
    give = desk_refund.DeskRefund(paid, "check", "front", "ben", "x", check_number="1")
    ahead = desk.NewDeposit(ref, cash(), usd(1_00), "surgery")
    for tried in (
        take(units, ref, cash(), 10_00),
        take(units, ref, card(), 10_00),
        units.write(desk.deposit, ahead, TENANT),
        units.write(desk_refund.give, give, TENANT),
        units.write(desk.void, paid, till="front", by="ann", reason="x", tenant=TENANT),
        moved(units, "drop", 1_00),
        counted(units, 40_00),
    ):
        with pytest.raises(RuleBroken, match="till 'front' is closed"):
            await tried
    assert await units.read(balances) == before


@pytest.mark.parametrize(
    ("kind", "amount", "reason", "says"),
    [
        ("drop", usd(100_01), "", r"holds 100\.00 USD, not 100\.01"),
        ("pay_out", usd(100_01), "x", r"holds 100\.00 USD, not 100\.01"),
        ("float", usd(50_01), "", r"the safe of 'main' holds 50\.00 USD"),
        ("pay_in", usd(1_00), " ", "needs a reason"),
        ("pay_out", usd(1_00), "", "needs a reason"),
        ("pay_in", usd(0), "x", "above zero"),
        ("drop", usd(-1), "", "above zero"),
        ("drop", Money(1_00, "CAD"), "", "amounts of USD"),
    ],
)
async def test_what_is_not_there_does_not_move(
    units: Units, kind: till_sessions.Kind, amount: Money, reason: str, says: str
) -> None:
    await filled(units, 150_00)
    session = await opened(units, 100_00)
    with pytest.raises(RuleBroken, match=says):
        await units.write(tills.move_cash, "front", kind, amount, TENANT, by="ben", reason=reason)
    assert len(await units.read(till_sessions.moves_of, session)) == 1
    assert await in_drawer(units) == 100_00


async def test_bad_words_are_named(units: Units) -> None:
    await filled(units, 50_00)
    await opened(units)

    async def refused(error: type[FhirpayError], says: str, of: Callable[..., Any], *args: Any, **more: Any) -> None:
        with pytest.raises(error, match=says):
            await units.write(of, *args, **more)

    await refused(RuleBroken, "open already", tills.open_till, "front", TENANT, by="ann")
    await refused(NotFound, "no till", tills.open_till, "nowhere", TENANT, by="ann")
    await refused(NotFound, "no till", tills.count, "nowhere", usd(0), TENANT, by="ann")
    await refused(RuleBroken, "from nothing upwards", tills.count, "front", usd(-1), TENANT, by="ann")
    await refused(RuleBroken, "counted in USD", tills.count, "front", Money(0, "CAD"), TENANT, by="ann")
    said = {"by": "eve", "reason": ""}
    await refused(NotFound, "no facility", tills.fill_safe, "nowhere", usd(1), "bank", TENANT, **said)
    await refused(RuleBroken, "above zero", tills.fill_safe, "main", usd(0), "bank", TENANT, **said)
    bag = bank_bag.NewBag("main", "ben", (), "", usd(50_01))
    await refused(RuleBroken, r"holds 50\.00 USD", bank_bag.pack, bag, TENANT)
    other = bank_bag.NewBag("other", "ben", (), "", usd(1))
    await refused(RuleBroken, r"safe of 'other' holds 0\.00", bank_bag.pack, other, TENANT)
    await sound(units)


async def test_the_database_lets_a_till_be_open_once(units: Units) -> None:
    def twice(tx: Tx) -> list[bool]:
        once = Session("ses1", "front", "main", "USD", "2026-11-20", "ann", tx.now)
        again = Session("ses2", "front", "main", "USD", "2026-11-20", "ben", tx.now)
        return [till_sessions.add(tx, once), till_sessions.add(tx, again)]

    assert await units.write(twice) == [True, False]


async def test_two_processes_at_one_till_open_it_once_and_take_out_what_is_there_once(
    database_url: str, open_it: Callable[[str], Database]
) -> None:
    """On SQLite there is one, and two units at once."""
    both = [open_it(database_url) for _ in range(1 if database_url.startswith("sqlite") else 2)]
    for one in both:
        await one.start()
    first, second = both[0].units("main"), both[-1].units("main")
    try:
        await filled(first, 100_00)
        tried = await asyncio.gather(opened(first, 60_00), opened(second, 60_00), return_exceptions=True)
        assert sorted(isinstance(one, RuleBroken) for one in tried) == [False, True]
        tried = await asyncio.gather(moved(first, "drop", 40_00), moved(second, "drop", 40_00), return_exceptions=True)
        assert sorted(isinstance(one, RuleBroken) for one in tried) == [False, True]
        assert await in_drawer(first) == 20_00
        await sound(second)
    finally:
        for one in both:
            await one.stop()
