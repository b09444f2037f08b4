"""Adjustments that we make: what is discounted or given up, in the books and at the EHR, each change once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from ehr_payments_world import Clinic, charge, clinic
from fhirpay.billing import adjustments
from fhirpay.billing.adjustments import Adjustment
from fhirpay.billing.rows import ObligationView
from fhirpay.billing.tables import Adjustment as AdjustmentRow
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.hl7.reader import Message
from fhirpay.ledger import store as ledger
from fhirpay.parties import merges
from fhirpay.usecases import collect, postings, staff
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.explain import explain
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.posted_adjustments import amount_for, parts_for
from fhirpay.usecases.undo_merge import undo
from fhirpay.writeback import store as writeback
from intake_world import SYSTEM, ft1, message, segment

_adjustments = table(AdjustmentRow)
DISCOUNT = {"self_pay_discount_percent": 20}
BY = {"reason": "not worth a letter", "by": "ann"}
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


async def one_of(at: Clinic, account: str = "A100") -> ObligationView:
    (found,) = [one for one in await at.owed(account) if one.state not in ("superseded", "void")]
    return found


async def made(at: Clinic, account: str = "A100") -> list[Adjustment]:
    ids = [one.obligation_id for one in await at.owed(account)]
    found = await at.house.units.read(adjustments.of_obligations, ids)
    return sorted(found, key=lambda one: one.adjustment_id)


async def told(at: Clinic, account: str = "A100") -> list[str]:
    """What the engine is to be told, by kind and amount."""
    return [f"{one.kind} {one.amount.decimal}" for one in await made(at, account) if await queued(at, one)]


async def queued(at: Clinic, one: Adjustment) -> bool:
    return bool(await at.house.units.read(writeback.of_subject, one.adjustment_id))


async def days_pass(at: Clinic, days: int) -> None:
    at.clock.advance(timedelta(days=days))
    handlers = {collect.AGAIN: at.house.outbox[collect.AGAIN]}
    await Worker(at.system.database, at.house.units, queue="outbox", handlers=handlers).drain()


async def given_up(at: Clinic, obligation: str, kind: str = "small_balance", amount: str = "", **said: Any) -> str:
    money = Money.of(amount, "USD") if amount else None
    asked = {"kind": kind, "amount": money, **BY, **said}
    return await at.house.units.write(staff.write_off, obligation, **asked, tenant=at.house.tenant)


async def recovered(at: Clinic, entry: str) -> None:
    await at.house.units.write(staff.recover, entry, by="bob", why="they pay after all", tenant=at.house.tenant)


async def balance(at: Clinic, name: str) -> int:
    return await at.house.units.read(ledger.balance, name)


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


def _invoiced(tx: Tx, at: Clinic, total: str) -> None:
    (item,) = fhir.find(tx, "ChargeItem", SYSTEM + ":transaction", "T1")
    account = item.resource["account"][0]
    amount = {"value": Money.of(total, "USD").decimal, "currency": "USD"}
    line = {
        "chargeItemReference": {"reference": item.reference},
        "priceComponent": [{"type": "base", "amount": amount}],
    }
    invoice = {"resourceType": "Invoice", "id": "i1", "status": "issued", "account": account, "lineItem": [line]}
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
    texts = [await _rendered(at, one.adjustment_id) for one in await made(at, "A2")]
    assert {text.get("PID-18") for text in texts} == {"A2"}  # also of those that were queued before the merge
    (merge,) = await at.house.units.read(merges.listed)
    await at.house.units.write(undo, merge.merge_id, by="ann", why="others", tenant=at.house.tenant)
    await at.say(charge("M4", "T1", "100.00", "A1"))
    assert (await _rendered(at, last.adjustment_id)).get("PID-18") == "A1"


async def _rendered(at: Clinic, adjustment_id: str) -> Message:
    to = at.house.tenant.destinations[0]
    post = PostDft(at.house.units, at.house.tenant, to, at.house.engines["engine"])
    (posting,) = await at.house.units.read(writeback.of_subject, adjustment_id)
    rendered, _, _ = await at.house.units.read(post._read, posting.posting_id)
    assert rendered.body is not None
    return Message.parse(rendered.body)


# ── at the EHR ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_adjustment_says_what_it_lowers_and_its_reversal_what_it_takes_back(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    entry = await given_up(at, (await one_of(at)).obligation_id, "charity", "30.00")
    await recovered(at, entry)
    discount, charity, back = await made(at)
    texts = [await _rendered(at, one.adjustment_id) for one in (discount, charity, back)]
    said = [[one.get(f"FT1-{number}") for number in (2, 6, 7, 11)] for one in texts]
    assert said == [
        [f"{discount.adjustment_id}-1", "AJ", "DISCOUNT", "20.00"],
        [f"{charity.adjustment_id}-1", "AJ", "CHARITY", "30.00"],
        [f"{back.adjustment_id}-1", "AJ", "CHARITY", "-30.00"],
    ]
    notes = [[text.get("NTE-3[1]"), text.get("NTE-3[2]")] for text in texts]
    assert notes == [["CHARGE T1", ""], ["CHARGE T1", ""], ["CHARGE T1", f"TAKES BACK {charity.adjustment_id}-1"]]
    assert {text.get("FT1-30") for text in texts} == {""}


async def test_a_receiver_is_told_of_the_kinds_that_it_takes_and_of_the_end_of_what_it_was_told(at: Clinic) -> None:
    engine = at.house.tenant.destinations[0]
    others = (engine.model_copy(update={"name": "charity", "adjustments": ("charity",)}), engine)
    owner = at.house.tenant.model_copy(update={"destinations": others})
    await at.say(charge("M1", "T1", "100.00"))
    (first,) = await made(at)

    def two_more(tx: Tx) -> list[Adjustment]:
        """The other receiver is new, and hears of the second one; then both are taken back by one."""
        of, kind, usd = first.obligation_id, first.kind, "USD"
        second = Adjustment("adj2", of, kind, 2, Money.of("5.00", usd), tx.now)
        both = Adjustment("adj3", of, kind, 3, Money.of("-25.00", usd), tx.now)
        for one in (second, both):
            columns = {"adjustment_id": one.adjustment_id, "obligation_id": of, "kind": kind, "number": one.number}
            columns |= {"currency": usd, "amount_minor": one.amount.minor, "made_at": one.made_at}
            tx.execute(insert(_adjustments).values(tenant_id=tx.tenant, **columns))
        new = owner.model_copy(update={"destinations": (others[0].model_copy(update={"adjustments": (kind,)}), engine)})
        postings.enqueue_adjustment(tx, second, account_ref="Account/a", tenant=new)
        postings.enqueue_adjustment(tx, both, account_ref="Account/a", tenant=owner)
        return [second, both]

    second, both = await at.house.units.write(two_more)
    found = await at.house.units.read(writeback.of_subject, both.adjustment_id)
    lines = {one.connection: await at.house.units.read(parts_for, both, one.connection) for one in found}
    assert {name: [(number, part.of) for number, part in parts] for name, parts in lines.items()} == {
        "charity": [(1, second.adjustment_id)],
        "engine": [(1, second.adjustment_id), (2, first.adjustment_id)],
    }
    amounts = {one.connection: str(await at.house.units.read(amount_for, one)) for one in found}
    assert amounts == {"charity": "-5.00 USD", "engine": "-25.00 USD"}


@pytest.mark.parametrize("echoes", ["number", "amount"])
async def test_what_comes_back_of_ours_counts_for_nothing(
    database: Database, clock: FrozenClock, ids: CountedIds, echoes: str
) -> None:
    async with clinic(database, clock, ids, DISCOUNT, echoes=echoes) as at:
        await at.say(charge("M1", "T1", "100.00"), charge("M2", "T1", "50.00"))
        first, second = await made(at)
        before = await at.books()

        def aj(name: str, one: Adjustment, number: str) -> bytes:
            own = one.adjustment_id.upper() + "-1" if echoes == "number" else number
            return message(name, ft1(1, "AJ", f"{one.amount.decimal}&USD", {2: own, 7: "DISCOUNT"}))

        await at.say(aj("M3", first, "E1"), aj("M4", second, "E2"), aj("M5", first, "E1"))
        assert await at.books() == before
        assert await at.list_of("ehr_payment_unmatched") == []
        theirs = message("M6", ft1(1, "AJ", "20.00&USD", {2: "E9", 7: "DISCOUNT"}))
        await at.say(theirs)  # a second one of the amount is theirs: once a line
        assert (await at.books())["owed"] == "20.00"


async def test_an_adjustment_isnt_taken_for_a_payment_of_the_same_amount(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with clinic(database, clock, ids, echoes="amount") as at:
        await at.say(charge("M1", "T1", "100.00"))
        await at.take(await at.begin("30.00"))
        await at.say(message("M2", ft1(1, "AJ", "30.00&USD", {2: "E1", 7: "CHARITY"})))
        assert (await at.books())["owed"] == "70.00"


async def test_an_ehr_that_has_it_otherwise_is_on_the_worklist_until_it_is_mended(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    (one,) = await made(at)
    number = f"{one.adjustment_id}-1"
    for name, amount, lines in (("M2", "15.00", 1), ("M3", "20.00", 0), ("M4", "-20.00", 1)):
        await at.say(message(name, ft1(1, "AJ", f"{amount}&USD", {2: number, 7: "DISCOUNT"})))
        assert len(await at.list_of("adjustment_differs")) == lines, name
    assert (await at.books())["owed"] == "80.00"


async def test_explain_shows_the_adjustment_under_what_it_lowers(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    (one,) = await made(at)
    chain = (await at.house.units.read(explain, f"{one.adjustment_id}-1")).as_text()
    assert f"adjustment {one.adjustment_id}: 20.00 USD taken off, self-pay discount" in chain
    assert "DFT^P03 at 'engine': pending" in chain
    (posting,) = await at.house.units.read(writeback.of_subject, one.adjustment_id)
    assert one.adjustment_id in (await at.house.units.read(explain, posting.posting_id)).as_text()
