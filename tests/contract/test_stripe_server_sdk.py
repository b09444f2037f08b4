"""Stripe's own SDK drives the look-alike through every flow: a second witness that it speaks Stripe's API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import requests
import stripe

from stripe_running import OLD_WEBHOOK_SECRET, SECRET_KEY, WEBHOOK_SECRET, Running, stripe_apart
from stripe_server.faults import Fault
from stripe_server.webhooks import HEADER, as_sent, sign

NEVER = {"enabled": True, "allow_redirects": "never"}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with stripe_apart() as served:
        yield served


def _client(running: Running, session: requests.Session, key: str = SECRET_KEY) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": running.base_url},
        http_client=stripe.RequestsClient(session=session, timeout=30),
        max_network_retries=0,
    )


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.fixture
def sdk(running: Running, session: requests.Session) -> Iterator[stripe.StripeClient]:
    yield _client(running, session)
    running.simulator.faults.waiting.clear()


def create(sdk: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    params = {"amount": 12500, "currency": "usd", "payment_method": method, "automatic_payment_methods": NEVER, **more}
    return sdk.v1.payment_intents.create(params)


def paid(sdk: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    return sdk.v1.payment_intents.confirm(create(sdk, method, **more).id)


def advance(running: Running, seconds: float) -> None:
    running.simulator.books.offset_s += seconds
    running.simulator.tick()


# ── payments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_create_then_confirm(sdk: stripe.StripeClient) -> None:
    intent = create(sdk, metadata={"reference": "pay0123456789abcdef"}, statement_descriptor_suffix="Visit")
    assert (intent.status, intent.amount_received, intent.latest_charge) == ("requires_confirmation", 0, None)
    done = sdk.v1.payment_intents.confirm(intent.id, {"expand": ["latest_charge", "payment_method"]})
    assert (done.status, done.amount_received, done.livemode) == ("succeeded", 12500, False)
    assert isinstance(done.latest_charge, stripe.Charge)
    assert isinstance(done.payment_method, stripe.PaymentMethod)
    details = done.latest_charge.payment_method_details
    assert details is not None
    assert details.card is not None
    assert (details.card.brand, details.card.last4) == ("visa", "4242")
    assert done.latest_charge.amount_captured == 12500
    assert done.latest_charge.metadata["reference"] == "pay0123456789abcdef"


def test_create_and_confirm_at_once(sdk: stripe.StripeClient) -> None:
    intent = create(sdk, "pm_card_mastercard", confirm=True, capture_method="automatic", expand=["latest_charge"])
    assert intent.status == "succeeded"
    assert intent.latest_charge.balance_transaction is not None


def test_the_balance_transaction_of_an_asynchronous_capture_comes_later(
    running: Running, sdk: stripe.StripeClient
) -> None:
    charge = str(paid(sdk).latest_charge)
    assert sdk.v1.charges.retrieve(charge).balance_transaction is None
    advance(running, 3600)
    shown = sdk.v1.charges.retrieve(charge, {"expand": ["balance_transaction"]}).balance_transaction
    assert isinstance(shown, stripe.BalanceTransaction)
    assert (shown.amount, shown.fee, shown.net, shown.type) == (12500, 392, 12108, "charge")


def test_authorize_then_capture_a_part(sdk: stripe.StripeClient) -> None:
    held = paid(sdk, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 12500, 0)
    taken = sdk.v1.payment_intents.capture(held.id, {"amount_to_capture": 10000, "expand": ["latest_charge"]})
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 10000)
    charge = taken.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (12500, 10000, 0)
    assert sdk.v1.refunds.list({"payment_intent": held.id}).data == []
    with pytest.raises(stripe.InvalidRequestError) as no:
        sdk.v1.payment_intents.capture(held.id)
    assert no.value.code == "payment_intent_unexpected_state"
    assert no.value.error is not None
    assert no.value.error.payment_intent is not None
    assert no.value.error.payment_intent.status == "succeeded"


def test_cancel_an_authorization(running: Running, sdk: stripe.StripeClient) -> None:
    held = paid(sdk, capture_method="manual")
    gone = sdk.v1.payment_intents.cancel(held.id, {"cancellation_reason": "requested_by_customer"})
    assert (gone.status, gone.amount_capturable) == ("canceled", 0)
    assert gone.cancellation_reason == "requested_by_customer"
    lapsing = paid(sdk, capture_method="manual")
    advance(running, 7 * 24 * 3600)
    lapsed = sdk.v1.payment_intents.retrieve(lapsing.id)
    assert (lapsed.status, lapsed.cancellation_reason) == ("canceled", "expired")
    for attempt in (sdk.v1.payment_intents.confirm, sdk.v1.payment_intents.capture, sdk.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError, match="canceled"):
            attempt(gone.id)


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_decline_is_a_card_error(sdk: stripe.StripeClient, method: str, code: str, decline_code: str) -> None:
    intent = create(sdk, method)
    with pytest.raises(stripe.CardError) as no:
        sdk.v1.payment_intents.confirm(intent.id)
    assert (no.value.http_status, no.value.code) == (402, code)
    error = no.value.error
    assert error is not None
    assert error.decline_code == decline_code
    assert error.payment_intent is not None
    assert (error.payment_intent.id, error.payment_intent.status) == (intent.id, "requires_payment_method")
    later = sdk.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert later.last_payment_error is not None
    assert (later.last_payment_error.code, later.payment_method, later.amount_received) == (code, None, 0)
    assert isinstance(later.latest_charge, stripe.Charge)
    assert later.latest_charge.status == "failed"
    assert sdk.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_off_session_a_payer_who_has_to_confirm_is_a_decline(sdk: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as no:
        create(sdk, "pm_card_authenticationRequired", confirm=True, off_session=True)
    assert no.value.code == "authentication_required"


def test_on_session_the_payer_is_sent_to_the_bank(running: Running, sdk: stripe.StripeClient) -> None:
    for action, status in (("confirm", "succeeded"), ("refuse", "requires_payment_method")):
        intent = create(sdk, "pm_card_threeDSecure2Required")
        asked = sdk.v1.payment_intents.confirm(intent.id, {"return_url": "https://x.example/back"})
        assert asked.status == "requires_action"
        assert asked.next_action is not None
        assert asked.next_action.redirect_to_url is not None
        answer = httpx2.post(
            str(asked.next_action.redirect_to_url.url), data={"action": action}, trust_env=False, verify=False
        )
        assert answer.headers["location"] == "https://x.example/back"
        assert sdk.v1.payment_intents.retrieve(intent.id).status == status


def test_a_bank_debit_is_processing_and_ends_later(running: Running, sdk: stripe.StripeClient) -> None:
    mandate: Any = {"customer_acceptance": {"type": "offline"}}
    good, bad = create(sdk, "pm_usBankAccount_success"), create(sdk, "pm_usBankAccount_insufficientFunds")
    for intent in (good, bad):
        with pytest.raises(stripe.InvalidRequestError, match="mandate_data"):
            sdk.v1.payment_intents.confirm(intent.id)
        assert sdk.v1.payment_intents.confirm(intent.id, {"mandate_data": mandate}).status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="processing"):
        sdk.v1.payment_intents.cancel(good.id)
    advance(running, 4 * 24 * 3600)
    assert sdk.v1.payment_intents.retrieve(good.id).status == "succeeded"
    failed = sdk.v1.payment_intents.retrieve(bad.id)
    assert (failed.status, failed.amount_received) == ("requires_payment_method", 0)


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_refunds_in_parts_and_never_too_much(sdk: stripe.StripeClient) -> None:
    intent = paid(sdk)
    first = sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 5000, "reason": "requested_by_customer"})
    assert (first.status, first.charge, first.payment_intent) == ("succeeded", intent.latest_charge, intent.id)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as no:
        sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 7501})
    assert no.value.param == "amount"
    rest = sdk.v1.refunds.create({"charge": str(intent.latest_charge)})
    assert rest.amount == 7500
    with pytest.raises(stripe.InvalidRequestError) as no:
        sdk.v1.refunds.create({"payment_intent": intent.id})
    assert no.value.code == "charge_already_refunded"
    listed = sdk.v1.refunds.list({"payment_intent": intent.id, "limit": 1})
    assert ([doc.id for doc in listed.data], listed.has_more) == ([rest.id], True)
    assert [doc.id for doc in listed.auto_paging_iter()] == [rest.id, first.id]
    charge = sdk.v1.charges.list({"payment_intent": intent.id, "expand": ["data.refunds"]}).data[0]
    assert (charge.refunded, charge.amount_refunded, len(charge.refunds.data)) == (True, 12500, 2)


def test_a_refund_may_be_pending_or_fail_after_it_succeeded(running: Running, sdk: stripe.StripeClient) -> None:
    pending = sdk.v1.refunds.create({"payment_intent": paid(sdk, "pm_card_pendingRefund").id})
    failing = sdk.v1.refunds.create({"payment_intent": paid(sdk, "pm_card_refundFail").id})
    assert (pending.status, failing.status) == ("pending", "succeeded")
    advance(running, 2 * 24 * 3600)
    assert sdk.v1.refunds.retrieve(pending.id).status == "succeeded"
    failed = sdk.v1.refunds.retrieve(failing.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction
    assert sdk.v1.charges.retrieve(str(failed.charge)).amount_refunded == 0


def test_what_is_not_captured_is_not_refunded(sdk: stripe.StripeClient) -> None:
    for intent in (create(sdk), paid(sdk, capture_method="manual")):
        with pytest.raises(stripe.InvalidRequestError):
            sdk.v1.refunds.create({"payment_intent": intent.id})


# ── idempotency, errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_key_gets_the_first_answer(sdk: stripe.StripeClient) -> None:
    params: Any = {"amount": 900, "currency": "usd"}
    first = sdk.v1.payment_intents.create(params, {"idempotency_key": "k1"})
    again = sdk.v1.payment_intents.create(params, {"idempotency_key": "k1"})
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError) as no:
        sdk.v1.payment_intents.create({**params, "amount": 901}, {"idempotency_key": "k1"})
    assert no.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        sdk.v1.refunds.create({"payment_intent": first.id}, {"idempotency_key": "k1"})


def test_a_decline_is_remembered_under_its_key(sdk: stripe.StripeClient) -> None:
    intent = create(sdk, "pm_card_chargeDeclined")
    seen: list[str | None] = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as no:
            sdk.v1.payment_intents.confirm(intent.id, {}, {"idempotency_key": "declined"})
        seen.append(no.value.request_id)
        assert no.value.error is not None
    assert len(sdk.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_a_key_is_forgotten_after_a_day(running: Running, sdk: stripe.StripeClient) -> None:
    params: Any = {"amount": 900, "currency": "usd"}
    first = sdk.v1.payment_intents.create(params, {"idempotency_key": "k2"})
    advance(running, 24 * 3600)
    assert sdk.v1.payment_intents.create(params, {"idempotency_key": "k2"}).id != first.id


def test_error_classes(running: Running, sdk: stripe.StripeClient, session: requests.Session) -> None:
    with pytest.raises(stripe.AuthenticationError) as wrong:
        _client(running, session, "sk_test_wrong").v1.payment_intents.list()
    assert wrong.value.http_status == 401
    with pytest.raises(stripe.InvalidRequestError) as no:
        sdk.v1.payment_intents.retrieve("pi_none")
    assert (no.value.http_status, no.value.code, no.value.param) == (404, "resource_missing", "intent")
    for fault, code in (("rate_limited", "rate_limit"), ("locked", "lock_timeout")):
        running.simulator.faults.waiting.append(Fault("create", fault))
        with pytest.raises(stripe.RateLimitError) as limited:
            create(sdk)
        assert limited.value.json_body["error"]["code"] == code
    running.simulator.faults.waiting.append(Fault("create", "before"))
    with pytest.raises(stripe.APIError):
        create(sdk)
    running.simulator.faults.waiting.append(Fault("create", "lost_answer"))
    with pytest.raises(stripe.APIConnectionError):
        create(sdk)


# ── lists and search ──────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_go_newest_first_and_page_both_ways(sdk: stripe.StripeClient) -> None:
    customer = sdk.v1.customers.create().id
    made = [create(sdk, customer=customer).id for _ in range(5)]
    page = sdk.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert ([doc.id for doc in page.data], page.has_more) == ([made[4], made[3]], True)
    assert [doc.id for doc in page.auto_paging_iter()] == made[::-1]
    back = sdk.v1.payment_intents.list({"customer": customer, "ending_before": made[1], "limit": 2})
    assert [doc.id for doc in back.data] == [made[3], made[2]]


def test_search_finds_a_payment_only_later(running: Running, sdk: stripe.StripeClient) -> None:
    intent = create(sdk, metadata={"reference": "searched"})
    query: Any = {"query": "metadata['reference']:'searched' AND status:'requires_confirmation'"}
    assert sdk.v1.payment_intents.search(query).data == []
    advance(running, 61)
    assert [doc.id for doc in sdk.v1.payment_intents.search(query).data] == [intent.id]


# ── checkout and saved methods ────────────────────────────────────────────────────────────────────────────────────


def checkout(sdk: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    price = {"currency": "usd", "unit_amount": 4000, "product_data": {"name": "Visit"}}
    params = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": "https://x.example/ok?s={CHECKOUT_SESSION_ID}",
        "client_reference_id": "pay0123456789abcdef",
        **more,
    }
    return sdk.v1.checkout.sessions.create({k: v for k, v in params.items() if v is not None})


def type_card(session: stripe.checkout.Session, card: str) -> httpx2.Response:
    return httpx2.post(str(session.url), data={"card": card, "action": "pay"}, trust_env=False, verify=False)


def test_a_checkout_page_is_declined_and_then_paid(sdk: stripe.StripeClient) -> None:
    session = checkout(sdk, payment_intent_data={"metadata": {"reference": "pay0123456789abcdef"}})
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert type_card(session, "4000 0000 0000 0002").status_code == 402
    tried = sdk.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert tried.status == "open"
    assert isinstance(tried.payment_intent, stripe.PaymentIntent)
    assert tried.payment_intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="Expire the Checkout Session"):
        sdk.v1.payment_intents.cancel(tried.payment_intent.id)
    answer = type_card(session, "4242424242424242")
    assert answer.headers["location"] == f"https://x.example/ok?s={session.id}"
    done = sdk.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge", "line_items"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    intent = done.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.amount_received, intent.metadata["reference"]) == (4000, "pay0123456789abcdef")
    assert [doc.id for doc in sdk.v1.checkout.sessions.list({"payment_intent": intent.id}).data] == [session.id]
    with pytest.raises(stripe.InvalidRequestError, match="open"):
        sdk.v1.checkout.sessions.expire(session.id)


def test_a_checkout_page_expires(running: Running, sdk: stripe.StripeClient) -> None:
    session, other = checkout(sdk), checkout(sdk)
    assert sdk.v1.checkout.sessions.expire(session.id).status == "expired"
    advance(running, 24 * 3600 + 1)
    assert sdk.v1.checkout.sessions.retrieve(other.id).status == "expired"
    type_card(session, "4242424242424242")
    assert sdk.v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"


def test_a_payer_on_the_page_goes_to_the_bank(sdk: stripe.StripeClient) -> None:
    session = checkout(sdk)
    bank = type_card(session, "4000 0027 6000 3184").headers["location"]
    assert httpx2.post(bank, data={"action": "confirm"}, trust_env=False, verify=False).is_redirect
    assert sdk.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_method_saved_on_a_page_pays_later_with_its_customer(sdk: stripe.StripeClient) -> None:
    customer = sdk.v1.customers.create({"metadata": {"reference": "cust"}})
    session = checkout(sdk, mode="setup", line_items=None, currency="usd", customer=customer.id)
    assert type_card(session, "4242424242424242").is_redirect
    done = sdk.v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert done.payment_status == "no_payment_required"
    method = done.setup_intent.payment_method
    assert isinstance(method, stripe.PaymentMethod)
    assert method.customer == customer.id
    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
        create(sdk, method.id)
    for _ in range(2):
        assert create(sdk, method.id, customer=customer.id, confirm=True, off_session=True).status == "succeeded"
    sdk.v1.payment_methods.detach(method.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        create(sdk, method.id, customer=customer.id)


def test_setup_intents_and_attaching(sdk: stripe.StripeClient) -> None:
    customer = sdk.v1.customers.create({"name": "A"})
    made = sdk.v1.setup_intents.create({"customer": customer.id, "automatic_payment_methods": NEVER})
    assert made.status == "requires_payment_method"
    done = sdk.v1.setup_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert sdk.v1.payment_methods.retrieve(str(done.payment_method)).customer == customer.id
    attached = sdk.v1.payment_methods.attach("pm_card_amex", {"customer": customer.id})
    assert (attached.customer, attached.card.last4) == (customer.id, "0005")
    dropped = sdk.v1.setup_intents.create({"automatic_payment_methods": NEVER})
    assert sdk.v1.setup_intents.cancel(dropped.id).status == "canceled"
    assert sdk.v1.customers.retrieve(customer.id).name == "A"


def test_a_method_without_a_customer_is_used_once(sdk: stripe.StripeClient) -> None:
    paying = str(paid(sdk).payment_method)
    with pytest.raises(stripe.CardError) as no:
        paid(sdk, "pm_card_chargeDeclined")
    assert no.value.error is not None
    assert no.value.error.payment_method is not None
    for method in (paying, no.value.error.payment_method.id):
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            create(sdk, method)
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            sdk.v1.customers.create({"payment_method": method})


def test_a_method_is_saved_while_it_pays(sdk: stripe.StripeClient) -> None:
    customer = sdk.v1.customers.create().id
    first = paid(sdk, customer=customer, setup_future_usage="off_session")
    assert create(sdk, str(first.payment_method), customer=customer, confirm=True).status == "succeeded"


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_events_say_what_happened_and_are_signed(sdk: stripe.StripeClient) -> None:
    intent = sdk.v1.payment_intents.confirm(create(sdk).id, {}, {"idempotency_key": "ev1"})
    event = sdk.v1.events.list({"type": "payment_intent.succeeded"}).data[0]
    assert event.data.object["id"] == intent.id
    assert event.data.object["amount_received"] == 12500
    assert (event.api_version, event.livemode) == (stripe.api_version, False)
    assert event.request is not None
    assert event.request.idempotency_key == "ev1"
    assert sdk.v1.events.retrieve(event.id).id == event.id
    body, now = as_sent(event.to_dict()), int(time.time())
    for secret in (WEBHOOK_SECRET, OLD_WEBHOOK_SECRET):
        header = sign([WEBHOOK_SECRET, OLD_WEBHOOK_SECRET], body, now)
        assert stripe.Webhook.construct_event(body, header, secret).id == event.id
    for secrets, at in ((["whsec_somebody_else"], now), ([WEBHOOK_SECRET], now - 301)):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, sign(secrets, body, at), WEBHOOK_SECRET)
    assert HEADER == "Stripe-Signature"


def test_which_events_a_payment_emits(running: Running, sdk: stripe.StripeClient) -> None:
    def since(count: int) -> list[str]:
        return [event["type"] for event in running.simulator.books.events[count:]]

    start = len(running.simulator.books.events)
    held = paid(sdk, capture_method="manual")
    sdk.v1.payment_intents.capture(held.id)
    sdk.v1.refunds.create({"payment_intent": held.id})
    assert since(start) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
        "refund.created",
        "charge.refunded",
    ]
    start = len(running.simulator.books.events)
    type_card(checkout(sdk), "4242424242424242")
    assert since(start)[-1] == "checkout.session.completed"
