"""`/api/v1/payment-requests` as a client sees them: over real calls to the simulated processor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.usecases import staff
from payments_world import World, payments_world

Json = dict[str, Any]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


def read(answer: httpx2.Response) -> Json:
    return json.loads(answer.text, parse_float=Decimal)


async def post(world: World, path: str, body: Json, key: str) -> httpx2.Response:
    return await world.api.post(f"/api/v1{path}", content=json.dumps(body), headers={"Idempotency-Key": key})


async def ask(world: World, account: str, key: str = "k", *, hours: float = 24, **more: Any) -> httpx2.Response:
    until = (world.clock.now() + timedelta(hours=hours)).isoformat()
    return await post(world, "/payment-requests", {"account": account, "expires_at": until, **more}, key)


async def the(world: World, request: str) -> Json:
    return read(await world.api.get(f"/api/v1/payment-requests/{request}"))


def amount(value: Any, currency: str = "USD") -> Json:
    return {"value": value, "currency": currency}


async def test_a_decline_ends_a_payment_and_the_next_try_is_under_the_same_request(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    declines = await world.method(account, world.side.tokens["decline"])
    answer = await ask(world, account, amount=amount("50.00"), method={"stored_method": declines}, facility="main")
    assert answer.status_code == 201, answer.text
    id = read(answer)["id"]
    waits = await post(world, f"/payment-requests/{id}/payments", {}, "early")
    assert (waits.status_code, waits.json()["code"]) == (422, "rule-broken")
    await world.work()
    found = await the(world, id)
    assert (found["state"], found["url"], found["left"]["value"]) == ("open", None, Decimal("50.00"))
    assert [(one["state"], one["method"]) for one in found["payments"]] == [("declined", "stored")]

    again = await post(world, f"/payment-requests/{id}/payments", {}, "again")
    assert (again.status_code, len(read(again)["payments"])) == (201, 2)
    assert (await post(world, f"/payment-requests/{id}/payments", {}, "again")).content == again.content
    await world.work()
    found = await the(world, id)
    await world.processor.pay_page(found["url"])
    await world.deliver_events()
    await world.inbox.drain()
    paid = await the(world, id)
    assert (paid["state"], paid["url"], paid["left"]["value"]) == ("paid", None, Decimal(0))
    assert [one["state"] for one in paid["payments"]] == ["declined", "captured"]
    assert await world.askable(account) == 30_00
    for path, body in (("payments", {}), ("cancel", {"reason": "late"})):
        assert (await post(world, f"/payment-requests/{id}/{path}", body, path)).status_code == 422
    listed = read(await world.api.get("/api/v1/payment-requests", params={"account": account}))
    assert (listed["payment_requests"], listed["next"]) == ([paid], None)
    assert read(await world.api.get("/api/v1/payment-requests?limit=1"))["payment_requests"] == [paid]
    await world.sweep()


@on_sqlite
@pytest.mark.parametrize("how", ["canceled", "expired"])
async def test_the_page_of_one_that_has_ended_is_closed(world: World, how: str) -> None:
    account = await world.invoiced("ana", 80_00)
    id = read(await ask(world, account, hours=1))["id"]
    await world.work()
    url = (await the(world, id))["url"]
    if how == "canceled":
        answer = await post(world, f"/payment-requests/{id}/cancel", {"reason": "pays at the desk"}, "c")
        assert (answer.status_code, read(answer)["canceled"]["why"]) == (200, "pays at the desk")
        await world.work()
    else:
        await world.work(hours=1)
    await world.processor.pay_page(url)
    await world.until_quiet()
    found = await the(world, id)
    assert (found["state"], found["url"], found["paid"]["value"]) == (how, None, 0)
    assert [(one["state"], one["code"]) for one in found["payments"]] == [("canceled", "no-longer-owed")]
    assert await world.askable(account) == 80_00
    refused = await post(world, f"/payment-requests/{id}/payments", {}, "again")
    assert refused.status_code == 422
    assert how in refused.json()["detail"]
    await world.sweep()


@on_sqlite
async def test_money_that_was_faster_than_a_cancel_is_kept(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    id = read(await ask(world, account))["id"]
    await world.work()
    await world.processor.pay_page((await the(world, id))["url"])
    assert read(await post(world, f"/payment-requests/{id}/cancel", {"reason": "x"}, "c"))["state"] == "canceled"
    await world.until_quiet()
    found = await the(world, id)
    assert (found["state"], found["left"]["value"], found["canceled"]["why"]) == ("paid", 0, "x")
    await world.sweep()


@on_sqlite
async def test_one_that_ended_before_its_call_went_out_takes_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    id = read(await ask(world, account, method={"stored_method": method}))["id"]
    assert (await post(world, f"/payment-requests/{id}/cancel", {"reason": "x"}, "c")).status_code == 200
    await world.work()
    assert [one["state"] for one in (await the(world, id))["payments"]] == ["canceled"]
    assert [one for one in (await world.processor.books())["payments"] if one["amount_captured"]] == []
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_two_requests_at_once_share_what_is_owed(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    both = await asyncio.gather(*(ask(world, account, key, amount=amount("50.00")) for key in ("a", "b")))
    assert sorted(one.status_code for one in both) == [201, 422]
    (no,) = (one for one in both if one.status_code == 422)
    assert "30.00 USD may be asked for now" in no.json()["detail"]
    assert (await ask(world, account, "rest", amount=amount("30.00"))).status_code == 201


@on_sqlite
async def test_bad_wishes_are_refused_in_words_and_leave_nothing(world: World) -> None:
    account, held = await world.invoiced("ana", 80_00), await world.invoiced("bea", 10_00)
    await world.units.write(staff.open_hold, held, "dispute", says="disputed", by="ann", tenant=world.tenant)
    (owed,) = await world.units.read(obligations.owed, account)
    wishes: tuple[tuple[str, Json, int, str], ...] = (
        (account, {"amount": amount(0)}, 400, "above zero"),
        (account, {"amount": amount(-1)}, 400, "above zero"),
        (account, {"amount": amount("1.001")}, 400, ""),
        (account, {"amount": amount("1", "EUR")}, 422, "nothing may be asked for"),
        (account, {"amount": amount("1", "XXQ")}, 400, ""),
        (account, {"amount": amount("80.01")}, 422, "80.00 USD may be asked for now"),
        (account, {"obligations": [owed.obligation_id, "obl-none"]}, 422, "obl-none"),
        (account, {"facility": "moon"}, 400, "moon"),
        (account, {"hours": 0}, 400, "expires"),
        (account, {"hours": 24 * 366}, 400, "within a year"),
        (account, {"method": {"hosted": {"return_url": "javascript:x"}}}, 400, "web address"),
        (account, {"method": {"stored_method": "met-none"}}, 404, ""),
        ("Account/none", {}, 404, "no Account/none"),
        (held, {}, 422, "nothing may be asked for"),
    )
    for number, (of, more, status, says) in enumerate(wishes):
        answer = await ask(world, of, f"k{number}", **more)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), more
        assert says in answer.json()["detail"], (more, answer.text)
    assert read(await world.api.get("/api/v1/payment-requests"))["payment_requests"] == []
    assert read(await world.api.get("/api/v1/payments"))["payments"] == []
    for path, body in (("/payments", {}), ("/cancel", {"reason": "x"})):
        assert (await post(world, f"/payment-requests/req-none{path}", body, "n" + path)).status_code == 404
    assert (await world.api.get("/api/v1/payment-requests/req-none")).status_code == 404
