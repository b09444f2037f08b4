"""Settlement, the bank, what EHRs say, reconciling, closes: killed at any step and told again, as if nothing had been.

To add a use case: a `Story`. On SQLite each step of each; on PostgreSQL, whose statements are the same, some of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bank_files import csv_of
from bank_world import KEY
from databases import Databases
from deaths import EVERY, Houses, Story, dies_anywhere
from desk_world import TENANT, account, cash, usd
from fhirpay.bank import store as bank
from fhirpay.close import store as closes
from fhirpay.config import PostingReport
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.ledger import rules
from fhirpay.ledger import store as ledger
from fhirpay.ledger.month import Month
from fhirpay.payments import store
from fhirpay.usecases import close_period, day_close, desk, pull_settlements, take_report, tills
from fhirpay.usecases.book_settlement import hear_payout
from fhirpay.usecases.day_close import Wish
from fhirpay.usecases.decide_bank import book_receipt, match_by_hand
from fhirpay.usecases.match_bank import match_account
from fhirpay.usecases.reconcile import Reconcile
from fhirpay.usecases.take_bank_file import TakeBankFile
from fhirpay.usecases.take_report import TakeReport
from fhirpay.usecases.take_settlement_report import TakeSettlementReport
from fhirpay.usecases.unmatch_bank import unmatch
from paid_out_world import CASH, CSV, Listed, line, listed_of, practice, pull_of, three_payments

SAID: dict[str, Any] = {"by": "kim", "why": "the bank's own page"}
FILLER = ("2026-11-19", -1_00, "Z", "SERVICE FEE")
OCTOBER = Month.parse("2026-10")
REPORT = PostingReport(
    day="Posted",
    day_format="%m/%d/%Y",
    amount="Amount",
    account="Account",
    account_system="urn:clinic:account",
    number="Batch",
    our_number="Reference",
)
PRACTICE = practice(connections=(CASH.model_copy(update={"report": REPORT}),))


async def pulled(units: Units) -> None:
    await pull_of(units, PRACTICE, await listed_of(units)).pull("main")


async def reported(units: Units) -> None:
    """The same, as a file of which the processor's adapter reads it."""
    listed = await listed_of(units)
    pulls = pull_of(units, PRACTICE, listed)
    await TakeSettlementReport(units, PRACTICE, listed.registry, pulls, KEY).take("main", "report_1.csv", b"bytes")


async def and_pulled(units: Units) -> None:
    await three_payments(units)
    await pulled(units)


async def bank_file_taken(units: Units) -> None:
    """With it the right payout is matched, and posted to the EHR that takes payouts; a line is nobody's."""
    lines = [("2026-11-19", 106_48, "R1", "ACH po_right01"), ("2026-11-12", 9_00, "R2", "RENT"), FILLER]
    await TakeBankFile(units, PRACTICE, KEY).take("main", "statement.csv", csv_of(lines))


async def twins(units: Units) -> None:
    """Two payouts and two lines of one amount: for a person."""
    listed = Listed()
    for name in ("po_twin_01", "po_twin_02"):
        listed.has(name, 50_00)
        await units.write(hear_payout, PRACTICE, "main", listed.payouts[name][0])
    lines = [("2026-11-19", 50_00, "", "DEPOSIT"), ("2026-11-19", 50_00, "", "DEPOSIT"), FILLER]
    await TakeBankFile(units, PRACTICE, KEY).take("main", "statement.csv", csv_of(lines))


def _line(tx: Tx) -> str:
    return min(one.line_id for one in bank.some(tx, "main", unmatched=False, limit=9) if one.amount == usd(50_00))


async def matched_by_a_person(units: Units) -> None:
    lines = [await units.read(_line)]
    await units.write(match_by_hand, PRACTICE, KEY, lines=lines, payouts=["po_twin_02"], **SAID)


async def and_matched(units: Units) -> None:
    await twins(units)
    await matched_by_a_person(units)


async def taken_back(units: Units) -> None:
    await units.write(unmatch, PRACTICE, KEY, await units.read(_line), **SAID)
    await units.write(match_account, PRACTICE, CSV, KEY)


async def booked_as_a_receipt(units: Units) -> None:
    await units.write(book_receipt, PRACTICE, await units.read(_line), **SAID)


async def ehr_report_taken(units: Units) -> None:
    """A posting of ours, and one that nobody here knows."""
    first = await units.read(lambda tx: store.of_account(tx, "Account/ana")[0].payment_id)
    rows = ["Posted,Batch,Account,Amount,Reference", f"11/20/2026,1,ANA,80.00,{first}", "11/21/2026,2,ANA,13.00,"]
    data = ("\r\n".join(rows) + "\r\n").encode()
    await TakeReport(units, PRACTICE, KEY).take("cash", "postings.csv", data)


async def odd_payouts(units: Units) -> None:
    """Lines at another amount, and one that names nothing."""
    await three_payments(units)
    listed = await listed_of(units)
    listed.has("po_nameless", 49_00, line("l9", 50_00, 1_00))
    for lines in (line("l3", 45_00, 1_75, payment="other"),):
        listed.has("po_short01", 43_25, lines)
    found = await units.read(lambda tx: store.of_account(tx, "Account/ana"))
    (eighty,) = (one.payment_id for one in found if one.amount == usd(80_00))
    listed.has("po_right01", 70_00, line("l1", 70_00, 0, payment=eighty))
    await pull_of(units, PRACTICE, listed).pull("main")


async def compared(units: Units) -> None:
    await Reconcile(units, PRACTICE).look()


async def counted(units: Units) -> None:
    ref = await units.write(account, "ana", 300_00)
    await units.write(desk.take, desk.DeskPayment(ref, cash(), usd(80_00)), TENANT)
    for till, minor in (("front", 79_00), ("back", 0)):
        await units.write(tills.count, till, usd(minor), TENANT, by="ben", close=True)


async def day_closed(units: Units) -> None:
    for wish in (Wish("main", "front"), Wish("main", "back"), Wish("main")):
        day = wish if wish.day else Wish(wish.facility, wish.till, (await units.read(lambda tx: tx.now)).date())
        looked = await units.read(day_close.look, TENANT, day)
        await units.write(day_close.sign, looked, by="ann", reason="seen")


async def day_opened_and_closed_again(units: Units) -> None:
    """The facility's first close is the one that is opened again, however often that is said."""
    first = (await units.read(closes.of, "main", ""))[0]
    await units.write(day_close.reopen, first.close_id, by="eve", why="a bag was found")
    await day_closed(units)


async def and_closed(units: Units) -> None:
    await counted(units)
    await day_closed(units)


async def a_fee_of_october(units: Units) -> None:
    def fee(tx: Tx) -> None:
        when = rules.When(occurred_at=tx.now - timedelta(days=30), business_date=OCTOBER.last)
        ledger.post(tx, rules.fee("main", usd(30), **when), key="settlement-fee/main/l1")

    await units.write(fee)


async def period_closed(units: Units) -> None:
    await close_period.close(units, PRACTICE, OCTOBER, by="eve", why="")


async def and_period_closed(units: Units) -> None:
    await a_fee_of_october(units)
    await period_closed(units)


async def period_opened_again(units: Units) -> None:
    await close_period.reopen(units, PRACTICE, OCTOBER, by="eve", why="a line was late")


STORIES = [
    Story("a payout is settled", three_payments, pulled),
    Story("a payout is settled anew", and_pulled, pulled),
    Story("a processor's report is taken", three_payments, reported),
    Story("a bank file is taken", and_pulled, bank_file_taken),
    Story("a line is matched by a person", twins, matched_by_a_person, by_person=True),
    Story("a match is taken back", and_matched, taken_back, by_person=True),
    Story("a line is booked as a receipt", twins, booked_as_a_receipt, by_person=True),
    Story("an EHR's report is taken", three_payments, ehr_report_taken),
    Story("lines and payments are compared", odd_payouts, compared),
    Story("a day is closed", counted, day_closed),
    Story("a day is opened again and closed", and_closed, day_opened_and_closed_again),
    Story("a period is closed", a_fee_of_october, period_closed, by_person=True),
    Story("a period is opened again", and_period_closed, period_opened_again, by_person=True),
]
pytestmark = pytest.mark.warns("ledger.period_reopened", "settlement.line_changed")
# Of every so many steps one, unless each is asked for; 0 is none.
EACH = {
    "sqlite": {"a payout is settled anew": 4, "a processor's report is taken": 4},
    "postgresql": {"a payout is settled": 9, "a bank file is taken": 3, "a day is opened again and closed": 4},
}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_killed_anywhere_and_told_again_it_ends_as_if_nothing_had_been(
    databases: Databases, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    monkeypatch.setattr(take_report, "_LINES", 1)  # a unit each
    monkeypatch.setattr(pull_settlements, "PATIENCE", timedelta(0))
    async with Houses.of(databases, dialect, clock) as houses:
        for story in STORIES:
            each = 1 if EVERY else EACH[dialect].get(story.name, 1 if dialect == "sqlite" else 0)
            if each:
                came = await dies_anywhere(story, houses, each=each)
                assert came.otherwise == []
                print(f"{dialect}: {story.name}: {came.steps} steps")
