"""What a desk took, given back in cash or by its own check: booked, told to the EHR, never more than is left."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from desk_world import (
    TENANT,
    account,
    balances,
    card,
    cash,
    check,
    credits_of,
    owed,
    payment,
    sound,
    standing,
    take,
    told,
    usd,
)
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import FhirpayError, NotFound, RuleBroken, ValueInvalid
from fhirpay.payments import refunds, store
from fhirpay.usecases import bank_bag, desk, desk_refund, explain
from fhirpay.usecases.desk import Handed


async def give(units: Units, payment_id: str, minor: int | None = None, kind: str = "cash", **more: Any) -> str:
    said = {"till": "front", "by": "ben", "reason": "it was called off", **more}
    amount = None if minor is None else usd(minor)
    return await units.write(desk_refund.give, desk_refund.DeskRefund(payment_id, kind, amount=amount, **said), TENANT)


@pytest.mark.parametrize("handed", [cash(), check(), card()])
@pytest.mark.parametrize(("kind", "number", "method"), [("cash", "", "CASH"), ("check", "20017", "CHCK")])
async def test_it_goes_back_by_another_tender_too_and_the_ehr_is_told_by_which(
    units: Units, handed: Handed, kind: str, number: str, method: str
) -> None:
    ref = await units.write(account, "ana", 80_00, 20_00)
    await take(units, ref, cash(), 40_00)
    paid = await take(units, ref, handed, 60_00)
    before = await units.read(balances)
    refund_id = await give(units, paid, 30_00, kind, check_number=number, while_returnable=True)
    after = await units.read(balances)
    held = {"cash": "cash_drawer", "check": "bank"}[kind]
    assert after.pop(held, 0) == before.pop(held, 0) - 30_00
    assert after.pop("ar_patient") == 30_00
    assert after == before
    found = await units.read(refunds.get, refund_id)
    assert (found.state, found.amount, found.requested_by, found.approved_by) == ("succeeded", usd(30_00), "ben", "ben")
    assert await units.read(owed, ref) == [0, 0]  # owed again, and on hold until a person has said
    first, second = await units.read(told, paid)
    extensions = {one["url"].rpartition(".")[2]: one for one in second["extension"]}
    assert extensions["method"]["valueCodeableConcept"]["coding"][0]["code"] == method
    assert "accountNumber" not in extensions
    assert second.get("paymentIdentifier") == ({"value": number} if number else None)
    assert str(second["paymentAmount"]["value"]) == "-30.00"
    named = {line["identifier"]["value"] for line in first["detail"]}
    assert {line["predecessor"]["value"] for line in second["detail"]} <= named
    assert sum((await units.read(standing, paid)).values()) == 30_00
    assert f"by {kind} at till 'front', succeeded" in (await units.read(explain.explain, paid)).as_text()
    await sound(units)


async def test_of_a_deposit_the_credit_goes_back_first(units: Units) -> None:
    ref = await units.write(account, "ana", 30_00)
    paid = await units.write(desk.deposit, desk.NewDeposit(ref, cash(), usd(100_00), "surgery"), TENANT)
    await give(units, paid, 70_00)
    assert await units.read(credits_of, ref) == {}
    assert await units.read(balances) == {"cash_drawer": 30_00, "charges_control": 30_00}
    with pytest.raises(RuleBroken, match=r"30\.00 USD of pay\w+ is left to give back, not 30\.01 USD"):
        await give(units, paid, 30_01)
    await give(units, paid)
    with pytest.raises(RuleBroken, match=r"0\.00 USD of"):
        await give(units, paid)
    assert (await payment(units, paid)).refunded == usd(100_00)
    assert await units.read(standing, paid) == {}
    await sound(units)


@pytest.mark.parametrize(
    ("minor", "more", "error", "says"),
    [
        (0, {}, RuleBroken, "is left to give back"),
        (-1, {}, RuleBroken, "is left to give back"),
        (60_01, {}, RuleBroken, r"60\.00 USD of"),
        (None, {"till": "back"}, RuleBroken, r"holds 0\.00 USD"),
        (None, {"till": "other"}, RuleBroken, "belongs to 'main', and till 'other' to 'other'"),
        (None, {"till": "nowhere"}, NotFound, "no till"),
        (None, {"reason": " "}, RuleBroken, "needs a reason"),
        (None, {"kind": "external_card"}, ValueInvalid, "nothing is given back by"),
        (None, {"check_number": "1"}, ValueInvalid, "another kind"),
        (None, {"kind": "check"}, ValueInvalid, "check's own number"),
        (None, {"payment_id": "pay-none"}, NotFound, "pay-none"),
    ],
)
async def test_what_cannot_be_given_back_leaves_nothing_behind(
    units: Units, minor: int | None, more: dict[str, Any], error: type[FhirpayError], says: str
) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash(), 60_00)
    before = await units.read(balances)
    with pytest.raises(error, match=says):
        await give(units, more.pop("payment_id", paid), minor, **more)
    assert await units.read(balances) == before
    assert await units.read(refunds.of_payment, paid) == []


async def test_another_currency_is_refused(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash())
    wish = desk_refund.DeskRefund(paid, "cash", "front", "ben", "x", usd(1).__class__(1_00, "CAD"))
    with pytest.raises(RuleBroken, match=r"not 1\.00 CAD"):
        await units.write(desk_refund.give, wish, TENANT)


async def test_of_a_check_that_may_bounce_nothing_goes_back_unless_somebody_says_so(
    units: Units, clock: FrozenClock
) -> None:
    ref = await units.write(account, "ana", 80_00)
    await take(units, ref, cash(), 30_00)
    paid = await take(units, ref, check(), 50_00)
    with pytest.raises(RuleBroken, match="has not been to the bank"):
        await give(units, paid, 10_00)
    await units.write(bank_bag.pack, bank_bag.NewBag("main", "ben", (paid,)), TENANT)
    clock.advance(timedelta(days=9))
    with pytest.raises(RuleBroken, match="until 2026-11-30"):
        await give(units, paid, 10_00)
    await give(units, paid, 10_00, while_returnable=True)
    clock.advance(timedelta(days=1))
    await give(units, paid, 10_00)
    await sound(units)


async def test_a_check_of_the_practices_own_is_given_once(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash())
    await give(units, paid, 10_00, "check", check_number="7")
    with pytest.raises(RuleBroken, match="check 7 was given for"):
        await give(units, paid, 10_00, "check", check_number="7")


async def test_what_a_processor_or_the_ehr_took_is_not_handed_out(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)

    def taken_elsewhere(tx: Tx, method: str) -> str:
        shown = {"account_ref": ref, "facility": "main", "merchant": "main", "processor": "simulated"}
        amounts = {"amount_minor": 80_00, "currency": "USD"}
        by = {"method": method, "initiated_by": "customer", "requested_by": "test"}
        store.add(tx, f"pay-{method}", **shown, **amounts, **by)
        return f"pay-{method}"

    for method, says in (("stored", "a processor took this payment"), ("external", "the EHR took this payment")):
        with pytest.raises(RuleBroken, match=says):
            await give(units, await units.write(taken_elsewhere, method))


async def test_two_desks_at_once_give_back_no_more_than_is_left(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00, 80_00)
    paid = await take(units, ref, cash(), 80_00)
    await take(units, ref, cash(), 80_00)
    both = await asyncio.gather(*(give(units, paid, 50_00) for _ in range(2)), return_exceptions=True)
    assert sorted(isinstance(one, RuleBroken) for one in both) == [False, True]
    assert (await units.read(balances))["cash_drawer"] == 110_00
    await sound(units)
