"""Cash, a check, a card on the practice's own terminal: taken whole in one unit, told to the EHR, and voided."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from desk_world import TENANT, account, balances, card, cash, check, owed, payment, sound, standing, take, told, usd
from fhirpay.db.unit import Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import FhirpayError, NotFound, RuleBroken, ValueInvalid
from fhirpay.payments import store
from fhirpay.usecases import desk, explain, refund
from fhirpay.usecases import void as voiding
from fhirpay.usecases.desk import Handed


@pytest.mark.parametrize(
    ("handed", "held", "method", "reference"),
    [
        (cash(), "cash_drawer", "CASH", None),
        (check(), "checks_on_hand", "CHCK", "1041"),
        (card(), "external_terminal_clearing", "CCCA", None),
    ],
)
async def test_what_is_handed_over_is_captured_booked_and_told_with_its_tender(
    units: Units, handed: Handed, held: str, method: str, reference: str | None
) -> None:
    ref = await units.write(account, "ana", 80_00, 20_00)
    paid = await take(units, ref, handed, 90_00)
    found = await payment(units, paid)
    assert (found.state, found.captured, found.business_date) == ("captured", usd(90_00), "2026-11-20")
    assert await units.read(owed, ref) == [0, 10_00]
    assert await units.read(balances) == {held: 90_00, "ar_patient": 10_00, "charges_control": 100_00}
    (posted,) = await units.read(told, paid)
    extensions = {one["url"].rpartition(".")[2]: one for one in posted["extension"]}
    assert extensions["method"]["valueCodeableConcept"]["coding"][0]["code"] == method
    assert posted.get("paymentIdentifier") == ({"value": reference} if reference else None)
    assert "processor" not in extensions
    assert extensions.get("accountNumber", {}).get("valueString") == ("4242" if method == "CCCA" else None)
    assert [str(line["amount"]["value"]) for line in posted["detail"]] == ["80.00", "10.00"]
    await sound(units)


async def test_of_cash_the_amount_is_kept_and_the_rest_is_change(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash(tendered=100_00))
    assert (await payment(units, paid)).captured == usd(80_00)
    assert (await units.read(balances))["cash_drawer"] == 80_00
    chain = (await units.read(explain.explain, paid)).as_text()
    assert "by cash at till 'front', captured" in chain
    assert "100.00 USD was handed over, 20.00 USD of it change" in chain
    assert "ann" not in chain


async def test_a_void_of_the_same_till_and_day_takes_back_all_of_it_and_the_ehr_is_told(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00, 20_00)
    paid = await take(units, ref, cash(), 90_00)
    await units.write(desk.void, paid, till="front", by="ben", reason="typed for 9.00", tenant=TENANT)
    assert (await payment(units, paid)).state == "voided"
    assert await units.read(owed, ref) == [80_00, 20_00]
    assert await units.read(balances) == {"ar_patient": 100_00, "charges_control": 100_00}
    first, second = await units.read(told, paid)
    assert [str(one["paymentAmount"]["value"]) for one in (first, second)] == ["90.00", "-90.00"]
    named = [line["predecessor"]["value"] for line in second["detail"]]
    assert named == [line["identifier"]["value"] for line in first["detail"]]
    assert await units.read(standing, paid) == {}
    assert await units.read(store.breaks) == []
    await sound(units)
    await take(units, ref, cash(), 9_00)
    await sound(units)


async def test_a_void_comes_from_its_own_till_today_with_a_reason_once_and_while_the_money_is_there(
    units: Units, clock: FrozenClock
) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash())

    async def refused(says: str, **more: str) -> None:
        said = {"till": "front", "by": "ann", "reason": "a mistake", **more}
        with pytest.raises(RuleBroken, match=says):
            await units.write(desk.void, paid, **said, tenant=TENANT)

    await refused("it is voided there", till="back")
    await refused("needs a reason", reason=" ")
    clock.advance(timedelta(days=1))
    await refused("give it back as a refund")
    clock.advance(timedelta(days=-1))
    await units.write(desk.void, paid, till="front", by="ann", reason="a mistake", tenant=TENANT)
    await refused("there is nothing to void")


async def test_only_the_desk_gives_back_what_the_desk_took(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash())
    with pytest.raises(RuleBroken, match="a desk gives it back"):
        await units.write(refund.request, refund.NewRefund(paid, "x", "test"), TENANT)
    with pytest.raises(RuleBroken, match="void it there"):
        await units.write(voiding.request, paid, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handed", "minor", "error", "says"),
    [
        (cash(), 80_01, RuleBroken, "80.00 USD may be asked for now, not 80.01"),
        (cash(), 0, RuleBroken, "above zero"),
        (cash(), -1, RuleBroken, "above zero"),
        (cash(tendered=79_99), 80_00, ValueInvalid, "less than"),
        (cash("nowhere"), None, NotFound, "no till 'nowhere'"),
        (cash("other"), None, RuleBroken, "belongs to 'main'"),
        (Handed("check", "front", "ann"), None, ValueInvalid, "check's own number"),
        (check("12345678901"), None, ValueInvalid, "ten digits at most"),
        (Handed("check", "front", "ann", check_number="1", tendered=usd(90_00)), 80_00, ValueInvalid, "only of cash"),
        (Handed("cash", "front", "ann", check_number="1"), None, ValueInvalid, "another kind"),
        (Handed("external_card", "front", "ann", last4="42424242", authorization="A1"), None, ValueInvalid, "four"),
        (Handed("external_card", "front", "ann", last4="4242"), None, ValueInvalid, "authorization code"),
        (Handed("barter", "front", "ann"), None, ValueInvalid, "no tender"),
    ],
)
async def test_what_cannot_be_taken_leaves_nothing_behind(
    units: Units, handed: Handed, minor: int | None, error: type[FhirpayError], says: str
) -> None:
    ref = await units.write(account, "ana", 80_00)
    with pytest.raises(error, match=says):
        await take(units, ref, handed, minor)
    assert await units.read(owed, ref) == [80_00]
    assert await units.read(store.of_account, ref) == []


async def test_another_currency_than_the_tills_is_refused(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    wish = desk.DeskPayment(ref, cash(), usd(80_00).__class__(80_00, "CAD"))
    with pytest.raises(RuleBroken, match="nothing may be asked for"):
        await units.write(desk.take, wish, TENANT)


async def test_one_check_and_one_approval_are_one_payment_however_often_they_are_typed_in(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    for handed in (check("7"), card("Z9")):
        paid = await take(units, ref, handed, 10_00)
        with pytest.raises(RuleBroken, match="already"):
            await take(units, ref, handed, 10_00)
        await units.write(desk.void, paid, till="front", by="ann", reason="again", tenant=TENANT)
        await take(units, ref, handed, 10_00)
    assert await units.read(owed, ref) == [60_00]
    await sound(units)


async def test_two_desks_at_once_take_no_more_than_is_owed(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    both = await asyncio.gather(
        *(take(units, ref, cash(till), 80_00) for till in ("front", "back")), return_exceptions=True
    )
    assert sorted(isinstance(one, RuleBroken) for one in both) == [False, True]
    assert (await units.read(balances))["cash_drawer"] == 80_00
    await sound(units)
