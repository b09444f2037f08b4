"""`/api/v1` as a client sees it, with the workers running: on both engines, over real calls to the processor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import StorageUnavailable
from fhirpay.payments import answers, store
from payments_world import World, payments_world

Json = dict[str, Any]


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, live=True) as made:
        yield made


async def post(world: World, path: str, body: Json | bytes, key: str = "k1") -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body)
    return await world.api.post(f"/api/v1{path}", content=content, headers={"Idempotency-Key": key})


def read(answer: httpx2.Response) -> Json:
    return json.loads(answer.text, parse_float=Decimal)


async def until(world: World, path: str, state: str) -> Json:
    async with asyncio.timeout(30):
        while True:
            found = read(await world.api.get(path))
            if found["state"] == state:
                return found
            await asyncio.sleep(0.05)


HOSTED = {"hosted": {"return_url": "https://desk.example.org/done"}}


async def test_a_payer_pays_on_the_processors_page(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_50)
    answer = await post(world, "/payments", {"account": account, "method": HOSTED})
    payment = read(answer)
    assert answer.status_code == 201
    assert (payment["state"], payment["amount"]) == ("requires_action", {"value": Decimal("125.50"), "currency": "USD"})
    assert [(one["number"], one["reserved"]["value"]) for one in payment["allocations"]] == [
        (1, Decimal("80.00")),
        (2, Decimal("45.50")),
    ]
    paid = await world.processor.pay_page(payment["hosted_url"])
    assert paid.headers["location"] == f"https://pay.example.org/api/v1/return/main/{payment['id']}"
    back = await world.api.get(f"/api/v1/return/main/{payment['id']}")
    assert (back.status_code, back.headers["location"]) == (303, "https://desk.example.org/done")
    await world.deliver_events()
    done = await until(world, f"/api/v1/payments/{payment['id']}", "captured")
    assert done["captured"]["value"] == Decimal("125.50")
    assert done["method"] == {"kind": "hosted", "tender": "card", "brand": "visa", "last4": "4242"}
    assert read(await world.api.get(f"/api/v1/payments?account={account}"))["payments"][0]["id"] == payment["id"]
    await world.sweep()


async def test_a_stored_method_is_set_up_consented_to_and_charged(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    setup = read(await post(world, "/method-setups", {"account": "urn:clinic:account|ANA"}, "s"))
    body = {
        "account": account,
        "setup": setup["setup"],
        "consent": {"text": "Charge this card for my copays.", "cap": {"value": 100, "currency": "USD"}},
    }
    assert (await post(world, "/stored-methods", body, "m")).status_code == 404
    await world.processor.pay_page(setup["url"], "5555555555554444")
    kept = await post(world, "/stored-methods", body, "m")
    method = read(kept)
    assert (kept.status_code, method["brand"], method["last4"]) == (201, "mastercard", "4444")
    assert method["consent"]["cap"] == {"value": Decimal("100.00"), "currency": "USD"}
    assert len(method["consent"]["text_sha256"]) == 64
    assert "sm_" not in kept.text
    payment = read(await post(world, "/payments", {"account": account, "method": {"stored_method": method["id"]}}, "p"))
    assert payment["state"] == "captured"
    assert read(await world.api.get(f"/api/v1/stored-methods?account={account}"))["stored_methods"] == [method]
    gone = read(await world.api.delete(f"/api/v1/stored-methods/{method['id']}"))
    assert (gone["state"], gone["consent"]) == ("removed", None)
    await world.sweep()


async def test_a_refund_in_part(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    payment = read(await post(world, "/payments", {"account": account, "method": {"stored_method": method}}))
    body = {"payment": payment["id"], "amount": {"value": "30.00", "currency": "USD"}, "reason": "paid twice"}
    answer = await post(world, "/refunds", body, "r1")
    assert answer.status_code == 201
    refund = await until(world, f"/api/v1/refunds/{read(answer)['id']}", "succeeded")
    assert (refund["amount"]["value"], refund["takes_back"][0]["allocation"]) == (Decimal("30.00"), 1)
    over = await post(world, "/refunds", {**body, "amount": {"value": "50.01", "currency": "USD"}}, "r2")
    assert (over.status_code, over.json()["code"]) == (422, "rule-broken")
    assert read(await world.api.get(f"/api/v1/payments/{payment['id']}"))["refunded"]["value"] == Decimal("30.00")
    listed = read(await world.api.get(f"/api/v1/refunds?payment={payment['id']}"))
    assert [one["id"] for one in listed["refunds"]] == [refund["id"]]
    await world.sweep()


async def test_authorize_capture_a_part_and_void(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    body = {"account": account, "method": {"stored_method": await world.method(account)}, "capture": "manual"}
    held = read(await post(world, "/payments", body))
    assert (held["state"], held["authorized"]["value"], held["captured"]["value"]) == (
        "authorized",
        Decimal("80.00"),
        Decimal("0.00"),
    )
    part = {"amount": {"value": "30.00", "currency": "USD"}}
    answer = await post(world, f"/payments/{held['id']}/capture", part, "c1")
    taken = read(answer)
    assert (answer.status_code, taken["state"], taken["captured"]["value"]) == (200, "captured", Decimal("30.00"))
    assert [(one["kind"], one["state"]) for one in taken["operations"]] == [
        ("authorize", "approved"),
        ("capture", "approved"),
    ]
    again = await post(world, f"/payments/{held['id']}/capture", part, "c1")
    assert (again.status_code, again.content) == (200, answer.content)
    second = await post(world, f"/payments/{held['id']}/capture", {}, "c2")
    assert (second.status_code, second.json()["code"]) == (422, "rule-broken")
    gone = read(await post(world, f"/payments/{held['id']}/void", {}, "v1"))
    assert (gone["state"], gone["voided"]["value"]) == ("voided", Decimal("30.00"))
    assert read(await world.api.get("/api/v1/accounts/ana/balance"))["askable"][0]["value"] == Decimal("80.00")
    await world.sweep()


async def test_wrong_captures_and_voids_get_their_own_answers(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    assert (await post(world, "/payments/nowhere/capture", {}, "k")).status_code == 404
    assert (await post(world, "/payments/nowhere/void", {}, "v")).status_code == 404
    paged = await post(world, "/payments", {"account": account, "method": HOSTED, "capture": "manual"}, "h")
    assert (paged.status_code, paged.json()["code"]) == (422, "rule-broken")
    other = await post(world, "/payments", {"account": account, "method": HOSTED, "capture": "later"}, "o")
    assert (other.status_code, other.json()["location"]) == (400, "capture")
    said = {"reason": "x"}
    assert (await post(world, "/payments/nowhere/void", said, "w")).json()["location"] == "reason"


async def test_what_is_owed_and_why(world: World) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    balance = read(await world.api.get("/api/v1/accounts/ana/balance"))
    assert balance["askable"] == [{"value": Decimal("125.00"), "currency": "USD"}]
    assert read(await world.api.get("/api/v1/balance?account=urn:clinic:account|ANA")) == balance
    listed = read(await world.api.get(f"/api/v1/obligations?account={account}"))["obligations"]
    assert all(one["why"] for one in listed)
    some = {"obligations": [listed[0]["id"]], "amount": {"value": "10", "currency": "USD"}, "method": HOSTED}
    payment = read(await post(world, "/payments", some))
    assert payment["allocations"][0]["obligation"] == listed[0]["id"]
    balance = read(await world.api.get("/api/v1/accounts/ana/balance"))
    assert balance["askable"][0]["value"] == Decimal("115.00")


# ── the key ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_key_gets_the_same_answer_for_ever(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    body = {"account": account, "method": HOSTED}
    first = await post(world, "/payments", body)
    await world.processor.pay_page(read(first)["hosted_url"])
    await world.deliver_events()
    await until(world, f"/api/v1/payments/{read(first)['id']}", "captured")
    again = await post(world, "/payments", body)
    assert (again.status_code, again.content) == (201, first.content)
    other = await post(world, "/payments", {**body, "amount": {"value": "1", "currency": "USD"}})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    missing = await world.api.post("/api/v1/payments", json=body)
    assert (missing.status_code, missing.json()["location"]) == (400, "Idempotency-Key")
    await world.sweep()


async def test_two_at_once_with_one_key_are_one_payment(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    body = {"account": account, "method": {"stored_method": await world.method(account)}}
    answers = await asyncio.gather(*(post(world, "/payments", body) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({read(answer)["id"] for answer in answers}) == 1
    await until(world, f"/api/v1/payments/{read(answers[0])['id']}", "captured")
    await world.sweep()


async def test_two_refunds_at_once_with_one_key_are_one_refund(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment = await world.paid(account)
    part = {"payment": payment, "amount": {"value": "20.00", "currency": "USD"}, "reason": "paid too much"}
    told = await asyncio.gather(*(post(world, "/refunds", part, "r") for _ in range(4)))
    assert {(answer.status_code, answer.text) for answer in told} == {(201, told[0].text)}
    await until(world, f"/api/v1/refunds/{read(told[0])['id']}", "succeeded")
    assert (await world.processor.books())["totals"]["USD"]["refunded"] == 20_00
    await world.sweep()


@pytest.mark.parametrize("what", ["payment", "refund"])
async def test_what_broke_off_before_its_answer_is_answered_under_its_key_and_done_once(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    account = await world.invoiced("ana", 80_00)
    path, body = "/payments", {"account": account, "method": {"stored_method": await world.method(account)}}
    if what == "refund":
        path, body = "/refunds", {"payment": await world.paid(account), "reason": "paid twice"}
    with monkeypatch.context() as broken:
        broken.setattr(answers, "answered", cut_off)
        assert (await post(world, path, body)).status_code == 503
    first, again = [await post(world, path, body) for _ in range(2)]
    assert (first.status_code, first.text) == (201, again.text)
    await until(world, f"/api/v1{path}/{read(first)['id']}", "captured" if what == "payment" else "succeeded")
    totals = (await world.processor.books())["totals"]["USD"]
    assert (totals["captured"], totals["refunded"]) == (80_00, 80_00 if what == "refund" else 0)
    await world.sweep()


def cut_off(*_: Any) -> None:
    raise StorageUnavailable("the program ends here: what was made is kept, nobody was told")


async def test_many_keys_at_once_take_what_is_owed_once(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    body = {"account": account, "method": {"stored_method": await world.method(account)}}
    answers = await asyncio.gather(*(post(world, "/payments", body, f"key-{n}") for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 5
    assert (await world.processor.books())["totals"]["USD"]["captured"] == 80_00
    await world.sweep()


async def test_answers_events_and_lookups_of_one_payment_may_race(world: World) -> None:
    await world.processor.fault("confirm", "lost_answer", times=3)
    account = await world.invoiced("ana", 40_00)
    body = {"account": account, "method": {"stored_method": await world.method(account)}}
    asked = asyncio.create_task(post(world, "/payments", body))
    for _ in range(8):
        await asyncio.gather(*(world.event(event) for event in world.events()))
        await asyncio.sleep(0.1)
        world.clock.advance(timedelta(seconds=2))
    payment_id = read(await asked)["id"]
    await until(world, f"/api/v1/payments/{payment_id}", "captured")
    payment = await world.units.read(store.get, payment_id)
    assert payment.captured.minor == 40_00
    assert len([one for one in await world.units.read(store.effects_of, payment_id) if one.startswith("capture")]) == 1


# ── no ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

PAYMENT = {"account": "Account/ana", "method": HOSTED}
NO = [
    ({}, 400, "required-missing", "method"),
    ({**PAYMENT, "method": {}}, 400, "message-invalid", "method"),
    ({**PAYMENT, "method": {**HOSTED, "stored_method": "x"}}, 400, "message-invalid", "method"),
    ({"method": HOSTED}, 400, "message-invalid", "body"),
    ({**PAYMENT, "card": "4242424242424242"}, 400, "message-invalid", "card"),
    ({**PAYMENT, "amount": {"value": "12..5", "currency": "USD"}}, 400, "message-invalid", "amount.value"),
    ({**PAYMENT, "amount": {"value": "1.005", "currency": "USD"}}, 400, "value-invalid", None),
    ({**PAYMENT, "amount": {"value": "0", "currency": "USD"}}, 400, "value-invalid", "amount.value"),
    ({**PAYMENT, "amount": {"value": "-5", "currency": "USD"}}, 400, "value-invalid", "amount.value"),
    ({**PAYMENT, "amount": {"value": "5", "currency": "QQQ"}}, 400, "code-invalid", None),
    ({**PAYMENT, "amount": {"value": "80.01", "currency": "USD"}}, 422, "rule-broken", None),
    ({**PAYMENT, "amount": {"value": "5", "currency": "EUR"}}, 422, "rule-broken", None),
    ({**PAYMENT, "account": "Account/nobody"}, 404, "not-found", "account"),
    ({**PAYMENT, "account": "MRN77"}, 404, "not-found", "account"),
    ({**PAYMENT, "obligations": ["obl-nowhere"]}, 422, "rule-broken", None),
    ({**PAYMENT, "method": {"stored_method": "met-nowhere"}}, 404, "not-found", None),
    ({**PAYMENT, "method": {"hosted": {"return_url": "javascript:alert(1)"}}}, 400, "value-invalid", "return_url"),
]


async def test_each_wrong_request_gets_its_own_answer_and_leaves_nothing(world: World) -> None:
    await world.invoiced("ana", 80_00)
    for number, (body, status, code, location) in enumerate(NO):
        answer = await post(world, "/payments", body, f"key-{number}")
        said = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, said["code"], said.get("location")) == (status, code, location), body
        assert "4242424242424242" not in answer.text
    for raw in (b"", b"[]", b"{", b'{"a": NaN}', b"\xff", b'{"method": 1, "method": 2}'):
        answer = await post(world, "/payments", raw, "raw")
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert read(await world.api.get("/api/v1/payments?account=Account/ana"))["payments"] == []
    assert await world.askable("Account/ana") == 80_00


async def test_free_text_with_a_card_number_is_refused(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    payment = read(await post(world, "/payments", {"account": account, "method": {"stored_method": method}}))
    body = {"payment": payment["id"], "reason": "card 4242 4242 4242 4242 was wrong"}
    answer = await post(world, "/refunds", body, "r")
    assert (answer.status_code, answer.json()["location"]) == (400, "reason")
    assert "4242 4242" not in answer.text


async def test_nothing_without_a_token(world: World) -> None:
    paths = ["/payments/x", "/refunds/x", "/stored-methods/x", "/accounts/x/balance", "/obligations?account=x"]
    for path in paths:
        answer = await world.api.get(f"/api/v1{path}", headers={"Authorization": "Bearer guessed"})
        assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="fhirpay"'
    for path in (
        "/payments",
        "/payments/x/capture",
        "/payments/x/void",
        "/refunds",
        "/method-setups",
        "/stored-methods",
    ):
        answer = await world.api.post(f"/api/v1{path}", json={}, headers={"Authorization": ""})
        assert answer.status_code == 401
    for path in ("/payments/nowhere", "/refunds/nowhere", "/stored-methods/nowhere", "/return/main/nowhere"):
        assert (await world.api.get(f"/api/v1{path}")).status_code == 404
