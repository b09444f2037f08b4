"""What goes wrong with the Stripe look-alike on request, what it tells of afterwards, and how its events arrive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from processor_running import Peer, webhook_peer
from stripe_running import INTENT, NEVER, OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, Caller, calling_stripe, error
from stripe_server.versions import LATEST
from stripe_server.webhooks import HEADER, sign

REFERENCE = "pay0123456789abcdef0123"


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with calling_stripe() as caller:
        yield caller


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "sees", "done", "again"),
    [
        ("before", 500, False, 200),
        ("after", 500, True, 500),
        ("error500", 500, False, 500),
        ("lost_answer", 0, True, 200),
        ("lost_request", 0, False, 200),
        ("rate_limited", 429, False, 200),
        ("locked", 429, False, 200),
        ("weird", 200, True, 200),
    ],
)
async def test_faults(api: Caller, fault: str, sees: int, done: bool, again: int) -> None:
    """`again` is what the same key gets afterwards: a 500 is saved too (Idempotent requests), a 429 is not."""
    form = {**INTENT, **NEVER, "payment_method": "pm_card_visa", "metadata[reference]": REFERENCE}
    path = f"payment_intents/{(await api.made('payment_intents', form))['id']}/confirm"
    await api.running.fault("confirm", fault)
    if sees:
        answer = await api.post(path, key="k")
        assert answer.status_code == sees
        assert (fault == "weird") == (answer.json().get("status") == "quantum_superposition")
    else:
        with pytest.raises(httpx2.RemoteProtocolError):
            await api.post(path, key="k")
    assert await api.running.taken(REFERENCE) == (5000 if done else 0)
    repeated = await api.post(path, key="k")
    assert repeated.status_code == again
    assert await api.running.taken(REFERENCE) == (5000 if done or again == 200 else 0)


async def test_a_late_effect_comes_after_the_connection_broke(api: Caller) -> None:
    form = {**INTENT, **NEVER, "payment_method": "pm_card_visa", "metadata[reference]": REFERENCE}
    path = f"payment_intents/{(await api.made('payment_intents', form))['id']}/confirm"
    await api.running.fault("confirm", "late", seconds=0.5)
    with pytest.raises(httpx2.RemoteProtocolError):
        await api.post(path, key="k")
    async with asyncio.timeout(20):
        while await api.running.taken(REFERENCE) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await api.post(path, key="k")).headers["idempotent-replayed"] == "true"
    assert await api.running.taken(REFERENCE) == 5000


async def test_a_hanging_answer_has_had_its_effect(api: Caller) -> None:
    await api.running.fault("create", "hang", seconds=20)
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=0.5) as http:
        with pytest.raises(httpx2.ReadTimeout):
            await Caller(api.running, http).post("payment_intents", INTENT, key="k")
    async with asyncio.timeout(20):
        while await api.intents() == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await api.post("payment_intents", INTENT, key="k")).headers["idempotent-replayed"] == "true"


async def test_a_lagging_list_does_not_show_what_is_new(api: Caller) -> None:
    made = await api.made("payment_intents", INTENT)
    await api.running.control("settings", {"list_lag_s": 30})
    assert (await api.get("payment_intents")).json()["data"] == []
    assert (await api.get(f"payment_intents/{made['id']}")).json()["id"] == made["id"]
    await api.running.control("clock", {"advance_s": 31})
    assert [doc["id"] for doc in (await api.get("payment_intents")).json()["data"]] == [made["id"]]


async def test_pages_are_between_1_and_100(api: Caller) -> None:
    """API reference, Pagination."""
    for query in ("limit=0", "limit=101", "limit=x", "page=2", "starting_after=pi_none", "expand[]=latest_charge"):
        error(await api.get(f"payment_intents?{query}"))


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def hooked() -> AsyncIterator[tuple[Caller, Peer]]:
    async with webhook_peer() as peer, calling_stripe(webhook_url=peer.url) as caller:
        yield caller, peer


def genuine(taken: tuple[Any, bytes], secret: str = WEBHOOK_SECRET) -> bool:
    """Webhooks, Verify webhook signatures manually."""
    headers, body = taken
    stamp = dict(part.split("=", 1) for part in headers[HEADER.lower()].split(",") if part.startswith("t="))["t"]
    assert abs(int(stamp) - time.time()) < 120
    wanted = sign([secret], body, int(stamp)).split(",")[1]
    return wanted in headers[HEADER.lower()].split(",")


def types(peer: Peer) -> list[str]:
    return [json.loads(body)["type"] for _, body in peer.taken]


async def test_events_are_delivered_signed_and_repeated_until_taken(hooked: tuple[Caller, Peer]) -> None:
    api, peer = hooked
    peer.answers = [500]
    await api.made("payment_intents", INTENT, key="k1")
    await peer.got(2, within_s=30)
    (_, first), (_, second) = peer.taken
    assert first == second
    event = json.loads(first)
    assert (event["object"], event["type"], event["livemode"]) == ("event", "payment_intent.created", False)
    assert event["api_version"] == LATEST
    assert event["request"]["idempotency_key"] == "k1"
    assert event["data"]["object"]["object"] == "payment_intent"
    assert all(genuine(taken) for taken in peer.taken)


async def test_during_a_rotation_both_secrets_sign(hooked: tuple[Caller, Peer]) -> None:
    """Webhooks, Roll endpoint signing secrets: one signature for each secret while both are live."""
    api, peer = hooked
    await api.running.control("webhooks", {"secrets": [WEBHOOK_SECRET, OLD_WEBHOOK_SECRET]})
    await api.made("payment_intents", INTENT)
    await peer.got(1, within_s=30)
    assert genuine(peer.taken[0], WEBHOOK_SECRET)
    assert genuine(peer.taken[0], OLD_WEBHOOK_SECRET)


async def test_events_can_be_held_doubled_turned_round_dropped_and_forged(hooked: tuple[Caller, Peer]) -> None:
    api, peer = hooked
    await api.running.control("webhooks", {"hold": True, "newest_first": True, "duplicates": 1, "drop_next": 1})
    await api.paid()
    assert peer.taken == []
    await api.running.control("webhooks", {"hold": False})
    await peer.got(4, within_s=30)
    assert types(peer) == ["payment_intent.succeeded"] * 2 + ["charge.succeeded"] * 2
    await api.running.control("webhooks", {"duplicates": 0, "forged": 1})
    await api.made("payment_intents", INTENT)
    await peer.got(6, within_s=30)
    assert sorted(genuine(taken) for taken in peer.taken[4:]) == [False, True]
    dropped = (await api.running.events())[0]
    assert dropped["type"] == "payment_intent.created"
    await api.running.control(f"events/{dropped['id']}/redeliver", {})
    await peer.got(7, within_s=30)
    assert json.loads(peer.taken[6][1])["id"] == dropped["id"]


# ── the handles ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_test_decides_what_is_still_open(api: Caller) -> None:
    action = {"payment_method": "pm_card_authenticationRequired", "return_url": "https://x.example"}
    bank = {
        "payment_method": "pm_usBankAccount_success",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    for more, result, status in (
        (action, "captured", "succeeded"),
        (action, "declined", "requires_payment_method"),
        (bank, "captured", "succeeded"),
        (bank, "failed", "requires_payment_method"),
    ):
        made = await api.paid(**more)
        assert made["status"] in ("requires_action", "processing")
        decided = await api.running.control("decide", {"id": made["id"], "result": result})
        assert decided["status"] == status
    refund = await api.made("refunds", {"payment_intent": (await api.paid())["id"]})
    failed = await api.running.control("decide", {"id": refund["id"], "result": "failed"})
    assert failed["status"] == "failed"
    assert (await api.running.books())["totals"]["USD"]["refunded"] == 0


async def test_handles_refuse_what_they_do_not_know(api: Caller) -> None:
    base, http = f"{api.running.base_url}/control", api.running.http
    paid = await api.paid()
    for path, body, status in (
        ("faults", {"operation": "create", "fault": "gremlins"}, 422),
        ("settings", {"colour": 1}, 422),
        ("webhooks", {"colour": 1}, 422),
        ("events/evt_none/redeliver", {}, 404),
        ("decide", {"id": paid["id"], "result": "captured"}, 409),
    ):
        assert (await http.post(f"{base}/{path}", json=body)).status_code == status
    await api.running.fault("*", "before", times=9)
    assert (await http.delete(f"{base}/faults")).json() == {"waiting": 0}
    assert (await api.get("payment_intents")).status_code == 200


async def test_events_can_be_silent_for_a_while(hooked: tuple[Caller, Peer]) -> None:
    api, peer = hooked
    await api.running.control("webhooks", {"silent_s": 600, "delay_s": 1})
    await api.made("payment_intents", INTENT)
    await api.made("payment_intents", INTENT)
    assert peer.taken == []
    await api.running.control("clock", {"advance_s": 601})
    await peer.got(2, within_s=30)
