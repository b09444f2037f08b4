"""Reports of money that came and went: the figures of two months, worked out by hand. Days are New York's.

December. Ana is billed 100.00 on the 1st, Bob 80.00. Ana pays 60.00 in cash on the 11th (10 days later), Bob all of his
by check on the 21st (20), Ana her last 40.00 by card at the desk on the 31st (30), when it is the new year in London.

January. Ana gets 10.00 of her cash back on the 2nd; Cleo leaves a deposit of 25.00 in cash on the 5th. On the 10th a
processor captures 200.00, and takes 6.10 for it and 15.00 for a dispute. A charge of 500.00 comes in that is insured:
300.00 of it are written off by agreement, the insurer pays 120.00.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from desk_world import TENANT, account, card, cash, check, take, usd
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.ledger import rules, store
from fhirpay.usecases import desk, desk_refund
from reports_world import csv, on

pytestmark = pytest.mark.unsound("what a processor and an insurer do is put into the books by hand")
DECEMBER = {"first": "2026-12-01", "last": "2026-12-31"}
JANUARY = {"first": "2027-01-01", "last": "2027-01-31"}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 12, 1, 12, tzinfo=UTC))


def insured(tx: Tx) -> None:
    when = rules.When(occurred_at=tx.now, business_date=date(2027, 1, 10))
    owed = ("obl-x", "Account/x")
    for number, entry in enumerate(
        (
            rules.capture("pay-x", "main", usd(200_00), **when),
            rules.fee("main", usd(6_10), payment="pay-x", **when),
            rules.dispute_fee("pay-x", "main", usd(15_00), **when),
            rules.charge_pending(*owed, usd(500_00), **when),
            rules.relief(*owed, usd(300_00), kind="contractual", stands_in="ar_pending", **when),
            rules.relief(*owed, usd(120_00), kind="insurance", stands_in="ar_pending", **when),
        )
    ):
        store.post(tx, entry, key=f"story/{number}")


@pytest.fixture
async def story(units: Units, clock: FrozenClock) -> Units:
    on(clock, "2026-12-01")
    await units.write(account, "ana", 100_00)
    await units.write(account, "bob", 80_00)
    on(clock, "2026-12-11")
    paid = await take(units, "Account/ana", cash(), 60_00)
    on(clock, "2026-12-21")
    await take(units, "Account/bob", check())
    on(clock, "2027-01-01T03:30")
    await take(units, "Account/ana", card())
    on(clock, "2027-01-02")
    give = desk_refund.DeskRefund(paid, "cash", "front", "ben", "the surgery was called off", usd(10_00))
    await units.write(desk_refund.give, give, TENANT)
    on(clock, "2027-01-05")
    await units.write(account, "cleo")
    await units.write(desk.deposit, desk.NewDeposit("Account/cleo", cash(), usd(25_00), "surgery"), TENANT)
    await units.write(insured)
    return units


async def test_the_figures_are_those_of_the_story(story: Units) -> None:
    charged = (
        "facility,currency,charges,contractual,discounts,net_charges,given_up,patients_paid,insurers_paid,collected,"
        "net_rate,gross_rate"
    )
    assert await csv(story, TENANT, "collections", by=("facility",), **DECEMBER) == [
        charged,
        "main,USD,180.00,0.00,0.00,180.00,0.00,180.00,0.00,180.00,100.00,100.00",
    ]
    assert await csv(story, TENANT, "collections", by=("facility",), **JANUARY) == [
        charged,
        ",USD,500.00,300.00,0.00,200.00,0.00,200.00,120.00,320.00,160.00,64.00",
        "main,USD,0.00,0.00,0.00,0.00,0.00,15.00,0.00,15.00,,",
    ]
    assert await csv(story, TENANT, "methods", **DECEMBER) == [
        "method,currency,payments,amount,of_amount,of_payments",
        "cash,USD,1,60.00,33.33,33.33",
        "check,USD,1,80.00,44.44,33.33",
        "external_card,USD,1,40.00,22.22,33.33",
    ]
    assert await csv(story, TENANT, "refunds", by=("way",), **JANUARY) == [
        "way,currency,refunds,refunded,came_back,net,captured,of_captured",
        "cash,USD,1,10.00,0.00,10.00,25.00,40.00",
        "processor,USD,0,0.00,0.00,0.00,200.00,0.00",
    ]
    assert (await csv(story, TENANT, "refunds", **JANUARY))[1] == "USD,1,10.00,0.00,10.00,225.00,4.44"
    assert await csv(story, TENANT, "fees", **JANUARY) == [
        "processor,currency,fees,dispute_fees,all_fees,captured,rate",
        "simulated,USD,6.10,15.00,21.10,200.00,10.55",
    ]
    held = "currency,payments,credit,d0_30,d31_60,d61_90,d91_120,d121_up"
    assert await csv(story, TENANT, "unapplied", as_of="2027-01-31") == [
        held,
        "USD,2,225.00,225.00,0.00,0.00,0.00,0.00",
    ]
    assert await csv(story, TENANT, "unapplied", as_of="2027-02-05") == [
        held,
        "USD,2,225.00,200.00,25.00,0.00,0.00,0.00",
    ]
    # 600 + 1,600 + 1,200 dollar-days over 180 dollars; the 90th dollar came after 20 days
    assert await csv(story, TENANT, "days_to_cash", **DECEMBER) == [
        "currency,parts,paid,mean,median,p90,mean_of_amount,median_of_amount",
        "USD,3,180.00,20.0,20,30,18.9,20",
    ]


async def test_a_period_that_is_over_stays_what_it_was(story: Units, clock: FrozenClock) -> None:
    names = ("collections", "methods", "refunds", "fees", "days_to_cash")
    before = {name: await csv(story, TENANT, name, **JANUARY) for name in names}
    seq = (await story.read(store.head)).seq
    on(clock, "2027-02-03")

    def late(tx: Tx) -> None:
        when = rules.When(occurred_at=tx.now, business_date=date(2027, 1, 31))
        store.post(tx, rules.capture("pay-y", "main", usd(1_00), **when), key="late/1")
        store.post(tx, rules.fee("main", usd(7), payment="pay-y", **when), key="late/2")

    await story.write(late)
    for name in names:
        assert await csv(story, TENANT, name, recorded_by=str(seq), **JANUARY) == before[name], name
        assert await csv(story, TENANT, name, recorded_by="2027-02-02", **JANUARY) == before[name], name
    assert await csv(story, TENANT, "fees", **JANUARY) != before["fees"]
