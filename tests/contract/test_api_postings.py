"""The staff side of postings over `/api/v1`: listed, confirmed or rejected once, and compared with the EHR's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from ehr_payments_world import ENGINE, Clinic, charge, clinic, py
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow.worker import Worker

Json = dict[str, Any]
SAID = {"by": "jdoe", "why": "as in the chart"}


@dataclass
class Api:
    at: Clinic
    http: httpx2.AsyncClient

    async def get(self, path: str, token: str = "desk") -> httpx2.Response:
        return await self.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})

    async def post(self, path: str, key: str = "k", token: str = "desk", **body: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return await self.http.post(f"/api/v1{path}", content=json.dumps(SAID | body), headers=headers)

    async def waits(self) -> list[Json]:
        answer = await self.get("/postings")
        assert answer.status_code == 200, answer.text
        return answer.json()["postings"]

    async def look(self) -> None:
        handlers = dict(self.at.house.destinations)
        await Worker(self.at.system.database, self.at.house.units, queue="outbox", handlers=handlers).drain()


@pytest.fixture
async def api(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Api]:
    engine = ENGINE.model_copy(update={"stage": "assist"})
    async with clinic(database, clock, ids, engine=engine, echoes="amount") as at:
        for account in ("A1", "A2"):
            await at.say(charge(account, f"T{account}", "80.00", account))
            await at.take(await at.begin("80.00", account))
        transport = httpx2.ASGITransport(app=at.system.web, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://ours") as http:
            made = Api(at, http)
            await made.look()
            yield made
        await at.check_books()


async def test_what_waits_is_listed_with_its_age_and_confirmed_or_rejected_by_name(api: Api) -> None:
    api.at.clock.advance(timedelta(hours=2))
    first, second = await api.waits()
    assert (first["receiver"], first["kind"], first["age_s"]) == ("engine", "payment", 7200)
    assert first["amount"] == {"value": 80.00, "currency": "USD"}
    assert {one["kind"] for one in (await api.get("/worklist")).json()["lines"]} == {"posting_to_confirm"}
    line = (await api.get("/worklist")).json()["lines"][0]
    assert (line["amount"], "confirm" in line["next"]) == (first["amount"], True)
    refused = await api.post(f"/worklist/{line['id']}/done", "d")
    assert (refused.status_code, "confirmed or rejected" in refused.text) == (422, True)
    path = f"/postings/{first['id']}/confirm"
    answer = await api.post(path)
    wanted = {"id": first["id"], "state": "pending", "by": "client:desk/jdoe", "why": "as in the chart"}
    assert (answer.status_code, answer.json()) == (200, wanted)
    assert (await api.post(path)).content == answer.content
    assert (await api.post(path, why="another")).status_code == 409
    again = await api.post(path, "k2", by="other")
    assert (again.status_code, again.json()["by"]) == (200, "client:desk/jdoe")
    rejected = await api.post(f"/postings/{second['id']}/reject", "k3", why="posted by hand")
    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    too_late = await api.post(f"/postings/{second['id']}/confirm", "k4")
    assert (too_late.status_code, "there is nothing to decide" in too_late.text) == (422, True)
    assert await api.waits() == []
    assert (await api.get("/worklist")).json()["lines"] == []


async def test_only_staff_decide_and_only_on_what_there_is(api: Api) -> None:
    (first, _) = await api.waits()
    for path in ("/postings", "/agreement/engine"):
        assert (await api.get(path, token="reader")).status_code == 403
    assert (await api.post(f"/postings/{first['id']}/confirm", token="reader")).status_code == 403
    assert (await api.post(f"/postings/{first['id']}/confirm", token="nobody")).status_code == 401
    assert (await api.post("/postings/pst-none/confirm")).status_code == 404
    assert (await api.post(f"/postings/{first['id']}/reject", "k5", why=" ")).status_code == 400
    assert (await api.get("/postings?receiver=other")).json() == {"postings": [], "next_cursor": None, "next": None}
    assert len(await api.waits()) == 2


async def test_two_who_decide_at_once_have_one_word(api: Api) -> None:
    (first, _) = await api.waits()
    path = f"/postings/{first['id']}"
    answers = await asyncio.gather(
        *(api.post(f"{path}/confirm", f"c{number}", by=f"c{number}") for number in range(3)),
        *(api.post(f"{path}/reject", f"r{number}", by=f"r{number}") for number in range(3)),
    )
    won = {answer.json()["by"] for answer in answers if answer.status_code == 200}
    assert len(won) == 1
    assert {answer.status_code for answer in answers} <= {200, 422}


async def test_the_agreement_is_read_with_its_differences(api: Api) -> None:
    await api.at.say(py("E1", "E1", "80.00", "A1"))
    api.at.clock.advance(timedelta(days=3))
    answer = await api.get("/agreement/engine?since=2026-11-20")
    found = answer.json()
    assert (answer.status_code, found["score"], found["compared"], found["enough"]) == (200, "0.500", 2, False)
    assert [one["says"] for one in found["ours"]] == ["the EHR has nothing like it"]
    assert (await api.get("/agreement/nobody")).status_code == 404
    assert (await api.get("/agreement/engine?since=soon")).status_code == 400
