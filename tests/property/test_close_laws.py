"""Chance at the desks of three facilities, over days of 23, 24 and 25 hours: closes come to what the ledger has.

Money comes in at any hour, also after its day was closed; days are closed, opened again and closed anew in any order.
At the end, when all is closed: each entry is counted in one close of its facility that stands and in one of its till,
their sums are the ledger's by currency, and no close has ever changed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from databases import Databases
from desk_world import TENANT
from fhirpay.close import days, store
from fhirpay.close.counted import Counting, Reach
from fhirpay.close.money import KINDS
from fhirpay.config import Facility, Till
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.events import Event
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from fhirpay.ledger.tables import LedgerEntry
from fhirpay.payments import store as payments
from fhirpay.payments import tenders, till_sessions
from fhirpay.usecases import day_close, desk, desk_refund, tills
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.day_close import Wish

ZONES = {"york": "America/New_York", "apia": "Pacific/Apia", "nepal": "Asia/Kathmandu", "london": "Europe/London"}
DESKS = {
    "y1": ("york", "USD"),
    "y2": ("york", "KWD"),
    "a1": ("apia", "JPY"),
    "n1": ("nepal", "KWD"),
    "l1": ("london", "USD"),
}
PRACTICE = TENANT.model_copy(
    update={
        "facilities": tuple(Facility(name=name, merchant="main", zone=zone) for name, zone in ZONES.items()),
        "tills": tuple(Till(name=name, facility=of, currency=currency) for name, (of, currency) in DESKS.items()),
    }
)
REF = "Account/ana"
Sums = Counter[tuple[str, str]]


@pytest.mark.parametrize("seed", range(2))
async def test_closes_that_stand_come_to_what_the_ledger_has_and_never_change(databases: Databases, seed: int) -> None:
    chance, clock = random.Random(seed), FrozenClock(datetime(2026, 10, 24, 20, 0, tzinfo=UTC))
    with databases.url("sqlite") as url:
        database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
        await database.start()
        try:
            units = database.units("main")
            await units.write(_patient)
            kept: dict[str, str] = {}
            for _ in range(60):
                clock.advance(timedelta(minutes=chance.choice([0, 1, 17, 240, 500])))
                with suppress(RuleBroken):
                    await units.write(_step, chance)
                await units.read(_keep_new, kept)
            clock.advance(timedelta(days=2))
            await units.write(_all_closed)
            await units.read(_none_changed, kept)
            await units.read(_laws)
        finally:
            await database.stop()


def _patient(tx: Tx) -> None:
    fhir.put(tx, {"resourceType": "Patient", "id": "ana"})
    fhir.put(
        tx, {"resourceType": "Account", "id": "ana", "status": "active", "subject": [{"reference": "Patient/ana"}]}
    )
    reassess_accounts(tx, [REF], PRACTICE)


def _step(tx: Tx, chance: random.Random) -> None:
    name = chance.choice(sorted(DESKS))
    facility, currency = DESKS[name]
    amount = Money(chance.randint(1, 9_999), currency)
    match chance.randrange(10):
        case 0 | 1 | 2 | 3:
            _open(tx, name)
            kind = chance.choice(["cash", "check", "external_card"])
            number = f"{tx.now:%d%H%M}{chance.randrange(1000)}"
            handed = desk.Handed(kind, name, "ann", check_number=number if kind == "check" else "")
            if kind == "external_card":
                handed = desk.Handed(kind, name, "ann", brand="visa", last4="4242", authorization=number)
            desk.deposit(tx, desk.NewDeposit(REF, handed, amount, "surgery"), PRACTICE)
        case 4:
            mine = [one for one in payments.of_account(tx, REF) if one.facility == facility and one.method == "cash"]
            if mine:
                _open(tx, name)
                one = chance.choice(mine)
                back = desk_refund.DeskRefund(one.payment_id, "cash", name, "ben", "x", Money(1, one.currency))
                desk_refund.give(tx, back, PRACTICE)
        case 5:
            _count(tx, name)
        case 6:
            _sign(tx, Wish(facility, name))
        case 7 | 8:
            _sign(tx, Wish(facility))
        case _:
            found = [one for one in store.some(tx, facility=facility) if one.stands]
            if found:
                day_close.reopen(tx, chance.choice(found).close_id, by="eve", why="by chance")


def _open(tx: Tx, name: str) -> None:
    if till_sessions.open_at(tx, name) is None:
        tills.open_till(tx, name, PRACTICE, by="ann")


def _count(tx: Tx, name: str) -> None:
    if till_sessions.open_at(tx, name) is not None:
        tills.count(tx, name, tills.holds(tx, name, DESKS[name][1]), PRACTICE, by="ben", close=True)


def _sign(tx: Tx, wish: Wish) -> None:
    day_close.sign(tx, day_close.look(tx, PRACTICE, wish), by="ann", reason="by chance")


def _all_closed(tx: Tx) -> None:
    for name, (facility, _) in DESKS.items():
        _count(tx, name)
        _close_all(tx, facility, name)
    for facility in ZONES:
        _close_all(tx, facility, "")


def _close_all(tx: Tx, facility: str, till: str) -> None:
    """Days that were opened again, then what is left, whatever day it is of."""
    closes = store.of(tx, facility, till)
    replaced = {one.replaces for one in closes}
    for one in closes:
        if not one.stands and one.close_id not in replaced:
            _sign(tx, Wish(facility, till, one.day))
    today = tx.now.astimezone(ZoneInfo(ZONES[facility])).date()
    _sign(tx, Wish(facility, till, today))


def _keep_new(tx: Tx, kept: dict[str, str]) -> None:
    for one in store.some(tx, limit=4):
        if one.close_id not in kept:
            kept[one.close_id] = store.body(tx, one.close_id)


def _none_changed(tx: Tx, kept: dict[str, str]) -> None:
    assert kept
    assert {close_id: store.body(tx, close_id) for close_id in kept} == kept


def _laws(tx: Tx) -> None:
    booked: dict[str, Sums] = {}
    entries = tx.all(sa.select(LedgerEntry.__table__.c.entry_id).order_by(LedgerEntry.__table__.c.seq))  # type: ignore[attr-defined]
    for row in entries:
        found = ledger.entry(tx, row["entry_id"])
        assert found is not None
        if found.entry.kind not in KINDS:
            continue
        kind, sign = KINDS[Event(found.entry.kind)]
        leg = next(one for one in found.entry.postings if one.side == "debit")
        payment = payments.get(tx, leg.dims["payment"])
        begins, ends = days.span(found.entry.business_date, ZONES[payment.facility])
        assert begins <= found.entry.occurred_at < ends
        assert timedelta(hours=23) <= ends - begins <= timedelta(hours=25)
        tender = tenders.find(tx, payment)
        assert tender is not None
        till = next((one.dims["till"] for one in found.entry.postings if "till" in one.dims), tender.till)
        key = kind, leg.amount.currency
        for whose in (payment.facility, f"{payment.facility}/{till}"):
            booked.setdefault(whose, Sums())[key] += sign * leg.amount.minor
    counted: dict[str, Sums] = {}
    for one in _standing(tx):
        whose = f"{one['facility']}/{one['till']}" if one["till"] else one["facility"]
        for line in one["money"]:
            minor = Money.of(line["amount"], line["currency"]).minor
            counted.setdefault(whose, Sums())[line["kind"], line["currency"]] += minor
    assert booked
    assert counted == booked


def _standing(tx: Tx) -> Iterator[dict[str, Any]]:
    for one in store.some(tx, limit=10_000):
        if one.stands:
            yield json.loads(store.body(tx, one.close_id))


ALL_DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(6)]
SEQS = range(1, 25)


@pytest.fixture(scope="module")
def entries() -> Iterator[sa.Connection]:
    """An entry of each day under each number."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE ledger_entry (business_date TEXT, seq INTEGER)")
        rows = [(day.isoformat(), seq) for day in ALL_DAYS for seq in SEQS]
        connection.exec_driver_sql("INSERT INTO ledger_entry VALUES (?, ?)", rows)
        yield connection
    engine.dispose()


@given(made=st.lists(st.tuples(st.sampled_from(ALL_DAYS), st.integers(0, 8), st.booleans()), max_size=6))
@settings(max_examples=60)
def test_each_entry_is_counted_in_one_line_of_closes_and_in_sql_it_is_the_same(
    entries: sa.Connection, made: list[tuple[date, int, bool]]
) -> None:
    """Closes by chance; each may replace the one before it of its day. What none reaches is nobody's yet."""
    closes: list[Reach] = []
    lines: list[list[Reach]] = []
    last = 0
    for number, (on, more, replaces) in enumerate(made, start=1):
        last += more
        one = Reach(f"cls{number}", number, on, last)
        closes.append(one)
        line = next((line for line in reversed(lines) if line[0].day == on), None) if replaces else None
        if line is None:
            lines.append([one])
        else:
            line.append(one)
    counting = [Counting(tuple(line), tuple(one for one in closes if one not in line)) for line in lines]
    everything = [(day, seq) for day in ALL_DAYS for seq in SEQS]
    for day, seq in everything:
        first = next((one for one in closes if one.reaches(day, seq)), None)
        counted = [one for one in counting if one.counts(day, seq)]
        assert [first in one.own for one in counted] == ([] if first is None else [True])
    entry = LedgerEntry.__table__  # type: ignore[attr-defined]
    for one in counting:
        found = entries.execute(sa.select(entry.c.business_date, entry.c.seq).where(one.condition())).all()
        assert sorted(tuple(row) for row in found) == [(d.isoformat(), s) for d, s in everything if one.counts(d, s)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Europe/London", date(2026, 3, 29), 23),
        ("Asia/Kathmandu", date(2026, 11, 1), 24),
        ("Pacific/Apia", date(2011, 12, 29), 24),  # the next day there was the 31st
        ("Africa/Cairo", date(2026, 4, 24), 23),  # clocks skip midnight
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone: str, day: date, hours: int) -> None:
    begins, ends = days.span(day, zone)
    assert ends - begins == timedelta(hours=hours)
    for at in (begins, ends - timedelta(seconds=1)):
        assert at.astimezone(ZoneInfo(zone)).date() == day
    assert ends.astimezone(ZoneInfo(zone)).date() > day
