"""Payouts and the bank's lines of them: each once, by a rule that is kept, or told to a person; the books follow.

The clock stands at 2026-11-20: what was to arrive by the 14th is over (4 days late, one for the statement).
"""

from __future__ import annotations

import re

import pytest

from bank_files import BAI2, CAMT, CSV, bai2_of, camt_of, csv_of
from bank_world import KEY, BankWorld
from fhirpay.db.unit import Units
from fhirpay.domain.payout import PayoutState
from fhirpay.errors import FhirpayError, MessageInvalid, RuleBroken
from fhirpay.ledger.verify import verify
from fhirpay.usecases import doctor_settlement
from fhirpay.usecases.decide_bank import book_receipt, match_by_hand
from fhirpay.usecases.unmatch_bank import unmatch

pytestmark = pytest.mark.warns("bank.refused")
FILLER = ("2026-11-19", -1_00, "Z", "SERVICE FEE")  # the bank's days are known until then


@pytest.fixture
def world(units: Units) -> BankWorld:
    return BankWorld(units, CSV.model_copy(update={"payouts_only": False}))


async def _sound(world: BankWorld) -> None:
    assert (await world.units.read(verify)).problems == ()
    assert await world.units.read(lambda tx: list(doctor_settlement.problems(tx))) == []


async def test_a_line_that_names_its_payout_or_its_trace_is_it_at_once(world: BankWorld) -> None:
    await world.pays("po_aaaaaa1", 90_00, "2026-11-19")
    await world.pays("po_aaaaaa2", 90_00, "2026-11-19", trace="ST-TRACE77")
    taken = await world.bank([("2026-11-19", 90_00, "R1", "ACH ST-Trace77"), ("2026-11-19", 90_00, "", "po_aaaaaa1")])
    assert (taken.new, taken.matched) == (2, 2)
    state = await world.state()
    assert [one[:4] for one in state["matches"]] == [
        ("po_aaaaaa1", "arrival", "reference", "certain"),
        ("po_aaaaaa2", "arrival", "reference", "certain"),
    ]
    assert state["books"] == {"bank": 180_00, "processor_clearing": -180_00}
    assert {one[1] for one in state["payouts"]} == {"bank_matched"}
    assert (
        await world.bank([("2026-11-19", 90_00, "R1", "ACH ST-Trace77"), FILLER])
    ).known == 1  # a file that overlaps
    assert await world.match() == 0
    await _sound(world)


async def test_the_only_line_of_its_amount_is_matched_once_its_days_are_over(world: BankWorld) -> None:
    await world.pays("po_early1", 40_00, "2026-11-10")
    await world.pays("po_today1", 41_00, "2026-11-18")
    await world.bank([("2026-11-11", 40_00, "R1", "X"), ("2026-11-18", 41_00, "R2", "X"), FILLER])
    state = await world.state()
    assert [(one[0], one[2]) for one in state["matches"]] == [("po_early1", "amount")]
    assert state["breaks"] == []  # the other one waits for its days
    await _sound(world)


async def test_the_newest_line_of_a_busy_account_is_found(world: BankWorld) -> None:
    await world.pays("po_newest1", 40_00, "2026-11-18")
    await world.pays("po_muchlater", 41_00, "2026-10-08")  # named by a line of a day when it isn't looked for any more
    others = [("2026-11-17", -1_00, f"{n}", "FEE") for n in range(5_001)]
    named = [("2026-11-16", 41_00, "R1", "PO_MUCHLATER"), ("2026-11-18", 40_00, "R2", "PO_NEWEST1")]
    taken = await world.bank([*others, *named])
    assert (taken.new, taken.matched) == (5_003, 2)


async def test_two_of_one_amount_and_day_are_for_a_person_and_stand_as_said(world: BankWorld) -> None:
    for name in ("po_twin_01", "po_twin_02"):
        await world.pays(name, 50_00, "2026-11-10")
    same = ("2026-11-10", 50_00, "", "DEPOSIT")
    taken = await world.bank([same, same, FILLER])
    assert (taken.new, taken.matched) == (3, 0)
    assert [one[0] for one in (await world.state())["breaks"]] == ["bank_ambiguous", "bank_ambiguous"]
    lines = await world.units.read(_open_of, 50_00)
    said = {"by": "kim", "why": "the bank's page"}
    with pytest.raises(RuleBroken, match=r"come to 100.00 USD, and the payouts to 50.00 USD"):
        await world.units.write(match_by_hand, world.tenant, KEY, lines=lines, payouts=["po_twin_01"], **said)
    await world.units.write(match_by_hand, world.tenant, KEY, lines=lines[:1], payouts=["po_twin_02"], **said)
    with pytest.raises(RuleBroken, match="is matched"):
        await world.units.write(match_by_hand, world.tenant, KEY, lines=lines[:1], payouts=["po_twin_01"], **said)
    state = await world.state()
    assert [(one[0], one[2]) for one in state["matches"]] == [("po_twin_01", "amount"), ("po_twin_02", "by_hand")]
    assert state["breaks"] == []
    await _sound(world)


def _open_of(tx: object, minor: int) -> list[str]:
    from fhirpay.bank import store

    return [one.line_id for one in store.some(tx, "main", unmatched=True, limit=9) if one.amount.minor == minor]  # type: ignore[arg-type]


async def test_a_deposit_over_two_lines_and_one_that_is_short_and_one_that_never_came(world: BankWorld) -> None:
    await world.pays("po_split1", 70_00, "2026-11-10")
    await world.pays("po_short1", 80_00, "2026-11-10")
    await world.pays("po_never1", 33_00, "2026-11-10")
    two = [("2026-11-10", 30_00, "A", "X"), ("2026-11-11", 40_00, "B", "X")]
    await world.bank([*two, ("2026-11-10", 79_00, "C", "PAYOUT PO_SHORT1"), FILLER])
    state = await world.state()
    assert [(one[0], one[2], one[6]) for one in state["matches"]] == [
        ("po_split1", "split", 30_00),
        ("po_split1", "split", 40_00),
    ]
    assert state["breaks"] == [("payout_differs_at_bank", 1_00, "main"), ("payout_not_at_bank", 33_00, "main")]
    assert state["books"]["payout_in_transit"] == 113_00
    await world.bank([("2026-11-13", 33_00, "D", "LATE PO_NEVER1"), FILLER])
    assert await world.breaks() == {"payout_differs_at_bank"}
    await _sound(world)


async def test_a_payout_that_failed_after_it_was_seen_is_taken_out_of_the_bank_again(world: BankWorld) -> None:
    await world.pays("po_fails1", 60_00, "2026-11-18")
    await world.bank([("2026-11-18", 60_00, "A", "po_fails1"), FILLER])
    assert (await world.state())["books"] == {"bank": 60_00, "processor_clearing": -60_00}
    await world.pays("po_fails1", 60_00, "2026-11-18", PayoutState.FAILED)
    state = await world.state()
    assert state["books"] == {}
    assert state["payouts"] == [("po_fails1", "failed")]
    await world.bank([("2026-11-19", -60_00, "B", "RETURN po_fails1"), FILLER])
    assert [one[1] for one in (await world.state())["matches"]] == ["arrival", "return"]
    assert (await world.state())["books"] == {}
    await _sound(world)


async def test_a_receipt_of_nobody_is_told_booked_and_found_to_be_a_payout(units: Units) -> None:
    world = BankWorld(units)
    await world.bank([("2026-11-12", 20_00, "A", "ZELLE ANN CANARY"), ("2026-11-19", 5_00, "B", "NEW")])
    assert await world.breaks() == {"bank_line_of_nobody"}
    (line,) = await units.read(_open_of, 20_00)
    await units.write(book_receipt, world.tenant, line, by="kim", why="nobody knows it")
    assert (await world.state())["books"] == {"bank": 20_00, "unidentified_receipts": -20_00}
    assert await world.breaks() == set()
    with pytest.raises(RuleBroken, match="booked as a receipt already"):
        await units.write(book_receipt, world.tenant, line, by="kim", why="again")
    await world.pays("po_found01", 20_00, "2026-11-12")
    assert await world.match() == 1
    assert (await world.state())["books"] == {"bank": 20_00, "processor_clearing": -20_00}
    await _sound(world)
    kept = await units.read(_everything)
    assert "CANARY" not in kept
    assert "ZELLE" not in kept


async def test_a_match_that_was_wrong_is_taken_back_and_no_rule_makes_it_again(world: BankWorld) -> None:
    await world.pays("po_wrong01", 40_00, "2026-11-11")
    await world.bank([("2026-11-11", 40_00, "R1", "po_wrong01"), FILLER])
    (line,) = await world.units.read(lambda tx: _lines(tx, 40_00))
    said = {"by": "kim", "why": "another practice's deposit"}
    with pytest.raises(RuleBroken, match="who says so, and why"):
        await world.units.write(unmatch, world.tenant, KEY, line, by="kim", why=" ")
    await world.units.write(unmatch, world.tenant, KEY, line, **said)
    state = await world.state()
    assert (state["matches"], state["payouts"]) == ([], [("po_wrong01", "paid")])
    assert state["books"] == {"payout_in_transit": 40_00, "processor_clearing": -40_00}
    assert await world.match() == 0
    assert await world.breaks() == {"payout_not_at_bank"}
    with pytest.raises(RuleBroken, match="matched with nothing"):
        await world.units.write(unmatch, world.tenant, KEY, line, **said)
    await _sound(world)
    await world.bank([("2026-11-12", 40_00, "R2", "DEPOSIT"), FILLER])  # what it was
    assert [(one[2], one[7]) for one in (await world.state())["matches"]] == [("amount", "R2")]
    (other,) = [one for one in await world.units.read(lambda tx: _lines(tx, 40_00)) if one != line]
    await world.units.write(unmatch, world.tenant, KEY, other, **said)
    await world.units.write(
        match_by_hand, world.tenant, KEY, lines=[line], payouts=["po_wrong01"], **said
    )  # a person may
    await world.pays("po_wrong01", 40_00, "2026-11-11")
    assert (await world.state())["books"] == {"bank": 40_00, "processor_clearing": -40_00}
    assert await world.breaks() == set()
    await _sound(world)
    await world.pays("po_wrong01", 40_00, "2026-11-11", PayoutState.FAILED)
    assert (await world.state())["books"] == {}
    with pytest.raises(RuleBroken, match="has come back since"):
        await world.units.write(unmatch, world.tenant, KEY, line, **said)


async def test_a_receipt_and_a_deposit_of_batches_are_what_they_were_before_the_match(units: Units) -> None:
    world = BankWorld(units, CSV.model_copy(update={"fee_percent": "3.5"}))
    await world.bank([("2026-11-11", 97_00, "A", "MERCHANT BANKCD"), FILLER])
    (line,) = await units.read(_open_of, 97_00)
    await units.write(book_receipt, world.tenant, line, by="kim", why="nobody knows it")
    before = (await world.state())["books"]
    await world.pays("b_000001", 100_00, "2026-11-11", PayoutState.DEPOSIT_EXPECTED)
    assert await world.match() == 1
    assert await world.breaks() == {"batch_fee_gap"}
    for _ in range(2):
        await units.write(unmatch, world.tenant, KEY, line, by="kim", why="it was rent")
        state = await world.state()
        assert (state["books"], state["payouts"]) == (before, [("b_000001", "deposit_expected")])
        assert await world.breaks() == {"payout_not_at_bank"}
        said = {"lines": [line], "payouts": ["b_000001"], "by": "kim", "why": "it is this one after all"}
        await units.write(match_by_hand, world.tenant, KEY, **said)
        assert (await world.state())["books"] == {"bank": 97_00, "processor_clearing": -97_00}
        assert await world.breaks() == {"batch_fee_gap"}
    await _sound(world)


def _lines(tx: object, minor: int) -> list[str]:
    from fhirpay.bank import store

    return [one.line_id for one in store.some(tx, "main", unmatched=False, limit=9) if one.amount.minor == minor]  # type: ignore[arg-type]


def _everything(tx: object) -> str:
    from sqlalchemy import text

    tables = ("bank_file", "bank_line", "bank_word", "bank_statement", "payment_break")
    return "\n".join(str(row) for name in tables for row in tx.execute(text(f"SELECT * FROM {name}")))  # type: ignore[attr-defined]  # noqa: S608


async def test_batches_of_one_deposit_leave_their_fee_gap_as_an_item(units: Units) -> None:
    world = BankWorld(units, CSV.model_copy(update={"fee_percent": "3.5", "payouts_only": False}))
    for name, minor in (("b_000001", 100_00), ("b_000002", 200_00)):
        await world.pays(name, minor, "2026-11-10", PayoutState.DEPOSIT_EXPECTED)
    await world.bank([("2026-11-11", 291_00, "A", "MERCHANT BANKCD"), FILLER])
    state = await world.state()
    assert {(one[0], one[2], one[4]) for one in state["matches"]} == {
        ("b_000001", "batches", 9_00),
        ("b_000002", "batches", 9_00),
    }
    assert state["breaks"] == [("batch_fee_gap", 9_00, "main")]
    assert state["books"] == {"bank": 291_00, "processor_clearing": -291_00}
    await _sound(world)


async def test_a_missing_day_shows_in_the_balances_until_its_file_comes(units: Units) -> None:
    world = BankWorld(units, BAI2)

    async def day(number: int, minor: int, opening: int, **more: int) -> None:
        at = f"2026-11-{number}"
        await world.files.take("main", at, bai2_of([(at, minor, "", "X")], day=at, opening=opening, **more))

    await day(16, 10_00, 0)
    await day(18, 40_00, 30_00)
    assert await world.breaks(["bank_days_missing"]) == {"bank_days_missing"}
    await day(17, 20_00, 10_00)
    assert await world.breaks(["bank_days_missing", "bank_statement_sum"]) == set()
    await day(19, 5_00, 70_00, closing=76_00)
    assert await world.breaks(["bank_statement_sum"]) == {"bank_statement_sum"}


async def test_equal_lines_on_two_statements_of_a_file_are_two_and_what_is_said_again_is_known(units: Units) -> None:
    world = BankWorld(units, CAMT)
    day, same = {"first": "2026-11-19", "last": "2026-11-19"}, ("2026-11-19", 10_00, "", "COPAY")
    first, second = camt_of([same], opening=0, **day), camt_of([same, same], opening=10_00, **day)
    paged = _one_file(_without(first, "CLBD"), _without(second, "OPBD"))
    assert [(one.new, one.known) for one in [await world.files.take("main", "a", paged)]] == [(3, 0)]
    assert (await world.files.take("main", "a", paged)).again
    for known, data in (
        (1, first),
        (2, second),
        (3, _one_file(first, second)),
        (6, _one_file(first, second, first, second)),
    ):
        taken = await world.files.take("main", "b", data)
        assert (taken.new, taken.known) == (0, known)
    whole = camt_of([same] * 3, opening=0, **day)
    again = await world.files.take("main", "c", _one_file(whole, second))
    assert (again.new, again.known) == (0, 5)
    assert len((await world.state())["lines"]) == 3


def _without(data: bytes, code: str) -> bytes:
    """As a page that isn't the first one, or the last, has it: one balance is missing."""
    return re.sub(rb"<Bal><Tp><CdOrPrtry><Cd>%s</Cd>.*?</Bal>" % code.encode(), b"", data)


def _one_file(*files: bytes) -> bytes:
    """The statements of all these in the first one."""
    statements = [re.findall(rb"<Stmt>.*</Stmt>", one)[0] for one in files]
    return files[0].replace(statements[0], b"".join(statements))


async def test_a_file_of_a_stranger_s_account_or_currency_is_kept_and_refused_and_a_mended_one_is_read(
    units: Units,
) -> None:
    world = BankWorld(units, BAI2)
    lines = [("2026-11-19", 10_00, "A", "X")]
    strange = bai2_of(lines, day="2026-11-19", opening=0, number="7654321")
    with pytest.raises(MessageInvalid, match=r"line 3: account …4321 is none of"):
        await world.files.take("main", "a", strange)
    dollars = bai2_of(lines, day="2026-11-19", opening=0).replace(b",USD,010", b",CAD,010")
    with pytest.raises(MessageInvalid, match="line 3: it is in CAD"):
        await world.files.take("main", "b", dollars)
    with pytest.raises(FhirpayError, match="no bank account 'other'"):
        await world.files.take("other", "c", strange)
    assert (await world.state())["lines"] == []
    mended = BankWorld(units, BAI2.model_copy(update={"number": "7654321"}))
    assert (await mended.files.take("main", "a", strange)).new == 1
    assert (await mended.files.take("main", "a", strange)).again
    wrong = csv_of([])
    with pytest.raises(FhirpayError):
        await world.files.take("main", "d", wrong)
