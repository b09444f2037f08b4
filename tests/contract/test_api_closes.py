"""`/api/v1/closes` as a client sees it: a till signed by who counted it, then the facility; printed, opened again."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pypdf import PdfReader

from fhirpay.config import Till
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.ledger.chain import canonical, digest
from hooks_world import hooked
from payments_world import World, payments_world

Json = dict[str, Any]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, tills=(Till(name="front"),)) as made:
        yield made


async def post(world: World, path: str, body: Json, key: str) -> httpx2.Response:
    return await world.api.post(f"/api/v1{path}", content=json.dumps(body), headers={"Idempotency-Key": key})


async def get(world: World, path: str, **params: str) -> httpx2.Response:
    return await world.api.get(f"/api/v1{path}", params=params)


async def test_a_day_is_signed_shown_printed_and_opened_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    paid = {"by": "jdoe", "account": account, "tender": {"kind": "cash", "till": "front"}}
    assert (await post(world, "/desk-payments", paid, "p")).status_code == 201
    till = {"by": "jdoe", "till": "front"}
    open_ = await post(world, "/closes", till, "c1")
    assert (open_.status_code, open_.json()["code"]) == (422, "rule-broken")
    assert "till 'front' is open" in open_.json()["detail"]
    counted = {"by": "jdoe", "counted": {"value": "79.00", "currency": "USD"}}
    assert (await post(world, "/tills/front/close", counted, "t")).status_code == 200
    looked = (await get(world, "/closes/preview", till="front")).json()
    assert (looked["blocked"], looked["closed"], looked["document"]["open"]) == ([], None, [])

    first = await post(world, "/closes", till, "c1")  # what was refused left nothing under its key
    made = first.json()
    assert (first.status_code, made["till"], made["signed"]["by"]) == (201, "front", "client:desk/jdoe")
    assert made["document"]["sessions"][0]["over"] == {"amount": "-1.00", "currency": "USD"}
    assert digest(canonical(made["document"])) == made["hash"]
    assert (await post(world, "/closes", till, "c1")).content == first.content
    assert (await post(world, "/closes", till, "c2")).json() == made
    other = await post(world, "/closes", till | {"by": "kim"}, "c3")
    assert other.status_code == 422
    assert f"already: by client:desk/jdoe at 2026-11-20T15:00:00+00:00 ({made['id']})" in other.json()["detail"]
    assert other.json()["close_id"] == made["id"]

    whole = await post(world, "/closes", {"by": "kim", "facility": "main", "day": "2026-11-20"}, "c4")
    assert [one["close"] for one in whole.json()["document"]["tills"]] == [made["id"]]
    listed = (await get(world, "/closes", limit="1")).json()
    assert [one["id"] for one in listed["closes"]] == [whole.json()["id"]]
    rest = (await get(world, "/closes", limit="1", cursor=listed["next_cursor"])).json()
    assert ([one["id"] for one in rest["closes"]], rest["next_cursor"]) == ([made["id"]], None)
    assert (await get(world, "/closes", till="-")).json()["closes"][0]["till"] == ""

    csv = await get(world, f"/closes/{made['id']}/csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert "cash,taken,1,80.00 USD,2026-11-20,2026-11-20\r\n" in csv.text
    pdf = await get(world, f"/closes/{made['id']}/pdf")
    assert pdf.content == (await get(world, f"/closes/{made['id']}/pdf")).content
    seen = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf.content)).pages)
    assert made["hash"] in seen
    assert "-1.00 USD" in seen
    assert "Canary" not in csv.text + seen + first.text + whole.text

    why = {"by": "eve", "why": "a coin was found"}
    assert (await post(world, f"/closes/{made['id']}/reopen", why, "r1")).status_code == 422
    again = await post(world, f"/closes/{whole.json()['id']}/reopen", why, "r2")
    assert (again.status_code, again.json()["state"]) == (200, "reopened")
    assert again.json()["reopened"]["why"] == "a coin was found"
    shown = (await get(world, f"/closes/{whole.json()['id']}")).json()
    assert shown["document"] == whole.json()["document"]
    assert (await get(world, "/closes/cls-none")).status_code == 404
    assert (await get(world, "/closes/preview", till="front", day="soon")).json()["location"] == "day"
    await world.sweep()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_takes_payments_may_close_a_till_and_nothing_else(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with hooked(database, clock, ids) as world:
        till = await world.api("POST", "/closes", {"by": "jdoe", "till": "front"}, client="desk")
        assert till.status_code == 201, till.text
        why = {"by": "jdoe", "why": "x"}
        for method, path, body in (
            ("POST", "/closes", {"by": "jdoe", "facility": "main"}),
            ("POST", f"/closes/{till.json()['id']}/reopen", why),
            ("GET", "/closes", None),
            ("GET", "/closes/preview", None),
            ("GET", f"/closes/{till.json()['id']}/csv", None),
        ):
            assert (await world.api(method, path, body, client="desk", key="k2")).status_code == 403, path
