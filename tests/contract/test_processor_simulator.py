"""The simulated processor as a product: its webhooks, pages, clock and books, seen from outside over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fhirpay.domain.money import Money
from fhirpay.payments.adapters.signature import check
from fhirpay.payments.port import Approved, PaymentRequest, Prepared
from processor_running import SECRET_KEY, WEBHOOK_SECRET, Running, now, running_processor, webhook_peer

Doc = dict[str, Any]
DAY = 24 * 3600


async def call(running: Running, method: str, path: str, body: Doc | None = None, key: str = "") -> tuple[int, Doc]:
    headers = {"authorization": f"Bearer {SECRET_KEY}"} | ({"idempotency-key": key} if key else {})
    answer = await running.http.request(method, running.base_url + path, json=body, headers=headers)
    return answer.status_code, answer.json()


async def pay(running: Running, reference: str, method: str = "tok_visa", amount: int = 10_00) -> Doc:
    order = {"amount": amount, "currency": "USD", "reference": reference, "method": method}
    _, made = await call(running, "POST", "/v1/payments", order)
    _, paid = await call(running, "POST", f"/v1/payments/{made['id']}/confirm", {})
    return paid


async def test_it_wants_its_key_and_knows_its_parameters() -> None:
    async with running_processor() as running:
        answer = await running.http.post(f"{running.base_url}/v1/payments", json={})
        assert answer.status_code == 401
        order = {"amount": 10_00, "currency": "USD", "reference": "r", "method": "tok_visa"}
        for wrong in (
            {"amount": 0},
            {"amount": 1.5},
            {"amount": "10"},
            {"currency": "XXX"},
            {"method": "4242"},
            {"card": 1},
        ):
            status, said = await call(running, "POST", "/v1/payments", {**order, **wrong})
            assert (status, "error" in said) == (422, True), wrong
        assert (await running.books())["payments"] == []


@pytest.mark.parametrize(
    ("method", "amount", "status", "captured"),
    [
        ("tok_visa", 10_00, "captured", 10_00),
        ("tok_visa", 10_01, "declined", 0),
        ("tok_visa", 10_02, "declined", 0),
        ("tok_visa", 10_03, "captured", 5_02),
        ("tok_decline", 10_00, "declined", 0),
        ("tok_partial", 9_99, "captured", 5_00),
        ("tok_action", 10_00, "requires_action", 0),
        ("tok_processing", 10_00, "processing", 0),
        ("tok_review", 10_00, "in_review", 0),
        ("tok_weird", 10_00, "quantum_superposition", 10_00),
    ],
)
async def test_what_happens_follows_from_token_and_amount(method: str, amount: int, status: str, captured: int) -> None:
    async with running_processor() as running:
        paid = await pay(running, "r", method, amount)
        assert (paid["status"], paid["amount_captured"]) == (status, captured)


async def test_time_ends_what_is_processing_and_pending() -> None:
    async with running_processor() as running:
        good, bad = await pay(running, "a", "tok_processing"), await pay(running, "b", "tok_returns")
        slow = await pay(running, "c", "tok_refundpending")
        _, refund = await call(running, "POST", "/v1/refunds", {"payment": slow["id"], "amount": 4_00})
        assert refund["status"] == "pending"
        await running.control("clock", {"advance_s": 3 * DAY})
        states = {doc["id"]: doc["status"] for doc in (await running.books())["payments"]}
        assert (states[good["id"]], states[bad["id"]]) == ("captured", "failed")
        books = await running.books()
        assert books["refunds"][0]["status"] == "succeeded"
        assert books["totals"]["USD"] == {
            "captured": 20_00,
            "voided": 0,
            "refunded": 4_00,
            "returned": 0,
            "balance": 16_00,
        }


async def test_keys_replay_conflict_and_die() -> None:
    async with running_processor() as running:
        order = {"amount": 10_00, "currency": "USD", "reference": "r", "method": "tok_visa"}
        first = await call(running, "POST", "/v1/payments", order, key="k")
        assert await call(running, "POST", "/v1/payments", order, key="k") == first
        status, said = await call(running, "POST", "/v1/payments", {**order, "amount": 11_00}, key="k")
        assert (status, said["error"]["code"]) == (409, "idempotency_conflict")
        await running.control("clock", {"advance_s": 2 * DAY})
        _, again = await call(running, "POST", "/v1/payments", order, key="k")
        assert again["id"] != first[1]["id"]


async def test_a_stored_500_replays_as_500_for_ever() -> None:
    async with running_processor() as running:
        order = {"amount": 10_00, "currency": "USD", "reference": "r", "method": "tok_visa"}
        await running.fault("create", "error500")
        statuses = [(await call(running, "POST", "/v1/payments", order, key="k"))[0] for _ in range(3)]
        assert statuses == [500, 500, 500]


async def test_books_survive_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "processor.db"
    async with running_processor(file) as running:
        paid = await pay(running, "r")
    async with running_processor(file) as running:
        assert (await call(running, "GET", f"/v1/payments/{paid['id']}"))[1] == paid
        assert len((await running.http.get(f"{running.base_url}/control/events")).json()["deliveries"]) == 1


async def test_lists_may_lag() -> None:
    async with running_processor() as running:
        paid = await pay(running, "r")
        await running.control("settings", {"list_lag_s": 60})
        assert (await call(running, "GET", "/v1/payments?reference=r"))[1]["data"] == []
        assert (await call(running, "GET", f"/v1/payments/{paid['id']}"))[0] == 200
        await running.control("clock", {"advance_s": 61})
        assert len((await call(running, "GET", "/v1/payments?reference=r"))[1]["data"]) == 1


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_are_signed_and_delivered_until_taken() -> None:
    async with webhook_peer() as peer, running_processor(webhook_url=peer.url) as running:
        peer.answers = [500]
        await pay(running, "r")
        await peer.got(1)
        await running.control("clock", {"advance_s": 5})
        await peer.got(2)
        (headers, body), (_, again) = peer.taken
        check(headers["simulator-signature"], body, [WEBHOOK_SECRET], now())
        assert body == again
        assert json.loads(body)["type"] == "payment.captured"


async def test_two_live_secrets_sign_while_rotating() -> None:
    async with webhook_peer() as peer, running_processor(webhook_url=peer.url) as running:
        await running.control("webhooks", {"secrets": ["whsec_next", WEBHOOK_SECRET]})
        await pay(running, "r")
        await peer.got(1)
        headers, body = peer.taken[0]
        for secret in ("whsec_next", WEBHOOK_SECRET):
            check(headers["simulator-signature"], body, [secret], now())


async def test_events_are_duplicated_dropped_held_reordered_and_silent() -> None:
    async with webhook_peer() as peer, running_processor(webhook_url=peer.url) as running:

        def seen() -> list[str]:
            return [json.loads(body)["data"]["object"]["reference"] for _, body in peer.taken]

        await running.control("webhooks", {"duplicates": 1})
        await pay(running, "twice")
        await peer.got(2)
        await running.control("webhooks", {"drop_next": 1})
        await pay(running, "dropped")
        await pay(running, "next")
        await peer.got(3)
        await running.control("webhooks", {"hold": True, "newest_first": True})
        await pay(running, "first")
        await pay(running, "second")
        assert len(peer.taken) == 3
        await running.control("webhooks", {"newest_first": True})
        await peer.got(5)
        assert seen() == ["twice", "twice", "next", "second", "first"]
        await running.control("webhooks", {"silent_s": 2 * DAY})
        await pay(running, "late")
        await running.control("clock", {"advance_s": DAY})
        assert len(peer.taken) == 5
        await running.control("clock", {"advance_s": DAY + 1})
        await peer.got(6)


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def page(running: Running, mode: str = "payment") -> Doc:
    order = {"mode": mode, "amount": 10_00, "currency": "USD", "reference": "r", "return_url": running.base_url + "/x"}
    return (await call(running, "POST", "/v1/checkouts", order))[1]


async def test_a_payer_pays_on_the_page_and_is_sent_back() -> None:
    async with running_processor() as running:
        opened = await page(running)
        shown = await running.http.get(opened["url"])
        assert (shown.status_code, "Pay 10.00 USD" in shown.text) == (200, True)
        declined = await running.pay_page(opened["url"], "4000000000000002")
        assert (declined.status_code, "declined" in declined.text) == (402, True)
        assert (await running.pay_page(opened["url"], "1234")).status_code == 402
        paid = await running.pay_page(opened["url"])
        assert (paid.status_code, paid.headers["location"]) == (303, f"{running.base_url}/x")
        books = await running.books()
        assert [doc["status"] for doc in books["payments"]] == ["declined", "captured"]
        assert "4242424242424242" not in json.dumps(books)
        assert (await running.pay_page(opened["url"])).status_code == 200
        assert books["totals"]["USD"]["captured"] == 10_00


async def test_a_page_expires_and_may_be_paid_too_late() -> None:
    async with running_processor() as running:
        opened = await page(running)
        await running.control("clock", {"advance_s": 2 * DAY})
        assert (await running.pay_page(opened["url"])).status_code == 410
        await running.control("late_success", {"checkout": opened["id"], "card": "4242424242424242"})
        assert (await running.books())["totals"]["USD"]["captured"] == 10_00


@pytest.mark.parametrize(("action", "status"), [("confirm", "captured"), ("refuse", "declined")])
async def test_a_payer_confirms_with_the_bank(action: str, status: str) -> None:
    async with running_processor() as running:
        opened = await page(running)
        sent = await running.pay_page(opened["url"], "4000000000003220")
        await running.http.post(sent.headers["location"], data={"action": action})
        books = await running.books()
        assert books["payments"][0]["status"] == status
        assert books["checkouts"][0]["status"] == ("complete" if status == "captured" else "open")


async def test_who_pays_again_on_a_page_has_given_up_the_try_before() -> None:
    async with running_processor() as running:
        opened = await page(running)
        first = await running.pay_page(opened["url"], "4000000000003220")
        await running.pay_page(opened["url"])
        late = await running.http.post(first.headers["location"], data={"action": "confirm"})
        books = await running.books()
        assert late.status_code == 409
        assert [doc["status"] for doc in books["payments"]] == ["canceled", "captured"]
        assert books["totals"]["USD"]["captured"] == 10_00


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_late_happens_after_the_caller_gave_up() -> None:
    async with running_processor() as running:
        adapter = running.adapter()
        request = PaymentRequest("pay00000000000000000000000001", Money(10_00, "USD"), "tok_visa")
        made = await adapter.prepare(request, idempotency_key="p")
        assert isinstance(made, Prepared)
        await running.fault("confirm", "late", seconds=DAY)
        await adapter.submit(made.reference, request, idempotency_key="s")
        await running.control("clock", {"advance_s": DAY - 60})
        assert await running.taken(request.reference) == 0
        await running.control("clock", {"advance_s": 60})
        assert await running.taken(request.reference) == 10_00
        again = await adapter.submit(made.reference, request, idempotency_key="s")
        assert isinstance(again, Approved)
        assert await running.taken(request.reference) == 10_00
        await adapter.aclose()


async def test_what_hangs_is_answered_when_the_faults_are_cleared() -> None:
    async with running_processor() as running:
        await running.fault("list", "hang", seconds=600)
        asked = asyncio.create_task(call(running, "GET", "/v1/payments?reference=r"))
        async with asyncio.timeout(30):
            while not running.simulator.faults.asked.get("list"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert not asked.done()
            await running.http.delete(f"{running.base_url}/control/faults")
            assert await asked == (200, {"data": []})


async def test_silent_for_two_days_while_keys_die() -> None:
    """Nothing is told, not even what was waiting before, and the key of the day before is a new request's."""
    async with webhook_peer() as peer, running_processor(webhook_url=peer.url) as running:
        await running.control("webhooks", {"hold": True})
        await pay(running, "before")
        await running.control("webhooks", {"silent_s": 2 * DAY})
        order = {"amount": 10_00, "currency": "USD", "reference": "r", "method": "tok_visa"}
        _, made = await call(running, "POST", "/v1/payments", order, key="k")
        await running.control("clock", {"advance_s": DAY + 1})
        _, again = await call(running, "POST", "/v1/payments", order, key="k")
        assert again["id"] != made["id"]
        assert peer.taken == []
        await running.control("clock", {"advance_s": DAY})
        await peer.got(1, within_s=30)


async def test_an_authorization_ends_after_a_week() -> None:
    async with running_processor() as running:
        order = {"amount": 10_00, "currency": "USD", "reference": "r", "method": "tok_visa"}
        _, made = await call(running, "POST", "/v1/payments", order)
        await call(running, "POST", f"/v1/payments/{made['id']}/confirm", {"capture": False})
        await running.control("clock", {"advance_s": 7 * DAY + 1})
        _, found = await call(running, "GET", f"/v1/payments/{made['id']}")
        assert found["status"] == "expired"
        status, said = await call(running, "POST", f"/v1/payments/{made['id']}/capture", {})
        assert (status, said["error"]["code"]) == (409, "wrong_state")
        assert (await running.books())["movements"] == []


async def test_every_movement_of_money_is_listed() -> None:
    async with running_processor() as running:
        kept = await pay(running, "kept")
        gone = await pay(running, "gone", amount=20_00)
        await call(running, "POST", f"/v1/payments/{gone['id']}/void", {})
        _, back = await call(running, "POST", "/v1/refunds", {"payment": kept["id"], "amount": 4_00})
        await running.control("decide", {"id": back["id"], "result": "failed"})
        moved = [(one["type"], one["payment"], one["amount"]) for one in (await running.books())["movements"]]
        assert moved == [
            ("capture", kept["id"], 10_00),
            ("capture", gone["id"], 20_00),
            ("void", gone["id"], -20_00),
            ("refund", kept["id"], -4_00),
            ("refund_failed", kept["id"], 4_00),
        ]


async def test_a_fault_that_nobody_knows_is_refused() -> None:
    async with running_processor() as running:
        answer = await running.http.post(f"{running.base_url}/control/faults", json={"operation": "x", "fault": "y"})
        assert answer.status_code == 422
