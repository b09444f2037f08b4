"""Balances as of any moment are the bare fold over the entries that count, on both engines and along any dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.ledger import store
from fhirpay.ledger.as_of import AsOf, balances_as_of
from fhirpay.ledger.chart import CHART
from fhirpay.ledger.entry import DIMS, Entry
from fhirpay.ledger.store import Posted
from strategies import books

pytestmark = pytest.mark.unsound("the ledger alone")
_tenants = count(1)
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 5)


def posted(tx: Tx, entries: list[Entry], first: int) -> list[Posted]:
    made = [store.post(tx, entry, key=f"fact/{first + number}") for number, entry in enumerate(entries)]
    return [one for one in (store.entry(tx, entry_id) for entry_id in made) if one is not None]


def folded(entries: list[Posted], as_of: AsOf, by: Sequence[str]) -> dict[tuple[str, ...], int]:
    """The same by a loop that knows no SQL."""
    sums: dict[tuple[str, ...], int] = {}
    for one in entries:
        late = (
            (as_of.day and one.entry.business_date > as_of.day)
            or (as_of.occurred_until and one.entry.occurred_at > as_of.occurred_until)
            or (as_of.recorded_until and one.recorded_at > as_of.recorded_until)
            or (as_of.seq is not None and one.seq > as_of.seq)
        )
        for leg in () if late else one.entry.postings:
            key = (leg.account, *(leg.dims.get(name, "") for name in by), leg.amount.currency)
            sign = 1 if leg.side is CHART[leg.account].normal else -1
            sums[key] = sums.get(key, 0) + sign * leg.amount.minor
    return {key: minor for key, minor in sums.items() if minor}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=books(most=8), data=st.data())
async def test_balances_as_of_are_the_fold(
    database: Database, clock: FrozenClock, entries: list[Entry], data: st.DataObject
) -> None:
    units = database.units(f"tenant{next(_tenants)}")
    days = data.draw(st.lists(st.dates(FIRST, LAST), min_size=len(entries), max_size=len(entries)), label="days")
    entries = [replace(one, business_date=day) for one, day in zip(entries, days, strict=True)]
    cut = data.draw(st.integers(0, len(entries)), label="recorded an hour later from")
    kept = await units.write(posted, entries[:cut], 0)
    clock.advance(timedelta(hours=1))
    kept += await units.write(posted, entries[cut:], cut)
    some = st.sampled_from(kept)
    as_of = AsOf(
        data.draw(st.none() | some.map(lambda one: one.entry.business_date)),
        data.draw(st.none() | some.map(lambda one: one.entry.occurred_at)),
        data.draw(st.none() | some.map(lambda one: one.recorded_at)),
        data.draw(st.none() | some.map(lambda one: one.seq)),
    )
    by = data.draw(st.lists(st.sampled_from(DIMS), unique=True))
    lines = await units.read(balances_as_of, as_of, by=by)
    assert {(one.account, *one.dims.values(), one.amount.currency): one.amount.minor for one in lines} == folded(
        kept, as_of, by
    )
    assert [(one.account, *one.dims.values()) for one in lines] == sorted(
        (one.account, *one.dims.values()) for one in lines
    )
