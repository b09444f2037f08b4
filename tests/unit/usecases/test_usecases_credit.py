"""Deposits, credit and re-allocation: what pays what afterwards, in the books and as the EHR is told."""

from __future__ import annotations

import pytest

from desk_world import (
    TENANT,
    account,
    balances,
    cash,
    check,
    credits_of,
    invoice,
    obligation_ids,
    owed,
    payment,
    sound,
    standing,
    take,
    told,
    usd,
)
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Tx, Units
from fhirpay.errors import RuleBroken
from fhirpay.payments import movements
from fhirpay.usecases import credit, desk, explain

SAID = {"by": "eve", "reason": "meant for the other one", "tenant": TENANT}


async def deposit(units: Units, ref: str, minor: int, handed: desk.Handed | None = None) -> str:
    wish = desk.NewDeposit(ref, handed or cash(), usd(minor), "surgery in December")
    return await units.write(desk.deposit, wish, TENANT)


async def test_a_deposit_stands_as_credit_until_a_charge_may_be_asked_for_and_pays_it_by_itself(units: Units) -> None:
    ref = await units.write(account, "ana")
    paid = await deposit(units, ref, 100_00, check(payer="her aunt"))
    assert await units.read(balances) == {"checks_on_hand": 100_00, "unapplied_credit": 100_00}
    (before,) = await units.read(credit.of_account, ref)
    assert (before.amount, before.payer, before.purpose) == (usd(100_00), "her aunt", "surgery in December")
    await units.write(invoice, "ana", 1, 60_00, status="draft")
    assert await units.read(credits_of, ref) == {paid: 100_00}
    await units.write(invoice, "ana", 1, 60_00)
    assert (await units.read(credits_of, ref), await units.read(owed, ref)) == ({paid: 40_00}, [0])
    assert await units.read(balances) == {"checks_on_hand": 100_00, "unapplied_credit": 40_00, "charges_control": 60_00}
    first, second = await units.read(told, paid)
    assert [line["type"]["coding"][0]["code"] for line in first["detail"]] == ["advance"]
    assert [one["valueCodeableConcept"]["coding"][0]["code"] for one in first["extension"] if "kind" in one["url"]] == [
        "deposit"
    ]
    assert (str(second["paymentAmount"]["value"]), second["disposition"]) == ("0.00", f"Reallocation of {paid}")
    assert [str(line["amount"]["value"]) for line in second["detail"]] == ["-60.00", "60.00"]
    assert await units.read(standing, paid) == {"advance": 40_00, "Invoice/ana-1": 60_00}
    assert "reallocation" in (await units.read(explain.explain, paid)).as_text()
    assert [one for one in await units.read(list_open) if one.kind == "reallocated"] == []
    await sound(units)


async def test_a_deposit_pays_at_once_what_is_owed_already_and_its_void_takes_back_all(units: Units) -> None:
    ref = await units.write(account, "ana", 60_00)
    paid = await deposit(units, ref, 100_00)
    assert (await units.read(credits_of, ref), await units.read(owed, ref)) == ({paid: 40_00}, [0])
    await units.write(desk.void, paid, till="front", by="ann", reason="a mistake", tenant=TENANT)
    assert (await units.read(credits_of, ref), await units.read(owed, ref)) == ({}, [60_00])
    assert await units.read(standing, paid) == {}
    *_, last = await units.read(told, paid)
    known = [line["identifier"]["value"] for one in await units.read(told, paid) for line in one["detail"]]
    named = {line["predecessor"]["value"] for line in last["detail"] if "predecessor" in line}
    assert named
    assert named <= set(known)
    await sound(units)


async def test_money_is_moved_from_one_obligation_to_another_and_both_are_right_after_it(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00, 50_00)
    paid = await take(units, ref, cash(), 80_00)
    first, second = await units.read(obligation_ids, ref)
    await units.write(credit.reallocate, paid, first, second, usd(30_00), **SAID)
    assert await units.read(owed, ref) == [30_00, 20_00]
    assert (await units.read(balances))["ar_patient"] == 50_00
    assert await units.read(standing, paid) == {"Invoice/ana-1": 50_00, "Invoice/ana-2": 30_00}
    (moved,) = await units.read(movements.of_payment, paid)
    assert [line.amount.minor for line in moved.lines] == [-30_00, 30_00]
    await units.write(credit.reallocate, paid, second, first, None, **SAID)
    assert await units.read(owed, ref) == [0, 50_00]
    *_, last = await units.read(told, paid)
    assert last["detail"][0]["predecessor"]["value"] == f"{moved.movement_id}-2"
    assert await units.read(standing, paid) == {"Invoice/ana-1": 80_00}
    await sound(units)


async def test_what_cannot_be_moved_stays_where_it_is(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00, 50_00)
    paid = await take(units, ref, cash(), 80_00)
    first, second = await units.read(obligation_ids, ref)

    async def refused(says: str, *wish: object, **said: object) -> None:
        with pytest.raises(RuleBroken, match=says):
            await units.write(credit.reallocate, *wish, **{**SAID, **said})

    await refused("pays that already", paid, first, first, None)
    await refused("pays nothing of", paid, second, first, None)
    await refused("50.00 USD may be asked for", paid, first, second, usd(50_01))
    await refused("may be asked for", paid, first, second, usd(0))
    await refused("needs a reason", paid, first, second, None, reason=" ")
    assert await units.read(owed, ref) == [0, 50_00]
    assert len(await units.read(told, paid)) == 1
    await sound(units)


async def test_staff_choose_which_obligation_credit_pays_and_never_more_than_there_is(units: Units) -> None:
    ref = await units.write(account, "ana", 80_00)
    paid = await take(units, ref, cash(), 80_00)
    await units.write(invoice, "ana", 1, 80_00, status="cancelled")
    assert await units.read(credits_of, ref) == {paid: 80_00}

    def held(tx: Tx) -> None:
        from fhirpay.usecases import staff

        staff.open_hold(tx, ref, "dispute", says="she disputes it", by="ann", tenant=TENANT)

    await units.write(held)
    await units.write(invoice, "ana", 2, 50_00)
    assert await units.read(credits_of, ref) == {paid: 80_00}
    second = (await units.read(obligation_ids, ref))[1]
    with pytest.raises(RuleBroken, match=r"0\.00 USD may be asked for"):
        await units.write(credit.apply, ref, paid, second, usd(10_00), **SAID)
    assert (await payment(units, paid)).captured == usd(80_00)
    await sound(units)
