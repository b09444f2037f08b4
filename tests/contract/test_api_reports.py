"""`/api/v1/reports` as a client sees it: with scope `staff`, by pages of one moment, or whole as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from desk_world import account, invoice
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.reports.registry import REPORTS
from hooks_world import Hooks, hooked

ALL = ["Patient/ana", "Patient/bea", "Patient/cleo"]


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        for one in ALL:
            await made.units.write(account, one.removeprefix("Patient/"), 10_00)
        yield made


async def read(world: Hooks, path: str, **params: Any) -> dict[str, Any]:
    answer = await world.api("GET", path, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("known", [{}, {"recorded_by": "2026-11-20"}, {"recorded_by": "1000000"}])
async def test_pages_come_to_the_figures_of_the_first_one(world: Hooks, known: dict[str, str]) -> None:
    def more(tx: Tx) -> None:
        invoice(tx, "bea", 2, 5_00)
        account(tx, "bert", 7_00)

    page = await read(world, "/reports/aging", by="patient,facility", limit=1, **known)
    assert (page["report"], page["as_of"]) == ("aging", "2026-11-20")
    seen = page["rows"]
    await world.units.write(more)
    while page["next"]:
        page = (await world.http.get(page["next"], headers={"authorization": "Bearer ehr-token"})).json()
        seen += page["rows"]
    assert [(one["patient"], one["owed"], one["obligations"]) for one in seen] == [(one, "10.00", 1) for one in ALL]
    now = await read(world, "/reports/aging", by="patient")
    assert [one["owed"] for one in now["rows"]] == ["10.00", "15.00", "7.00", "10.00"]


async def test_a_report_is_whole_as_csv(world: Hooks) -> None:
    headers = {"authorization": "Bearer ehr-token", "accept": "text/csv"}
    answer = await world.http.get("/api/v1/reports/aging?by=facility", headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == (
        "facility,currency,obligations,owed,d0_30,d31_60,d61_90,d91_120,d121_up\r\n"
        "main,USD,3,30.00,30.00,0.00,0.00,0.00,0.00\r\n"
    )


async def test_who_may_and_what_there_is(world: Hooks) -> None:
    assert (await world.api("GET", "/reports", client="desk")).status_code == 403
    assert (await world.api("GET", "/reports/aging", client="desk")).status_code == 403
    listed = await read(world, "/reports", limit=200)
    assert sorted(one["name"] for one in listed["reports"]) == sorted(REPORTS)
    assert (await world.api("GET", "/reports/horoscope")).status_code == 404
    never = [{"as_of": "9999-12-31"}, {"as_of": "0001-01-01"}, {"recorded_by": "9" * 30}]
    assert (await world.api("GET", "/reports/aging", recorded_by="1:zz")).status_code == 400
    for params in (*never, {"as_of": "soon"}, {"by": "colour"}, {"recorded_by": "then"}, {"from": "2026-11-01"}):
        answer = await world.api("GET", "/reports/aging", **params)
        assert (answer.status_code, answer.json()["location"]) == (400, next(iter(params))), answer.text
