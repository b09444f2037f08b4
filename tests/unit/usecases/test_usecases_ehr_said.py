"""What an EHR says was posted against what we posted: its report, by number and by rule, and what is for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from ehr_payments_world import ENGINE, Clinic, charge, clinic, py
from fhirpay.billing import worklist
from fhirpay.config import PostingReport
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import MessageInvalid, StorageUnavailable, ValueInvalid
from fhirpay.usecases import reports_gone, take_report
from fhirpay.usecases.explain import explain
from fhirpay.usecases.match_postings import KINDS, match_source
from fhirpay.usecases.take_report import Reported, TakeReport
from fhirpay.writeback import said, store
from fhirpay.writeback.said import Reading
from intake_world import SYSTEM

REPORT = PostingReport(
    day="Posted",
    day_format="%m/%d/%Y",
    amount="Amount",
    account="Account",
    account_system=SYSTEM,
    number="Batch",
    our_number="Reference",
    kind="Type",
    kinds=("PT PAY", "PT PAY REV"),
    currency_column="Cur",
)
HEAD = "Posted,Batch,Account,Type,Amount,Reference,Cur,User"

# day of November, the EHR's number, account, amount, our number
Line = tuple[int, str, str, str, str]


def report(*lines: Line, kind: str = "PT PAY", head: str = HEAD) -> bytes:
    rows = [
        f'11/{day:02d}/2026,{no},{account},{kind},"{amount}",{ours},USD,O\'Hara'
        for day, no, account, amount, ours in lines
    ]
    return ("\r\n".join([head, *rows]) + "\r\n").encode()


@pytest.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    async with clinic(database, clock, ids, engine=ENGINE.model_copy(update={"report": REPORT})) as made:
        yield made
        await made.check_books()


async def posted(at: Clinic, amount: str = "80.00", account: str = "A100", number: str = "") -> str:
    """A payment of ours on the 20th, which the EHR has taken."""
    await at.say(charge(f"M{account}{number}", f"C{number or 1}", amount, account=account))
    payment_id = await at.begin(amount, account)
    await at.take(payment_id)
    await at.house.units.write(_acknowledged, payment_id)
    return payment_id


def _acknowledged(tx: Tx, payment_id: str) -> None:
    for one in store.of_payment(tx, payment_id):
        store.sending(tx, one.posting_id, "mllp", "")
        store.posted(tx, one.posting_id, remote_id="", remote_version="", body=None)


async def taken(at: Clinic, *lines: Line) -> Reported:
    return await at.house.reports.take("engine", "postings.csv", report(*lines))


async def told(at: Clinic) -> dict[str, list[str]]:
    items = await at.house.units.read(worklist.list_open)
    return {
        kind: sorted(str(one.amount) for one in items if one.kind == kind)
        for kind in KINDS
        if any(one.kind == kind for one in items)
    }


async def rules(at: Clinic) -> list[tuple[str, str, str]]:
    found = await at.house.units.read(said.some, "engine")
    return sorted((one.day.isoformat()[8:], one.rule, one.subject[:3]) for one in found)


def of(day: int, ours: str, *, number: str = "1", amount: str = "80.00", account: str = "A100") -> Line:
    return (day, number, account, amount, ours)


EMPTY: Line = (25, "900", "A999", "0.00", "")
"""A line of nothing, by which a report reaches to the 25th."""


async def test_what_names_ours_is_ours(at: Clinic) -> None:
    one = await posted(at)
    done = await taken(at, of(20, f"{one}-1"), EMPTY)
    assert (done.lines, done.found.breaks) == (1, 0)
    assert await rules(at) == [("20", "reference", "pay")]
    assert await told(at) == {}
    assert "by rule 'reference', certain" in str(await at.house.units.read(explain, one))
    assert (await taken(at, of(20, f"{one}-1"), EMPTY)).again


async def test_what_the_ehr_has_taken_and_does_not_have_is_missing_until_it_has_it(at: Clinic) -> None:
    one = await posted(at)
    await taken(at, (19, "7", "A999", "0.00", ""), (20, "8", "A999", "0.00", ""))
    assert await told(at) == {}, "its lag isn't over: the next day isn't reported"
    await taken(at, (21, "9", "A999", "0.00", ""))
    assert await told(at) == {"missing_posting": ["80.00 USD"]}
    await taken(at, of(21, one.upper()))
    assert await told(at) == {}


@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_two_posters_of_the_same_money_are_found_whoever_was_first(at: Clinic, first: str) -> None:
    if first == "ours":
        one = await posted(at)
        await taken(at, of(20, one))
        assert await told(at) == {}
    else:
        await at.say(charge("M1", "C1", "80.00"))
        await taken(at, of(20, "", number="77"))
        assert await told(at) == {"ehr_payment_unknown": ["80.00 USD"]}
        one = await posted(at, number="2")
    await taken(at, of(20, one), of(20, "", number="77"), EMPTY)
    assert await told(at) == {"posted_twice": ["80.00 USD"]}
    reversal: Line = (21, "77", "A100", "-80.00", "")
    await taken(at, of(20, one), of(20, "", number="77"), reversal, EMPTY)
    assert await told(at) == {}, "the EHR has taken its line back"
    await at.house.units.write(match_source, at.house.tenant, "report", "engine")
    assert await told(at) == {}


async def test_two_honest_payments_are_never_paired_by_chance(at: Clinic) -> None:
    await posted(at)
    await posted(at, number="2")
    await taken(at, of(20, "", number="1"), of(20, "", number="2"), EMPTY)
    assert {rule for _, rule, _ in await rules(at)} == {""}
    assert await told(at) == {"ehr_posting_ambiguous": ["80.00 USD"]}


async def test_the_only_one_of_its_amount_is_found_by_day_and_with_less_confidence_near_it(at: Clinic) -> None:
    await posted(at)
    await posted(at, "30.00", account="A200")
    await taken(at, of(20, ""), of(22, "", number="3", amount="30.00", account="A200"), EMPTY)
    assert await rules(at) == [("20", "same_day", "pay"), ("22", "near", "pay")]
    assert await told(at) == {}


async def test_another_amount_and_the_same_line_twice_are_told(at: Clinic) -> None:
    one, two = await posted(at), await posted(at, "30.00", account="A200")
    await taken(at, of(20, one, amount="8.00"), *[of(20, two, number="5", amount="30.00", account="A200")] * 2, EMPTY)
    assert await told(at) == {"posting_amount_differs": ["-72.00 USD"], "posted_twice": ["30.00 USD"]}
    await taken(at, of(20, one), of(20, two, number="5", amount="30.00", account="A200"), EMPTY)
    assert await told(at) == {}


async def test_what_a_message_has_told_of_is_known_by_its_number_or_amount(at: Clinic) -> None:
    await at.say(charge("M1", "C1", "80.00"), py("M2", "T77", "50.00"), py("M3", "T78", "20.00"))
    await taken(at, of(20, "", number="T77", amount="50.00"), of(21, "", number="9", amount="20.00"), EMPTY)
    assert await told(at) == {}
    assert [(day, rule) for day, rule, _ in await rules(at)] == [("20", "number"), ("21", "near")]
    await taken(at, of(20, "", number="T77", amount="55.00"), of(21, "", number="9", amount="20.00"), EMPTY)
    assert await told(at) == {"posting_amount_differs": ["5.00 USD"]}


@pytest.mark.warns("report.refused")
@pytest.mark.parametrize(
    ("file", "error", "place"),
    [
        (report(of(20, "x"))[:-30], MessageInvalid, "None"),
        (report(of(20, "x"), head=HEAD.replace("Amount", "Amt")), MessageInvalid, "line 1"),
        (report(of(20, "x", amount="8O.00")), ValueInvalid, "line 2, Amount"),
        (report(of(20, "x")).replace(b"USD", b"EUR"), MessageInvalid, "line 2, Cur"),
        (report(of(20, "x")).replace(b"11/20", b"20/11"), ValueInvalid, "line 2, Posted"),
        (report(of(20, "x"), of(21, "y")).replace(b"11/21/2026", b"11/21/2062"), MessageInvalid, "None"),
    ],
    ids=["cut", "column", "amount", "currency", "day", "year"],
)
async def test_a_report_that_cannot_be_read_is_refused_whole_and_can_be_given_again(
    at: Clinic, file: bytes, error: type[Exception], place: str
) -> None:
    for _ in range(2):
        with pytest.raises(error) as refused:
            await at.house.reports.take("engine", "postings.csv", file)
        assert str(refused.value.location) == place  # type: ignore[attr-defined]
        assert not {"A100", "Hara", "8O.00"} & set(str(refused.value).replace(",", " ").split())
    assert await at.house.units.read(said.some, "engine") == []


async def test_one_that_is_stopped_between_its_units_goes_on_when_it_is_given_again(
    at: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three equal lines, one in a unit: none is taken for another."""
    monkeypatch.setattr(take_report, "_LINES", 1)
    units: list[int] = []

    class Stopped(TakeReport):
        def _keep_lines(self, tx: Tx, kept: Reading, report: PostingReport, lines: Iterable[Any]) -> None:
            units.append(len(list(lines)))
            if len(units) == 2:
                raise StorageUnavailable("the disk is full")
            super()._keep_lines(tx, kept, report, lines)

    lines = report(*[(20, "", "A100", "80.00", "")] * 3)
    reports = Stopped(at.house.units, at.house.tenant, b"k" * 32)
    with pytest.raises(StorageUnavailable):
        await reports.take("engine", "postings.csv", lines)
    assert (await reports.take("engine", "postings.csv", lines)).lines == 3
    assert (await reports.take("engine", "postings.csv", lines)).again
    assert units == [1] * 5
    assert len(await at.house.units.read(said.some, "engine")) == 3


@pytest.mark.warns("posting.report_gone")
async def test_a_report_that_is_read_no_more_leaves_one_line_in_the_place_of_its_own(at: Clinic) -> None:
    await posted(at)
    await taken(at, (20, "8", "A999", "0.00", ""), EMPTY)
    assert await told(at) == {"missing_posting": ["80.00 USD"]}
    tenant = at.house.tenant
    none = tuple(one.model_copy(update={"report": None}) for one in tenant.destinations)
    without = tenant.model_copy(update={"destinations": none})
    for _ in range(2):  # at each start
        await at.house.units.write(reports_gone.note, without)
        assert await told(at) == {}
        (line,) = await at.house.units.read(worklist.list_open, kind=reports_gone.GONE)
        assert (line.subject, "1 lines of 80.00 USD in all" in line.says) == ("report:engine", True)
    await at.house.units.write(reports_gone.note, tenant)
    assert await at.house.units.read(worklist.list_open, kind=reports_gone.GONE) == []
    await at.house.units.write(match_source, tenant, "report", "engine")
    assert await told(at) == {"missing_posting": ["80.00 USD"]}
