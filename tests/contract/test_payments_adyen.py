"""Payments as a whole through Adyen: our workers, webhook route and books against the server of its documentation.

What follows on a payment is received at once and told later, in whatever order. Each order of the same events has to
end in the same state, amounts and balances: most tests here run every order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from itertools import permutations
from typing import Any
from urllib.parse import unquote_plus

import httpx2
import pytest
from sqlalchemy import text, update

from adyen_running import ACCOUNT, TOKENS
from adyen_server.account import capture_failed
from adyen_server.webhooks import delivery
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, store
from fhirpay.payments.tables import StoredMethodRow
from payments_world import World, payments_world, usd
from processor_sides import ADYEN

# What differs between the engines is the use cases', and tested there on both.
pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.warns("operation.unknown", "work.retry", "webhook.refused", "payment.returned", "refund.failed_late"),
]
DAY = 24.0


class Recorded(httpx2.AsyncBaseTransport):
    """The real way out, and a copy of everything that goes along it: line, headers and body."""

    def __init__(self) -> None:
        self._real = httpx2.AsyncHTTPTransport(trust_env=False)
        self.sent: list[tuple[str, dict[str, str], str]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = (await request.aread()).decode()
        self.sent.append((f"{request.method} {request.url}", dict(request.headers), body))
        return await self._real.handle_async_request(request)

    async def aclose(self) -> None:
        await self._real.aclose()


@pytest.fixture
def wire() -> Recorded:
    return Recorded()


@pytest.fixture
async def world(database: Database, clock: FrozenClock, wire: Recorded) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=ADYEN, timeout_s=10, transport=wire) as made:
        yield made


async def tell(world: World, *events: dict[str, Any]) -> None:
    for event in events:
        assert (await world.event(event)).status_code == 200
        await world.inbox.drain()
    await world.outbox.drain()


async def pass_time(world: World, hours: float) -> None:
    """At Adyen and here, and nothing is told of it yet."""
    world.clock.advance(timedelta(hours=hours))
    await world.processor.control("clock", {"advance_s": hours * 3600})


def of(world: World, *codes: str) -> list[dict[str, Any]]:
    """The events of these codes, in order."""
    return [event for event in world.events() if event["item"]["eventCode"] in codes]


async def takes(world: World, account: str, card: str = "approve", *, capture: bool = True) -> str:
    """A payment of this account by a card that others may have had before."""
    await world.units.write(_give, account)
    method = await world.method(account, TOKENS[card])
    payment_id = await world.start(account, method_id=method, capture=capture)
    await world.work()
    return payment_id


def _give(tx: Any, account: str) -> None:
    tx.execute(update(table(StoredMethodRow)).values(account_ref=account))


async def ended(world: World, payment_id: str, refund_id: str = "") -> tuple[object, ...]:
    payment = await world.units.read(store.get, payment_id)
    refund = await world.units.read(refunds.get, refund_id) if refund_id else None
    amounts = (payment.authorized, payment.captured, payment.voided, payment.returned, payment.refunded)
    open_ = await world.units.read(lambda tx: store.breaks(tx, payment_id=payment_id))
    balances = await world.balances()
    return payment.state, amounts, refund.state if refund else None, {one.kind for one in open_}, balances


async def in_every_order(
    database: Database,
    clock: FrozenClock,
    scenario: Callable[[World, str], Awaitable[tuple[str, str]]],
    *codes: str,
    twice: bool = True,
) -> tuple[object, ...]:
    """How the scenario ends, whatever the order in which its events come, each of them twice. Each order is a patient
    of its own; balances are compared as what this one added."""
    found: list[tuple[object, ...]] = []
    async with payments_world(database, clock, side=ADYEN, timeout_s=10) as world:
        for number, order in enumerate(permutations(range(len(codes)))):
            before = await world.balances()
            seen = len(world.events())
            payment_id, refund_id = await scenario(world, f"p{number}")
            told = [
                next(event for event in world.events()[seen:] if event["item"]["eventCode"] == codes[at])
                for at in order
            ]
            await tell(world, *told)
            if twice:
                await tell(world, *reversed(told))
            else:
                await world.work(hours=1)
            *rest, balances = await ended(world, payment_id, refund_id)
            assert isinstance(balances, dict)
            added = {name: amount - before.get(name, 0) for name, amount in balances.items()}
            found.append((*rest, {name: amount for name, amount in added.items() if amount}))
            held = (await world.processor.books())["totals"]["USD"]["balance"]
            assert balances.get("processor_clearing", 0) == held, (order, balances)
    assert all(one == found[0] for one in found), found
    return found[0]


# ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stored_card_pays_and_a_part_is_given_back(world: World, wire: Recorded) -> None:
    account = await world.invoiced("ana", 80_00, 45_00)
    payment_id = await world.paid(account)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == ("captured", usd(125_00), "visa", "1111")
    refund_id = await world.refund(payment_id, 25_00)
    await world.work()
    assert (await world.units.read(refunds.get, refund_id)).state == "pending"
    await tell(world, *world.events())
    assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
    assert await world.processor.taken(payment_id) == 100_00
    await world.sweep()
    for line, headers, body in wire.sent:
        sent = unquote_plus(f"{line} {json.dumps(headers)} {body}")
        for canary in ("Canary", "1980-01-02", "Patient/", "Account/", "Invoice/", "ANA"):
            assert canary not in sent


async def test_what_is_accepted_is_not_paid_until_it_is_told(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00), TOKENS["pending"])
    assert await world.state(payment_id) == "processing"
    await pass_time(world, 2)
    await tell(world, *world.events())
    assert await world.state(payment_id) == "captured"
    await world.sweep()


@pytest.mark.parametrize(("card", "code"), [("funds", "insufficient_funds"), ("expired", "method_expired")])
async def test_a_decline_says_why_and_its_event_adds_nothing(world: World, card: str, code: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.paid(account, TOKENS[card])
    for _ in range(2):
        payment = await world.units.read(store.get, payment_id)
        assert (payment.state, payment.failure_code) == ("declined", code)
        assert await world.askable(account) == 80_00
        await tell(world, *world.events())
    assert await world.breaks() == set()


async def test_a_decline_whose_answer_was_lost_is_told(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "lost_answer", times=100)
    payment_id = await world.start(account, method_id=await world.method(account, TOKENS["decline"]))
    await world.work()
    assert await world.state(payment_id) == "created"
    await tell(world, *world.events())
    assert await world.state(payment_id) == "declined"
    assert await world.units.read(store.unknown_operations) == []


@pytest.mark.parametrize("event_first", [False, True])
async def test_a_card_whose_bank_wants_to_see_the_payer_ends_with_a_link_to_be_sent(
    world: World, event_first: bool
) -> None:
    account = await world.invoiced("ana", 80_00)
    if event_first:
        await world.processor.fault("confirm", "lost_answer")
    payment_id = await world.start(account, method_id=await world.method(account, TOKENS["action"]))
    await world.work()
    await tell(world, *world.events())
    await world.work(hours=0.1)
    payment = await world.units.read(store.get, payment_id)
    assert payment.state == ("declined" if event_first else "canceled")
    assert await world.askable(account) == 80_00
    assert await world.breaks() == set()
    assert await world.units.read(store.unknown_operations) == []


# ── captures and voids ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_capture_is_pending_until_it_is_told_and_what_was_not_captured_is_free(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await world.capture(payment_id, 30_00)
    await world.work()
    assert await world.state(payment_id) == "capture_pending"
    assert (await world.balances()).get("processor_clearing", 0) == 0
    for again in (world.capture, world.void):
        with pytest.raises(RuleBroken):
            await again(payment_id)
    await tell(world, *world.events())
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured) == ("captured", usd(30_00))
    assert await world.askable(account) == 50_00
    await world.sweep()


async def test_a_capture_that_is_refused_leaves_what_is_held_and_can_be_asked_for_again(world: World) -> None:
    """Somebody at the practice voids it at Adyen a moment earlier: our capture is refused, then the void is told."""
    payment_id = await world.authorized(await world.invoiced("ana", 80_00))
    payment = await world.units.read(store.get, payment_id)
    await world.processor.post(f"payments/{payment.processor_ref}/cancels", {"merchantAccount": ACCOUNT})
    await world.capture(payment_id)
    await world.work()
    await tell(world, *of(world, "CAPTURE"))
    assert await world.state(payment_id) == "authorized"
    assert await world.units.read(lambda tx: store.unfinished_operation(tx, payment_id)) is None
    await tell(world, *of(world, "CANCELLATION"))
    assert await world.state(payment_id) == "canceled"
    await world.sweep()


async def test_every_order_of_a_capture_that_fails_late_ends_returned_and_owed(
    database: Database, clock: FrozenClock
) -> None:
    async def scenario(world: World, name: str) -> tuple[str, str]:
        account = await world.invoiced(name, 80_00)
        payment_id = await takes(world, account, "capture_fails", capture=False)
        await world.capture(payment_id)
        await world.work()
        await pass_time(world, DAY + 1)
        return payment_id, ""

    state, amounts, *_ = await in_every_order(database, clock, scenario, "AUTHORISATION", "CAPTURE", "CAPTURE_FAILED")
    assert state == "returned"
    assert amounts == (usd(80_00), usd(80_00), usd(0), usd(80_00), usd(0))


async def test_every_order_of_a_sale_that_fails_late_ends_returned(database: Database, clock: FrozenClock) -> None:
    async def scenario(world: World, name: str) -> tuple[str, str]:
        payment_id = await takes(world, await world.invoiced(name, 80_00), "capture_fails")
        await pass_time(world, DAY + 1)
        return payment_id, ""

    state, *_ = await in_every_order(database, clock, scenario, "AUTHORISATION", "CAPTURE_FAILED")
    assert state == "returned"


async def test_a_void_ends_when_it_is_told_and_one_that_came_too_late_changes_nothing(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await world.void(payment_id)
    await world.work()
    assert await world.state(payment_id) == "authorized"
    await tell(world, *world.events())
    assert await world.state(payment_id) == "canceled"
    assert await world.askable(account) == 80_00
    late = await world.authorized(account)
    payment = await world.units.read(store.get, late)
    await world.processor.post(
        f"payments/{payment.processor_ref}/captures",
        {"merchantAccount": ACCOUNT, "amount": {"value": 80_00, "currency": "USD"}},
    )
    await world.void(late)
    await world.work()
    cancel, capture = of(world, "CANCELLATION")[-1], of(world, "CAPTURE")[-1]
    await tell(world, cancel)
    assert await world.state(late) == "authorized"
    await tell(world, capture)
    assert await world.state(late) == "captured"
    await world.sweep()


async def test_what_is_held_and_never_captured_expires(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.authorized(account)
    await pass_time(world, 29 * DAY)
    await tell(world, *world.events())
    assert await world.state(payment_id) == "expired"
    assert await world.askable(account) == 80_00


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_order_of_a_refund_that_comes_back_ends_failed_and_as_credit(
    database: Database, clock: FrozenClock
) -> None:
    async def scenario(world: World, name: str) -> tuple[str, str]:
        payment_id = await takes(world, await world.invoiced(name, 80_00), "refund_fails")
        refund_id = await world.refund(payment_id, 30_00)
        await world.work()
        await pass_time(world, DAY + 1)
        return payment_id, refund_id

    _, amounts, refund, breaks, balances = await in_every_order(
        database, clock, scenario, "AUTHORISATION", "REFUND", "REFUND_FAILED"
    )
    assert (refund, breaks) == ("failed", {"refund_failed"})
    assert isinstance(amounts, tuple)
    assert amounts[-1] == usd(0)
    assert isinstance(balances, dict)
    assert balances["processor_clearing"] == 80_00
    assert balances["unapplied_credit"] == 30_00


async def test_a_refund_made_at_adyen_is_booked_and_told(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    payment = await world.units.read(store.get, payment_id)
    await world.processor.post(
        f"payments/{payment.processor_ref}/refunds",
        {"merchantAccount": ACCOUNT, "amount": {"value": 30_00, "currency": "USD"}},
    )
    for _ in range(2):
        await tell(world, *world.events())
    assert (await world.units.read(store.get, payment_id)).refunded == usd(30_00)
    assert "refund_outside" in await world.breaks()
    await world.sweep()


async def test_a_reversal_made_at_adyen_is_for_a_person_since_no_signed_value_says_what_it_was(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    payment = await world.units.read(store.get, payment_id)
    await world.processor.post(f"payments/{payment.processor_ref}/reversals", {"merchantAccount": ACCOUNT})
    await tell(world, *of(world, "CANCEL_OR_REFUND"))
    for _ in range(40):
        await pass_time(world, 6)
        await world.inbox.drain()
    assert "event_not_applied" in await world.breaks()
    assert await world.state(payment_id) == "captured"


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_is_paid_after_a_decline_and_given_back_by_the_id_that_its_event_named(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    payment = await world.units.read(store.get, payment_id)
    assert payment.hosted_url
    assert (await world.processor.pay_page(payment.hosted_url, "4111111111111111 DECLINED")).status_code == 402
    await tell(world, *world.events())
    assert await world.state(payment_id) == "requires_action"
    await world.processor.pay_page(payment.hosted_url)
    await world.work(hours=0.1)
    assert await world.state(payment_id) == "captured"
    await tell(world, *reversed(world.events()))
    refund_id = await world.refund(payment_id, 30_00)
    await world.work(hours=0.1)
    assert (await world.units.read(refunds.get, refund_id)).state == "succeeded"
    await world.sweep()


async def test_every_order_of_a_page_whose_capture_fails_late_ends_returned(
    database: Database, clock: FrozenClock
) -> None:
    async def scenario(world: World, name: str) -> tuple[str, str]:
        payment_id = await world.start(await world.invoiced(name, 80_00))
        await world.work()
        payment = await world.units.read(store.get, payment_id)
        assert payment.hosted_url
        await world.processor.pay_page(payment.hosted_url)
        books = world.processor.simulator.books
        capture_failed(books, list(books.payments.values())[-1], 80_00)
        return payment_id, ""

    state, amounts, *_ = await in_every_order(database, clock, scenario, "AUTHORISATION", "CAPTURE_FAILED", twice=False)
    assert state == "returned"
    assert amounts == (usd(0), usd(80_00), usd(0), usd(80_00), usd(0))


async def test_money_taken_a_second_time_under_our_reference_is_told_and_not_booked(world: World) -> None:
    payment_id = await world.paid(await world.invoiced("ana", 80_00))
    await tell(world, *world.events())
    answer = await world.processor.post(
        "payments",
        {
            "merchantAccount": ACCOUNT,
            "amount": {"value": 80_00, "currency": "USD"},
            "reference": payment_id,
            "returnUrl": "https://x.example",
            "paymentMethod": {"type": "scheme", "storedPaymentMethodId": TOKENS["approve"].rpartition("-")[2]},
            "shopperReference": TOKENS["approve"].rpartition("-")[0],
            "shopperInteraction": "ContAuth",
            "recurringProcessingModel": "CardOnFile",
        },
    )
    assert answer.status_code == 200
    await tell(world, *world.events())
    assert (await world.units.read(store.get, payment_id)).captured == usd(80_00)
    assert "other_reference" in await world.breaks()
    # A person gives it back at Adyen: that takes nothing off the payment that we know.
    twice = {"merchantAccount": ACCOUNT, "amount": {"value": 80_00, "currency": "USD"}}
    await world.processor.post(f"payments/{answer.json()['pspReference']}/refunds", twice)
    await tell(world, *of(world, "REFUND"))
    payment = await world.units.read(store.get, payment_id)
    assert (payment.refunded, payment.captured) == (usd(0), usd(80_00))
    assert (await world.balances())["processor_clearing"] == 80_00


# ── not knowing ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_error_that_its_key_repeats_stays_unknown_is_listed_and_never_sent_with_another_key(
    world: World, wire: Recorded
) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    await world.processor.fault("confirm", "error500")
    payment_id = await world.start(account, method_id=method)
    await world.work()
    for _ in range(3 * 8):
        await world.work(hours=8)
    [unknown] = await world.units.read(store.unknown_operations)
    assert unknown.payment_id == payment_id
    assert "unknown_outcome" in await world.breaks()
    assert await world.askable(account) == 0
    keys = [headers["idempotency-key"] for line, headers, _ in wire.sent if line.endswith("/payments")]
    assert len(set(keys)) == 1
    # With the key's life its use ends too.
    asked = len(keys)
    await world.work(hours=7 * DAY)
    await world.work(hours=DAY, steps=4)
    assert len([line for line, _, _ in wire.sent if line.endswith("/payments")]) == asked
    assert await world.processor.taken(payment_id) == 0


async def test_what_is_no_longer_owed_is_not_sent_again_to_find_out(world: World, wire: Recorded) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "lost_request", times=1000)
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work()
    for _ in range(6):
        await world.work(hours=0.1)
    sent = len(wire.sent)
    assert sent > 3
    await world.cancel_invoice("ana-1")
    for _ in range(10):
        await world.work(hours=2)
    assert len(wire.sent) == sent
    assert await world.processor.taken(payment_id) == 0
    assert "unknown_outcome" in await world.breaks()


async def test_what_is_no_longer_owed_is_not_sent_again_by_the_first_look_either(world: World) -> None:
    """A worker that died before its call, and the machine was down meanwhile: it would be the first to arrive."""
    account = await world.invoiced("ana", 80_00)
    await world.processor.fault("confirm", "lost_request")
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work()
    world.clock.advance(timedelta(hours=20))
    await world.cancel_invoice("ana-1")
    await world.work(hours=0.1)
    assert await world.processor.taken(payment_id) == 0


async def test_several_events_in_one_delivery_are_applied_each_or_none(world: World) -> None:
    accounts = [await world.invoiced(name, 80_00) for name in ("ana", "bea", "cid")]
    held = [await takes(world, account, capture=False) for account in accounts]
    for payment_id in held:
        await world.capture(payment_id)
    await world.work()
    items = [event["item"] for event in world.events()]
    forged = json.loads(delivery(items, [ADYEN.webhook_secrets[0]]))
    forged["notificationItems"][-1]["NotificationRequestItem"]["amount"]["value"] = 1
    for body, status in ((json.dumps(forged).encode(), 401), (delivery(items, [ADYEN.webhook_secrets[1]]), 200)):
        with_warning = await world.api.post("/webhooks/adyen/main", content=body)
        assert with_warning.status_code == status
        await world.inbox.drain()
        states = {await world.state(payment_id) for payment_id in held}
        assert states == ({"captured"} if status == 200 else {"capture_pending"})
    await world.sweep()


async def test_what_is_kept_of_an_event_has_no_name_and_no_signature(world: World) -> None:
    await world.paid(await world.invoiced("ana", 80_00))
    event = world.events()[-1]
    item = {**event["item"], "additionalData": {"shopperEmail": "canary@example.com", "cardHolderName": "Canary"}}
    await tell(world, {**event, "item": item})
    rows = await world.units.read(_bodies)
    assert rows
    for body in rows:
        assert b"anary" not in body
        assert b"hmacSignature" not in body


def _bodies(tx: Any) -> list[bytes]:
    return [bytes(row["body"]) for row in tx.all(text("select body from inbox_message")) if row["body"]]
