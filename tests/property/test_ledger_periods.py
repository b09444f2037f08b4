"""Periods closed and opened again in any order, entries of any day: what was reported of a closed one stays so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.ledger import periods, store
from fhirpay.ledger.as_of import AsOf, Line, balances_as_of
from fhirpay.ledger.closed import LATE, closed_through, steps
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.month import Month
from fhirpay.ledger.store import Posted
from fhirpay.ledger.tables import LedgerEntry
from fhirpay.ledger.verify import verify
from strategies import books

pytestmark = pytest.mark.unsound("the ledger alone")
_tenants = count(1)
ENTRY = table(LedgerEntry)
FIRST, LAST = date(2026, 1, 30), date(2026, 4, 2)
MONTHS = [Month.parse(text) for text in ("2026-01", "2026-02", "2026-03", "2026-04")]


def posted(tx: Tx, entry: Entry, key: str) -> Posted:
    found = store.entry(tx, store.post(tx, entry, key=key))
    assert found is not None
    return found


def report(tx: Tx, month: Month, seq: int | None = None) -> list[Line]:
    return balances_as_of(tx, AsOf(day=month.last, seq=seq), by=["payment"])


def smuggle(tx: Tx, day: date) -> None:
    """Around the store, as a hand in the database would."""
    row = {"entry_id": "ent0", "seq": 0, "key": "k", "kind": "k", "body": "{}", "hash": "0"}
    row |= {"occurred_at": tx.now, "recorded_at": tx.now, "tenant_id": tx.tenant, "business_date": day.isoformat()}
    tx.execute(ENTRY.insert().values(row))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=books(most=10), data=st.data())
async def test_what_was_reported_of_a_closed_period_never_changes(
    database: Database, clock: FrozenClock, entries: list[Entry], data: st.DataObject
) -> None:
    units = database.units(f"tenant{next(_tenants)}")
    stack: list[Month] = []  # closed, the last one at the end
    printed: list[tuple[Month, int, list[Line]]] = []
    days: list[date] = []
    for number, entry in enumerate(entries):
        clock.advance(timedelta(minutes=1))
        for _ in range(data.draw(st.integers(0, 2), label="steps")):
            month, closing = data.draw(st.sampled_from(MONTHS)), data.draw(st.booleans(), label="close")
            open_before = {Month.of(day) for day in days if day > (stack[-1].last if stack else date.min)}
            may = (
                (not stack or month > stack[-1]) and all(month <= one for one in open_before)
                if closing
                else stack[-1:] == [month]
            )
            if not may:
                with pytest.raises(RuleBroken):
                    await units.write(periods.close if closing else periods.reopen, month, by="eve", why="so")
            elif closing:
                step = await units.write(periods.close, month, by="eve")
                stack.append(month)
                printed.append((month, step.head.seq, await units.read(report, month)))
            else:
                await units.write(periods.reopen, month, by="eve", why="a late invoice")
                stack.pop()
        through = stack[-1].last if stack else None
        assert await units.read(closed_through) == through
        day = data.draw(st.dates(FIRST, LAST), label="day")
        one = await units.write(posted, replace(entry, business_date=day), f"fact/{number}")
        late = through is not None and day <= through
        assert one.entry.business_date == (through + timedelta(days=1) if through and late else day)
        assert one.entry.refs.get(LATE) == (day.isoformat() if late else None)
        assert (one.entry.occurred_at, one.entry.postings) == (entry.occurred_at, entry.postings)
        days.append(one.entry.business_date)
        for closed in stack:  # nothing more is of it, also without the entry's number
            last = [lines for month, _, lines in printed if month == closed][-1]
            assert await units.read(report, closed) == last
        if through:
            with pytest.raises(DBAPIError, match="closed"):
                await units.write(smuggle, data.draw(st.dates(FIRST, through), label="smuggled"))
    for month, seq, lines in printed:
        assert await units.read(report, month, seq) == lines
    assert (await units.read(verify)).problems == ()
    assert [one.number for one in await units.read(steps)] == list(range(1, len(await units.read(steps)) + 1))
