"""Every list of `/api/v1` is read page by page in one way, also while it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from desk_world import TENANT, cash, invoice, usd
from fhirpay.billing import entries, worklist
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.payments import refunds, store
from fhirpay.usecases import desk, staff
from hooks_world import HOOK, Hooks, hooked

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ACCOUNT, OTHER = "Account/ana", "Account/bea"
# list → where it is, and what it is filtered by
LISTS: dict[str, tuple[str, dict[str, str]]] = {
    "payments": ("/payments", {"account": ACCOUNT, "state": "captured"}),
    "payment_requests": ("/payment-requests", {"account": ACCOUNT}),
    "refunds": ("/refunds", {"account": ACCOUNT}),
    "disputes": ("/disputes", {}),
    "obligations": ("/obligations", {"account": ACCOUNT}),
    "credits": ("/credits", {"account": OTHER}),
    "stored_methods": ("/stored-methods", {"account": ACCOUNT}),
    "holds": ("/holds", {"account": ACCOUNT}),
    "entries": ("/staff-entries", {"account": ACCOUNT}),
    "lines": ("/worklist", {"kind": "charge_status"}),
    "postings": ("/postings", {}),
    "events": ("/events", {}),
    "webhook_endpoints": ("/webhook-endpoints", {}),
    "terminals": ("/terminals", {}),
    "tills": ("/tills", {}),
    "payouts": ("/payouts", {}),
}
GROWS = ("payments", "refunds", "obligations", "credits", "holds", "entries", "lines", "events", "webhook_endpoints")


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        await made.endpoint()
        await made.owes("ana")
        await made.owes("bea")
        yield made


def more(tx: Tx, number: int) -> None:
    """One more of whatever there can be."""
    invoice(tx, "ana", number + 1, 5_00)
    paid = desk.take(tx, desk.DeskPayment(ACCOUNT, cash(), usd(2_00)), TENANT)
    desk.deposit(tx, desk.NewDeposit(OTHER, cash(), usd(9_00), "surgery"), TENANT)
    refunds.add(tx, store.get(tx, paid), usd(1_00), reason="a test", requested_by="test")
    hold = staff.open_hold(tx, ACCOUNT, "dispute", says="so", by="ann", tenant=TENANT)
    entries.release_hold(tx, hold, by="ann", why="done")
    worklist.open_item(tx, kind="charge_status", subject=f"ChargeItem/{number}", says="odd")
    staff.enter_amount(tx, ACCOUNT, usd(100_00 + number), reason="quoted", by="ann", tenant=TENANT)


async def read(world: Hooks, path: str, **params: Any) -> dict[str, Any]:
    answer = await world.api("GET", path, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def keys(lines: list[dict[str, Any]]) -> list[str]:
    return [str(one.get("id") or one.get("payment") or one["name"]) for one in lines]


@pytest.mark.parametrize("name", LISTS)
async def test_pages_come_to_the_whole_list_while_it_grows(world: Hooks, name: str) -> None:
    path, filters = LISTS[name]
    for number in range(3):
        await world.units.write(more, number)
        await world.endpoint(url=f"{HOOK}/{number}")
    whole = keys((await read(world, path, **filters, limit=200))[name])
    assert (len(whole) >= 3) is (name in (*GROWS, "tills"))
    seen: list[str] = []
    page = await read(world, path, **filters, limit=1)
    for number in range(3, 99):
        seen += keys(page[name])
        assert set(page) == {name, "next_cursor", "next"}
        if page["next_cursor"] is None:
            assert page["next"] is None
            break
        if number < 5:
            await world.units.write(more, number)
        query = urlencode({**filters, "limit": 1, "cursor": page["next_cursor"]})
        assert page["next"] == f"https://pay.example/api/v1{path}?{query}"
        page = (await world.http.get(page["next"], headers={"authorization": "Bearer ehr-token"})).json()
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in whole] == whole
    assert seen == keys((await read(world, path, **filters, limit=200))[name])[: len(seen)]


@on_sqlite
async def test_a_cursor_is_good_for_its_own_list_and_filters_alone(world: Hooks) -> None:
    for number in range(2):
        await world.units.write(more, number)
    good = (await read(world, "/payments", account=ACCOUNT, limit=1))["next_cursor"]
    assert await read(world, "/payments", account=ACCOUNT, limit=2, cursor=good)
    refused: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/payments", {"cursor": good}),
        ("/payments", {"cursor": good, "account": OTHER}),
        ("/refunds", {"cursor": good, "account": ACCOUNT}),
        ("/payments", {"cursor": good[:-1], "account": ACCOUNT}),
        ("/payments", {"cursor": "A" + good[1:], "account": ACCOUNT}),
        ("/payments", {"cursor": "nonsense", "account": ACCOUNT}),
        ("/payments", {"cursor": "ü", "account": ACCOUNT}),
        ("/payments", {"cursor": "x" * 1001}),
        ("/payments", {"limit": 0}),
        ("/payments", {"limit": 201}),
        ("/payments", {"state": "paid"}),
    )
    for path, params in refused:
        answer = await world.api("GET", path, **params)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), params
