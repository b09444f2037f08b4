"""Reports of what people and processors do: figures worked out by hand, and what they were on a past day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from desk_world import TENANT, account, cash, take, usd
from fhirpay.billing import worklist
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.payout import PayoutState
from fhirpay.ledger import periods
from fhirpay.ledger.month import Month
from fhirpay.payments import store as payments
from fhirpay.payments.port import Reference
from fhirpay.payments.settlement_port import PayoutSeen
from fhirpay.payments.tables import PaymentFactRow, PaymentRow
from fhirpay.settlement import store as settlement
from fhirpay.usecases import day_close, desk, tills
from fhirpay.usecases.payout_facts import BACK
from fhirpay.writeback import store
from fhirpay.writeback.store import PAYOUT
from fhirpay.writeback.tables import PostingRow
from reports_world import csv, on

pytestmark = pytest.mark.unsound("postings, tries and lines are put there by hand")
AGES = "d0_30,d31_60,d61_90,d91_120,d121_up"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 12, 1, 15, tzinfo=UTC))


def all_posted(tx: Tx) -> None:
    """The EHR has what was to be posted so far; the other receiver nothing."""
    of = table(PostingRow)
    where = (of.c.tenant_id == tx.tenant, of.c.connection == "ehr", of.c.posted_at.is_(None))
    tx.execute(update(of).where(*where).values(state="posted", posted_at=tx.now))


async def test_what_an_ehr_does_not_have_yet_is_as_of_any_day(units: Units, clock: FrozenClock) -> None:
    """Ana pays 60.00 on 1 December, which the EHR has on the 2nd, and Bob 80.00, which is taken back an hour later; the
    EHR has the 80.00, and not on 5 January that it went back. The engine has nothing of all that."""
    await units.write(account, "ana", 100_00)
    await units.write(account, "bob", 80_00)
    await take(units, "Account/ana", cash(), 60_00)
    bobs = await take(units, "Account/bob", cash())
    clock.advance(timedelta(hours=1))
    await units.write(desk.void, bobs, by="ann", till="front", reason="another card", tenant=TENANT)
    on(clock, "2026-12-02")

    def payments_alone(tx: Tx) -> None:
        of = table(PostingRow)
        mine = (of.c.tenant_id == tx.tenant, of.c.connection == "ehr", of.c.subject == of.c.payment_id)
        tx.execute(update(of).where(*mine).values(state="posted", posted_at=tx.now))

    await units.write(payments_alone)
    on(clock, "2027-01-05")
    first = f"connection,kind,currency,postings,amount,{AGES}"
    first_day = [
        first,
        "ehr,payment,USD,2,140.00,140.00,0.00,0.00,0.00,0.00",
        "ehr,taken_back,USD,1,80.00,80.00,0.00,0.00,0.00,0.00",
        "engine,payment,USD,2,140.00,140.00,0.00,0.00,0.00,0.00",
        "engine,taken_back,USD,1,80.00,80.00,0.00,0.00,0.00,0.00",
    ]
    assert await csv(units, TENANT, "unposted", as_of="2026-12-01") == first_day
    by = ("connection",)
    assert await csv(units, TENANT, "unposted", as_of="2027-01-05", by=by) == [
        first,
        "ehr,taken_back,USD,1,80.00,0.00,80.00,0.00,0.00,0.00",
        "engine,payment,USD,2,140.00,0.00,140.00,0.00,0.00,0.00",
        "engine,taken_back,USD,1,80.00,0.00,80.00,0.00,0.00,0.00",
    ]
    await units.write(all_posted)
    assert await csv(units, TENANT, "unposted", as_of="2026-12-01") == first_day
    # of 5 January by what was known on 1 December: as old as it is, and nothing of it posted
    known = await csv(units, TENANT, "unposted", as_of="2027-01-05", recorded_by="2026-12-01", by=by)
    assert known[1] == "ehr,payment,USD,2,140.00,0.00,140.00,0.00,0.00,0.00"
    assert "ehr" not in "".join(await csv(units, TENANT, "unposted", as_of="2027-01-05"))


async def test_a_payout_that_an_ehr_does_not_have_yet_is_no_payment_of_nothing(units: Units) -> None:
    """One of 95.00 waits to be posted; one of 30.00 was posted, came back, and waits to be taken back there."""
    made = datetime(2026, 12, 1, 9, tzinfo=UTC)

    def payouts(tx: Tx) -> None:
        for minor, state in ((95_00, PayoutState.PAID), (30_00, PayoutState.FAILED)):
            seen = PayoutSeen(Reference(f"po_{minor}"), state, usd(minor), made)
            payout_id = settlement.record_payout(tx, "main", seen)[0].payout_id
            back = state is PayoutState.FAILED
            for subject in (payout_id, payout_id + BACK) if back else (payout_id,):
                posting_id, _ = store.add(
                    tx, connection="cash", subject=subject, payment_id=payout_id, resource_type="Payment", part=PAYOUT
                )
                if back and subject == payout_id:
                    store.posted(tx, posting_id, remote_id="1", remote_version="", body=None)

    await units.write(payouts)
    assert await csv(units, TENANT, "unposted", as_of="2026-12-01") == [
        f"connection,kind,currency,postings,amount,{AGES}",
        "cash,payout,USD,2,65.00,65.00,0.00,0.00,0.00,0.00",
    ]


async def test_breaks_age_and_past_days_know_what_was_done_since(units: Units, clock: FrozenClock) -> None:
    """A payout is missed at the bank from 1 December; an amount is not stated from the 20th until the 28th."""

    def late(tx: Tx) -> None:
        worklist.open_item(tx, kind="payout_not_at_bank", subject="po_1", says="missing", amount=usd(500_00))

    def unknown(tx: Tx) -> str:
        return worklist.open_item(tx, kind="amount_unknown", subject="ChargeItem/1", says="no amount")

    await units.write(late)
    on(clock, "2026-12-20")
    line = await units.write(unknown)
    on(clock, "2026-12-28")
    before = await csv(units, TENANT, "breaks", as_of="2026-12-27", by=("kind",))
    await units.write(worklist.done, line, by="ann", why="stated")
    assert before == [
        f"kind,currency,lines,amount,{AGES},accepted,accepted_amount",
        "amount_unknown,,1,,1,0,0,0,0,0,",
        "payout_not_at_bank,USD,1,500.00,1,0,0,0,0,0,0.00",
    ]
    assert await csv(units, TENANT, "breaks", as_of="2026-12-27", by=("kind",)) == before
    on(clock, "2027-01-01")  # 31 days after
    assert await csv(units, TENANT, "breaks", by=("owner", "compared")) == [
        f"owner,compared,currency,lines,amount,{AGES},accepted,accepted_amount",
        "controller,yes,USD,1,500.00,0,1,0,0,0,0,0.00",
    ]

    def lived_with(tx: Tx) -> None:
        payments.open_break(tx, "k", "amount_differs", "off", amount=usd(3_00), standing=True)
        payments.accept_break(tx, "k", by="kim", why="it is rounded there")

    await units.write(lived_with)
    assert (await csv(units, TENANT, "breaks", by=("kind",)))[1] == "amount_differs,USD,0,0.00,0,0,0,0,0,1,3.00"


async def test_declines_are_parts_of_all_that_was_tried(units: Units) -> None:
    """Of payments of 10, 20, 30 and 40 yen that a processor answered in December, two were declined for want of funds
    and one failed before it cleared; one more is answered in the first minute of January in New York."""
    december, january = datetime(2026, 12, 10, tzinfo=UTC), datetime(2027, 1, 1, 5, 0, 30, tzinfo=UTC)

    def tries(tx: Tx) -> None:
        for number, (code, kind, at, currency) in enumerate(
            (
                ("insufficient_funds", "declined", december, "JPY"),
                ("insufficient_funds", "declined", december, "JPY"),
                ("failed", "failed", december, "JPY"),
                ("", "captured", december, "JPY"),
                ("insufficient_funds", "declined", january, "JPY"),
            ),
            start=1,
        ):
            payment = {"tenant_id": tx.tenant, "payment_id": f"pay{number}"}
            row = {"account_ref": "Account/a", "facility": "main", "merchant": "main", "processor": "simulated"}
            row |= {"amount_minor": number * 10, "currency": currency, "method": "stored", "initiated_by": "customer"}
            row |= {"requested_by": "client:desk", "state": "declined", "failure_code": code, "failure_says": ""}
            tx.execute(insert(table(PaymentRow)).values(**payment, **row, created_at=at, changed_at=at))
            fact = {"kind": kind, "reference": "", "undoes": "", "source": "operation:1"}
            tx.execute(insert(table(PaymentFactRow)).values(**payment, **fact, occurred_at=at, recorded_at=at))

    await units.write(tries)
    december_s = {"first": "2026-12-01", "last": "2026-12-31"}
    assert await csv(units, TENANT, "declines", **december_s) == [
        "reason,currency,declined,amount,tries,of_tries,of_tried",
        "failed,JPY,1,30,4,25.00,30.00",
        "insufficient_funds,JPY,2,30,4,50.00,30.00",
    ]
    assert (await csv(units, TENANT, "declines", first="2027-01-01", last="2027-01-01"))[1:] == [
        "insufficient_funds,JPY,1,50,1,100.00,100.00"
    ]


async def test_who_did_what(units: Units) -> None:
    """Ann opens three tills, takes 60.00 and 80.00, and takes the second back; Eve closes a till and opens it
    again, and closes a month; a line is looked after by =cmd()."""

    def line(tx: Tx) -> None:
        worklist.done(tx, worklist.open_item(tx, kind="x", subject="y", says="z"), by="=cmd()", why="seen")

    await units.write(account, "ana", 100_00)
    await units.write(account, "bob", 80_00)
    await take(units, "Account/ana", cash(), 60_00)
    bobs = await take(units, "Account/bob", cash())
    await units.write(desk.void, bobs, by="ann", till="front", reason="another card", tenant=TENANT)
    await units.write(line)
    await units.write(tills.count, "front", usd(60_00), TENANT, by="ann", close=True)
    looked = await units.read(day_close.look, TENANT, day_close.Wish("main", "front"))
    closed = (await units.write(day_close.sign, looked, by="eve", reason="")).close
    await units.write(day_close.reopen, closed.close_id, by="eve", why="a coin")
    await units.write(lambda tx: periods.close(tx, Month.parse("2026-10"), by="eve"))
    assert await csv(units, TENANT, "staff", first="2026-12-01", last="2026-12-01") == [
        "person,action,currency,times,amount",
        "'=cmd(),worklist_done,,1,",
        "ann,payment_taken,USD,2,140.00",
        "ann,till_closed,,1,",
        "ann,till_counted,USD,1,60.00",
        "ann,till_opened,,3,",
        "ann,void,,1,",
        "eve,day_closed,,1,",
        "eve,day_reopened,,1,",
        "eve,period_closed,,1,",
    ]
