"""What the Stripe adapter calls, and which answers mean that nothing happened: against a made-up server in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from fhirpay.domain.money import Money
from fhirpay.errors import ProcessorMisconfigured, ProcessorUnavailable, RuleBroken
from fhirpay.net.http import client
from fhirpay.payments.adapters.stripe import API_VERSION, BASE_URL, CAPABILITIES, StripeProcessor
from fhirpay.payments.port import (
    Approved,
    Declined,
    OperationKind,
    OperationRef,
    PaymentRequest,
    Pending,
    Prepared,
    ProvenAbsent,
    Reference,
    Unknown,
)

OURS = "pay" + "0" * 26
REQUEST = PaymentRequest(OURS, Money(125_00, "USD"), "cus_A1b2-pm_C3d4", return_url="https://pay.example.com/r/1")
HOUR = timedelta(hours=1)
Doc = dict[str, Any]
CHARGE = {"id": "ch_1", "created": 1_764_000_000, "payment_method_details": {"card": {"brand": "visa", "last4": "42"}}}
INTENT: Doc = {
    "object": "payment_intent",
    "id": "pi_1",
    "status": "succeeded",
    "amount_received": 12500,
    "currency": "usd",
    "capture_method": "automatic",
    "latest_charge": CHARGE,
    "created": 1_764_000_000,
    "metadata": {"reference": OURS},
}


class Server:
    """Answers in turn, the last one for ever; keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object]] = []
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        status, doc = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx2.Response(status, content=doc if isinstance(doc, bytes) else json.dumps(doc).encode())

    def says(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def stripe(server: Server) -> AsyncIterator[StripeProcessor]:
    http = client(BASE_URL, transport=httpx2.MockTransport(server))
    made = StripeProcessor(http, secret_key="sk_test_1", webhook_secrets=("whsec_1",))
    yield made
    await made.aclose()


MOVES: dict[str, Callable[[StripeProcessor], Any]] = {
    "submit": lambda stripe: stripe.submit(Reference("pi_1"), REQUEST, idempotency_key="opr1-1"),
    "capture": lambda stripe: stripe.capture(Reference("pi_1"), REQUEST.amount, idempotency_key="opr1-1"),
    "void": lambda stripe: stripe.void(Reference("pi_1"), idempotency_key="opr1-1"),
    "refund": lambda stripe: stripe.refund(
        Reference("pi_1"), REQUEST.amount, our_reference="ref" + "0" * 26, idempotency_key="opr1-1"
    ),
}
PREPARES: dict[str, Callable[[StripeProcessor], Any]] = {
    "prepare": lambda stripe: stripe.prepare(REQUEST, idempotency_key="opr1-p"),
    "page": lambda stripe: stripe.open_page(REQUEST, idempotency_key="opr1-p"),
    "setup": lambda stripe: stripe.open_setup_page(
        "set" + "0" * 26, return_url="https://x.example", idempotency_key="set1"
    ),
}
PATHS = {
    "submit": "/v1/payment_intents/pi_1/confirm",
    "capture": "/v1/payment_intents/pi_1/capture",
    "void": "/v1/payment_intents/pi_1/cancel",
    "refund": "/v1/refunds",
    "prepare": "/v1/payment_intents",
    "page": "/v1/checkout/sessions",
    "setup": "/v1/checkout/sessions",
}


@pytest.mark.parametrize("call", PATHS)
async def test_a_call_is_a_form_with_key_version_and_bearer(call: str, stripe: StripeProcessor, server: Server) -> None:
    server.says((200, INTENT))
    await (MOVES | PREPARES)[call](stripe)
    (asked,) = server.asked
    assert (asked.method, asked.url.path, asked.url.host) == ("POST", PATHS[call], "api.stripe.com")
    assert asked.headers["authorization"] == "Bearer sk_test_1"
    assert asked.headers["stripe-version"] == API_VERSION
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["idempotency-key"] in ("opr1-1", "opr1-p", "set1")
    assert all(name and value for name, value in parse_qsl(asked.content.decode(), keep_blank_values=True))


async def test_a_read_has_no_key_and_asks_for_the_charge(stripe: StripeProcessor, server: Server) -> None:
    server.says((200, INTENT))
    ref = OperationRef(OperationKind.SALE, OURS, Reference("pi_1"), REQUEST.amount, HOUR)
    assert isinstance(await stripe.lookup(ref), Approved)
    (asked,) = server.asked
    assert (asked.method, str(asked.url.path)) == ("GET", "/v1/payment_intents/pi_1")
    assert dict(asked.url.params) == {"expand[]": "latest_charge.balance_transaction"}
    assert "idempotency-key" not in asked.headers


ERRORS: list[tuple[int, object]] = [
    (409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}),
    (400, {"error": {"type": "idempotency_error", "message": "Keys for idempotent requests can only be used with…"}}),
    (424, {"error": {"type": "api_error"}}),
    (500, {"error": {"type": "api_error"}}),
    (502, b"<html>"),
    (503, b""),
    (302, b""),
    (204, b""),
    (200, b"not json"),
    (200, []),
    (200, {"object": "payment_intent"}),
    (200, {"object": "payment_intent", "id": 7, "status": "succeeded"}),
]


@pytest.mark.parametrize(("status", "doc"), ERRORS)
@pytest.mark.parametrize("call", MOVES)
async def test_what_says_nothing_about_the_money_is_unknown(
    call: str, status: int, doc: object, stripe: StripeProcessor, server: Server
) -> None:
    server.says((status, doc))
    assert isinstance(await MOVES[call](stripe), Unknown)


@pytest.mark.parametrize(("status", "doc"), ERRORS)
@pytest.mark.parametrize("call", PREPARES)
async def test_where_no_money_moves_it_is_safe_to_repeat(
    call: str, status: int, doc: object, stripe: StripeProcessor, server: Server
) -> None:
    server.says((status, doc))
    with pytest.raises(ProcessorUnavailable):
        await PREPARES[call](stripe)


@pytest.mark.parametrize("call", PATHS)
async def test_a_wrong_key_and_a_limit_mean_that_nothing_happened(
    call: str, stripe: StripeProcessor, server: Server
) -> None:
    for status in (401, 403):
        server.says((status, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_t"}}))
        with pytest.raises(ProcessorMisconfigured, match="secret_key") as told:
            await (MOVES | PREPARES)[call](stripe)
        assert "sk_t" not in str(told.value)
    for code in ("rate_limit", "lock_timeout"):
        server.says((429, {"error": {"type": "invalid_request_error", "code": code}}))
        with pytest.raises(ProcessorUnavailable):
            await (MOVES | PREPARES)[call](stripe)


@pytest.mark.parametrize("call", PATHS)
async def test_a_key_of_the_other_mode_is_told_as_such(call: str, stripe: StripeProcessor, server: Server) -> None:
    message = "No such PaymentMethod: 'pm_1'; a similar object exists in live mode, but a test mode key was used."
    error = {"type": "invalid_request_error", "code": "resource_missing", "param": "payment_method", "message": message}
    server.says((400, {"error": error}))
    with pytest.raises(ProcessorMisconfigured, match="tests"):
        await (MOVES | PREPARES)[call](stripe)


async def test_a_payment_that_stripe_made_and_does_not_know_proves_nothing(
    stripe: StripeProcessor, server: Server
) -> None:
    """It was made under another key: the money may have moved in that account."""
    error = {"type": "invalid_request_error", "code": "resource_missing", "param": "intent"}
    server.says((404, {"error": error}))
    with pytest.raises(ProcessorMisconfigured, match="another account"):
        await MOVES["submit"](stripe)
    for kind in OperationKind:
        ref = OperationRef(kind, OURS, Reference("x_1"), REQUEST.amount, timedelta(days=9), Reference("pi_1"))
        assert isinstance(await stripe.lookup(ref), Unknown)
        server.says((404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "id"}}))
        assert isinstance(await stripe.lookup(ref), Unknown)


async def test_what_stripe_refuses_to_prepare_is_declined(stripe: StripeProcessor, server: Server) -> None:
    server.says((400, {"error": {"type": "invalid_request_error", "code": "amount_too_small"}}))
    made = await stripe.prepare(REQUEST, idempotency_key="k")
    assert isinstance(made, Declined)
    assert made.code == "amount_too_small"
    with pytest.raises(RuleBroken):
        await PREPARES["setup"](stripe)


def listed(*docs: Doc, more: bool = False) -> tuple[int, Doc]:
    return 200, {"object": "list", "data": list(docs), "has_more": more}


def other(number: int, *, days_ago: float = 0) -> Doc:
    created = 1_764_000_000 - int(days_ago * 86_400)
    return INTENT | {"id": f"pi_other{number}", "created": created, "metadata": {"reference": "pay" + "1" * 26}}


UNNAMED = OperationRef(OperationKind.SALE, OURS, None, REQUEST.amount, HOUR)


async def test_what_has_no_id_is_found_by_our_reference_in_the_list(stripe: StripeProcessor, server: Server) -> None:
    server.says(listed(other(1), other(2), more=True), listed(other(3), INTENT, more=True), (200, INTENT))
    found = await stripe.lookup(UNNAMED)
    assert isinstance(found, Approved)
    first, second, third = server.asked
    assert dict(first.url.params) == {"limit": "100"}
    assert dict(second.url.params) == {"limit": "100", "starting_after": "pi_other2"}
    assert third.url.path == "/v1/payment_intents/pi_1"
    assert not any("search" in str(asked.url) for asked in server.asked)


async def test_absence_is_proof_only_after_the_horizon_and_only_of_a_list_read_to_its_end(
    stripe: StripeProcessor, server: Server
) -> None:
    horizon = CAPABILITIES.lookup_settles_after
    server.says(listed(other(1)))
    early = OperationRef(OperationKind.SALE, OURS, None, REQUEST.amount, horizon - timedelta(seconds=1))
    assert isinstance(await stripe.lookup(early), Unknown)
    assert isinstance(await stripe.lookup(UNNAMED), ProvenAbsent)
    server.says(listed(other(1), other(2, days_ago=3), more=True))  # older than the operation: it can't come any more
    assert isinstance(await stripe.lookup(UNNAMED), ProvenAbsent)
    server.says(listed(other(1), more=True))  # no end in sight
    assert isinstance(await stripe.lookup(UNNAMED), Unknown)
    for strange in ((200, {"data": 7}), (200, {"data": [7]}), (500, {}), (200, [])):
        server.says(strange)
        assert isinstance(await stripe.lookup(UNNAMED), Unknown)


async def test_of_two_made_for_one_payment_the_one_with_money_counts(stripe: StripeProcessor, server: Server) -> None:
    idle = INTENT | {"id": "pi_0", "status": "requires_confirmation"}
    server.says(listed(idle, INTENT), (200, idle), (200, INTENT))
    assert isinstance(await stripe.lookup(UNNAMED), Approved)


async def test_a_refund_without_id_is_looked_for_among_those_of_its_payment(
    stripe: StripeProcessor, server: Server
) -> None:
    ours = "ref" + "0" * 26
    refund = {"object": "refund", "id": "re_1", "status": "pending", "created": 1, "metadata": {"reference": ours}}
    server.says(listed(refund | {"id": "re_0", "metadata": {}}, refund), (200, refund))
    ref = OperationRef(OperationKind.REFUND, ours, None, REQUEST.amount, HOUR, payment_reference=Reference("pi_1"))
    assert isinstance(await stripe.lookup(ref), Pending)
    assert dict(server.asked[0].url.params) == {"limit": "100", "payment_intent": "pi_1"}
    assert server.asked[1].url.path == "/v1/refunds/re_1"


async def test_a_page_is_prepared_with_its_address_and_its_end(stripe: StripeProcessor, server: Server) -> None:
    server.says((200, {"object": "checkout.session", "id": "cs_1", "url": "https://p", "expires_at": 1_764_000_000}))
    made = await stripe.open_page(REQUEST, idempotency_key="k")
    assert isinstance(made, Prepared)
    assert (made.reference, made.url) == ("cs_1", "https://p")
    assert made.expires_at is not None
    server.says((400, {"error": {"type": "invalid_request_error"}}))
    await stripe.close_page(Reference("cs_1"), idempotency_key="k")  # ended already: for a lookup to say


async def test_a_method_taken_off_its_customer_is_none_any_more(stripe: StripeProcessor, server: Server) -> None:
    card = {"brand": "visa", "last4": "4242", "exp_year": 2034, "exp_month": 12}
    method = {"object": "payment_method", "id": "pm_C3d4", "customer": "cus_A1b2", "card": card}
    server.says((200, method))
    found = await stripe.read_method("cus_A1b2-pm_C3d4")
    assert found is not None
    assert found.token == "cus_A1b2-pm_C3d4"  # noqa: S105
    for gone in ((200, method | {"customer": None}), (200, method | {"customer": "cus_other"}), (404, {})):
        server.says(gone)
        assert await stripe.read_method("cus_A1b2-pm_C3d4") is None
    server.says((500, {}))
    with pytest.raises(ProcessorUnavailable):
        await stripe.read_method("cus_A1b2-pm_C3d4")
    session = {"object": "checkout.session", "id": "cs_1", "setup_intent": {"status": "requires_payment_method"}}
    for unfinished in (session, session | {"setup_intent": None}):
        server.says((200, unfinished))
        assert await stripe.read_method("cs_1") is None
    server.says((200, session | {"setup_intent": {"status": "succeeded", "payment_method": method}}))
    assert await stripe.read_method("cs_1") == found
