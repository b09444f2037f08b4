"""A check goes to the bank and comes back: owed again, told to the EHR, each once, whatever was given back before."""

from __future__ import annotations

from typing import Any

import pytest

from desk_world import TENANT, account, balances, cash, check, owed, payment, sound, standing, take, told, usd
from fhirpay.billing import worklist
from fhirpay.db.unit import Units
from fhirpay.domain.money import Money
from fhirpay.errors import FhirpayError, NotFound, RuleBroken, ValueInvalid
from fhirpay.payments import bags, tenders
from fhirpay.usecases import bank_bag, desk, desk_refund
from fhirpay.usecases.returned_check import ReturnedCheck, take_back

warns = pytest.mark.warns("payment.returned")


async def bag(units: Units, *checks: str, facility: str = "main", slip: str = "") -> str:
    return await units.write(bank_bag.pack, bank_bag.NewBag(facility, "ben", checks, slip), TENANT)


async def bounce(units: Units, payment_id: str, reason: str = "insufficient_funds", fee: Money | None = None) -> None:
    await units.write(take_back, ReturnedCheck(payment_id, reason, "eve", fee), TENANT)


@warns
async def test_it_is_owed_again_the_ehr_is_told_and_the_banks_fee_is_the_practices(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00, 20_00)
    paid = await take(units, ref, check("1041"), 90_00)
    packed = await bag(units, paid, slip="000123")
    assert await units.read(balances) == {"deposit_in_transit": 90_00, "ar_patient": 10_00, "charges_control": 100_00}
    kept = await units.read(bags.get, packed)
    assert (kept.checks, kept.in_checks, kept.cash, kept.slip) == ((paid,), usd(90_00), usd(0), "000123")
    assert await units.read(tenders.checks_to_deposit, "main") == []
    await bounce(units, paid, fee=usd(12_00))
    assert (await payment(units, paid)).state == "returned"
    assert await units.read(owed, ref) == [80_00, 20_00]
    after = {"deposit_in_transit": 90_00, "bank": -102_00, "fees": 12_00, "ar_patient": 100_00}
    assert await units.read(balances) == {**after, "charges_control": 100_00}
    _, second = await units.read(told, paid)
    assert str(second["paymentAmount"]["value"]) == "-90.00"
    assert await units.read(standing, paid) == {}
    (line,) = [one for one in await units.read(worklist.list_open) if one.kind == "payment_returned"]
    assert "check 1041, insufficient funds" in line.says
    with pytest.raises(RuleBroken, match="is returned"):
        await bounce(units, paid)
    with pytest.raises(RuleBroken, match="is returned"):
        await bag(units, paid)
    await sound(units)
    again = await take(units, ref, check("1041"), 90_00)  # deposited once more: money anew
    await bag(units, again)
    await sound(units)


@warns
async def test_what_was_given_back_before_it_bounced_the_payer_has_had_twice(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, check(), 80_00)
    await take(units, await units.write(account, "ben", 50_00), cash(), 50_00)
    await bag(units, paid)
    wish = desk_refund.DeskRefund(paid, "cash", "front", "ben", "called off", usd(30_00), while_returnable=True)
    await units.write(desk_refund.give, wish, TENANT)
    await bounce(units, paid, "stop_payment")
    found = await units.read(balances)
    assert (found["ar_patient"], found["bank"], found["cash_drawer"]) == (110_00, -80_00, 20_00)
    assert "unapplied_credit" not in found
    await sound(units)


async def test_a_bag_takes_checks_of_the_house_that_stand_each_once(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    first, second = [await take(units, ref, check(number), 10_00) for number in ("1", "2")]
    coins = await take(units, ref, cash(), 10_00)

    async def refused(error: type[FhirpayError], says: str, *checks: str, **more: Any) -> None:
        with pytest.raises(error, match=says):
            await bag(units, *checks, **more)

    await refused(RuleBroken, "nothing in this bag")
    await refused(RuleBroken, "made by cash", first, coins)
    await refused(ValueInvalid, "once", first, first)
    await refused(RuleBroken, "belongs to 'main'", first, facility="other")
    await refused(NotFound, "no facility", first, facility="nowhere")
    await refused(NotFound, "pay-none", first, "pay-none")
    await refused(ValueInvalid, "forty", first, slip="a b")
    await units.write(desk.void, second, till="front", by="ann", reason="a mistake", tenant=TENANT)
    await refused(RuleBroken, "is voided", first, second)
    assert await units.read(tenders.checks_to_deposit, "main") == [first]
    await bag(units, first)
    await refused(RuleBroken, "has been to the bank", first)
    with pytest.raises(RuleBroken, match="on its way to the bank"):
        await units.write(desk.void, first, till="front", by="ann", reason="a mistake", tenant=TENANT)
    await sound(units)


async def test_only_a_check_that_has_been_to_the_bank_bounces_for_a_reason_that_banks_have(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid, coins = await take(units, ref, check(), 10_00), await take(units, ref, cash(), 10_00)
    with pytest.raises(RuleBroken, match="has not been to the bank"):
        await bounce(units, paid)
    with pytest.raises(RuleBroken, match="made by cash"):
        await bounce(units, coins)
    await bag(units, paid)
    with pytest.raises(ValueInvalid, match="insufficient_funds"):
        await bounce(units, paid, "bad_mood")
    with pytest.raises(RuleBroken, match="not in CAD"):
        await bounce(units, paid, fee=Money(1_00, "CAD"))
    assert (await payment(units, paid)).state == "captured"
