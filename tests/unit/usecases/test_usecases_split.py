"""One bill by several tenders: begun whole or not at all, each part a payment of its own, never more than is owed."""

from __future__ import annotations

import asyncio

import pytest

from desk_world import TENANT, account, balances, card, cash, check, obligation_ids, owed, sound, take, usd
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.money import Money
from fhirpay.domain.payment import FactKind, PaymentFact
from fhirpay.errors import FhirpayError, NotFound, RuleBroken, ValueInvalid
from fhirpay.payments import splits, store
from fhirpay.usecases import split
from fhirpay.usecases.settle_outcome import refold_and_carry_out
from fhirpay.usecases.split import NewSplit, Part
from fhirpay.usecases.start_payment import NewPayment, start


def by_hand(minor: int, **more: str) -> Part:
    return Part(usd(minor), cash(**more))


PAGE = Part(usd(30_00))


async def begun(units: Units, ref: str, *parts: Part, obligations: tuple[str, ...] = ()) -> str:
    return await units.write(split.take, NewSplit(ref, "ann", parts, obligations), TENANT)


async def stands(units: Units, split_id: str) -> tuple[str, int, int]:
    found = await units.read(split.standing, split_id)
    return found.state, found.paid.minor, found.under_way.minor


async def test_what_the_desk_takes_is_done_at_once_each_part_with_its_own_tender(units: Units) -> None:
    ref = await units.write(account, "ana", 50_00, 50_00)
    parts = (by_hand(60_00), Part(usd(25_00), check()), Part(usd(15_00), card()))
    made = await begun(units, ref, *parts)
    assert await stands(units, made) == ("done", 100_00, 0)
    assert await units.read(owed, ref) == [0, 0]
    payments = [await units.read(store.get, one) for one in (await units.read(splits.get, made)).payments]
    assert [(one.method, one.captured.minor) for one in payments] == [
        ("cash", 60_00),
        ("check", 25_00),
        ("external_card", 15_00),
    ]
    held = {"cash_drawer": 60_00, "checks_on_hand": 25_00, "external_terminal_clearing": 15_00}
    assert await units.read(balances) == {**held, "charges_control": 100_00}
    await sound(units)


async def test_a_part_that_comes_to_nothing_leaves_the_others_standing_and_the_rest_owed(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    made = await begun(units, ref, by_hand(50_00), PAGE)
    assert await stands(units, made) == ("open", 50_00, 30_00)
    assert await units.read(owed, ref) == [0]
    with pytest.raises(RuleBroken, match="nothing may be asked for"):
        await take(units, ref, cash())
    page = (await units.read(splits.get, made)).payments[1]

    def ends(tx: Tx) -> None:
        store.lock(tx, page)
        store.record_facts(tx, page, [PaymentFact(FactKind.EXPIRED, tx.now, "test")])
        refold_and_carry_out(tx, TENANT, page)

    await units.write(ends)
    assert await stands(units, made) == ("short", 50_00, 0)
    assert await units.read(owed, ref) == [30_00]
    await take(units, ref, cash())
    assert (await units.read(balances))["cash_drawer"] == 80_00


async def test_two_at_once_take_no_more_than_is_owed_and_the_second_leaves_nothing_behind(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    link = NewPayment(ref, "test", usd(10_00))
    tried = await asyncio.gather(
        begun(units, ref, by_hand(50_00), PAGE),
        begun(units, ref, by_hand(50_00, till="back"), PAGE),
        units.write(start, link, TENANT),
        return_exceptions=True,
    )
    refused = [isinstance(one, RuleBroken) for one in tried]
    assert sorted(refused[:2]) == [False, True] or refused == [True, True, False]
    asked = await units.read(store.of_account, ref)
    assert sum(one.amount.minor for one in asked) <= 80_00
    assert len(asked) == 2 * refused[:2].count(False) + (not refused[2])


async def test_what_is_named_is_paid_oldest_first_by_what_the_parts_before_have_left(units: Units) -> None:
    ref = await units.write(account, "ana", 50_00, 50_00, 50_00)
    ids = await units.read(obligation_ids, ref)
    await begun(units, ref, by_hand(50_00), Part(usd(20_00), check()), obligations=(ids[1], ids[2]))
    assert await units.read(owed, ref) == [50_00, 0, 30_00]
    await sound(units)


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ((by_hand(50_00), Part(usd(30_01), check())), RuleBroken, r"80\.00 USD may be asked for now, not 80\.01"),
        ((by_hand(80_00),), ValueInvalid, "two parts or more"),
        ((by_hand(50_00), Part(Money(30_00, "CAD"), check())), ValueInvalid, "one currency"),
        ((by_hand(50_00), Part(usd(10_00), check()), Part(usd(10_00), check())), RuleBroken, "already"),
        ((PAGE, by_hand(10_00), by_hand(0)), RuleBroken, "above zero|not 0"),
        ((PAGE, by_hand(10_00, till="nowhere")), NotFound, "no till"),
        ((PAGE, by_hand(10_00, till="other")), RuleBroken, "belongs to 'main'"),
        ((by_hand(10_00), Part(usd(10_00), None, "met-none")), NotFound, "met-none"),
    ],
)
async def test_what_cannot_be_taken_whole_leaves_nothing_behind(
    units: Units, parts: tuple[Part, ...], error: type[FhirpayError], says: str
) -> None:
    ref = await units.write(account, "ana", 80_00)
    with pytest.raises(error, match=says):
        await begun(units, ref, *parts)
    assert await units.read(owed, ref) == [80_00]
    assert await units.read(store.of_account, ref) == []
    assert "cash_drawer" not in await units.read(balances)
