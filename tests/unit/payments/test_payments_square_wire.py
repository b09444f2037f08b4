"""What Square says and what we make of it: bodies, statuses, errors, events. Pure, from Square's API reference."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid, NotAuthenticated, RuleBroken
from fhirpay.payments.adapters import square_wire as wire
from fhirpay.payments.adapters.square_declines import DECLINES, REFUSALS
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    Details,
    EventAbout,
    OperationKind,
    Outcome,
    PaymentRequest,
    Pending,
    Reference,
    Unknown,
)

SALE, AUTHORIZE, CAPTURE, VOID, REFUND, HOSTED, *_ = OperationKind
OURS = "pay" + "0" * 26
BACK = "https://pay.example.com/api/v1/return/main/" + OURS
ORDER, PAYMENT = Reference("CAISENgvlJ6jLWAzERDzjyHVybY"), "R2B3Z8WMVt3EAmzYWLZvz7Y69EbZY"
CUSTOMER, PLACE = "VDKXEEKPJN48QDG3BGGFAK05P8", "L88917AVBK2S5"
Doc = dict[str, Any]


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def request(**more: Any) -> PaymentRequest:
    method = f"{CUSTOMER}-uIbfJXhXETSP197M3GB"
    return PaymentRequest(**{"reference": OURS, "amount": usd(125_00), "method": method, "return_url": BACK, **more})


def paid(**more: Any) -> Doc:
    """Of CreatePayment's example, completed."""
    return {
        "id": PAYMENT,
        "created_at": "2021-10-13T21:14:29.577Z",
        "updated_at": "2021-10-13T21:14:31.504Z",
        "amount_money": {"amount": 12000, "currency": "USD"},
        "total_money": {"amount": 12000, "currency": "USD"},
        "approved_money": {"amount": 12500, "currency": "USD"},
        "status": "COMPLETED",
        "delayed_until": "2021-10-20T21:14:29.577Z",
        "card_details": {
            "status": "CAPTURED",
            "auth_result_code": "vNEn2f",
            "card": {"card_brand": "AMERICAN_EXPRESS", "last_4": "1111", "exp_month": 3, "exp_year": 2031},
            "card_payment_timeline": {"captured_at": "2021-10-13T21:14:30.504Z"},
        },
        "order_id": ORDER,
        **more,
    }


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_goes_out_with_these_fields_and_no_others() -> None:
    assert wire.to_order(request(descriptor="Main Street Practice"), PLACE) == {
        "location_id": PLACE,
        "reference_id": OURS,
        "line_items": [
            {
                "name": "Main Street Practice",
                "quantity": "1",
                "base_price_money": {"amount": 12500, "currency": "USD"},
            }
        ],
    }
    with pytest.raises(RuleBroken):
        wire.to_order(request(reference="pay" + "0" * 38), PLACE)


def test_a_payment_goes_out_with_these_fields_and_no_others() -> None:
    usual = {
        "source_id": "ccof:uIbfJXhXETSP197M3GB",
        "customer_id": CUSTOMER,
        "amount_money": {"amount": 12500, "currency": "USD"},
        "order_id": ORDER,
        "location_id": PLACE,
        "reference_id": OURS,
    }
    assert wire.to_payment(request(), ORDER, PLACE) == {
        **usual,
        "autocomplete": True,
        "customer_details": {"customer_initiated": True},
    }
    assert wire.to_payment(request(capture=False, initiated_by="merchant"), ORDER, PLACE) == {
        **usual,
        "autocomplete": False,
        "delay_duration": "PT168H",
        "delay_action": "CANCEL",
        "customer_details": {"customer_initiated": False},
    }


def test_a_page_asks_for_the_amount_and_nothing_that_changes_it() -> None:
    page = wire.to_page(request(method=""), PLACE)
    assert set(page) == {"order", "checkout_options", "payment_note"}
    assert page["payment_note"] == OURS
    options = page["checkout_options"]
    assert options.pop("redirect_url") == BACK
    assert options.pop("accepted_payment_methods")["apple_pay"] is True
    assert options == dict.fromkeys(
        ("allow_tipping", "ask_for_shipping_address", "enable_coupon", "enable_loyalty"), False
    )


@pytest.mark.parametrize("length", [1, 45, 46, 300])
def test_a_key_has_45_characters_at_most_and_stays_another_where_it_is_another(length: int) -> None:
    ours = "k" * length
    assert 1 <= len(wire.key(ours)) <= 45
    assert wire.key(ours) == wire.key(ours) != wire.key(ours[:-1] + "j")


# ── payments ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_payment_says_what_was_taken_also_when_a_part_went_back() -> None:
    found = wire.payment(paid(refunded_money={"amount": 500, "currency": "USD"}), SALE)
    assert found == Approved(
        reference=Reference(PAYMENT),
        amount=usd(125_00),
        details=Details("american express", "1111", "vNEn2f", "2031-03"),
        at=datetime(2021, 10, 13, 21, 14, 30, 504000, UTC),
        payment=ORDER,
        given_back=usd(5_00),
    )


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        ("APPROVED", AUTHORIZE, Approved),
        ("APPROVED", CAPTURE, Approved),
        ("APPROVED", SALE, Pending),  # on its way to be completed
        ("APPROVED", HOSTED, Pending),
        ("APPROVED", VOID, Unknown),
        ("PENDING", SALE, Pending),
        ("PENDING", VOID, Unknown),
        ("COMPLETED", CAPTURE, Approved),
        ("COMPLETED", VOID, Declined),
        ("CANCELED", SALE, Canceled),
        ("CANCELED", VOID, Approved),
        ("FAILED", SALE, Declined),
        ("QUANTUM", SALE, Unknown),
        (None, SALE, Unknown),
        ({}, SALE, Unknown),
    ],
)
def test_each_status_means(status: object, kind: OperationKind, outcome: type[Outcome]) -> None:
    found = wire.payment(paid(status=status), kind)
    assert isinstance(found, outcome), found
    if isinstance(found, Approved):
        assert (found.captured, found.payment) == (status == "COMPLETED", ORDER)
        assert found.amount == usd(0 if kind is VOID else 125_00)


def test_a_hold_that_ended_by_itself_is_told_from_one_that_was_canceled() -> None:
    for updated, expired in (("2021-10-20T21:14:29.577Z", True), ("2021-10-20T21:14:29.576Z", False)):
        doc = paid(status="CANCELED", updated_at=updated)
        found = wire.payment(doc, AUTHORIZE)
        assert isinstance(found, Canceled)
        assert found.expired is expired
        assert isinstance(wire.payment(doc, VOID), Canceled if expired else Approved)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"approved_money": {"amount": "12500", "currency": "USD"}},
        {"approved_money": {"amount": 125.0, "currency": "USD"}},
        {"approved_money": {"amount": True, "currency": "USD"}},
        {"approved_money": {"amount": 12500, "currency": "usd"}},
        {"approved_money": {"amount": 12500}},
        {"approved_money": "12500"},
        {"id": ""},
        {"order_id": None},
        {"card_details": None},
        {"card_details": {"card_payment_timeline": {"captured_at": "yesterday"}}},
        {"card_details": {"card_payment_timeline": {"captured_at": "2021-10-13T21:14:30"}}},
    ],
)
def test_what_would_have_to_be_interpreted_is_unknown(spoilt: Doc) -> None:
    assert isinstance(wire.payment(paid(**spoilt), SALE), Unknown)
    for junk in ({}, {"status": "COMPLETED"}, {"status": ["COMPLETED"]}):
        assert isinstance(wire.payment(junk, SALE), Unknown)


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("PENDING", Pending),
        ("COMPLETED", Approved),
        ("FAILED", Declined),
        ("REJECTED", Declined),
        ("QUANTUM", Unknown),
        (None, Unknown),
    ],
)
def test_each_status_of_a_refund_means(status: object, outcome: type[Outcome]) -> None:
    doc = {
        "id": f"{PAYMENT}_x",
        "status": status,
        "amount_money": {"amount": 500, "currency": "USD"},
        "updated_at": "2021-10-13T21:23:19.508Z",
        "order_id": "AnotherOrderThatTheRefundMade",
    }
    found = wire.refund(doc, ORDER)
    assert isinstance(found, outcome)
    if isinstance(found, Approved):
        assert (found.amount, found.captured, found.payment) == (usd(5_00), False, ORDER)
    if isinstance(found, Declined):
        assert found.code is DeclineCode.FAILED
    assert isinstance(wire.refund({}, ORDER), Unknown)


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def error(code: str, category: str = "INVALID_REQUEST_ERROR", **more: str) -> Doc:
    return {"errors": [{"category": category, "code": code, "detail": "CANARY", **more}]}


@pytest.mark.parametrize(("code", "ours"), [*DECLINES.items(), ("NEVER_HEARD_OF", DeclineCode.DECLINED)])
@pytest.mark.parametrize("status", [400, 402])
def test_a_card_error_is_a_decline_in_our_words(code: str, ours: DeclineCode, status: int) -> None:
    found = wire.answered_otherwise(status, error(code, "PAYMENT_METHOD_ERROR"), ORDER)
    assert found == Declined(ours, ORDER, code)
    doc = paid(status="FAILED", card_details=error(code))
    assert wire.payment(doc, SALE) == found


def test_the_first_error_that_we_know_speaks_and_verification_is_no_decline() -> None:
    both = {"errors": [*error("X", "PAYMENT_METHOD_ERROR")["errors"], *error("CARD_EXPIRED")["errors"]]}
    found = wire.answered_otherwise(400, both, ORDER)
    assert isinstance(found, Declined)
    assert found.code is DeclineCode.METHOD_EXPIRED
    wants = error("CARD_DECLINED_VERIFICATION_REQUIRED", "PAYMENT_METHOD_ERROR")
    assert wire.answered_otherwise(400, wants, ORDER) == ActionNeeded(reference=ORDER)


@pytest.mark.parametrize(("code", "ours"), [*REFUSALS.items(), ("NEVER_HEARD_OF", DeclineCode.REFUSED)])
@pytest.mark.parametrize("category", ["INVALID_REQUEST_ERROR", "REFUND_ERROR"])
def test_a_refusal_is_a_decline_in_our_words(code: str, ours: DeclineCode, category: str) -> None:
    assert wire.answered_otherwise(400, error(code, category), None) == Declined(ours, None, code)


@pytest.mark.parametrize(
    ("status", "doc"),
    [
        (500, error("INTERNAL_SERVER_ERROR", "API_ERROR")),
        (503, error("GENERIC_DECLINE", "PAYMENT_METHOD_ERROR")),
        (302, error("BAD_REQUEST")),
        (201, paid()),
        (408, error("REQUEST_TIMEOUT")),
        (409, error("CONFLICT")),
        (409, error("VERSION_MISMATCH")),
        (400, error("VERSION_MISMATCH")),
        (400, error("IDEMPOTENCY_KEY_REUSED")),
        (400, error("BAD_REQUEST", "API_ERROR")),
        (400, error("BAD_REQUEST", "SOMETHING_NEW")),
        (400, {}),
        (400, {"errors": "no"}),
        (400, {"errors": []}),
    ],
)
def test_anything_else_is_unknown(status: int, doc: Doc) -> None:
    assert isinstance(wire.answered_otherwise(status, doc, ORDER), Unknown)


# ── cards, events, secrets ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_that_nobody_may_use_is_no_method() -> None:
    card = {"id": "ccof:uIbfJXhXETSP197M3GB", "enabled": True, "customer_id": CUSTOMER, "last_4": "1111"}
    found = wire.method(card)
    assert found is not None
    assert wire.split(found.token) == (CUSTOMER, card["id"])
    for change in ({"enabled": False}, {"customer_id": None}, {"customer_id": ""}, {"id": "icard-1"}, {"id": None}):
        assert wire.method({**card, **change}) is None
    assert wire.method(None) is None


def event(type_: str, **about: Any) -> bytes:
    kind = type_.partition(".")[0]
    data = {"type": kind, "id": "x", "object": {kind: about}}
    doc = {
        "merchant_id": "6SSW",
        "type": type_,
        "event_id": "e-1",
        "created_at": "2020-02-06T21:27:34.308Z",
        "data": data,
    }
    return json.dumps(doc).encode()


@pytest.mark.parametrize(
    ("body", "about", "ours", "theirs"),
    [
        (event("payment.updated", id=PAYMENT, order_id=ORDER, reference_id=OURS), EventAbout.PAYMENT, OURS, ORDER),
        (event("payment.created", id=PAYMENT, order_id=ORDER, note=OURS), EventAbout.PAYMENT, OURS, ORDER),
        (event("payment.created", id=PAYMENT, order_id=ORDER, note="Jane Roe"), EventAbout.PAYMENT, "", ORDER),
        (event("payment.created", id=PAYMENT), EventAbout.PAYMENT, "", None),
        (event("refund.updated", id="r1", order_id="other", reason=OURS), EventAbout.REFUND, OURS, "r1"),
        (event("refund.created", id="r1", reason="she complained"), EventAbout.REFUND, "", "r1"),
        (event("order.updated", id=ORDER), EventAbout.OTHER, "", None),
        (event("dispute.created", id="d1"), EventAbout.DISPUTE, "", "d1"),
        (event("dispute.evidence.created", id="d1"), EventAbout.OTHER, "", None),
    ],
)
def test_an_event_says_what_to_look_at(body: bytes, about: EventAbout, ours: str, theirs: str | None) -> None:
    found = wire.read_event(body)
    assert (found.id, found.about, found.our_reference, found.processor_reference) == ("e-1", about, ours, theirs)
    assert found.occurred_at == datetime(2020, 2, 6, 21, 27, 34, 308000, UTC)


def test_what_is_no_event_is_invalid() -> None:
    for body in (b"", b"[]", b"{}", b"null", b"\xff", event("payment.created")[:-2], b"[" * 100_000):
        with pytest.raises(MessageInvalid):
            wire.read_event(body)


def test_a_signature_is_of_the_address_and_the_body_by_any_live_key() -> None:
    url, body = "https://pay.example.org/webhooks/square/main", b'{"a":1}'

    def signed(secret: str, where: str = url, what: bytes = body) -> str:
        return base64.b64encode(hmac.new(secret.encode(), where.encode() + what, hashlib.sha256).digest()).decode()

    for secret in ("new", "old"):
        wire.check_signature(signed(secret), url, body, ("new", "old"))
    for header, keys in (
        (signed("other"), ("new", "old")),
        (signed("new", url + "/"), ("new", "old")),
        (signed("new", url.replace("https", "http")), ("new", "old")),
        (signed("new", what=body + b" "), ("new", "old")),
        (signed("new").rstrip("="), ("new", "old")),
        (signed("new"), ()),
        ("", ("new",)),
        ("é", ("new",)),
    ):
        with pytest.raises(NotAuthenticated):
            wire.check_signature(header, url, body, keys)


def test_nothing_secret_is_left_of_a_transcript() -> None:
    signature = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    secrets = [
        "EAAAl_lookalike-access",
        "sq0csp-abcdefghijk",
        "ccof:uIbfJXhXETSP197M3GB",
        "cnon:CBASEBbXLsTfPIy04J18",
        f"{CUSTOMER}-uIbfJXhXETSP197M3GB",
        signature,
        "4111111111111111",
    ]
    scrubbed = wire.scrub("\n".join(f"x={one}; y" for one in secrets))
    assert [one for one in secrets if one in scrubbed] == []
    kept = f"order {ORDER} payment {PAYMENT} amount 12500 at 2021-10-13T21:14:30.504Z"
    assert wire.scrub(kept) == kept
