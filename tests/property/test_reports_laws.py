"""AR aging is the ledger's ar_patient on any day and by any entry; its ages are those of a fold that knows no SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desk_world import TENANT
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.money import Money
from fhirpay.ledger import store
from fhirpay.ledger.as_of import AsOf, balances_as_of
from fhirpay.ledger.chart import Side
from fhirpay.ledger.entry import Entry
from fhirpay.reports.frame import Wish, asked, rows
from fhirpay.reports.registry import report_of
from strategies import books

pytestmark = pytest.mark.unsound("the ledger alone")
_tenants = count(1)
DAYS = st.dates(date(2026, 3, 2), date(2026, 7, 30))
SAME = ("payment_allocated", "payment_deallocated", "receivable_moved", "written_off", "write_off_recovered")
LIMITS = (30, 60, 90, 120)


def folded(entries: list[Entry], day: date) -> dict[str, list[int]]:
    """Currency → how many, owed, and each bucket."""
    owed: dict[tuple[str, str], int] = {}
    share: dict[tuple[str, str], int] = {}
    since: dict[tuple[str, str], str] = {}
    for entry in entries:
        for leg in entry.postings if entry.business_date <= day else ():
            if leg.account != "ar_patient":
                continue
            key = (leg.dims["obligation"], leg.amount.currency)
            signed = leg.amount.minor if leg.side is Side.DEBIT else -leg.amount.minor
            owed[key] = owed.get(key, 0) + signed
            if entry.kind not in SAME:
                share[key] = share.get(key, 0) + signed
                if signed > 0 and share[key] == signed:
                    since[key] = entry.business_date.isoformat()
    found: dict[str, list[int]] = {}
    for key, minor in owed.items():
        if minor:
            age = (day - date.fromisoformat(since[key])).days
            sums = found.setdefault(key[1], [0, 0, 0, 0, 0, 0, 0])
            for at, more in ((0, 1), (1, minor), (2 + sum(age > limit for limit in LIMITS), minor)):
                sums[at] += more
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=books(most=12), data=st.data())
async def test_aging_is_the_balance_of_ar_patient(
    database: Database, entries: list[Entry], data: st.DataObject
) -> None:
    tenant = TENANT.model_copy(update={"name": f"tenant{next(_tenants)}"})
    days = sorted(data.draw(st.lists(DAYS, min_size=len(entries), max_size=len(entries)), label="days"))
    entries = [replace(one, business_date=day) for one, day in zip(entries, days, strict=True)]
    day = data.draw(DAYS, label="as of")
    seq = data.draw(st.integers(1, len(entries)), label="recorded by")

    def post(tx: Tx) -> None:
        for number, entry in enumerate(entries):
            store.post(tx, entry, key=f"fact/{number}")

    def aging(tx: Tx) -> dict[str, list[int]]:
        report = report_of("aging")
        about = asked(tx, report, Wish(as_of=day.isoformat(), recorded_by=str(seq)), tenant)
        found = list(rows(tx, report, about))
        balance = {
            one.amount.currency: one.amount for one in balances_as_of(tx, AsOf(day, seq=seq), accounts=["ar_patient"])
        }
        assert {str(row[0]): row[2] for row in found if row[2].minor} == balance
        return {row[0]: [one.minor if isinstance(one, Money) else one for one in row[1:]] for row in found}

    units = database.units(tenant.name)
    await units.write(post)
    assert await units.read(aging) == folded(entries[:seq], day)
