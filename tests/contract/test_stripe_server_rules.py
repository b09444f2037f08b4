"""The Stripe look-alike is as strict as Stripe's documentation: what breaks a documented rule is refused, and says why.

Each case names the page. Wrong parameters, wrong keys and versions, wrong moments, wrong repeats.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from stripe_running import INTENT, NEVER, SECRET_KEY, Caller, Doc, calling_stripe, error
from stripe_server.forms import parse
from stripe_server.versions import LATEST, VERSIONS

PAGE = {
    "mode": "payment",
    "success_url": "https://x.example/",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "5000",
    "line_items[0][price_data][product_data][name]": "Visit",
    "line_items[0][quantity]": "1",
}
SETUP = {"mode": "setup", "success_url": "https://x.example/"}
REFERENCE = "pay0123456789abcdef0123"


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with calling_stripe() as caller:
        yield caller


# ── parameters ────────────────────────────────────────────────────────────────────────────────────────────────────

REFUSED: list[tuple[str, Doc, str, str]] = [
    # API reference, Errors; Error codes: parameter_unknown, parameter_missing, parameter_invalid_integer, …_empty
    ("payment_intents", {**INTENT, "colour": "red"}, "parameter_unknown", "colour"),
    ("payment_intents", {**INTENT, "reference": "x"}, "parameter_unknown", "reference"),
    (
        "payment_intents",
        {**INTENT, "automatic_payment_methods[redirects]": "no"},
        "parameter_unknown",
        "automatic_payment_methods[redirects]",
    ),
    ("payment_intents", {"currency": "usd"}, "parameter_missing", "amount"),
    ("payment_intents", {"amount": "5000"}, "parameter_missing", "currency"),
    ("payment_intents", {**INTENT, "amount": "50.00"}, "parameter_invalid_integer", "amount"),
    ("payment_intents", {**INTENT, "amount": "-5"}, "parameter_invalid_integer", "amount"),
    ("payment_intents", {**INTENT, "payment_method": ""}, "parameter_invalid_empty", "payment_method"),
    ("payment_intents", {**INTENT, "confirm": "yes"}, "", "confirm"),
    ("payment_intents", {**INTENT, "capture_method": "later"}, "", "capture_method"),
    ("payment_intents", {**INTENT, "amount[x]": "1"}, "", "amount[x]"),
    ("payment_intents", {**INTENT, "expand": "latest_charge"}, "", "expand"),
    # API reference, Create a PaymentIntent: currency in lowercase; amount at least $0.50, at most eight digits
    ("payment_intents", {**INTENT, "currency": "USD"}, "", "currency"),
    ("payment_intents", {**INTENT, "currency": "xxx"}, "", "currency"),
    ("payment_intents", {**INTENT, "amount": "49"}, "amount_too_small", "amount"),
    ("payment_intents", {**INTENT, "amount": "100000000"}, "amount_too_large", "amount"),
    # API reference, Create a PaymentIntent: only with confirm=true
    ("payment_intents", {**INTENT, "off_session": "true"}, "payment_intent_invalid_parameter", "off_session"),
    ("payment_intents", {**INTENT, "return_url": "https://x"}, "payment_intent_invalid_parameter", "return_url"),
    # Error codes: resource_missing
    ("payment_intents", {**INTENT, "payment_method": "pm_none"}, "resource_missing", "payment_method"),
    ("payment_intents", {**INTENT, "customer": "cus_none"}, "resource_missing", "customer"),
    # Metadata: 50 keys, 40 characters a name, 500 a value
    ("payment_intents", {**INTENT, "metadata[k]": "v" * 501}, "", "metadata[k]"),
    ("payment_intents", {**INTENT, f"metadata[{'k' * 41}]": "v"}, "", f"metadata[{'k' * 41}]"),
    ("payment_intents", {**INTENT, **{f"metadata[k{i}]": "v" for i in range(51)}}, "", "metadata"),
    # Create a PaymentIntent, statement_descriptor: not for cards; Statement descriptors, requirements
    ("payment_intents", {**INTENT, "statement_descriptor": "Practice"}, "", "statement_descriptor"),
    ("payment_intents", {**INTENT, "statement_descriptor_suffix": "x" * 14}, "", "statement_descriptor_suffix"),
    ("payment_intents", {**INTENT, "statement_descriptor_suffix": "Visit * 2"}, "", "statement_descriptor_suffix"),
    ("payment_intents", {**INTENT, "statement_descriptor_suffix": "1234"}, "", "statement_descriptor_suffix"),
    # Changelog, 2026-09-30.endive: payment_method_types can't be written any more
    (
        "payment_intents",
        {"amount": "5000", "currency": "usd", "payment_method_types[]": "card"},
        "payment_method_types_no_longer_supported",
        "payment_method_types",
    ),
    # Expanding Responses: only what is expandable, at most four levels deep
    ("payment_intents", {**INTENT, "expand[]": "metadata"}, "", "expand"),
    (
        "payment_intents",
        {**INTENT, "expand[]": "latest_charge.payment_intent.latest_charge.refunds.data"},
        "",
        "expand",
    ),
    # Error codes: parameters_exclusive
    (
        "payment_intents",
        {**INTENT, "allowed_payment_method_types[]": "card"},
        "parameters_exclusive",
        "allowed_payment_method_types",
    ),
    # API reference, Create a refund
    ("refunds", {}, "parameter_missing", "payment_intent"),
    ("refunds", {"payment_intent": "pi_none"}, "resource_missing", "payment_intent"),
    ("refunds", {"payment_intent": "pi_none", "reason": "because"}, "", "reason"),
    ("refunds", {"payment_intent": "pi_none", "amount": "0"}, "parameter_invalid_integer", "amount"),
    # API reference, Create a Checkout Session
    ("checkout/sessions", {**PAGE, "success_url": ""}, "parameter_invalid_empty", "success_url"),
    ("checkout/sessions", {"mode": "payment", "success_url": "https://x"}, "parameter_missing", "line_items"),
    ("checkout/sessions", {**PAGE, "mode": "setup"}, "", "line_items"),
    ("checkout/sessions", SETUP, "parameter_missing", "currency"),
    ("checkout/sessions", {**PAGE, "client_reference_id": "x" * 201}, "", "client_reference_id"),
    ("checkout/sessions", {**PAGE, "expires_at": "1"}, "", "expires_at"),
    ("checkout/sessions", {**PAGE, "line_items[0][price_data][unit_amount]": "49"}, "amount_too_small", "line_items"),
    ("checkout/sessions", {**PAGE, "ui_mode": "hosted"}, "", "ui_mode"),  # Changelog, 2026-03-25.dahlia
    (
        "checkout/sessions",
        {**PAGE, "payment_intent_data[statement_descriptor]": "Practice"},
        "",
        "payment_intent_data[statement_descriptor]",
    ),
    # What is documented and not modelled is said, not ignored
    ("payment_intents", {**INTENT, "transfer_group": "x"}, "look_alike_limit", ""),
]


async def test_parameters_that_break_a_rule_are_refused_and_nothing_is_made(api: Caller) -> None:
    for path, form, code, param in REFUSED:
        answer = error(await api.post(path, form))
        got = (answer["type"], answer.get("code", ""), answer.get("param", ""))
        assert got == ("invalid_request_error", code, param), (form, answer)
    books = await api.running.books()
    assert (books["payments"], books["checkouts"], books["refunds"]) == ([], [], [])


async def test_a_body_that_is_no_form_is_refused(api: Caller) -> None:
    """API reference, Introduction: the API accepts form-encoded request bodies."""
    headers = {"authorization": f"Bearer {SECRET_KEY}", "content-type": "application/json"}
    async with httpx2.AsyncClient(trust_env=False, verify=False) as http:
        url = f"{api.running.base_url}/v1/payment_intents"
        answer = await http.post(url, content=json.dumps({"amount": 5000, "currency": "usd"}), headers=headers)
    assert "application/x-www-form-urlencoded" in error(answer)["message"]


def test_brackets_make_a_tree() -> None:
    assert parse("a[b][]=1&a[b][]=2&c=3&d[0][e]=4&d[1][e]=5&f=") == {
        "a": {"b": ["1", "2"]},
        "c": "3",
        "d": {"0": {"e": "4"}, "1": {"e": "5"}},
        "f": "",
    }


# ── key, version, addresses ───────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_good_key_nothing_is_answered(api: Caller) -> None:
    """Authentication: 401 without a valid key; HTTP Basic Auth works too."""
    for header in ("", "Bearer sk_test_wrong", "Bearer", "Basic !", f"Token {SECRET_KEY}"):
        answer = await api.post("payment_intents", INTENT, authorization=header)
        assert error(answer, 401)["type"] == "invalid_request_error"
    assert await api.intents() == 0
    async with httpx2.AsyncClient(trust_env=False, verify=False, auth=(SECRET_KEY, "")) as http:
        assert (await http.get(f"{api.running.base_url}/v1/payment_intents")).status_code == 200


async def test_the_version_is_one_that_exists(api: Caller) -> None:
    """Versioning: an unknown version is a 400; without one the account's own."""
    for version in ("2025-09-30.acacia", "2019-2-19", "newest", ""):
        assert "version" in error(await api.get("payment_intents", **{"stripe-version": version}))["message"]
    for version in VERSIONS:
        answer = await api.get("payment_intents", **{"stripe-version": version})
        assert answer.headers["stripe-version"] == version
    answer = await api.get("payment_intents")
    assert answer.headers["stripe-version"] == LATEST
    assert answer.headers["request-id"].startswith("req_")


async def test_a_version_decides_which_parameters_there_are(api: Caller) -> None:
    """Changelog: 2026-07-29.dahlia adds allowed_payment_method_types, 2026-09-30.endive ends payment_method_types."""
    money = {"amount": "5000", "currency": "usd"}
    old, new = {**money, "payment_method_types[]": "card"}, {**money, "allowed_payment_method_types[]": "card"}
    for version, form, good in (
        ("2025-03-31.basil", old, True),
        ("2025-03-31.basil", new, False),
        ("2026-08-26.dahlia", old, True),
        ("2026-08-26.dahlia", new, True),
        ("2026-08-26.dahlia", {**old, **new}, False),
        ("2026-09-30.endive", old, False),
        ("2026-09-30.endive", new, True),
    ):
        answer = await api.post("payment_intents", form, **{"stripe-version": version})
        assert answer.is_success == good, answer.text
        if good:
            assert answer.json()["payment_method_types"] == ["card"]
    for version, mode in (("2026-02-25.clover", "hosted"), ("2026-03-25.dahlia", "hosted_page")):
        page = await api.made("checkout/sessions", {**PAGE, "ui_mode": mode}, **{"stripe-version": version})
        assert page["ui_mode"] == mode


async def test_an_address_that_does_not_exist_is_404(api: Caller) -> None:
    for answer in (
        await api.get("payments"),
        await api.post("payment_intents/pi_1/void"),
        await api.get("refunds/re_1"),
    ):
        assert error(answer, 404)["type"] == "invalid_request_error"


# ── states ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_automatic_methods_need_a_return_url_unless_redirects_are_ruled_out(api: Caller) -> None:
    """API reference, Create a PaymentIntent, automatic_payment_methods[allow_redirects]."""
    for form in (INTENT, {"amount": "5000", "currency": "usd"}):
        made = await api.made("payment_intents", {**form, "payment_method": "pm_card_visa"})
        answer = error(await api.post(f"payment_intents/{made['id']}/confirm"))
        assert "return_url" in answer["message"]
        done = await api.made(f"payment_intents/{made['id']}/confirm", {"return_url": "https://x.example"})
        assert done["status"] == "succeeded"


async def test_a_move_from_the_wrong_state_says_the_state(api: Caller) -> None:
    """Error codes: payment_intent_unexpected_state; How PaymentIntents work."""
    fresh = await api.made("payment_intents", {**INTENT, **NEVER})
    done = await api.paid()
    held = await api.paid(capture_method="manual")
    gone = await api.made(f"payment_intents/{fresh['id']}/cancel")
    assert (done["status"], held["status"], gone["status"]) == ("succeeded", "requires_capture", "canceled")
    wrong = {done["id"]: ("confirm", "capture", "cancel"), held["id"]: ("confirm",), gone["id"]: ("confirm", "cancel")}
    for id_, moves in wrong.items():
        for move in moves:
            answer = error(await api.post(f"payment_intents/{id_}/{move}"))
            assert answer["code"] == "payment_intent_unexpected_state"
            assert answer["payment_intent"]["id"] == id_
    bare = await api.made("payment_intents", {**INTENT, **NEVER})
    missing = error(await api.post(f"payment_intents/{bare['id']}/confirm"))
    assert "missing a payment method" in missing["message"]


async def test_no_more_is_captured_than_was_held(api: Caller) -> None:
    """API reference, Capture a PaymentIntent: less than or equal to the original amount; the rest is released."""
    held = await api.paid(capture_method="manual", **{"metadata[reference]": REFERENCE})
    path = f"payment_intents/{held['id']}/capture"
    assert error(await api.post(path, {"amount_to_capture": "5001"}))["param"] == "amount_to_capture"
    assert await api.running.taken(REFERENCE) == 0
    await api.made(path, {"amount_to_capture": "3000"})
    assert await api.running.taken(REFERENCE) == 3000
    over = error(await api.post("refunds", {"payment_intent": held["id"], "amount": "3001"}))
    assert over["param"] == "amount"


async def test_the_books_agree_with_the_objects(api: Caller) -> None:
    first = await api.paid(**{"metadata[reference]": REFERENCE})
    await api.made("refunds", {"payment_intent": first["id"], "amount": "1500"})
    await api.paid(amount="700")
    books = await api.running.books()
    assert books["totals"] == {"USD": {"captured": 5700, "voided": 0, "refunded": 1500, "balance": 4200}}
    assert sum(line["amount"] for line in books["movements"]) == 4200
    assert await api.running.taken(REFERENCE) == 3500
    assert (books["asked"]["create"], books["asked"]["refund"]) == (2, 1)


# ── idempotency ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_for_one_request(api: Caller) -> None:
    """API reference, Idempotent requests."""
    first = await api.post("payment_intents", INTENT, key="k")
    again = await api.post("payment_intents", dict(reversed(list(INTENT.items()))), key="k")
    assert again.json() == first.json()
    assert (again.headers["idempotent-replayed"], again.headers["idempotency-key"]) == ("true", "k")
    assert again.headers["original-request"] == first.headers["request-id"]
    assert "idempotent-replayed" not in first.headers
    for answer in (
        await api.post("payment_intents", {**INTENT, "amount": "5001"}, key="k"),
        await api.post("checkout/sessions", PAGE, key="k"),
    ):
        assert error(answer)["type"] == "idempotency_error"
    assert error(await api.post("payment_intents", INTENT, key="k" * 256))
    assert (await api.post("payment_intents", INTENT, key="k" * 255)).status_code == 200
    assert await api.intents() == 2


async def test_a_request_that_failed_validation_leaves_its_key_free(api: Caller) -> None:
    """API reference, Idempotent requests: results are saved only once the endpoint has begun to execute."""
    error(await api.post("payment_intents", {**INTENT, "colour": "red"}, key="k"))
    assert (await api.post("payment_intents", INTENT, key="k")).status_code == 200


async def test_what_the_endpoint_refused_is_replayed(api: Caller) -> None:
    """Advanced error handling: a 400 of an endpoint that began to execute is the answer to its key from then on."""
    held = await api.paid(capture_method="manual")
    form = {"payment_intent": held["id"], "amount": "10"}
    first = await api.post("refunds", form, key="r")
    assert first.status_code == 400
    await api.made(f"payment_intents/{held['id']}/capture")
    assert (await api.post("refunds", form, key="r")).json() == first.json()
    assert (await api.post("refunds", form, key="r2")).status_code == 200


async def test_a_key_in_use_is_a_conflict(api: Caller) -> None:
    """Error codes: idempotency_key_in_use; HTTP 409."""
    made = await api.made("payment_intents", {**INTENT, **NEVER, "payment_method": "pm_card_visa"})
    path = f"payment_intents/{made['id']}/confirm"
    await api.running.fault("confirm", "slow", seconds=1.5)
    first = asyncio.create_task(api.post(path, key="k"))
    while "confirm" not in (await api.running.books())["asked"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    busy = error(await api.post(path, key="k"), 409)
    assert (busy["type"], busy["code"]) == ("idempotency_error", "idempotency_key_in_use")
    assert (await first).json()["status"] == "succeeded"
    assert (await api.post(path, key="k")).headers["idempotent-replayed"] == "true"
