"""The close of a day: tills first, then their facility; open points need a reason, and what comes late is counted once.

The clock stands at 15:00 UTC of a Friday, and the facility counts its days in UTC unless a test says otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from desk_world import TENANT, account, card, cash, sound, take, usd
from fhirpay.close import csv_file, store
from fhirpay.close.store import Close
from fhirpay.close.tables import DayCloseRow
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import Conflict, FhirpayError, InvariantBroken, NotFound, RuleBroken, ValueInvalid
from fhirpay.ledger.chain import digest
from fhirpay.payments.tables import OperationRow, PaymentRow
from fhirpay.usecases import day_close, desk, desk_refund, tills
from fhirpay.usecases.day_close import Looked, Signed, Wish
from fhirpay.usecases.doctor import examine

FRIDAY, SATURDAY = date(2026, 11, 20), date(2026, 11, 21)
TILL, WHOLE = Wish("main", "front"), Wish("main")


async def looked(units: Units, wish: Wish) -> Looked:
    return await units.read(day_close.look, TENANT, wish)


async def signed(units: Units, wish: Wish, by: str = "ann", reason: str = "") -> Signed:
    return await units.write(day_close.sign, await looked(units, wish), by=by, reason=reason)


async def reopened(units: Units, close: Close, by: str = "eve", why: str = "the count was wrong") -> Close:
    return await units.write(day_close.reopen, close.close_id, by=by, why=why)


async def counted(units: Units, minor: int, till: str = "front") -> None:
    await units.write(tills.count, till, usd(minor), TENANT, by="ben", close=True)


async def kept(units: Units, close: Close) -> dict[str, Any]:
    return json.loads(await units.read(store.body, close.close_id))


async def opened(units: Units, till: str = "front", minor: int = 0) -> None:
    await units.write(tills.open_till, till, TENANT, by="ann", float_=usd(minor) if minor else None)


def money(document: dict[str, Any], when: str = "day") -> dict[tuple[str, str, str], str]:
    return {
        (one["till"], one["tender"], one["kind"]): f"{one['amount']} {one['currency']}"
        for one in document["money"]
        if one["when"] == when
    }


async def evening(units: Units, clock: FrozenClock) -> str:
    """A day at the desk: a float, cash, a check of nobody's, a card on the practice's terminal, a refund; all counted.
    Another account that owes."""
    ref, other = await units.write(account, "ana", 300_00), await units.write(account, "ben", 50_00)
    clock.advance(timedelta(hours=1))
    await units.write(tills.fill_safe, "main", usd(150_00), "opening", TENANT, by="eve", reason="")
    await units.write(tills.move_cash, "front", "float", usd(100_00), TENANT, by="ann")
    paid = await take(units, ref, cash(), 80_00)
    await take(units, ref, card(), 50_00)
    back = desk_refund.DeskRefund(paid, "cash", "front", "ben", "too much", usd(20_00))
    await units.write(desk_refund.give, back, TENANT)
    await units.write(tills.move_cash, "front", "drop", usd(60_00), TENANT, by="ben")
    clock.advance(timedelta(hours=2))
    await counted(units, 99_00)
    await counted(units, 0, "back")
    return other


async def test_an_evening_is_closed_till_by_till_and_then_as_a_whole(units: Units, clock: FrozenClock) -> None:
    await evening(units, clock)
    with_batch = Wish("main", "front", batch=usd(50_00), reference="batch 17")
    front = (await signed(units, with_batch)).close
    document = await kept(units, front)
    (session,) = document["sessions"]
    figures = {name: one["amount"] for name, one in session.items() if isinstance(one, dict) and "amount" in one}
    assert figures == {
        "left": "0.00", "floated": "100.00", "taken": "80.00", "given": "20.00", "paid_in": "0.00", "paid_out": "0.00",
        "dropped": "60.00", "corrected": "0.00", "expected": "100.00", "counted": "99.00", "over": "-1.00",
    }  # fmt: skip
    assert money(document) == {
        ("front", "cash", "taken"): "80.00 USD",
        ("front", "cash", "refunded"): "-20.00 USD",
        ("front", "external_card", "taken"): "50.00 USD",
    }
    assert document["batches"][0]["difference"] == {"amount": "0.00", "currency": "USD"}
    assert (document["open"], document["day_over"], document["former"]) == ([], False, None)
    back = (await signed(units, Wish("main", "back"))).close
    whole = (await signed(units, WHOLE, by="eve")).close
    document = await kept(units, whole)
    assert [(one["till"], one["close"], one["hash"], one["over"]) for one in document["tills"]] == [
        ("back", back.close_id, back.hash, [{"amount": "0.00", "currency": "USD"}]),
        ("front", front.close_id, front.hash, [{"amount": "-1.00", "currency": "USD"}]),
    ]
    assert document["money_in_all"] == [{"amount": "110.00", "currency": "USD"}]
    assert document["safe"] == [{"amount": "110.00", "currency": "USD"}]
    assert (document["signed"]["by"], document["open"]) == ("eve", [])
    text = await units.read(store.body, whole.close_id)
    assert digest(text) == whole.hash
    assert "Canary" not in text
    await sound(units)


async def test_what_stands_in_the_way_is_said_and_a_till_that_is_open_blocks(units: Units, clock: FrozenClock) -> None:
    ref = await units.write(account, "ana", 300_00)
    await take(units, ref, cash(), 80_00)
    for wish in (TILL, WHOLE):
        with pytest.raises(RuleBroken, match=r"till 'front' is open since 2026-11-20 by ann \(ses"):
            await signed(units, wish, reason="never mind")
    await counted(units, 80_00)
    await counted(units, 0, "back")
    with pytest.raises(RuleBroken, match="till 'front' of 2026-11-20 is not signed off"):
        await signed(units, WHOLE, reason="never mind")
    await signed(units, TILL)
    with pytest.raises(RuleBroken, match="till 'back' of 2026-11-20 is not signed off"):
        await signed(units, WHOLE)
    await signed(units, Wish("main", "back"))
    await signed(units, WHOLE)
    with pytest.raises(RuleBroken, match="2026-11-21 has not begun at 'main': it is 2026-11-20 there"):
        await signed(units, Wish("main", day=SATURDAY))
    clock.advance(timedelta(days=1))
    await signed(units, Wish("main", day=SATURDAY))
    with pytest.raises(RuleBroken, match=r"of 2026-11-19 is counted with 2026-11-21 \(cls"):
        await signed(units, Wish("main", day=date(2026, 11, 19)))


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        (Wish("nowhere"), NotFound, "no facility 'nowhere'"),
        (Wish("main", "nowhere"), NotFound, "no till 'nowhere'"),
        (Wish("main", "other"), RuleBroken, "till 'other' is of facility 'other', not of 'main'"),
        (Wish(), RuleBroken, "name the facility"),
        (Wish("main", "front", batch=Money(1, "CAD")), RuleBroken, "in USD, not in CAD"),
        (Wish("main", day=date(9999, 12, 31)), ValueInvalid, "no day that books have"),
    ],
)
async def test_a_close_of_nothing_that_is_there_is_refused(
    units: Units, wish: Wish, error: type[FhirpayError], says: str
) -> None:
    ref = await units.write(account, "ana", 300_00)
    await take(units, ref, card(), 10_00)
    with pytest.raises(error, match=says):
        await looked(units, wish)


async def test_open_points_need_a_reason_and_stand_in_the_document(units: Units, clock: FrozenClock) -> None:
    await evening(units, clock)
    with pytest.raises(RuleBroken, match=r"1 open points need a written reason: batch_missing"):
        await signed(units, TILL)
    off = Wish("main", "front", batch=usd(45_00))
    with pytest.raises(RuleBroken, match=r"batch_differs batch: the terminal says 45.00 USD, the books 50.00 USD"):
        await signed(units, off)
    front = (await signed(units, off, reason="one slip is missing; the bank is asked")).close
    document = await kept(units, front)
    assert [(one["kind"], one["amount"]["amount"]) for one in document["open"]] == [("batch_differs", "-5.00")]
    assert document["signed"]["reason"] == "one slip is missing; the bank is asked"
    await signed(units, Wish("main", "back"))
    await units.write(_unknown)
    with pytest.raises(RuleBroken, match=r"unknown opr-x: sale of pay-x is unknown"):
        await signed(units, WHOLE)
    document = await kept(units, (await signed(units, WHOLE, reason="the processor is down")).close)
    assert {one["kind"] for one in document["open"]} >= {"unknown"}
    for words, says in (("4111 1111 1111 1111", "no card number"), ("x" * 501, "500 characters")):
        with pytest.raises(RuleBroken, match=says):
            await signed(units, Wish("other"), reason=words)
    with pytest.raises(RuleBroken, match="this is needed"):
        await signed(units, Wish("other"), by=" ")
    await units.write(lambda tx: tx.execute(sa.delete(OperationRow.__table__)))  # type: ignore[attr-defined]
    await units.write(_known)


def _unknown(tx: Tx) -> None:
    row = {"tenant_id": "main", "payment_id": "pay-x", "account_ref": "Account/ana", "facility": "main"}
    row |= {"merchant": "main", "processor": "simulated", "amount_minor": 5_00, "currency": "USD", "method": "stored"}
    row |= {"initiated_by": "customer", "requested_by": "ann", "state": "created", "created_at": tx.now}
    tx.execute(sa.insert(PaymentRow.__table__).values(row | {"changed_at": tx.now}))  # type: ignore[attr-defined]
    row = {"tenant_id": "main", "operation_id": "opr-x", "payment_id": "pay-x", "kind": "sale", "state": "unknown"}
    row |= {"attempt": 1, "amount_minor": 5_00, "currency": "USD", "created_at": tx.now}
    tx.execute(sa.insert(OperationRow.__table__).values(row))  # type: ignore[attr-defined]


def _known(tx: Tx) -> None:
    payment = PaymentRow.__table__  # type: ignore[attr-defined]
    tx.execute(sa.delete(payment).where(payment.c.payment_id == "pay-x"))


async def test_the_same_word_again_changes_nothing_and_another_is_told_who_closed(
    units: Units, clock: FrozenClock
) -> None:
    await evening(units, clock)
    wish = Wish("main", "front", batch=usd(50_00))
    first = await signed(units, wish)
    clock.advance(timedelta(minutes=5))
    again = await signed(units, wish)
    assert (first.again, again.again, again.close.hash) == (False, True, first.close.hash)
    with pytest.raises(RuleBroken, match=r"till 'front' of 'main' is closed for 2026-11-20 already: by ann at .*cls"):
        await signed(units, Wish("main", "front", FRIDAY), by="ben")
    shown = await looked(units, Wish("main", "front", FRIDAY))
    assert shown.closed == first.close
    assert shown.document == await kept(units, first.close)


async def test_money_that_comes_after_the_close_is_the_next_one_s_and_no_close_changes(
    units: Units, clock: FrozenClock
) -> None:
    ref = await evening(units, clock)
    await signed(units, TILL, reason="no slip")
    await signed(units, Wish("main", "back"))
    friday = (await signed(units, WHOLE)).close
    before = await units.read(store.body, friday.close_id)
    await opened(units)
    late = await take(units, ref, cash(), 7_00)  # at 18:30, of the same day
    clock.advance(timedelta(days=1))
    await take(units, ref, cash(), 5_00)
    await counted(units, 111_00)
    till = (await signed(units, Wish("main", "front", SATURDAY))).close
    document = await kept(units, (await signed(units, Wish("main", day=SATURDAY))).close)
    assert money(document) == {("front", "cash", "taken"): "5.00 USD"}
    assert money(document, "after_close") == {("front", "cash", "taken"): "7.00 USD"}
    (one,) = document["after_close"]
    assert (one["payment"], one["day"], one["after"], one["amount"]) == (late, "2026-11-20", friday.close_id, "7.00")
    assert [one["close"] for one in document["tills"]] == [till.close_id]
    assert document["former"] == {"close": friday.close_id, "hash": friday.hash}
    assert await units.read(store.body, friday.close_id) == before
    await sound(units)


async def test_reopening_leaves_a_trace_and_the_next_close_of_the_day_names_what_it_replaces(
    units: Units, clock: FrozenClock
) -> None:
    ref = await evening(units, clock)
    till = (await signed(units, TILL, reason="no slip")).close
    await signed(units, Wish("main", "back"))
    whole = (await signed(units, WHOLE)).close
    with pytest.raises(RuleBroken, match=f"the close of 'main' stands on it \\({whole.close_id}\\)"):
        await reopened(units, till)
    await reopened(units, whole)
    assert (await reopened(units, whole)).reopened_by == "eve"  # the same word again
    with pytest.raises(RuleBroken, match="was opened again already, by eve"):
        await reopened(units, whole, by="ben")
    await reopened(units, till)
    with pytest.raises(RuleBroken, match="'front' of 2026-11-20 was opened again: sign it off"):
        await signed(units, WHOLE)
    await opened(units)
    await take(units, ref, cash(), 7_00)
    await counted(units, 106_00)
    second = (await signed(units, Wish("main", "front"), reason="no slip")).close
    document = await kept(units, second)
    assert len(document["sessions"]) == 2
    assert money(document)["front", "cash", "taken"] == "87.00 USD"
    assert document["replaces"] == {
        "close": till.close_id, "hash": till.hash, "reopened_by": "eve", "why": "the count was wrong",
    }  # fmt: skip
    again = (await signed(units, WHOLE)).close
    document = await kept(units, again)
    assert [one["close"] for one in document["tills"]][1:] == [second.close_id]
    assert (document["replaces"]["close"], document["former"]["close"]) == (whole.close_id, whole.close_id)
    assert document["money_in_all"] == [{"amount": "117.00", "currency": "USD"}]
    found = await units.read(lambda tx: store.some(tx, facility="main", till=""))
    assert [(one.number, one.stands) for one in found] == [(2, True), (1, False)]


async def test_a_day_that_was_opened_again_after_the_look_is_closed_before_a_later_one(
    units: Units, clock: FrozenClock
) -> None:
    await evening(units, clock)
    friday = (await signed(units, TILL, reason="no slip")).close
    clock.advance(timedelta(days=1))
    saturday = await looked(units, Wish("main", "front", SATURDAY))
    await reopened(units, friday)
    with pytest.raises(RuleBroken, match="2026-11-20 was opened again by eve: close that first"):
        await units.write(day_close.sign, saturday, by="ann", reason="")
    await signed(units, Wish("main", "front", FRIDAY), reason="no slip")
    with pytest.raises(Conflict, match="look at it again"):
        await units.write(day_close.sign, saturday, by="ann", reason="")


async def test_the_database_refuses_to_change_a_close(units: Units, clock: FrozenClock) -> None:
    await evening(units, clock)
    await signed(units, TILL, reason="no slip")
    for change in ("UPDATE day_close SET reason = 'x'", "DELETE FROM day_close", "DELETE FROM day_close_part"):
        with pytest.raises((DBAPIError, FhirpayError)) as refused:
            await units.write(lambda tx, change=change: tx.execute(sa.text(change)))
        assert "a close is never changed" in str(refused.value)


async def test_two_clerks_at_once_close_a_day_once(
    database_url: str, open_it: Callable[[str], Database], clock: FrozenClock
) -> None:
    """Both have looked before either signs. On SQLite there is one process, and two units at once."""
    both = [open_it(database_url) for _ in range(1 if database_url.startswith("sqlite") else 2)]
    for one in both:
        await one.start()
    first, second = both[0].units("main"), both[-1].units("main")
    try:
        await evening(first, clock)
        seen = [await looked(first, TILL), await looked(second, TILL)]
        tried = await asyncio.gather(
            first.write(day_close.sign, seen[0], by="ann", reason="no slip"),
            second.write(day_close.sign, seen[1], by="ben", reason="no slip"),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in tried) == ["RuleBroken", "Signed"]
        assert "already: by" in str(next(one for one in tried if isinstance(one, RuleBroken)))
        assert len(await first.read(store.of, "main", "front")) == 1
    finally:
        for one in both:
            await one.stop()


async def test_a_till_is_opened_again_or_counted_by_its_facility_and_never_both(
    database_url: str, open_it: Callable[[str], Database], clock: FrozenClock
) -> None:
    both = [open_it(database_url) for _ in range(1 if database_url.startswith("sqlite") else 2)]
    for one in both:
        await one.start()
    first, second = both[0].units("main"), both[-1].units("main")
    try:
        await evening(first, clock)
        await signed(first, Wish("main", "back"))
        front = (await signed(first, TILL, reason="no slip")).close
        old = await looked(first, WHOLE)
        tried = await asyncio.gather(
            first.write(day_close.sign, old, by="eve", reason="no slip"),
            second.write(day_close.reopen, front.close_id, by="eve", why="a bag was found"),
            return_exceptions=True,
        )
        assert {type(one) for one in tried} in ({Signed, RuleBroken}, {Conflict, Close})
        if isinstance(tried[0], Signed):
            await reopened(first, tried[0].close)
            old = await looked(first, WHOLE)
            await reopened(first, front)
        with pytest.raises(Conflict, match="opened again meanwhile: sign that off"):
            await first.write(day_close.sign, old, by="eve", reason="no slip")
    finally:
        for one in both:
            await one.stop()


async def test_a_look_that_is_old_is_refused_and_a_unit_that_fails_leaves_nothing(
    units: Units, clock: FrozenClock
) -> None:
    await evening(units, clock)
    old = await looked(units, Wish("main", "front", FRIDAY))

    def broken(tx: Tx) -> None:
        day_close.sign(tx, old, by="ann", reason="no slip")
        raise RuleBroken("the power went")

    with pytest.raises(RuleBroken, match="the power went"):
        await units.write(broken)
    assert await units.read(store.of, "main", "front") == []
    first = (await signed(units, TILL, reason="no slip")).close
    await reopened(units, first)
    with pytest.raises(Conflict, match="look at it again"):
        await units.write(day_close.sign, old, by="ann", reason="no slip")


async def test_words_of_people_are_no_formula(units: Units, clock: FrozenClock) -> None:
    await evening(units, clock)
    with_batch = Wish("main", "front", batch=usd(1), reference="=A1")
    close = (await signed(units, with_batch, by="=HYPERLINK(1)", reason='-1, @x, "quoted"\nand more')).close
    document = await kept(units, close)
    printed = csv_file.render(document, close.hash).decode()
    assert "close,signed by,'=HYPERLINK(1)\r\n" in printed
    assert 'close,reason,"\'-1, @x, ""quoted""\nand more"\r\n' in printed
    assert "batches,'=A1," in printed
    assert "open,batch_differs,'=A1," in printed
    assert ",-20.00 USD," in printed  # an amount of ours keeps its sign


@pytest.mark.unsound("a hand in the database")
async def test_a_text_that_was_changed_is_not_printed_and_doctor_tells(units: Units, clock: FrozenClock) -> None:
    await evening(units, clock)
    first = (await signed(units, TILL, reason="no slip")).close
    for close_id, number in (("cls-x", 2), ("cls-y", 3)):
        await units.write(_forged, first.close_id, close_id, number)
    with pytest.raises(InvariantBroken, match="not the one that was signed"):
        await units.read(store.body, "cls-x")
    found = {one.subject: one.says for one in await units.read(examine) if one.check == "closes"}
    assert found == {
        "cls-x": "its text is not the one that its hash is of",
        "cls-y": "its row says something else than its text",
    }


def _forged(tx: Tx, of: str, close_id: str, number: int) -> None:
    """The close once more under another id: its text changed, or not what its row says."""
    table = DayCloseRow.__table__  # type: ignore[attr-defined]
    row = dict(tx.all(sa.select(table).where(table.c.close_id == of))[0])
    row |= {"close_id": close_id, "number": number}
    if number == 2:
        row["body"] = row["body"].replace("80.00", "90.00")
    else:
        named = f'"former":{{"close":"cls-x","hash":"{row["hash"]}"}}'
        row["body"] = row["body"].replace('"former":null', named)
        row["hash"] = digest(row["body"])
    tx.execute(sa.insert(table).values(row))


async def test_a_void_is_given_back_in_its_session(units: Units, clock: FrozenClock) -> None:
    ref = await units.write(account, "ana", 300_00)
    clock.advance(timedelta(minutes=1))
    paid = await take(units, ref, cash(), 80_00)
    await units.write(desk.void, paid, till="front", by="ann", reason="typed twice", tenant=TENANT)
    clock.advance(timedelta(minutes=1))
    await counted(units, 0)
    await opened(units)
    clock.advance(timedelta(minutes=1))
    await counted(units, 2_00)
    document = await kept(units, (await signed(units, TILL)).close)
    shown = [
        (one["left"]["amount"], one["taken"]["amount"], one["given"]["amount"], one["over"]["amount"])
        for one in document["sessions"]
    ]
    assert shown == [("0.00", "80.00", "80.00", "0.00"), ("0.00", "0.00", "0.00", "2.00")]
    assert money(document)["front", "cash", "voided"] == "-80.00 USD"
