"""Adjustments that we make, in the books: what is discounted or given up, each change once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest

from adjustments_world import (
    DISCOUNT,
    balance,
    days_pass,
    given_up,
    made,
    one_of,
    recovered,
    rendered,
    told,
)
from ehr_payments_world import Clinic, charge, clinic
from fhirpay.billing import adjustments
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.parties import merges
from fhirpay.usecases import staff
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.undo_merge import undo
from fhirpay.writeback import store as writeback
from intake_world import SYSTEM, ft1, message, segment

IN1 = segment("IN1", {1: "1", 2: "GOLD", 3: "ACME", 4: "Acme Health"})


@pytest.fixture
async def held(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    """A clinic with a discount of 20 %, and a bill hold of five days."""
    async with clinic(database, clock, ids, {**DISCOUNT, "bill_hold_days": 5}) as made:
        yield made
        await made.check_books()


@pytest.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    async with clinic(database, clock, ids, DISCOUNT, segments="action") as made:
        yield made
        await made.check_books()


# ── the discount ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_discount_is_told_once_its_charge_may_be_asked_for(held: Clinic) -> None:
    await held.say(charge("M1", "T1", "100.00"))
    assert await balance(held, "self_pay_discount") == 20_00
    assert await told(held) == []
    await held.say(charge("M2", "T1", "50.00"))  # corrected before its day: nobody has to know
    await days_pass(held, 6)
    assert await told(held) == ["discount 10.00"]
    await held.say(charge("M3", "T1", "50.00"))
    await days_pass(held, 1)
    assert await told(held) == ["discount 10.00"]


async def test_a_discount_that_shrinks_and_grows_is_told_as_new_adjustments(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"), charge("M2", "T1", "70.00"), charge("M3", "T1", "85.00"))
    assert await told(at) == ["discount 20.00", "discount -6.00", "discount 3.00"]
    first, second, third = await made(at)
    await at.say(charge("M4", "T1", "10.00"))  # 15.00 less: all of the third, and of the first what is left of it
    *_, last = await made(at)
    parts = await at.house.units.read(adjustments.parts_of, last)
    assert [(str(one.amount.decimal), one.of) for one in parts] == [
        ("3.00", third.adjustment_id),
        ("12.00", first.adjustment_id),
    ]
    assert [one.of for one in await at.house.units.read(adjustments.parts_of, second)] == [first.adjustment_id]
    assert await balance(at, "self_pay_discount") == 2_00


async def test_insurance_found_takes_the_discount_back_at_once(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    await at.say(message("M2", IN1, label="ADT^A08"))
    assert await told(at) == ["discount 20.00", "discount -20.00"]
    assert await balance(at, "self_pay_discount") == 0


@pytest.mark.parametrize(
    ("total", "left"), [("80.00", []), ("100.00", ["discount -20.00"]), ("90.00", ["discount -10.00"])]
)
async def test_an_invoice_that_is_net_of_the_discount_leaves_it_at_the_ehr(
    at: Clinic, total: str, left: list[str]
) -> None:
    """An Invoice is the EHR's own word: of what it was told it has taken in what the Invoice leaves out."""
    await at.say(charge("M1", "T1", "100.00"))
    await at.house.units.write(_invoiced, at, total)
    assert await told(at) == ["discount 20.00", *left]
    assert await at.askable() == f"{total} USD"


def _invoiced(tx: Tx, at: Clinic, total: str, status: str = "issued") -> None:
    (item,) = fhir.find(tx, "ChargeItem", SYSTEM + ":transaction", "T1")
    account = item.resource["account"][0]
    amount = {"value": Money.of(total, "USD").decimal, "currency": "USD"}
    line = {
        "chargeItemReference": {"reference": item.reference},
        "priceComponent": [{"type": "base", "amount": amount}],
    }
    invoice = {"resourceType": "Invoice", "id": "i1", "status": status, "account": account, "lineItem": [line]}
    fhir.put(tx, {**invoice, "subject": item.resource["subject"], "totalGross": amount})
    reassess_accounts(tx, [account["reference"]], at.house.tenant)


async def test_a_feed_that_is_not_live_tells_nothing(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with clinic(database, clock, ids, DISCOUNT, watermark=date(2026, 11, 1)) as at:
        await at.say(charge("M1", "T1", "100.00"))
        assert await balance(at, "self_pay_discount") == 20_00
        assert await told(at) == []
        with pytest.raises(RuleBroken, match="has not gone live"):
            await given_up(at, (await one_of(at)).obligation_id)


async def test_a_hold_puts_off_what_was_not_told_and_takes_nothing_back(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    account, owner = await at.account(), at.house.tenant
    said = {"says": "they dispute it", "by": "ann", "tenant": owner}
    hold = await at.house.units.write(staff.open_hold, account, "dispute", **said)
    await at.say(charge("M2", "T2", "50.00"))
    assert await told(at) == ["discount 20.00"]
    await at.house.units.write(staff.release_hold, hold, by="ann", why="settled", tenant=owner)
    assert await told(at) == ["discount 20.00", "discount 10.00"]


# ── write-offs ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_staff_give_up_is_written_off_told_and_recovered(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    one = await one_of(at)
    entry = await given_up(at, one.obligation_id, "bad_debt")
    now = await one_of(at)
    assert (now.state, str(now.written_off), str(now.patient)) == ("written_off", "80.00 USD", "0.00 USD")
    assert await at.askable() == "0"
    assert (await balance(at, "bad_debt"), await balance(at, "ar_patient")) == (80_00, 0)
    assert await told(at) == ["discount 20.00", "bad_debt 80.00"]
    with pytest.raises(RuleBroken, match="is written_off"):
        await given_up(at, one.obligation_id)
    await recovered(at, entry)
    assert (await one_of(at)).state == "collectable"
    assert await at.askable() == "80.00 USD"
    assert (await balance(at, "bad_debt"), await balance(at, "ar_patient")) == (0, 80_00)
    assert await told(at) == ["discount 20.00", "bad_debt 80.00", "bad_debt -80.00"]


async def test_a_part_is_given_up_and_the_rest_is_asked_for(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    one = await one_of(at)
    await given_up(at, one.obligation_id, "charity", "30.00")
    assert ((await one_of(at)).state, await at.askable()) == ("collectable", "50.00 USD")
    for amount, why in (("50.01", "is open"), ("0.00", "can't be given up")):
        with pytest.raises(RuleBroken, match=why):
            await given_up(at, one.obligation_id, "charity", amount)
    with pytest.raises(RuleBroken, match="there is no write-off 'contractual'"):
        await given_up(at, one.obligation_id, "contractual")
    with pytest.raises(RuleBroken, match="needs a reason"):
        await given_up(at, one.obligation_id, reason=" ")


async def test_nothing_is_given_up_of_what_is_being_paid_or_waits_for_insurance(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    one = await one_of(at)
    await at.begin("80.00")
    with pytest.raises(RuleBroken, match="is in_flight"):
        await given_up(at, one.obligation_id)
    await at.say(message("M2", IN1, ft1(1, "CG", "40.00&USD", {2: "T9"}), account="A200"))
    with pytest.raises(RuleBroken, match="is pending"):
        await given_up(at, (await one_of(at, "A200")).obligation_id)


async def test_a_charge_corrected_after_a_write_off_shrinks_it_before_what_was_paid(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    payment = await at.begin("50.00")
    await at.take(payment)
    one = await one_of(at)
    await given_up(at, one.obligation_id, "small_balance")
    assert await told(at) == ["discount 20.00", "small_balance 30.00"]
    await at.say(charge("M2", "T1", "75.00"))  # 60.00 after the discount: 50.00 were paid, 10.00 are given up
    books = await at.books()
    assert (books["owed"], books["paid"], books["credit"]) == ("50.00", "50.00", "0.00")
    assert (await told(at))[2:] == ["discount -5.00", "small_balance -20.00"]
    assert (await one_of(at)).state == "written_off"
    await at.say(charge("M3", "T1", "100.00"))
    assert (await told(at))[4:] == ["discount 5.00", "small_balance 20.00"]


async def test_what_was_given_up_and_is_asked_for_by_an_invoice_is_for_a_person(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    entry = await given_up(at, (await one_of(at)).obligation_id, "charity")
    await at.house.units.write(_invoiced, at, "100.00")
    assert await at.askable() == "0"
    assert len(await at.list_of("write_off_unplaced")) == 1
    await recovered(at, entry)
    assert await at.askable() == "100.00 USD"
    assert await at.list_of("write_off_unplaced") == []


@pytest.mark.parametrize("paid", ["0.00", "60.00"])
async def test_an_invoice_that_its_ehr_calls_settled_keeps_what_was_given_up_of_it(at: Clinic, paid: str) -> None:
    """The EHR settles it because it was told: taken back there, the rest would be open again."""
    await at.say(charge("M1", "T1", "100.00"))
    await at.house.units.write(_invoiced, at, "100.00")
    if paid != "0.00":
        await at.take(await at.begin(paid))
    invoice = next(one for one in await at.owed() if one.basis_kind == "invoice")
    entry = await given_up(at, invoice.obligation_id, "bad_debt")
    before = await told(at), await balance(at, "bad_debt"), await at.books()
    await at.house.units.write(_invoiced, at, "100.00", "balanced")
    assert (await told(at), await balance(at, "bad_debt"), await at.books()) == before
    await recovered(at, entry)
    assert (await at.askable(), await balance(at, "bad_debt")) == ("0", 0)


async def test_what_was_given_up_and_is_stated_in_another_currency_is_for_a_person(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    entry = await given_up(at, (await one_of(at)).obligation_id, "charity")
    await at.say(message("M2", ft1(1, "CG", "100.00&EUR", {2: "T1"})))
    assert (await at.askable(), len(await at.list_of("write_off_unplaced"))) == ("0", 1)
    await recovered(at, entry)
    assert await at.askable() == "80.00 EUR"


async def test_a_copay_given_up_before_its_charge_is_in_no_book_until_it_comes(at: Clinic) -> None:
    await at.say(message("M1", IN1, ft1(1, "CO", "25.00&USD", {2: "T8"})))
    one = await one_of(at)
    await given_up(at, one.obligation_id, "charity")
    assert (await at.askable(), await balance(at, "charity"), await told(at)) == ("0", 0, [])
    await at.say(message("M2", IN1, ft1(1, "CG", "100.00&USD", {2: "T9"})))
    assert (await at.askable(), await balance(at, "charity"), await told(at)) == ("0", 25_00, ["charity 25.00"])


async def test_an_adjustment_of_a_merged_account_is_its_survivors(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00", "A1"), charge("M2", "T2", "40.00", "A2"))
    entry = await given_up(at, (await one_of(at, "A1")).obligation_id)
    word = message("M3", segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A1"}), label="ADT^A41", account="A2", pv1={19: ""})
    await at.say(word)
    assert await told(at, "A2") == ["discount 20.00", "discount 8.00", "small_balance 80.00"]
    await recovered(at, entry)
    *_, last = await made(at, "A2")
    (posting,) = await at.house.units.read(writeback.of_subject, last.adjustment_id)
    assert (str(last.amount), posting.part) == ("-80.00 USD", await at.account("A2"))
    texts = [await rendered(at, one.adjustment_id) for one in await made(at, "A2")]
    assert {text.get("PID-18") for text in texts} == {"A2"}  # also of those that were queued before the merge
    (merge,) = await at.house.units.read(merges.listed)
    await at.house.units.write(undo, merge.merge_id, by="ann", why="others", tenant=at.house.tenant)
    await at.say(charge("M4", "T1", "100.00", "A1"))
    assert (await rendered(at, last.adjustment_id)).get("PID-18") == "A1"
