"""The Square adapter where the contract's world is too kind: every fault on every call, late turns, lags, other keys.

What is checked is always the same: what the adapter says against what the seller's money movements say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from test_processor_square import SquareWorld, square_world

from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.errors import ConfigInvalid, ProcessorMisconfigured, ProcessorUnavailable, RuleBroken
from fhirpay.net.http import client
from fhirpay.payments.adapters.square import SquareProcessor
from fhirpay.payments.declines import DeclineCode
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
    ProvenAbsent,
    Reference,
    Unknown,
)
from square_running import SECRET_KEY, Running, card
from square_server.books import LOCATION
from square_server.cards import BEHAVIOURS, CUSTOMER_ID
from square_server.webhooks import as_sent

_ids = RandomIds(SystemClock())
DAY = 24 * 3600
HOUR = timedelta(hours=1)
FAULTS = ("before", "after", "error500", "lost_answer", "lost_request", "rate_limited", "weird")
DONE = {"after", "lost_answer", "weird"}


@pytest.fixture
async def w() -> AsyncIterator[SquareWorld]:
    async with square_world() as world:
        yield world


def running(w: SquareWorld) -> Running:
    return w._running


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def wish(does: str = "ok", *, capture: bool = True, minor: int = 5000) -> PaymentRequest:
    return PaymentRequest(_ids.new("pay"), usd(minor), card(does) if does else "", capture=capture)


async def submitted(w: SquareWorld, request: PaymentRequest) -> tuple[Reference, Outcome]:
    made = await w.processor.prepare(request, idempotency_key=f"{request.reference}-p")
    assert isinstance(made, Prepared)
    return made.reference, await w.processor.submit(made.reference, request, idempotency_key=f"{request.reference}-s")


def sale(request: PaymentRequest, order: Reference) -> OperationRef:
    kind = OperationKind.SALE if request.capture else OperationKind.AUTHORIZE
    return OperationRef(kind, request.reference, order, request.amount, HOUR)


def refund_of(ours: str, order: Reference, amount: Money, *, theirs: Reference | None = None) -> OperationRef:
    return OperationRef(OperationKind.REFUND, ours, theirs, amount, HOUR, payment_reference=order)


async def tried(call: object) -> Outcome | None:
    """The outcome, or None where nothing happened and a retry is safe."""
    try:
        return await call  # type: ignore[misc]
    except ProcessorUnavailable:
        return None


def agrees(outcome: Outcome | None, *, done: bool) -> None:
    """The adapter may not know. What it does say is what happened."""
    if done:
        assert isinstance(outcome, Approved | Pending | Unknown), outcome
    else:
        assert outcome is None or isinstance(outcome, Unknown), outcome


# ── every fault on every call ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_payment_is_what_happened(w: SquareWorld, fault: str) -> None:
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
async def test_what_is_said_of_a_capture_and_a_void_is_what_happened(w: SquareWorld, fault: str) -> None:
    for operation in ("capture", "void"):
        request = wish(capture=False)
        order, held = await submitted(w, request)
        assert isinstance(held, Approved)
        await running(w).fault(operation, fault)
        key = f"{request.reference}-2"
        if operation == "capture":
            outcome = await tried(w.processor.capture(order, request.amount, idempotency_key=key))
            assert await w.taken(request.reference) == (5000 if fault in DONE else 0)
        else:
            outcome = await tried(w.processor.void(order, idempotency_key=key))
            assert await w.taken(request.reference) == 0
        agrees(outcome, done=fault in DONE)
        found = await w.processor.lookup(sale(request, order))
        if fault not in DONE:
            assert isinstance(found, Approved)
            assert not found.captured
        elif operation == "void":
            assert isinstance(found, Canceled)
        else:
            assert isinstance(found, Approved)
            assert (found.captured, found.amount) == (True, request.amount)


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_refund_is_what_happened(w: SquareWorld, fault: str) -> None:
    request = wish()
    order, _ = await submitted(w, request)
    ours = _ids.new("ref")
    await running(w).fault("refund", fault)
    outcome = await tried(w.processor.refund(order, usd(2000), our_reference=ours, idempotency_key="r"))
    agrees(outcome, done=fault in DONE)
    assert await w.taken(request.reference) == (3000 if fault in DONE else 5000)
    ref = refund_of(ours, order, usd(2000))
    assert isinstance(await w.processor.lookup(ref), Approved) == (fault in DONE)
    assert isinstance(await w.processor.lookup(replace(ref, our_reference=_ids.new("ref"))), ProvenAbsent)


@pytest.mark.parametrize("fault", ["before", "lost_answer", "rate_limited", "weird"])
async def test_a_lookup_that_fails_proves_nothing(w: SquareWorld, fault: str) -> None:
    request, ours = wish(), _ids.new("ref")
    order, _ = await submitted(w, request)
    await w.processor.refund(order, usd(1), our_reference=ours, idempotency_key="r")
    for operation, asked in (("get", sale(request, order)), ("list", refund_of(ours, order, usd(1)))):
        await running(w).fault(operation, fault, times=2)
        assert isinstance(await w.processor.lookup(asked), Unknown)
        await running(w).http.delete(f"{running(w).base_url}/control/faults")
        assert isinstance(await w.processor.lookup(asked), Approved)


async def test_a_step_whose_payment_cannot_be_read_first_was_not_taken(w: SquareWorld) -> None:
    request = wish(capture=False)
    order, _ = await submitted(w, request)
    before = len(running(w).simulator.books.events)
    for call in (
        lambda: w.processor.capture(order, request.amount, idempotency_key="c"),
        lambda: w.processor.void(order, idempotency_key="v"),
        lambda: w.processor.refund(order, usd(1), our_reference=_ids.new("ref"), idempotency_key="r"),
    ):
        for fault in ("before", "lost_answer"):
            await running(w).fault("get", fault)
            with pytest.raises(ProcessorUnavailable):
                await call()
    assert len(running(w).simulator.books.events) == before


# ── one order, one payment ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_payment_of_an_order_under_another_key_takes_nothing_and_is_no_decline(w: SquareWorld) -> None:
    """Whether the first key was forgotten or never known: the order is paid. "Declined" would say that nothing was."""
    request = wish()
    order, _ = await submitted(w, request)
    again = await w.processor.submit(order, request, idempotency_key="another")
    assert isinstance(again, Unknown)
    assert isinstance(await w.processor.lookup(sale(request, order)), Approved)
    await running(w).control("clock", {"advance_s": 400 * DAY})  # any key is forgotten by now
    again = await w.processor.submit(order, request, idempotency_key=f"{request.reference}-s")
    assert isinstance(again, Unknown)
    assert await w.taken(request.reference) == 5000


async def test_a_refusal_is_a_decline_only_when_the_order_can_be_read(w: SquareWorld) -> None:
    request = replace(wish(), method="tok_nowhere")
    made = await w.processor.prepare(request, idempotency_key="p")
    assert isinstance(made, Prepared)
    await running(w).fault("get", "before")
    assert isinstance(await w.processor.submit(made.reference, request, idempotency_key="s"), Unknown)
    refused = await w.processor.submit(made.reference, request, idempotency_key="s")
    assert isinstance(refused, Declined)
    assert refused.code is DeclineCode.METHOD_UNKNOWN


async def test_two_holds_of_one_order_are_captured_once_or_let_go_both(w: SquareWorld) -> None:
    for step in ("capture", "void"):
        request = wish(capture=False)
        order, _ = await submitted(w, request)
        assert isinstance(await w.processor.submit(order, request, idempotency_key=f"{step}-other"), Approved)
        if step == "capture":
            took = await w.processor.capture(order, request.amount, idempotency_key=f"{request.reference}-c")
            assert isinstance(took, Approved)
        else:
            assert isinstance(await w.processor.void(order, idempotency_key="v"), Approved)
        held = [one["status"] for one in await running(w).payments(request.reference)]
        assert sorted(held) == (["CANCELED", "COMPLETED"] if step == "capture" else ["CANCELED"] * 2)
        assert await w.taken(request.reference) == (5000 if step == "capture" else 0)


async def test_a_hold_is_captured_whole_or_not_at_all(w: SquareWorld) -> None:
    request = wish(capture=False)
    order, _ = await submitted(w, request)
    for other in (4999, 5001):
        outcome = await w.processor.capture(order, usd(other), idempotency_key=f"c{other}")
        assert isinstance(outcome, Declined)
    assert await w.taken(request.reference) == 0
    assert isinstance(await w.processor.capture(order, usd(5000), idempotency_key="c"), Approved)
    again = await w.processor.capture(order, usd(5000), idempotency_key="c2")
    assert isinstance(again, Approved)
    assert await w.taken(request.reference) == 5000


async def test_an_order_that_nobody_paid_is_voided_by_closing_it(w: SquareWorld) -> None:
    """A payer whose bank wants to verify: it is ended here, and a link is sent for it instead."""
    request = wish("requires-verification")
    order, asked = await submitted(w, request)
    assert isinstance(asked, ActionNeeded)
    assert isinstance(await w.processor.lookup(sale(request, order)), ActionNeeded)
    for key in ("v", "v2"):
        assert isinstance(await w.processor.void(order, idempotency_key=key), Approved)
    ended = OperationRef(OperationKind.VOID, request.reference, order, request.amount, HOUR)
    assert isinstance(await w.processor.lookup(ended), Approved)
    assert isinstance(await w.processor.lookup(sale(request, order)), Canceled)
    late = await w.processor.submit(order, wish(), idempotency_key="late")
    assert isinstance(late, Declined)
    assert running(w).simulator.books.movements == []


# ── late turns and lags ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("does", "last"), [("refund-slow", Approved), ("refund-fails", Declined), ("refund-rejected", Declined)]
)
async def test_a_pending_refund_ends(w: SquareWorld, does: str, last: type[Outcome]) -> None:
    request, ours = wish(does), _ids.new("ref")
    order, _ = await submitted(w, request)
    outcome = await w.processor.refund(order, usd(2000), our_reference=ours, idempotency_key=ours)
    assert isinstance(outcome, Pending)
    for theirs in (outcome.reference, None):
        assert isinstance(await w.processor.lookup(refund_of(ours, order, usd(2000), theirs=theirs)), Pending)
    await running(w).control("clock", {"advance_s": 2 * DAY})
    for theirs in (outcome.reference, None):
        assert isinstance(await w.processor.lookup(refund_of(ours, order, usd(2000), theirs=theirs)), last)
    assert await w.taken(request.reference) == (3000 if last is Approved else 5000)


async def test_a_refund_that_failed_blocks_the_next_and_says_so(w: SquareWorld) -> None:
    order, _ = await submitted(w, wish("refund-fails-late"))
    ours = _ids.new("ref")
    await w.processor.refund(order, usd(2000), our_reference=ours, idempotency_key=ours)
    assert isinstance(await w.processor.lookup(refund_of(ours, order, usd(2000))), Approved)
    await running(w).control("clock", {"advance_s": 3 * DAY})
    late = await w.processor.lookup(refund_of(ours, order, usd(2000)))
    assert isinstance(late, Declined)
    assert late.code is DeclineCode.FAILED
    more = await w.processor.refund(order, usd(100), our_reference=_ids.new("ref"), idempotency_key="next")
    assert isinstance(more, Declined)
    assert more.code is DeclineCode.NOT_REFUNDABLE
    assert "another way" in more.meaning.desk


async def test_a_refund_while_another_is_on_its_way_may_have_to_wait(w: SquareWorld) -> None:
    await running(w).control("settings", {"one_refund_at_a_time": True})
    order, _ = await submitted(w, wish("refund-slow"))
    await w.processor.refund(order, usd(100), our_reference=_ids.new("ref"), idempotency_key="r1")
    second = await w.processor.refund(order, usd(100), our_reference=_ids.new("ref"), idempotency_key="r2")
    assert isinstance(second, Declined)
    assert (second.code, second.meaning.hard) == (DeclineCode.REFUND_PENDING, False)


async def test_a_list_that_lags_proves_no_absence(w: SquareWorld) -> None:
    request, ours = wish(), _ids.new("ref")
    order, _ = await submitted(w, request)
    await running(w).control("settings", {"list_lag_s": 7200})
    await w.processor.refund(order, usd(100), our_reference=ours, idempotency_key="r")
    old = replace(refund_of(ours, order, usd(100)), age=timedelta(days=1))
    assert isinstance(await w.processor.lookup(old), Unknown)
    assert isinstance(await w.processor.lookup(sale(request, order)), Approved)  # an order names its payments at once
    await running(w).control("settings", {"list_lag_s": 0})
    assert isinstance(await w.processor.lookup(old), Approved)


async def test_a_payment_given_back_in_part_still_says_what_was_taken(w: SquareWorld) -> None:
    request = wish()
    order, _ = await submitted(w, request)
    await w.processor.refund(order, usd(1500), our_reference=_ids.new("ref"), idempotency_key="r")
    found = await w.processor.lookup(sale(request, order))
    assert isinstance(found, Approved)
    assert (found.amount, found.given_back) == (usd(5000), usd(1500))


async def test_a_hold_that_lapsed_is_canceled_and_takes_nothing(w: SquareWorld) -> None:
    request = wish(capture=False)
    order, _ = await submitted(w, request)
    await running(w).control("clock", {"advance_s": 7 * DAY})
    ended = await w.processor.lookup(sale(request, order))
    assert isinstance(ended, Canceled)
    assert ended.expired
    late = await w.processor.capture(order, request.amount, idempotency_key="c")
    assert not isinstance(late, Approved)
    assert await w.taken(request.reference) == 0


async def test_what_others_took_meanwhile_hides_nothing(w: SquareWorld) -> None:
    """A decline is found among the payments of a busy day, page after page; then it is too many to say."""
    request = wish("declined")
    order, _ = await submitted(w, request)
    for _ in range(150):
        await running(w).made("POST", "payments", {**_OTHER, "idempotency_key": _ids.new("oth")})
    assert isinstance(await w.processor.lookup(sale(request, order)), Declined)


_OTHER = {
    "source_id": "ccof:customer-card-id-ok",
    "customer_id": CUSTOMER_ID,
    "amount_money": {"amount": 5000, "currency": "USD"},
}


# ── cards, pages, events, keys ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("does", [name for name, what in BEHAVIOURS.items() if what["declines"]])
async def test_every_card_that_declines_takes_nothing_and_is_found_again(w: SquareWorld, does: str) -> None:
    request = wish(does)
    order, outcome = await submitted(w, request)
    assert isinstance(outcome, Declined | ActionNeeded)
    assert await w.processor.lookup(sale(request, order)) == outcome
    assert await w.taken(request.reference) == 0


async def test_a_stored_card_is_read_by_its_id_and_by_ours_until_it_is_disabled(w: SquareWorld) -> None:
    method = await w.processor.read_method("ccof:customer-card-id-ok")
    assert method is not None
    assert (method.token, method.brand, method.last4, method.expires) == (card("ok"), "visa", "1111", "2031-11")
    assert await w.processor.read_method(method.token) == method
    for other in ("SOMEBODYELSE00000000000000-customer-card-id-ok", "ccof:nowhere", "ccof:../payments", "x/../y"):
        assert await w.processor.read_method(other) is None
    await running(w).made("POST", "cards/ccof:customer-card-id-ok/disable", {})
    assert await w.processor.read_method(method.token) is None
    _, outcome = await submitted(w, wish())
    assert isinstance(outcome, Declined)
    assert outcome.meaning.ends


async def test_a_page_takes_only_what_is_asked_and_is_found_by_its_event(w: SquareWorld) -> None:
    with pytest.raises(RuleBroken):
        await w.processor.open_page(wish("", capture=False), idempotency_key="held")
    request = wish("")
    page = await w.processor.open_page(request, idempotency_key="h")
    assert isinstance(page, Prepared)
    for typed in ("4000000000000002", "4111111111111111"):
        await w.pay(page.url, typed)
    about = set()
    now = datetime.now(UTC)
    for event in running(w).events():
        body = as_sent(event)
        [read] = w.processor.read_events(w.sign(body, now), body, now=now)
        assert (read.id, read.type) == (event["event_id"], event["type"])
        about.add((read.about, read.our_reference, read.processor_reference))
    _, order = page.reference.split(":")
    assert about == {(EventAbout.PAYMENT, request.reference, order), (EventAbout.OTHER, "", None)}


async def test_a_refund_of_somebody_else_names_its_payment(w: SquareWorld) -> None:
    """Made in the dashboard: its own order is one that the refund made, not the one that was paid."""
    request = wish()
    order, paid = await submitted(w, request)
    assert isinstance(paid, Approved)
    made = await running(w).made(
        "POST",
        "refunds",
        {
            "idempotency_key": "theirs",
            "payment_id": paid.reference,
            "amount_money": {"amount": 700, "currency": "USD"},
            "reason": "Patient Jane Roe complained",
        },
    )
    events = [event for event in running(w).events() if event["type"].startswith("refund.")]
    now = datetime.now(UTC)
    [read] = w.processor.read_events(w.sign(as_sent(events[-1]), now), as_sent(events[-1]), now=now)
    assert (read.about, read.our_reference, read.processor_reference) == (EventAbout.REFUND, "", made["refund"]["id"])
    found = await w.processor.lookup(
        OperationRef(OperationKind.REFUND, "", read.processor_reference, usd(0), timedelta(days=9))
    )
    assert isinstance(found, Approved)
    assert (found.amount, found.payment) == (usd(700), order)


async def test_a_key_of_ours_that_is_too_long_is_told_by_its_hash(w: SquareWorld) -> None:
    request, key = wish(), "k" * 60
    made = await w.processor.prepare(request, idempotency_key=key)
    assert isinstance(made, Prepared)
    for last in ("a", "a", "b"):
        await w.processor.submit(made.reference, request, idempotency_key=key + last)
    assert await w.taken(request.reference) == 5000
    with pytest.raises(RuleBroken):
        await w.processor.prepare(replace(request, reference="pay" + "0" * 38), idempotency_key="long")


async def test_another_accounts_token_or_location_is_trouble_and_no_answer(w: SquareWorld) -> None:
    request = wish()
    order, _ = await submitted(w, request)
    for spoil in ("token", "books"):
        if spoil == "token":
            running(w).simulator.access_token = "rolled"  # noqa: S105
        else:
            running(w).simulator.access_token = SECRET_KEY
            running(w).simulator.books.things["order"].clear()
        for asked in (sale(request, order), refund_of(_ids.new("ref"), order, usd(1))):
            assert isinstance(await w.processor.lookup(asked), Unknown)
        for call in (
            lambda: w.processor.submit(order, request, idempotency_key="s2"),
            lambda: w.processor.capture(order, request.amount, idempotency_key="c2"),
            lambda: w.processor.void(order, idempotency_key="v2"),
            lambda: w.processor.refund(order, usd(1), our_reference=_ids.new("ref"), idempotency_key="r2"),
        ):
            with pytest.raises(ProcessorMisconfigured):
                await call()
    elsewhere = running(w).adapter(location="L0000000000000")
    with pytest.raises(ProcessorMisconfigured):
        await elsewhere.prepare(wish(), idempotency_key="p2")
    await elsewhere.aclose()


def test_what_a_merchant_has_to_say_is_asked_for_at_start() -> None:
    http = client("http://127.0.0.1:9", allow_private=True)
    for settings in ({"location": ""}, {"location": LOCATION, "webhook_secrets": ("key",)}):
        with pytest.raises(ConfigInvalid):
            SquareProcessor(http, secret_key="x", **settings)  # type: ignore[arg-type]


async def test_an_order_that_was_paid_in_parts_is_for_a_person(w: SquareWorld) -> None:
    """A gift card for a part and a card for the rest: of one of both nothing may be booked as if it were all."""
    request = wish()
    made = await w.processor.prepare(request, idempotency_key="p")
    assert isinstance(made, Prepared)
    parts: list[str] = []
    for number, minor in enumerate((2000, 3000)):
        part = {
            "source_id": "cnon:card-nonce-ok",
            "idempotency_key": f"part-{number}",
            "amount_money": {"amount": minor, "currency": "USD"},
            "order_id": made.reference,
            "autocomplete": False,
        }
        parts.append((await running(w).made("POST", "payments", part))["payment"]["id"])
    await running(w).made("POST", f"orders/{made.reference}/pay", {"idempotency_key": "pay", "payment_ids": parts})
    assert isinstance(await w.processor.lookup(sale(request, made.reference)), Unknown)
    page = OperationRef(OperationKind.HOSTED, request.reference, Reference(f"link:{made.reference}"), usd(5000), HOUR)
    assert isinstance(await w.processor.lookup(page), Unknown)
