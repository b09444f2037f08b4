"""A period is closed once it is over everywhere and the books agree; what comes late for it is booked, as late."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from desk_world import TENANT, account, cash, take
from fhirpay.config import Facility
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.events import Event
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken, ValueInvalid
from fhirpay.ledger import periods, rules, store
from fhirpay.ledger.closed import LATE, steps
from fhirpay.ledger.month import Month
from fhirpay.ledger.tables import LedgerPeriodStep
from fhirpay.ledger.verify import verify
from fhirpay.usecases.close_period import close, reopen
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.explain_nodes import entry as explained
from payments_world import payments_world
from settlement_world import FEES, controls, pays_out, pulled

OCTOBER, NOVEMBER, DECEMBER = (Month.parse(text) for text in ("2026-10", "2026-11", "2026-12"))
BY: dict[str, Any] = {"by": "eve", "why": ""}
FAR = TENANT.model_copy(
    update={
        "facilities": (
            Facility(name="main", merchant="main", zone="America/New_York"),
            Facility(name="islands", merchant="main", zone="Pacific/Honolulu"),
        )
    }
)


def to(clock: FrozenClock, moment: datetime) -> None:
    clock.advance(moment - clock.now())


def fee(tx: Tx, number: int, day: date) -> None:
    when = rules.When(occurred_at=tx.now, business_date=day)
    store.post(tx, rules.fee("main", Money(30, "USD"), **when), key=f"fee/{number}")


# New York's clocks go back at 06:00 UTC of the first of November: October ends there at 04:00 UTC, and in Honolulu,
# whose clocks never move, at 10:00.
@pytest.mark.parametrize(
    ("hour", "zones", "over"),
    [(3, TENANT, False), (4, TENANT, True), (5, TENANT, True), (9, FAR, False), (10, FAR, True)],
)
async def test_a_month_is_over_when_its_last_day_has_ended_at_every_facility(
    units: Units, clock: FrozenClock, hour: int, zones: Any, over: bool
) -> None:
    to(clock, datetime(2026, 11, 1, hour, tzinfo=UTC) + timedelta(seconds=0 if over else 3599))
    if over:
        assert (await close(units, zones, OCTOBER, **BY)).through == date(2026, 10, 31)
    else:
        with pytest.raises(RuleBroken, match="isn't over"):
            await close(units, zones, OCTOBER, **BY)


async def test_money_of_the_last_evening_is_of_the_month_in_its_facility_s_zone(
    units: Units, clock: FrozenClock
) -> None:
    to(clock, datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC))
    ref = await units.write(account, "ana", 50_00)
    first = await take(units, ref, cash(), 20_00)
    to(clock, datetime(2026, 12, 1, 5, tzinfo=UTC))
    second = await take(units, ref, cash(), 30_00)
    for payment, day in ((first, date(2026, 11, 30)), (second, date(2026, 12, 1))):
        found = await units.read(lambda tx, one: store.entries_for(tx, payment=one), payment)
        assert {one.entry.business_date for one in found} == {day}
    await close(units, TENANT, NOVEMBER, **BY)
    assert await units.read(examine) == []


@pytest.mark.warns("ledger.period_reopened")
@pytest.mark.unsound("fees of no payout")
async def test_months_are_closed_in_their_order_and_opened_again_from_the_end(units: Units, clock: FrozenClock) -> None:
    to(clock, datetime(2027, 1, 20, tzinfo=UTC))
    for number, day in enumerate((date(2026, 10, 5), date(2026, 12, 5))):
        await units.write(fee, number, day)
    with pytest.raises(RuleBroken, match=r"2026-10 is still open.*fhirpay ledger close 2026-10"):
        await close(units, TENANT, DECEMBER, **BY)
    await close(units, TENANT, OCTOBER, **BY)
    last = await close(units, TENANT, DECEMBER, **BY)  # of November there is nothing
    with pytest.raises(RuleBroken, match="2026-11 is closed already"):
        await close(units, TENANT, NOVEMBER, **BY)
    with pytest.raises(RuleBroken, match="needs a reason"):
        await reopen(units, TENANT, DECEMBER, **BY)
    with pytest.raises(RuleBroken, match="the last that is closed is 2026-12"):
        await reopen(units, TENANT, OCTOBER, by="eve", why="x")
    again = await reopen(units, TENANT, DECEMBER, by="eve", why="an invoice of the processor's")
    assert (again.through, again.head) == (date(2026, 10, 31), last.head)
    await units.write(fee, 3, date(2026, 12, 31))
    made = await units.read(steps)
    assert [(one.step, str(one.period), one.by, one.why) for one in made] == [
        ("closed", "2026-10", "eve", ""),
        ("closed", "2026-12", "eve", ""),
        ("reopened", "2026-12", "eve", "an invoice of the processor's"),
    ]
    with pytest.raises(ValueInvalid, match="write one as 2026-03"):
        Month.parse("2026-13")


@pytest.mark.unsound("books that disagree")
async def test_books_that_disagree_are_not_closed(units: Units, clock: FrozenClock) -> None:
    to(clock, datetime(2026, 12, 2, tzinfo=UTC))

    def astray(tx: Tx) -> None:
        when = rules.When(occurred_at=tx.now, business_date=date(2026, 11, 30))
        store.post(tx, rules.charge_self_pay("obl1", "Account/a", Money(100, "USD"), **when), key="charge/obl1")

    await units.write(astray)
    with pytest.raises(RuleBroken, match="`fhirpay doctor` lists it all"):
        await close(units, TENANT, NOVEMBER, **BY)
    assert await units.read(steps) == []


async def test_fees_and_payouts_that_come_after_the_close_are_of_the_next_month(
    database: Database, clock: FrozenClock
) -> None:
    """The processor's report of November is read on the second of December, when November is closed."""
    to(clock, datetime(2026, 11, 30, 15, tzinfo=UTC))
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        await world.paid(await world.invoiced("ann", 50_00))
        await pays_out(world)
        await world.work(hours=48)
        await close(world.units, world.tenant, NOVEMBER, **BY)
        before = await world.units.read(store.head)
        await pulled(world)
        await controls(world)
        found = await world.units.read(lambda tx: store.entries_for(tx, merchant="main"))
        late = [one for one in found if one.seq > before.seq]
        assert {Event.FEE_TAKEN, Event.PAYOUT_CLOSED} == {one.entry.kind for one in late}
        for one in late:
            assert one.entry.occurred_at < clock.now() - timedelta(hours=40)
            assert (one.entry.business_date, one.entry.refs[LATE]) == (date(2026, 12, 1), "2026-11-30")
            assert explained(one).facts["lateOf"] == "2026-11-30"
        assert await world.units.read(examine) == []


@pytest.mark.unsound("fees of no payout")
async def test_what_is_posted_while_a_month_is_closed_is_before_its_head_or_after_its_last_day(
    units: Units, clock: FrozenClock
) -> None:
    to(clock, datetime(2026, 12, 2, tzinfo=UTC))
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(units.write(fee, number, date(2026, 11, 30)))
        closing = group.create_task(units.write(lambda tx: periods.close(tx, NOVEMBER, by="eve")))
        for number in range(6, 12):
            group.create_task(units.write(fee, number, date(2026, 11, 30)))
    assert (await units.read(verify)).problems == ()
    found = await units.read(lambda tx: store.entries_for(tx, merchant="main"))
    for one in found:
        assert (one.seq > closing.result().head.seq) is (one.entry.business_date == date(2026, 12, 1))


@pytest.mark.unsound("steps that were changed by hand")
@pytest.mark.parametrize("change", ["a day", "a reason", "the first gone", "the close gone", "an entry before it"])
async def test_a_step_that_was_changed_is_found(units: Units, clock: FrozenClock, change: str) -> None:
    to(clock, datetime(2026, 12, 2, tzinfo=UTC))
    rows = table(LedgerPeriodStep)
    await close(units, TENANT, OCTOBER, **BY)
    await units.write(fee, 1, date(2026, 11, 5))
    await close(units, TENANT, NOVEMBER, **BY)
    assert (await units.read(verify)).ok

    def tamper(tx: Tx) -> None:
        for name in ("ledger_period_step_update", "ledger_period_step_delete", "ledger_entry_closed"):
            on = f" ON {name.rpartition('_')[0]}" if tx.dialect == "postgresql" else ""
            tx.execute(text(f"DROP TRIGGER {name}{on}"))
        match change:
            case "a day":
                tx.execute(update(rows).where(rows.c.number == 1).values(closed_through="2026-10-30"))
            case "a reason":
                tx.execute(update(rows).where(rows.c.number == 2).values(why="none"))
            case "the first gone":
                tx.execute(rows.delete().where(rows.c.number == 1))
            case "the close gone":  # and made again after an entry of its month
                tx.execute(rows.delete().where(rows.c.number == 2))
                fee(tx, 2, date(2026, 11, 6))
                closed = dict(tx.all(rows.select())[0])
                tx.execute(rows.insert().values(closed | {"number": 2, "closed_through": "2026-11-30"}))
            case _:
                tx.execute(update(rows).where(rows.c.number == 2).values(closed_through=""))
                fee(tx, 2, date(2026, 11, 6))
                tx.execute(update(rows).where(rows.c.number == 2).values(closed_through="2026-11-30"))

    await units.write(tamper)
    assert {one.kind for one in (await units.read(verify)).problems} == {"period"}
