"""AR aging: the figures of a story, worked out by hand; and that a day's figures are asked for again in vain.

The practice counts days in New York. By the end of 30 November 2026:

- Ana was billed 100.00 on 1 July, 152 days before: over 120.
- Bob was billed 80.00 on 15 September, 76 days before, and paid 30.00 in cash on 1 November: 50.00 in 61 to 90.
- Cleo was billed 20.00 on 30 October, 31 days before, and 50.00 on 31 October, 30 days before.
- Dan was billed 10.00 at 03:30 UTC of 1 December, which is still 30 November in New York: today's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from desk_world import TENANT, account, cash, invoice, take
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import ValueInvalid
from fhirpay.fhir import store as fhir
from fhirpay.ledger import rules, store
from fhirpay.ledger.as_of import end_of
from fhirpay.ledger.chain import Head
from fhirpay.reports.frame import Wish, asked
from fhirpay.reports.registry import report_of
from fhirpay.usecases.collect import reassess_accounts
from reports_world import csv, on

HEADER = "currency,obligations,owed,d0_30,d31_60,d61_90,d91_120,d121_up"
GOLDEN = [HEADER, "USD,5,230.00,60.00,20.00,50.00,0.00,100.00"]
BY_PATIENT = [
    "patient," + HEADER,
    "Patient/ana,USD,1,100.00,0.00,0.00,0.00,0.00,100.00",
    "Patient/bob,USD,1,50.00,0.00,0.00,50.00,0.00,0.00",
    "Patient/cleo,USD,2,70.00,50.00,20.00,0.00,0.00,0.00",
    "Patient/dan,USD,1,10.00,10.00,0.00,0.00,0.00,0.00",
]


def billed(tx: Tx, name: str, number: int, minor: int) -> None:
    if number == 1:
        account(tx, name)
    invoice(tx, name, number, minor)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 7, 1, tzinfo=UTC))


@pytest.fixture
async def story(units: Units, clock: FrozenClock) -> Units:
    for day, name, number, minor in (
        ("2026-07-01", "ana", 1, 100_00),
        ("2026-09-15", "bob", 1, 80_00),
        ("2026-10-30", "cleo", 1, 20_00),
        ("2026-10-31", "cleo", 2, 50_00),
    ):
        on(clock, day)
        await units.write(billed, name, number, minor)
    on(clock, "2026-11-01")
    await take(units, "Account/bob", cash(), 30_00)
    on(clock, "2026-12-01T03:30")
    await units.write(billed, "dan", 1, 10_00)
    return units


async def test_the_figures_are_those_of_the_story(story: Units) -> None:
    assert await csv(story, TENANT, "aging", as_of="2026-11-30") == GOLDEN
    assert await csv(story, TENANT, "aging", as_of="2026-11-30", by=("patient",)) == BY_PATIENT
    # a day before: Dan's isn't there, Cleo's are 29 and 30 days old, Bob's 75
    assert await csv(story, TENANT, "aging", as_of="2026-11-29") == [
        HEADER,
        "USD,4,220.00,70.00,0.00,50.00,0.00,100.00",
    ]
    # Halloween: Ana's 122 days, Bob's 46 and not paid yet, Cleo's 1 and 0
    by = ("facility", "payer_class")
    october = await csv(story, TENANT, "aging", as_of="2026-10-31", by=by)
    assert october[1:] == ["main,unknown,USD,4,250.00,70.00,80.00,0.00,0.00,100.00"]


@pytest.mark.unsound("a bill of November is put into the books of December by hand")
async def test_a_day_s_figures_stay_what_they_were(story: Units, clock: FrozenClock) -> None:
    on(clock, "2026-12-01T04:59")
    wishes = ("patient",), ("guarantor",), ("payer_class",), ("facility",), ()
    asked_then = [await csv(story, TENANT, "aging", as_of="2026-11-30", by=by) for by in wishes]
    on(clock, "2026-12-05")
    seq = Head.parse(str(await story.read(store.head))).seq
    await take(story, "Account/ana", cash(), 100_00)
    await story.write(late_facts)
    for by, before in zip(wishes, asked_then, strict=True):
        for recorded_by in ("2026-11-30", "2026-12-01T04:59:00Z", str(seq)):
            again = await csv(story, TENANT, "aging", as_of="2026-11-30", recorded_by=recorded_by, by=by)
            assert again == before, (by, recorded_by)
    now = await csv(story, TENANT, "aging", as_of="2026-11-30", by=("guarantor", "payer_class"))
    assert "Patient/ana,unknown,USD,1,100.00,0.00,0.00,0.00,0.00,100.00" in now, "what was paid later is of a later day"
    assert [line.split(",")[:2] for line in now[1:]] == [
        ["", ""],
        ["Patient/ana", "unknown"],
        ["Patient/bob", "insurance"],
        ["Patient/cleo", "unknown"],
        ["Patient/dan", "unknown"],
    ]


def late_facts(tx: Tx) -> None:
    """Bob turns out to be insured; what was owed in November comes into the books in December."""
    covered = {
        "resourceType": "Coverage",
        "id": "bob-1",
        "status": "active",
        "beneficiary": {"reference": "Patient/bob"},
    }
    fhir.put(tx, {**covered, "payor": [{"display": "a plan"}]})
    fhir.put(
        tx,
        {
            "resourceType": "Account",
            "id": "bob",
            "status": "active",
            "subject": [{"reference": "Patient/bob"}],
            "coverage": [{"coverage": {"reference": "Coverage/bob-1"}}],
        },
    )
    reassess_accounts(tx, ["Account/bob"], TENANT)
    when = {"occurred_at": datetime(2026, 11, 2, tzinfo=UTC), "business_date": date(2026, 11, 2)}
    store.post(tx, rules.invoice_unseen("obl-late", "Account/late", Money(7_00, "USD"), **when), key="late")


@pytest.mark.unsound("the ledger alone")
async def test_currencies_stand_apart_and_keep_their_decimals(units: Units, clock: FrozenClock) -> None:
    def post(tx: Tx) -> None:
        for number, (day, minor, currency) in enumerate(
            ((1, 1500, "JPY"), (2, 1500, "KWD"), (2, 2**53 + 1, "JPY"), (20, 5, "USD"))
        ):
            when = {"occurred_at": tx.now, "business_date": date(2026, 11, day)}
            entry = rules.invoice_unseen(f"obl{number}", "Account/a", Money(minor, currency), **when)
            store.post(tx, entry, key=f"bill/{number}")

    await units.write(post)
    assert await csv(units, TENANT, "aging", as_of="2026-12-02", by=("patient",)) == [
        "patient," + HEADER,
        ",JPY,2,9007199254742493,9007199254740993,1500,0,0,0",
        ",KWD,1,1.500,1.500,0.000,0.000,0.000,0.000",
        ",USD,1,0.05,0.05,0.00,0.00,0.00,0.00",
    ]


@pytest.mark.unsound("the ledger alone")
async def test_a_share_that_was_withdrawn_is_young_again_and_one_that_was_lowered_or_paid_is_not(units: Units) -> None:
    """Bill 1 was withdrawn whole (insurance found) and stated again; 2 lowered; 3 paid and the payment returned; 4
    given up and recovered: all first stated on 1 July."""

    def post(tx: Tx) -> None:
        def when(month: int) -> rules.When:
            return {"occurred_at": tx.now, "business_date": date(2026, month, 1)}

        ten, five = Money(10_00, "USD"), Money(5_00, "USD")
        entries = [rules.charge_pending(f"obl{n}", "Account/a", ten, **when(7)) for n in range(1, 5)]
        entries += [rules.share_known(f"obl{n}", "Account/a", ten, **when(7)) for n in range(1, 5)]
        entries += [
            rules.share_withdrawn("obl1", "Account/a", ten, **when(8)),
            rules.share_known("obl1", "Account/a", ten, **when(11)),
            rules.share_withdrawn("obl2", "Account/a", five, **when(8)),
            rules.capture("pay3", "m", ten, **when(8)),
            rules.allocate("pay3", "obl3", ten, account_ref="Account/a", **when(8)),
            rules.deallocate("pay3", "obl3", ten, account_ref="Account/a", **when(11)),
            rules.written_off("obl4", "Account/a", ten, kind="bad_debt", back=False, **when(8)),
            rules.written_off("obl4", "Account/a", ten, kind="bad_debt", back=True, **when(11)),
        ]
        for number, entry in enumerate(entries):
            store.post(tx, entry, key=f"fact/{number}")

    await units.write(post)
    assert await csv(units, TENANT, "aging", as_of="2026-11-30") == [HEADER, "USD,4,35.00,10.00,0.00,0.00,0.00,25.00"]


def test_a_day_ends_when_its_zone_says() -> None:
    new_york = ZoneInfo("America/New_York")
    assert end_of(date(2026, 11, 1), new_york) == datetime(2026, 11, 2, 4, 59, 59, 999999, UTC)  # 25 hours
    assert end_of(date(2026, 3, 8), new_york) == datetime(2026, 3, 9, 3, 59, 59, 999999, UTC)  # 23 hours


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"as_of": "2026-02-30"}, "as_of"),
        ({"as_of": "2026-11-30T10:00"}, "as_of"),
        ({"recorded_by": "soon"}, "recorded_by"),
        ({"by": ("colour",)}, "by"),
        ({"by": ("patient", "patient")}, "by"),
        ({"first": "2026-11-01"}, "from"),
    ],
)
async def test_what_can_t_be_asked_is_named(database: Database, wish: dict[str, str], named: str) -> None:
    def ask(tx: Tx) -> str:
        with pytest.raises(ValueInvalid) as refused:
            asked(tx, report_of("aging"), Wish(**wish), TENANT)  # type: ignore[arg-type]
        return str(refused.value.location)

    assert await database.units("main").read(ask) == named
