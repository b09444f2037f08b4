"""Laws of the books, on both engines: they balance, the same facts post once, and no change goes unseen."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirpay.db.unit import Database, Tx
from fhirpay.ledger import store
from fhirpay.ledger.chart import CHART, Side
from fhirpay.ledger.check import CONTROLS
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.verify import export, verify, verify_export
from strategies import books

pytestmark = pytest.mark.unsound("the ledger alone")

on_a_database = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
_tenants = count(1)


def post_all(tx: Tx, entries: list[Entry]) -> list[str]:
    return [store.post(tx, entry, key=f"fact/{number}") for number, entry in enumerate(entries)]


def exported(tx: Tx) -> list[str]:
    return list(export(tx))


@given(books())
def test_debits_equal_credits_in_each_currency(entries: list[Entry]) -> None:
    sums: dict[tuple[str, Side], int] = {}
    for posting in (posting for entry in entries for posting in entry.postings):
        key = (posting.amount.currency, posting.side)
        sums[key] = sums.get(key, 0) + posting.amount.minor
    for currency, _ in sums:
        assert sums[currency, Side.DEBIT] == sums[currency, Side.CREDIT]


@given(books())
def test_what_is_controlled_never_goes_below_zero(entries: list[Entry]) -> None:
    kept: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        for posting in entry.postings:
            if by := CONTROLS.get(posting.account):
                key = (posting.account, posting.dims[by], posting.amount.currency)
                sign = 1 if posting.side is CHART[posting.account].normal else -1
                kept[key] = kept.get(key, 0) + sign * posting.amount.minor
                assert kept[key] >= 0


@on_a_database
@given(entries=books(), data=st.data())
async def test_the_same_facts_in_any_repetition_are_the_same_books(
    database: Database, entries: list[Entry], data: st.DataObject
) -> None:
    units = database.units(f"tenant{next(_tenants)}")
    first = await units.write(post_all, entries)
    again = data.draw(st.lists(st.sampled_from(range(len(entries))), max_size=5))
    for number in again:
        assert await units.write(store.post, entries[number], key=f"fact/{number}") == first[number]
    report = await units.read(verify)
    assert report.problems == ()
    assert report.entries == len(entries)
    trial = await units.read(store.balances)
    for currency in {line.amount.currency for line in trial}:
        normal = [(CHART[line.account], line.amount.minor) for line in trial if line.amount.currency == currency]
        assert sum(minor if account.normal is Side.DEBIT else -minor for account, minor in normal) == 0


@on_a_database
@given(entries=books(most=8), data=st.data())
async def test_any_change_to_an_export_is_seen(database: Database, entries: list[Entry], data: st.DataObject) -> None:
    units = database.units(f"tenant{next(_tenants)}")
    await units.write(post_all, entries)
    lines = await units.read(exported)
    head = await units.read(store.head)
    assert verify_export(lines, known=[head]).problems == ()
    number = data.draw(st.integers(1, len(lines) - 2), label="line")
    changed = list(lines)
    match data.draw(st.sampled_from(["amount", "hash", "drop", "repeat", "cut"])):
        case "amount":
            line = json.loads(lines[number])
            body = json.loads(line["body"])
            body["postings"][0]["minor"] += 1
            body["postings"][1]["minor"] += 1
            line["body"] = json.dumps(body, sort_keys=True, separators=(",", ":"))
            changed[number] = json.dumps(line)
        case "hash":
            line = json.loads(lines[number])
            line["hash"] = line["hash"][::-1] + "0"
            changed[number] = json.dumps(line)
        case "drop":
            del changed[number]
        case "repeat":
            changed.insert(number, lines[number])
        case _:
            del changed[number:]
    assert not verify_export(changed, known=[head]).ok


async def test_an_empty_ledger_is_whole(database: Database) -> None:
    units = database.units("main")
    assert (await units.read(verify)).ok
    assert verify_export(await units.read(exported)).ok
