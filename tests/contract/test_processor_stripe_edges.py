"""The Stripe adapter where the contract's world is too kind: every fault on every call, late turns, lapses, versions.

What is checked is always the same: what the adapter says against what the account's money movements say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from test_processor_stripe import StripeWorld, stripe_world

from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.errors import ProcessorMisconfigured, ProcessorUnavailable
from fhirpay.payments.adapters.stripe import VERSIONS as SPOKEN
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    EventAbout,
    OperationKind,
    OperationRef,
    Outcome,
    PaymentRequest,
    Pending,
    Prepared,
    Reference,
    Unknown,
)
from stripe_running import SECRET_KEY, Running, running_stripe
from stripe_server.versions import VERSIONS
from stripe_server.webhooks import as_sent

_ids = RandomIds(SystemClock())
DAY = 24 * 3600
FAULTS = ("before", "after", "error500", "lost_answer", "lost_request", "rate_limited", "locked", "weird")
DONE = {"after", "lost_answer", "weird"}


@pytest.fixture
async def w() -> AsyncIterator[StripeWorld]:
    async with stripe_world() as world:
        yield world


def running(w: StripeWorld) -> Running:
    return w._running


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def wish(method: str = "pm_card_visa", *, capture: bool = True, minor: int = 5000) -> PaymentRequest:
    return PaymentRequest(
        _ids.new("pay"), usd(minor), method, capture=capture, return_url="https://pay.example.com/r/1"
    )


async def submitted(w: StripeWorld, request: PaymentRequest) -> tuple[Reference, Outcome]:
    made = await w.processor.prepare(request, idempotency_key=f"{request.reference}-p")
    assert isinstance(made, Prepared)
    return made.reference, await w.processor.submit(made.reference, request, idempotency_key=f"{request.reference}-s")


def sale(request: PaymentRequest, payment: Reference) -> OperationRef:
    kind = OperationKind.SALE if request.capture else OperationKind.AUTHORIZE
    return OperationRef(kind, request.reference, payment, request.amount, timedelta(hours=1))


async def tried(call: object) -> Outcome | None:
    """The outcome, or None where nothing happened and a retry is safe."""
    try:
        return await call  # type: ignore[misc]
    except ProcessorUnavailable:
        return None


def agrees(outcome: Outcome | None, *, done: bool) -> None:
    """The adapter may not know. What it does say is what happened."""
    if done:
        assert isinstance(outcome, Approved | Unknown), outcome
    else:
        assert outcome is None or isinstance(outcome, Unknown), outcome


# ── every fault on every call ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_payment_is_what_happened(w: StripeWorld, fault: str) -> None:
    request = wish()
    made = await w.processor.prepare(request, idempotency_key="p")
    assert isinstance(made, Prepared)
    await running(w).fault("confirm", fault)
    agrees(await tried(w.processor.submit(made.reference, request, idempotency_key="s")), done=fault in DONE)
    assert await w.taken(request.reference) == (5000 if fault in DONE else 0)
    found = await w.processor.lookup(sale(request, made.reference))
    assert isinstance(found, Approved) == (fault in DONE)
    await tried(w.processor.submit(made.reference, request, idempotency_key="s"))
    assert await w.taken(request.reference) in (0, 5000)
    assert isinstance(await w.processor.lookup(sale(request, made.reference)), Approved) == bool(
        await w.taken(request.reference)
    )


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_capture_and_a_void_is_what_happened(w: StripeWorld, fault: str) -> None:
    for operation in ("capture", "void"):
        request = wish(capture=False)
        payment, held = await submitted(w, request)
        assert isinstance(held, Approved)
        await running(w).fault(operation, fault)
        key = f"{request.reference}-2"
        if operation == "capture":
            outcome = await tried(w.processor.capture(payment, usd(3000), idempotency_key=key))
            assert await w.taken(request.reference) == (3000 if fault in DONE else 0)
        else:
            outcome = await tried(w.processor.void(payment, idempotency_key=key))
            assert await w.taken(request.reference) == 0
        agrees(outcome, done=fault in DONE)
        found = await w.processor.lookup(sale(request, payment))
        if fault not in DONE:
            assert isinstance(found, Approved)
            assert not found.captured
        elif operation == "void":
            assert isinstance(found, Canceled)
        else:
            assert isinstance(found, Approved)
            assert (found.captured, found.amount) == (True, usd(3000))


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_refund_is_what_happened(w: StripeWorld, fault: str) -> None:
    request = wish()
    payment, _ = await submitted(w, request)
    ours = _ids.new("ref")
    await running(w).fault("refund", fault)
    outcome = await tried(w.processor.refund(payment, usd(2000), our_reference=ours, idempotency_key="r"))
    agrees(outcome, done=fault in DONE)
    assert await w.taken(request.reference) == (3000 if fault in DONE else 5000)
    ref = OperationRef(OperationKind.REFUND, ours, None, usd(2000), timedelta(hours=1), payment_reference=payment)
    assert isinstance(await w.processor.lookup(ref), Approved) == (fault in DONE)
    assert isinstance(await w.processor.lookup(replace(ref, our_reference=_ids.new("ref"))), Approved) is False


@pytest.mark.parametrize("fault", ["before", "lost_answer", "rate_limited", "weird"])
async def test_a_lookup_that_fails_proves_nothing(w: StripeWorld, fault: str) -> None:
    request, ours = wish(), _ids.new("ref")
    payment, _ = await submitted(w, request)
    await w.processor.refund(payment, usd(1), our_reference=ours, idempotency_key="r")
    refund = OperationRef(OperationKind.REFUND, ours, None, usd(1), timedelta(days=9), payment_reference=payment)
    for operation, asked in (("get", sale(request, payment)), ("list", refund)):
        await running(w).fault(operation, fault)
        first = await w.processor.lookup(asked)
        # of what a list says strangely, one by one is read again
        assert isinstance(first, Approved if (operation, fault) == ("list", "weird") else Unknown)
        assert isinstance(await w.processor.lookup(asked), Approved)


async def test_a_call_that_is_still_running_is_not_answered_for(w: StripeWorld) -> None:
    """A key in use is a 409: neither a decline nor a reason to send again under another key."""
    request = wish()
    made = await w.processor.prepare(request, idempotency_key="p")
    assert isinstance(made, Prepared)
    await running(w).fault("confirm", "late", seconds=4)
    assert isinstance(await w.processor.submit(made.reference, request, idempotency_key="s"), Unknown)
    agrees(await tried(w.processor.submit(made.reference, request, idempotency_key="s")), done=False)
    early = await w.processor.lookup(replace(sale(request, made.reference), age=timedelta(seconds=1)))
    assert isinstance(early, Unknown | Approved)


# ── late turns ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pending_refund_ends_and_a_good_one_may_fail_later(w: StripeWorld) -> None:
    for method, first, last in (
        ("pm_card_pendingRefund", Pending, Approved),
        ("pm_card_refundFail", Approved, Declined),
    ):
        payment, _ = await submitted(w, wish(method))
        ours = _ids.new("ref")
        outcome = await w.processor.refund(payment, usd(2000), our_reference=ours, idempotency_key=ours)
        assert isinstance(outcome, first)
        await running(w).control("clock", {"advance_s": 2 * DAY})
        for reference in (outcome.reference, None):
            ref = OperationRef(OperationKind.REFUND, ours, reference, usd(2000), timedelta(days=2), payment)
            assert isinstance(await w.processor.lookup(ref), last)


async def test_a_hold_that_lapsed_is_canceled_and_takes_nothing(w: StripeWorld) -> None:
    request = wish(capture=False)
    payment, _ = await submitted(w, request)
    await running(w).control("clock", {"advance_s": 7 * DAY})
    assert isinstance(await w.processor.lookup(sale(request, payment)), Canceled)
    late = await w.processor.capture(payment, request.amount, idempotency_key="c")
    assert not isinstance(late, Approved)
    assert await w.taken(request.reference) == 0


async def test_a_payer_who_acts_pays_and_one_who_refuses_does_not(w: StripeWorld) -> None:
    for result, outcome in (("captured", Approved), ("declined", Declined)):
        request = wish("pm_card_threeDSecure2Required")
        payment, asked = await submitted(w, request)
        assert isinstance(asked, ActionNeeded)
        assert asked.url
        await running(w).control("decide", {"id": payment, "result": result})
        found = await w.processor.lookup(sale(request, payment))
        assert isinstance(found, outcome)
        assert await w.taken(request.reference) == (5000 if result == "captured" else 0)


async def test_without_its_payer_a_card_that_asks_needs_the_payer(w: StripeWorld) -> None:
    request = replace(wish("pm_card_authenticationRequired"), initiated_by="merchant")
    payment, asked = await submitted(w, request)
    assert isinstance(asked, ActionNeeded)
    assert isinstance(await w.processor.lookup(sale(request, payment)), ActionNeeded)
    assert await w.taken(request.reference) == 0


# ── saved cards and pages ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_saved_card_pays_again_and_again_until_it_is_removed(w: StripeWorld) -> None:
    page = await w.processor.open_setup_page(_ids.new("set"), return_url="https://x.example/r", idempotency_key="v")
    await w.pay(page.url, "4242424242424242")
    method = await w.processor.read_method(page.reference)
    assert method is not None
    for _ in range(2):
        request = replace(wish(method.token), initiated_by="merchant", return_url="")
        _, outcome = await submitted(w, request)
        assert isinstance(outcome, Approved)
    simulator = running(w).simulator
    for doc in simulator.books.all("payment_method"):
        doc["customer"] = None
        simulator.books.known[doc["id"]]["spent"] = "detached"
    assert await w.processor.read_method(method.token) is None
    assert isinstance(await w.processor.prepare(wish(method.token), idempotency_key="gone"), Declined)


async def test_a_page_may_hold_ask_and_end_by_itself(w: StripeWorld) -> None:
    request = wish("", capture=False)
    page = await w.processor.open_page(request, idempotency_key="h1")
    assert isinstance(page, Prepared)
    await w.pay(page.url, "4242424242424242")
    ref = OperationRef(OperationKind.HOSTED, request.reference, page.reference, request.amount, timedelta(hours=1))
    held = await w.processor.lookup(ref)
    assert isinstance(held, Approved)
    assert not held.captured
    assert held.payment
    took = await w.processor.capture(held.payment, usd(1000), idempotency_key="c")
    assert isinstance(took, Approved)
    assert await w.taken(request.reference) == 1000

    other = wish("")
    page = await w.processor.open_page(other, idempotency_key="h2")
    assert isinstance(page, Prepared)
    assert page.expires_at is not None
    await w.pay(page.url, "4000002760003184")
    ref = OperationRef(OperationKind.HOSTED, other.reference, page.reference, other.amount, timedelta(hours=1))
    assert isinstance(await w.processor.lookup(ref), ActionNeeded)
    await running(w).control("clock", {"advance_s": DAY + 1})
    ended = await w.processor.lookup(ref)
    assert isinstance(ended, Canceled)
    assert ended.expired


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_event_about_money_leads_to_what_it_is_about(w: StripeWorld) -> None:
    """Whatever Stripe sends of a payment, its page or its refund names ours, so that it can be looked up."""
    request = wish(capture=False)
    payment, _ = await submitted(w, request)
    await w.processor.capture(payment, usd(4000), idempotency_key="c")
    ours = _ids.new("ref")
    await w.processor.refund(payment, usd(1000), our_reference=ours, idempotency_key="r")
    await submitted(w, wish("pm_card_chargeDeclined"))
    hosted = wish("")
    page = await w.processor.open_page(hosted, idempotency_key="h")
    assert isinstance(page, Prepared)
    await w.pay(page.url, "4242424242424242")
    about: dict[str, tuple[EventAbout, str]] = {}
    now = datetime.now(UTC)
    for event in await running(w).events():
        body = as_sent(event)
        [read] = w.processor.read_events(w.sign(body, now), body, now=now)
        assert (read.id, read.type) == (event["id"], event["type"])
        about[event["type"]] = (read.about, read.our_reference)
    for type_ in (
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.amount_capturable_updated",
    ):
        assert about[type_][0] is EventAbout.PAYMENT, type_
    assert about["payment_intent.amount_capturable_updated"][1] == request.reference
    assert about["refund.created"] == (EventAbout.REFUND, ours)
    assert about["checkout.session.completed"] == (EventAbout.PAGE, hosted.reference)


# ── keys, versions, accounts ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_not_trusted_longer_than_stripe_keeps_it(w: StripeWorld) -> None:
    """API reference, Idempotent requests: removed once at least 24 hours old; a resend then is a second refund."""
    ttl = w.processor.capabilities.idempotency_ttl
    assert ttl is not None
    assert ttl < timedelta(hours=24)
    request, ours = wish(), _ids.new("ref")
    payment, _ = await submitted(w, request)
    for after_s, left in ((0, 4000), (int(ttl.total_seconds()), 4000), (DAY, 3000)):
        await running(w).control("clock", {"advance_s": after_s})
        await w.processor.refund(payment, usd(1000), our_reference=ours, idempotency_key="r")
        assert await w.taken(request.reference) == left


async def test_a_key_of_another_account_is_trouble_and_no_answer(w: StripeWorld) -> None:
    """Neither a decline nor a proof of absence: nobody may be told of it, and nothing be sent again for it."""
    request = wish()
    payment, _ = await submitted(w, request)
    books, ours = running(w).simulator.books, _ids.new("ref")
    refund = OperationRef(OperationKind.REFUND, ours, None, usd(1), timedelta(days=9), payment_reference=payment)
    old = replace(sale(request, payment), age=timedelta(days=9))
    for rolled in (True, False):
        if rolled:
            running(w).simulator.secret_key = "sk_test_rolled"  # noqa: S105
        else:
            running(w).simulator.secret_key = SECRET_KEY
            books.things.clear()
        for asked in (old, refund):
            assert isinstance(await w.processor.lookup(asked), Unknown)
        with pytest.raises(ProcessorMisconfigured):
            await w.processor.submit(payment, request, idempotency_key="s2")
        with pytest.raises(ProcessorMisconfigured):
            await w.processor.refund(payment, usd(1), our_reference=ours, idempotency_key="r2")


async def test_every_version_that_may_be_configured_works() -> None:
    """Changelog: what a version takes away is refused by the server when it is asked in that version."""
    assert VERSIONS[: len(SPOKEN)] == SPOKEN
    async with running_stripe() as served:
        for version in SPOKEN:
            processor = served.adapter(timeout_s=20, api_version=version)
            request, page = wish(), wish("")
            made = await processor.prepare(request, idempotency_key=f"{version}-p")
            assert isinstance(made, Prepared)
            assert isinstance(await processor.submit(made.reference, request, idempotency_key=f"{version}-s"), Approved)
            assert isinstance(await processor.open_page(page, idempotency_key=f"{version}-h"), Prepared)
            await processor.aclose()
