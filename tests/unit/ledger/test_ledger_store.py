"""Posting and reading the books, on both engines."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken, RuleBroken
from fhirpay.ledger import rules, store
from fhirpay.ledger.rules import When
from fhirpay.ledger.verify import verify

pytestmark = pytest.mark.unsound("the ledger alone")

WHEN = When(occurred_at=datetime(2026, 3, 2, 12, tzinfo=UTC), business_date=date(2026, 3, 2))


def usd(dollars: int) -> Money:
    return Money(dollars * 100, "USD")


def capture(tx: Tx, payment: str, amount: Money, key: str | None = None) -> str:
    return store.post(tx, rules.capture(payment, "main", amount, **WHEN), key=key or f"capture/{payment}")


async def test_the_same_fact_is_posted_once(units: Units) -> None:
    first = await units.write(capture, "pay1", usd(50))
    later = rules.capture(
        "pay1", "main", usd(50), occurred_at=datetime(2026, 3, 9, tzinfo=UTC), business_date=date(2026, 3, 9)
    )
    again = await units.write(store.post, later, key="capture/pay1")
    assert again == first
    assert await units.read(store.balance, "unapplied_credit", payment="pay1") == 50_00
    assert (await units.read(store.head)).seq == 1


async def test_the_same_fact_with_another_amount_is_a_bug(units: Units) -> None:
    await units.write(capture, "pay1", usd(50))
    with pytest.raises(InvariantBroken, match="other postings"):
        await units.write(capture, "pay1", usd(60))
    assert await units.read(store.balance, "processor_clearing") == 50_00


@pytest.mark.parametrize("key", ["", "charge urn:mrn|123", "Ann Lee"])
async def test_a_key_is_an_identifier(units: Units, key: str) -> None:
    with pytest.raises(InvariantBroken, match="identifier"):
        await units.write(store.post, rules.capture("pay1", "main", usd(1), **WHEN), key=key)


async def test_a_unit_that_fails_leaves_no_gap(units: Units) -> None:
    def post_then_fail(tx: Tx) -> None:
        capture(tx, "pay1", usd(50))
        raise RuleBroken("changed our mind")

    with pytest.raises(RuleBroken):
        await units.write(post_then_fail)
    await units.write(capture, "pay2", usd(20))
    report = await units.read(verify)
    assert (report.ok, report.entries, report.head.seq) == (True, 1, 1)


async def test_units_that_post_at_once_make_one_chain(units: Units) -> None:
    def two(tx: Tx, number: int) -> None:
        capture(tx, f"pay{number}", usd(number))
        allocation = rules.allocate(f"pay{number}", f"obl{number}", usd(number), account_ref="Account/a1", **WHEN)
        store.post(tx, allocation, key=f"allocate/pay{number}")

    async with asyncio.TaskGroup() as group:
        for number in range(1, 13):
            group.create_task(units.write(two, number))
        for number in range(1, 13):
            group.create_task(units.write(capture, f"pay{number}", usd(number)))
    report = await units.read(verify)
    assert [p for p in report.problems if p.kind != "control"] == []
    assert (report.entries, report.head.seq) == (24, 24)


async def test_balances_are_kept_along_their_dimensions(units: Units) -> None:
    def some(tx: Tx) -> None:
        store.post(tx, rules.charge_self_pay("obl1", "Account/a1", usd(80), **WHEN), key="charge/1")
        store.post(tx, rules.charge_self_pay("obl2", "Account/a2", usd(30), **WHEN), key="charge/2")
        capture(tx, "pay1", usd(100))
        store.post(tx, rules.allocate("pay1", "obl1", usd(80), account_ref="Account/a1", **WHEN), key="allocate/1")
        store.post(tx, rules.allocate("pay1", "obl2", usd(5), account_ref="Account/a2", **WHEN), key="allocate/2")

    await units.write(some)
    assert await units.read(store.balance, "ar_patient") == 25_00
    assert await units.read(store.balance, "ar_patient", obligation="obl1") == 0
    assert await units.read(store.balance, "ar_patient", account_ref="Account/a2") == 25_00
    assert await units.read(store.balance, "unapplied_credit", payment="pay1") == 15_00
    assert await units.read(store.balance, "unapplied_credit", payment="pay2") == 0
    trial = {line.account: line.amount for line in await units.read(store.balances)}
    assert trial == {
        "ar_patient": usd(25),
        "charges_control": usd(110),
        "processor_clearing": usd(100),
        "unapplied_credit": usd(15),
    }


async def test_two_currencies_are_never_added(units: Units) -> None:
    await units.write(capture, "pay1", usd(50))
    await units.write(capture, "pay2", Money(700, "JPY"))
    with pytest.raises(RuleBroken, match="JPY, USD"):
        await units.read(store.balance, "unapplied_credit")
    assert await units.read(store.balance, "unapplied_credit", currency="JPY") == 700
    with pytest.raises(RuleBroken, match="chart"):
        await units.read(store.balance, "slush_fund")
    with pytest.raises(RuleBroken, match="shoe size"):
        await units.read(lambda tx: store.balance(tx, "bank", **{"shoe size": "44"}))


async def test_entries_are_found_by_what_they_touch(units: Units) -> None:
    first = await units.write(capture, "pay1", usd(50))
    await units.write(capture, "pay2", usd(20))
    found = await units.read(lambda tx: store.entries_for(tx, payment="pay1"))
    assert [posted.entry_id for posted in found] == [first]
    assert found[0].entry == rules.capture("pay1", "main", usd(50), **WHEN)
    assert await units.read(store.entry, first) == found[0]
    assert await units.read(store.entry, "ent0") is None


async def test_tenants_have_books_of_their_own(database: Database) -> None:
    await database.units("main").write(capture, "pay1", usd(50))
    other = database.units("other")
    await other.write(capture, "pay1", usd(70))
    assert await other.read(store.balance, "unapplied_credit") == 70_00
    assert (await other.read(store.head)).seq == 1
    assert (await other.read(verify)).ok


async def test_the_largest_amount_that_fits_is_exact(units: Units) -> None:
    largest = Money(2**63 - 1, "USD")
    await units.write(capture, "pay1", largest)
    assert await units.read(store.balance, "unapplied_credit") == largest.minor


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_posting SET amount_minor = 1",
        "UPDATE ledger_entry SET kind = 'x'",
        "UPDATE ledger_head SET seq = seq - 1",
        "UPDATE ledger_head SET hash = 'x'",
        "DELETE FROM ledger_posting",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_head",
    ],
)
async def test_the_database_refuses_to_change_the_books(units: Units, statement: str) -> None:
    await units.write(capture, "pay1", usd(50))
    with pytest.raises(DBAPIError, match="ledger"):
        await units.write(lambda tx: tx.execute(text(statement)))
    assert (await units.read(verify)).ok
