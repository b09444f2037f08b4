"""The front desk's part of `/api/v1` as a client sees it, on both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from fhirpay.config import Till
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from payments_world import World, payments_world

Json = dict[str, Any]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    tills = (Till(name="front"), Till(name="back"), Till(name="far", facility="other"))
    async with payments_world(database, clock, tills=tills) as made:
        yield made


async def post(world: World, path: str, body: Json, key: str = "k1") -> httpx2.Response:
    return await world.api.post(f"/api/v1{path}", content=json.dumps(body), headers={"Idempotency-Key": key})


def read(answer: httpx2.Response) -> Json:
    return json.loads(answer.text, parse_float=Decimal)


def usd(text: str) -> Json:
    return {"value": text, "currency": "USD"}


CASH = {"kind": "cash", "till": "front"}


async def test_cash_with_change_a_receipt_and_a_void(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_50)
    body = {
        "by": "jdoe",
        "account": account,
        "amount": usd("100.00"),
        "tender": {**CASH, "tendered": usd("120.00"), "payer": "her aunt"},
    }
    answer = await post(world, "/desk-payments", body)
    paid = read(answer)
    assert (answer.status_code, paid["state"], paid["captured"]["value"]) == (201, "captured", Decimal("100.00"))
    assert paid["method"] == {
        "kind": "cash",
        "till": "front",
        "taken_by": "client:desk/jdoe",
        "payer": "her aunt",
        "tendered": {"value": Decimal("120.00"), "currency": "USD"},
        "change": {"value": Decimal("20.00"), "currency": "USD"},
    }
    again = await post(world, "/desk-payments", body)
    assert (again.status_code, again.content) == (201, answer.content)
    receipt = read(await world.api.get(f"/api/v1/desk-payments/{paid['id']}/receipt"))
    assert [(one["for"], one["amount"]["value"]) for one in receipt["paid"]] == [
        (["Invoice/ana-1"], Decimal("80.00")),
        (["Invoice/ana-2"], Decimal("20.00")),
    ]
    assert [one["value"] for one in receipt["left"]] == [Decimal("25.50")]
    said = {"by": "jdoe", "till": "front", "reason": "she had paid at the other desk"}
    gone = await post(world, f"/desk-payments/{paid['id']}/void", said, "v")
    assert (gone.status_code, read(gone)["state"], read(gone)["voided"]["value"]) == (200, "voided", Decimal("100.00"))
    assert "Canary" not in answer.text + gone.text
    await world.sweep()


async def test_it_is_spread_in_proportion_or_as_chosen(world: World) -> None:
    account = await world.invoiced("ana", 10_00, 20_00, 40_00)
    body: Json = {"by": "jdoe", "account": account, "amount": usd("10.00"), "tender": CASH, "spread": "proportional"}
    paid = read(await post(world, "/desk-payments", body))
    assert [one["paid"]["value"] for one in paid["allocations"]] == [Decimal(x) for x in ("1.43", "2.86", "5.71")]
    owed = read(await world.api.get("/api/v1/obligations", params={"account": account}))["obligations"]
    last = max(owed, key=lambda one: one["basis"]["key"])["id"]
    chosen = {"by": "jdoe", "tender": CASH, "parts": [{"obligation": last, "amount": usd("30.00")}]}
    paid = read(await post(world, "/desk-payments", chosen, "k2"))
    assert [(one["obligation"], one["paid"]["value"]) for one in paid["allocations"]] == [(last, Decimal("30.00"))]
    over = await post(world, "/desk-payments", {**chosen, "parts": [{"obligation": last, "amount": usd("4.30")}]}, "k3")
    assert (over.status_code, over.json()["detail"][:9]) == (422, "4.29 USD ")
    await world.sweep()


@pytest.mark.parametrize(
    ("change", "status", "location"),
    [
        ({"amount": usd("0")}, 400, "amount.value"),
        ({"amount": usd("-1")}, 400, "amount.value"),
        ({"amount": usd("1.001")}, 400, None),
        ({"amount": {"value": "1.00", "currency": "XXX"}}, 400, None),
        ({"amount": {"value": "1.00", "currency": "CAD"}}, 422, None),
        ({"amount": usd("80.01")}, 422, None),
        ({"by": None}, 400, "by"),
        ({"tender": {**CASH, "payer": "card 4242 4242 4242 4242"}}, 400, "tender.payer"),
        ({"tender": {"kind": "check", "till": "front", "check_number": "12345678901"}}, 400, "tender.check_number"),
        ({"tender": {"kind": "shells", "till": "front"}}, 400, "tender.kind"),
        ({"parts": [{"obligation": "o", "amount": usd("1")}], "amount": usd("2")}, 400, "parts"),
        ({"account": "Account/nobody"}, 404, "account"),
    ],
)
async def test_bad_input_is_named_and_leaves_nothing_behind(
    world: World, change: Json, status: int, location: str | None
) -> None:
    account = await world.invoiced("ana", 80_00)
    body = {"by": "jdoe", "account": account, "tender": CASH, **change}
    answer = await post(world, "/desk-payments", {name: value for name, value in body.items() if value is not None})
    assert (answer.status_code, answer.json().get("location")) == (status, location)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await world.askable(account) == 80_00


async def test_what_a_desk_took_is_given_back_there_once_for_a_key(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    paid = read(await post(world, "/desk-payments", {"by": "jdoe", "account": account, "tender": CASH}))
    body = {"by": "ben", "payment": paid["id"], "amount": usd("30.00"), "tender": CASH, "reason": "called off"}
    answer = await post(world, "/desk-refunds", body, "r")
    given = read(answer)
    assert (answer.status_code, given["state"], given["amount"]["value"]) == (201, "succeeded", Decimal("30.00"))
    assert (given["tender"], given["requested_by"]) == ({"kind": "cash", "till": "front"}, "client:desk/ben")
    assert (await post(world, "/desk-refunds", body, "r")).content == answer.content
    assert (await world.balances())["cash_drawer"] == 50_00
    for change, status, location in (
        ({"amount": usd("0")}, 400, "amount.value"),
        ({"amount": usd("50.01")}, 422, None),
        ({"amount": {"value": "1.00", "currency": "CAD"}}, 422, None),
        ({"tender": {"kind": "cash", "till": "lost"}}, 404, "till"),
        ({"tender": {"kind": "cash", "till": "far"}}, 422, None),
        ({"payment": "pay-none"}, 404, None),
        ({"reason": "card 4242 4242 4242 4242"}, 400, "reason"),
    ):
        refused = await post(world, "/desk-refunds", {**body, **change}, "bad")
        assert (refused.status_code, refused.json().get("location")) == (status, location), change
        assert refused.headers["content-type"] == "application/problem+json"
    card = await world.paid(await world.invoiced("ben", 10_00))
    refused = await post(world, "/desk-refunds", {**body, "payment": card, "amount": usd("1.00")}, "card")
    assert (refused.status_code, "a processor took this payment" in refused.json()["detail"]) == (422, True)
    assert (await world.balances())["cash_drawer"] == 50_00
    await world.sweep()


@pytest.mark.warns("payment.returned")
async def test_a_check_goes_to_the_bank_and_bounces(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    tender = {"kind": "check", "till": "front", "check_number": "1041"}
    paid = read(await post(world, "/desk-payments", {"by": "jdoe", "account": account, "tender": tender}))
    on_hand = read(await world.api.get("/api/v1/checks-on-hand"))
    assert [one["id"] for one in on_hand["payments"]] == [paid["id"]]
    said = {"by": "eve", "payment": paid["id"], "reason": "closed_account", "fee": usd("12.00")}
    early = await post(world, "/returned-checks", said, "early")
    assert (early.status_code, "has not been to the bank" in early.json()["detail"]) == (422, True)
    body = {"by": "ben", "checks": [paid["id"]], "slip": "000123"}
    packed = await post(world, "/bank-bags", body, "b")
    bag = read(packed)
    assert (packed.status_code, bag["checks"], bag["in_checks"]["value"]) == (201, [paid["id"]], Decimal("80.00"))
    assert (await post(world, "/bank-bags", body, "b")).content == packed.content
    assert read(await world.api.get(f"/api/v1/bank-bags/{bag['id']}")) == bag
    assert (await world.api.get("/api/v1/bank-bags/bag-none")).status_code == 404
    answer = await post(world, "/returned-checks", said, "r")
    (back,) = read(answer)["returns"]
    assert (answer.status_code, back["code"], back["fee"]["value"]) == (200, "closed_account", Decimal("12.00"))
    assert (await post(world, "/returned-checks", said, "r")).content == answer.content
    odd = await post(world, "/returned-checks", {**said, "reason": "bad_mood"}, "odd")
    assert (odd.status_code, odd.json()["location"]) == (400, "reason")
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_a_till_is_opened_moved_counted_and_closed_and_bad_words_are_named(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    filled = await post(world, "/safes/main", {"by": "eve", "amount": usd("100"), "source": "opening"}, "s")
    assert (filled.status_code, read(filled)["holds"]["value"]) == (200, Decimal("100.00"))
    closed = await post(world, "/tills/front/close", {"by": "ben", "counted": usd("0")}, "c")
    assert (closed.status_code, read(closed)["state"], read(closed)["closed"]["by"]) == (
        200,
        "closed",
        "client:desk/ben",
    )
    body = {"by": "jdoe", "account": account, "tender": CASH}
    refused = await post(world, "/desk-payments", body, "p0")
    assert (refused.status_code, refused.json()["location"]) == (422, "till")
    opened = await post(world, "/tills/front/open", {"by": "ann", "float": usd("40")}, "o")
    assert (opened.status_code, read(opened)["holds"]["value"]) == (200, Decimal("40.00"))
    assert (await post(world, "/tills/front/open", {"by": "ann", "float": usd("40")}, "o")).content == opened.content
    assert (await post(world, "/desk-payments", body, "p1")).status_code == 201
    assert (await post(world, "/tills/front/drop", {"by": "ben", "amount": usd("100")}, "d")).status_code == 200
    said = {"by": "ben", "amount": usd("5"), "reason": "stamps"}
    assert (await post(world, "/tills/front/pay-out", said, "out")).status_code == 200
    for path, change, status, location in (
        ("/tills/front/drop", {"by": "ben", "amount": usd("0")}, 400, "amount.value"),
        ("/tills/front/drop", {"by": "ben", "amount": usd("-1")}, 400, "amount.value"),
        ("/tills/front/drop", {"by": "ben", "amount": usd("1.001")}, 400, None),
        ("/tills/front/drop", {"by": "ben", "amount": {"value": "1", "currency": "CAD"}}, 422, None),
        ("/tills/front/drop", {"by": "ben", "amount": usd("15.01")}, 422, None),
        ("/tills/front/drop", {"amount": usd("1")}, 400, "by"),
        ("/tills/lost/drop", {"by": "ben", "amount": usd("1")}, 404, "till"),
        ("/tills/front/pay-out", {"by": "ben", "amount": usd("1")}, 400, "reason"),
        ("/tills/front/pay-in", {**said, "reason": "card 4242 4242 4242 4242"}, 400, "reason"),
        ("/tills/front/count", {"by": "ben", "counted": usd("-1")}, 400, "amount.value"),
        ("/tills/front/open", {"by": "ben"}, 422, "till"),
        ("/tills/far/open", {"by": "ben"}, 422, "till"),
        ("/safes/lost", {"by": "eve", "amount": usd("1"), "source": "bank"}, 404, "facility"),
    ):
        refused = await post(world, path, change, "bad")
        assert (refused.status_code, refused.json().get("location")) == (status, location), (path, change)
        assert refused.headers["content-type"] == "application/problem+json"
    counted = read(await post(world, "/tills/front/count", {"by": "ben", "counted": usd("14.00")}, "n"))
    assert [one["over"]["value"] for one in counted["counts"]] == [Decimal("-1.00")]
    assert [one["kind"] for one in counted["moves"]] == ["float", "drop", "pay_out"]
    front = read(await world.api.get("/api/v1/tills/front"))
    assert (front["holds"]["value"], front["safe_holds"]["value"]) == (Decimal("14.00"), Decimal("160.00"))
    assert [one["name"] for one in read(await world.api.get("/api/v1/tills"))["tills"]] == ["back", "far", "front"]
    assert (await world.api.get("/api/v1/tills/lost")).status_code == 404
    bag = await post(world, "/bank-bags", {"by": "ben", "cash": usd("160.00")}, "b")
    assert (bag.status_code, read(bag)["cash"]["value"]) == (201, Decimal("160.00"))
    await world.sweep()


async def test_one_bill_by_cash_and_card_whose_decline_leaves_the_rest_owed(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    good, bad = await world.method(account), await world.method(account, world.side.tokens["decline"])
    cash = {"amount": usd("50.00"), "tender": CASH}
    body = {"by": "j", "account": account, "tenders": [cash, {"amount": usd("30"), "method": {"stored_method": bad}}]}
    answer = await post(world, "/splits", body, "s")
    made = read(answer)
    assert (answer.status_code, made["state"], made["paid"]["value"]) == (201, "open", Decimal("50.00"))
    assert (await post(world, "/splits", body, "s")).content == answer.content
    await world.work()
    short = read(await world.api.get(f"/api/v1/splits/{made['id']}"))
    assert (short["state"], short["left"]["value"]) == ("short", Decimal("30.00"))
    assert [one["state"] for one in short["parts"]] == ["captured", "declined"]
    assert await world.askable(account) == 30_00
    rest = [{"amount": usd("10"), "tender": CASH}, {"amount": usd("20"), "method": {"stored_method": good}}]
    made = read(await post(world, "/splits", {**body, "tenders": rest}, "rest"))
    await world.work()
    done = read(await world.api.get(f"/api/v1/splits/{made['id']}"))
    assert (done["state"], done["paid"]["value"], await world.askable(account)) == ("done", Decimal("30.00"), 0)
    for tenders, status, location in (
        ([cash], 400, "tenders"),
        ([cash, {"amount": usd("0"), "tender": CASH}], 400, "amount.value"),
        ([cash, {"amount": usd("1")}], 400, "tenders.1"),
        ([cash, {"amount": usd("1"), "tender": {**CASH, "till": "lost"}}], 404, "till"),
        ([cash, cash], 422, None),
    ):
        refused = await post(world, "/splits", {**body, "tenders": tenders}, "bad")
        assert (refused.status_code, refused.json().get("location")) == (status, location), tenders
    assert (await world.api.get("/api/v1/splits/spl-none")).status_code == 404
    await world.sweep()


async def test_a_desk_takes_no_more_than_an_open_page_leaves(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    page = read(await post(world, "/payments", {"account": account, "amount": usd("50.00"), "method": {"hosted": {}}}))
    await world.work()
    over = await post(
        world, "/desk-payments", {"by": "j", "account": account, "amount": usd("40"), "tender": CASH}, "2"
    )
    assert (over.status_code, over.json()["detail"][:9]) == (422, "30.00 USD")
    rest = await post(world, "/desk-payments", {"by": "j", "account": account, "tender": CASH}, "3")
    assert read(rest)["captured"]["value"] == Decimal("30.00")
    assert page["state"] in ("created", "requires_action")


async def test_a_deposit_is_credit_with_a_payer_and_staff_move_money_from_one_invoice_to_another(world: World) -> None:
    account = await world.invoiced("ana")
    tender = {**CASH, "payer": "her aunt"}
    body = {"by": "jdoe", "account": account, "amount": usd("100.00"), "tender": tender, "purpose": "surgery"}
    taken = await post(world, "/deposits", body)
    paid = read(taken)
    assert (taken.status_code, paid["state"], paid["method"]["deposit_for"]) == (201, "captured", "surgery")
    (credit,) = read(await world.api.get("/api/v1/credits", params={"account": account}))["credits"]
    assert (credit["payment"], credit["amount"]["value"], credit["payer"]) == (
        paid["id"],
        Decimal("100.00"),
        "her aunt",
    )
    await world.invoiced("ana", 80_00, 50_00)
    balance = read(await world.api.get("/api/v1/accounts/ana/balance"))
    assert ([one["value"] for one in balance["askable"]], balance["credit"]) == ([Decimal("30.00")], [])
    owed = read(await world.api.get("/api/v1/obligations", params={"account": account}))["obligations"]
    first, second = (one["id"] for one in sorted(owed, key=lambda one: one["basis"]["key"]))
    wish = {"by": "eve", "payment": paid["id"], "from": first, "to": second, "reason": "the second one first"}
    answer = await post(world, "/reallocations", wish, "m")
    assert (answer.status_code, read(answer)["id"]) == (200, paid["id"])
    owed = read(await world.api.get("/api/v1/obligations", params={"account": account}))["obligations"]
    assert {one["id"]: one["paid"]["value"] for one in owed} == {first: Decimal("50.00"), second: Decimal("50.00")}
    again = await post(world, "/reallocations", wish, "m2")
    assert (again.status_code, again.json()["code"]) == (422, "rule-broken")
    none = {"by": "eve", "account": account, "payment": paid["id"], "obligation": first, "reason": "x"}
    assert (await post(world, "/credits/apply", none, "a")).status_code == 422
    lost = await post(world, "/deposits", {**body, "account": None, "appointment": "Appointment/none"}, "d2")
    assert (lost.status_code, lost.json()["location"]) == (404, "appointment")
    await world.sweep()
