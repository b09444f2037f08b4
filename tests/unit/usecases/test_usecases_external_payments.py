"""Payments that the EHR posts itself: what is asked for afterwards, what is an echo of ours, and what is a break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import date

import pytest
from sqlalchemy import select

from databases import Databases
from ehr_payments_world import Clinic, charge, clinic, py
from fhirpay.config import Tenant
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.flow.tables import WorkRow
from fhirpay.hl7.reader import Message
from fhirpay.parties import merges
from fhirpay.payments import store as payments
from fhirpay.payments.tables import PaymentRow
from fhirpay.usecases import refund, void
from fhirpay.usecases.explain import explain
from fhirpay.usecases.undo_merge import undo
from fhirpay.writeback import store as writeback
from fhirpay.writeback.dft import control_id
from intake_world import ft1, keep_method, message, msh, segment, verdict
from invariants import examined


@pytest.fixture
async def house(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> AsyncIterator[Clinic]:
    """On SQLite: no statement of this is another one on PostgreSQL. The property test runs on both."""
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids) as made:
                yield made
                await made.check_books()
        finally:
            await database.stop()
        assert not examined(url)


async def test_our_own_posting_that_comes_back_counts_for_nothing(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("40.00")
    await house.take(ours)
    before = await house.books()
    assert before == {"owed": "100.00", "paid": "40.00", "credit": "0.00", "asks": "60.00"}
    await house.say(py("M2", f"{ours}-1", "40.00"), py("M3", f"{ours}-1".upper(), "40.00"))
    await house.say(py("M4", "E77", "40.00", fields={30: f"ch_{ours}^^^simulated"}))  # under their number, with ours
    assert await house.books() == before
    assert await house.breaks() == []


@pytest.mark.parametrize("sign", ["park", "unsigned", "positive"])
async def test_a_refund_that_comes_back_takes_nothing_off(house: Clinic, sign: str) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("100.00")
    await house.take(ours)
    wish = refund.NewRefund(ours, "twice", "desk", Money.of("30.00", "USD"))
    back = await house.house.units.write(refund.request, wish, house.house.tenant)
    before = await house.books()
    await house.say(py("M2", f"{back}-1", "-30.00"))
    assert (await house.books(), await house.breaks()) == (before, [])


async def test_what_comes_back_as_something_else_is_a_break(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("40.00")
    await house.take(ours)
    await house.say(py("M2", f"{ours}-1", "45.00"))
    assert await house.breaks() == ["echo_differs"]
    await house.say(py("M3", f"{ours}-1", "40.00"))
    assert await house.breaks() == []
    await house.say(py("M4", f"{ours}-1", "-40.00"))
    (says,) = await house.breaks("echo_turned")
    assert says == f"{ours} is taken back at the EHR, with 40.00 USD: we hold it as it was"
    assert (await house.books())["paid"] == "40.00"


async def test_the_same_money_posted_twice_is_a_break_whoever_was_first(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("50.00")
    await house.say(py("M2", "E1", "50.00"))  # while a payer is on our page
    await house.take(ours)
    (says,) = await house.breaks("two_posters")
    assert says == (
        "50.00 USD was taken here on 2026-11-20 and posted at the EHR by itself (E1) on 2026-11-20: the same money, or "
        "two payments?"
    )
    assert (await house.books())["asks"] == "0.00"
    await house.say(py("M3", "E1", "-50.00"))
    assert await house.breaks() == []
    assert (await house.books())["asks"] == "50.00"
    await house.say(py("M4", "E2", "50.00", fields={4: "20261118"}))  # not within a day
    assert await house.breaks() == []


async def test_when_both_took_what_was_owed_once_one_of_them_is_credit(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("100.00")
    await house.say(py("M2", "E1", "100.00"))
    assert "payment.close" in await house.house.units.read(_queued)  # the page asks for what is paid
    await house.take(ours)
    assert await house.books() == {"owed": "100.00", "paid": "100.00", "credit": "100.00", "asks": "0.00"}
    assert await house.breaks() == ["no_longer_owed", "two_posters"]
    await house.say(py("M3", "E1", "90.00"))  # a correction: ten of ours are needed after all
    assert await house.books() == {"owed": "100.00", "paid": "100.00", "credit": "90.00", "asks": "0.00"}
    assert await house.breaks() == ["no_longer_owed"]


def _queued(tx: Tx) -> list[str]:
    return [row["kind"] for row in tx.all(select(table(WorkRow).c.kind))]


async def test_autopay_takes_only_what_was_not_paid_at_the_desk(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids, {"policy": "autopay", "autopay_cap": "500.00"}) as house:
                await house.say(message("M0", ft1(1, "CO", "25.00&USD", {2: "T1"})))
                await house.house.units.write(keep_method, await house.account())
                await house.say(py("M1", "E1", "24.00"))
                await house.autopay()
                taken = await house.house.units.read(_amounts)
        finally:
            await database.stop()
    assert taken == ["24.00 external", "1.00 stored"]


def _amounts(tx: Tx) -> list[str]:
    row = table(PaymentRow)
    found = tx.all(select(row.c.payment_id).order_by(row.c.payment_id))
    each = [payments.get(tx, one["payment_id"]) for one in found]
    return [f"{one.amount.decimal} {one.method}" for one in each]


async def test_what_the_ehr_took_is_given_back_there(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"), py("M2", "E1", "30.00"))
    theirs = (await house.house.units.read(payments.find, "E1"))[0]
    assert (theirs.method, theirs.processor, str(theirs.captured)) == ("external", "clinic", "30.00 USD")
    with pytest.raises(RuleBroken, match="given back there"):
        await house.house.units.write(
            refund.request, refund.NewRefund(theirs.payment_id, "no", "desk"), house.house.tenant
        )
    with pytest.raises(RuleBroken, match="given back there"):
        await house.house.units.write(void.request, theirs.payment_id, None)  # type: ignore[arg-type]


async def test_explain_finds_it_by_the_ehrs_number(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"), py("M2", "E1", "30.00"))
    shown = str(await house.house.units.read(explain, "E1"))
    assert "ehr_payment_taken_in" in shown
    assert "PaymentReconciliation/" in shown


async def test_a_second_payment_under_the_same_number_stands_beside_the_first_where_that_is_agreed(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids, correction="add") as house:
                await house.say(charge("M1", "T1", "100.00"), py("M2", "E1", "30.00"), py("M3", "E1", "20.00"))
                await house.say(py("M4", "E1", "20.00"))  # sent again
                assert (await house.books())["paid"] == "50.00"
        finally:
            await database.stop()
        assert not examined(url)


@pytest.mark.warns("message.parked", "work.parked")
async def test_a_payment_waits_where_nobody_said_how_it_is_signed(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids, payment_sign="park") as house:
                (answer,) = await house.send(py("M1", "E1", "-30.00"))
                assert verdict(answer) == "AA"
                await house.work()
                assert await house.state("M1") == "parked"
        finally:
            await database.stop()


async def test_an_acknowledgement_that_comes_to_our_listener_is_the_last_word_on_a_posting(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"))
    ours = await house.begin("40.00")
    await house.take(ours)
    units = house.house.units
    (posting,) = await units.read(writeback.of_payment, ours)
    await units.write(writeback.sending, posting.posting_id, "mllp", "the message")
    msa = segment("MSA", {1: "AA", 2: control_id(posting.posting_id)})
    frame = "\r".join([msh("K1", "ACK^P03", {15: "AL", 16: "NE"}), msa]).encode() + b"\r"
    (answer,) = await house.send(frame)
    assert (verdict(answer), Message.parse(answer).get("MSA-2")) == ("CA", "K1")
    assert await house.send(frame.replace(b"|AL|NE", b"||")) == []
    (posting,) = await units.read(writeback.of_payment, ours)
    assert (posting.state, await house.received("K1")) == ("posted", [])


async def test_an_ehr_that_gives_our_postings_numbers_of_its_own(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids, echoes="amount") as house:
                await house.say(charge("M1", "T1", "100.00"))
                ours = await house.begin("40.00")
                await house.take(ours)
                echo = py("M2", "E1", "40.00")
                await house.say(echo, echo, py("M3", "E2", "30.00"))
                assert ((await house.books())["paid"], await house.breaks()) == ("70.00", [])
                await house.say(py("M4", "E3", "30.00"), py("M5", "E1", "40.00"))
                assert (await house.books())["paid"] == "100.00"
                await house.say(py("M6", "E4", "40.00"))  # one line of ours comes back once
                assert (await house.books())["credit"] == "40.00"
                assert await house.breaks() == ["two_posters"]
        finally:
            await database.stop()
        assert not examined(url)


async def test_a_merge_that_is_undone_gives_each_account_its_payments_back(house: Clinic) -> None:
    await house.say(charge("M1", "T1", "100.00"), py("M2", "E1", "30.00"))
    await house.say(charge("M3", "T1", "40.00", "A200"), py("M4", "E1", "40.00", "A200"))
    before = [await house.books(one) for one in ("A100", "A200")]
    pid, mrg = {3: "MRN1^^^CLINIC^MR", 18: "A100"}, {1: "MRN1^^^CLINIC^MR", 3: "A200"}
    await house.say("\r".join([msh("X1", "ADT^A41"), segment("PID", pid), segment("MRG", mrg)]).encode() + b"\r")
    assert await house.books("A200") == {"owed": "140.00", "paid": "70.00", "credit": "0.00", "asks": "70.00"}
    (merge,) = await house.house.units.read(merges.standing)
    await house.house.units.write(_undo, merge.merge_id, house.house.tenant)
    assert [await house.books(one) for one in ("A100", "A200")] == before


def _undo(tx: Tx, merge_id: str, whose: Tenant) -> None:
    undo(tx, merge_id, by="ann", why="other people", tenant=whose)


async def test_what_was_paid_before_the_watermark_is_in_the_opening_balance(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            async with clinic(database, clock, ids, watermark=date(2026, 11, 20)) as house:
                old = {4: "20261101"}
                await house.say(message("M1", ft1(1, "CG", "80.00&USD", old)), py("M2", "E1", "30.00", fields=old))
                await house.say(py("M3", "W1", "9.00", fields={**old, 6: "AJ", 7: "CHARITY"}))
                await house.say(charge("M4", "T9", "100.00"), py("M5", "E2", "25.00"))
                assert await house.books() == {"owed": "100.00", "paid": "25.00", "credit": "0.00", "asks": "0.00"}
                assert await house.list_of("relief_unplaced") == []
        finally:
            await database.stop()
        assert not examined(url)
