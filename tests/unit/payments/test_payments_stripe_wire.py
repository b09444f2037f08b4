"""What Stripe says and what we make of it: forms, statuses, errors, events. Pure, from Stripe's API reference."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid
from fhirpay.payments.adapters import stripe_wire as wire
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

SALE, AUTHORIZE, CAPTURE, VOID, REFUND, HOSTED = list(OperationKind)[:6]
OURS = "pay" + "0" * 26
BACK = "https://pay.example.com/api/v1/return/main/" + OURS
Doc = dict[str, Any]


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def sent(doc: Doc) -> dict[str, str]:
    return dict(parse_qsl(wire.form(doc).decode(), strict_parsing=True))


def request(**more: Any) -> PaymentRequest:
    return PaymentRequest(
        **{"reference": OURS, "amount": usd(125_00), "method": "cus_Abc1-pm_Xyz2", "return_url": BACK, **more}
    )


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_form_is_nested_by_brackets_and_percent_encoded() -> None:
    body = wire.form({"a": {"b": [1, {"c": True}]}, "d": "x y&z=ü", "e": "", "f": False})
    assert body == b"a%5Bb%5D%5B0%5D=1&a%5Bb%5D%5B1%5D%5Bc%5D=true&d=x+y%26z%3D%C3%BC&f=false"


def test_a_payment_goes_out_unconfirmed_with_these_fields_and_no_others() -> None:
    assert sent(wire.to_payment(request(descriptor="Main Street Practice"))) == {
        "amount": "12500",
        "currency": "usd",
        "capture_method": "automatic",
        "customer": "cus_Abc1",
        "payment_method": "pm_Xyz2",
        "payment_method_types[0]": "card",
        "metadata[reference]": OURS,
    }
    assert sent(wire.to_payment(request(capture=False)))["capture_method"] == "manual"
    assert "customer" not in sent(wire.to_payment(request(method="pm_Xyz2")))


def test_nobody_is_asked_to_confirm_what_the_merchant_starts() -> None:
    expand = {"expand[0]": "latest_charge.balance_transaction"}
    assert sent(wire.to_confirm(request(initiated_by="merchant"))) == {"off_session": "true", **expand}
    assert sent(wire.to_confirm(request())) == {"return_url": BACK, **expand}


def test_a_page_goes_out_with_these_fields_and_no_others() -> None:
    assert sent(wire.to_page(request(method="", descriptor="Main Street Practice"))) == {
        "mode": "payment",
        "payment_method_types[0]": "card",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "12500",
        "line_items[0][price_data][product_data][name]": "Main Street Practice",
        "client_reference_id": OURS,
        "payment_intent_data[capture_method]": "automatic",
        "payment_intent_data[metadata][reference]": OURS,
        "success_url": BACK,
        "cancel_url": BACK,
    }
    assert sent(wire.to_setup_page("set" + "0" * 26, "https://pay.example.com/r")) == {
        "mode": "setup",
        "payment_method_types[0]": "card",
        "customer_creation": "always",
        "client_reference_id": "set" + "0" * 26,
        "setup_intent_data[metadata][reference]": "set" + "0" * 26,
        "success_url": "https://pay.example.com/r",
        "cancel_url": "https://pay.example.com/r",
    }


def test_a_refund_carries_our_own_reference() -> None:
    fields = sent(wire.to_refund(Reference("pi_1"), usd(2_00), "ref" + "0" * 26))
    assert fields == {"payment_intent": "pi_1", "amount": "200", "metadata[reference]": "ref" + "0" * 26}


# ── in: payments ──────────────────────────────────────────────────────────────────────────────────────────────────


def intent(status: str, **more: Any) -> Doc:
    return {
        "object": "payment_intent",
        "id": "pi_1",
        "status": status,
        "amount": 12500,
        "amount_received": 0,
        "amount_capturable": 0,
        "currency": "usd",
        "capture_method": "automatic",
        "latest_charge": None,
        "metadata": {"reference": OURS},
        **more,
    }


def charge(**more: Any) -> Doc:
    card = {"brand": "visa", "last4": "4242", "authorization_code": "123456", "exp_year": 2034, "exp_month": 3}
    return {"object": "charge", "id": "ch_1", "created": 1_764_000_000, "payment_method_details": {"card": card}} | more


PAID = intent("succeeded", amount_received=12500, latest_charge=charge())
HELD = intent("requires_capture", amount_capturable=12500, capture_method="manual", latest_charge=charge())
CARD = Details("visa", "4242", "123456", expires="2034-03")
BOOKED = {"object": "balance_transaction", "created": 1_764_086_400}
CASES: list[tuple[OperationKind, Doc, Outcome]] = [
    (
        SALE,
        PAID,
        Approved(
            Reference("ch_1"), usd(12500), True, CARD, datetime.fromtimestamp(1_764_000_000, UTC), Reference("pi_1")
        ),
    ),
    (
        CAPTURE,  # part of what was held: the moment of the capture, not of the authorization
        HELD | {"status": "succeeded", "amount_received": 100_00, "latest_charge": charge(balance_transaction=BOOKED)},
        Approved(
            Reference("ch_1"), usd(100_00), True, CARD, datetime.fromtimestamp(1_764_086_400, UTC), Reference("pi_1")
        ),
    ),
    (
        CAPTURE,  # not expanded, as inside events and errors: then the moment isn't known
        HELD | {"status": "succeeded", "amount_received": 12500, "latest_charge": "ch_1"},
        Approved(Reference("ch_1"), usd(12500), payment=Reference("pi_1")),
    ),
    (AUTHORIZE, HELD, Approved(Reference("pi_1"), usd(12500), False, CARD, None, Reference("pi_1"))),
    (SALE, intent("processing"), Pending(Reference("pi_1"))),
    (
        SALE,
        intent("requires_action", next_action={"type": "redirect_to_url", "redirect_to_url": {"url": "https://b"}}),
        ActionNeeded("https://b", Reference("pi_1")),
    ),
    (SALE, intent("requires_action", next_action={"type": "use_stripe_sdk"}), ActionNeeded("", Reference("pi_1"))),
    (
        SALE,
        intent("requires_payment_method", last_payment_error={"code": "authentication_required"}),
        ActionNeeded("", Reference("pi_1")),
    ),
    (
        SALE,
        intent(
            "requires_payment_method",
            last_payment_error={"code": "card_declined", "decline_code": "insufficient_funds"},
        ),
        Declined(DeclineCode.INSUFFICIENT_FUNDS, Reference("pi_1"), "insufficient_funds"),
    ),
    (
        SALE,
        intent("canceled", canceled_at=1_764_000_000, cancellation_reason="requested_by_customer"),
        Canceled(Reference("pi_1"), at=datetime.fromtimestamp(1_764_000_000, UTC)),
    ),
    (
        AUTHORIZE,  # the hold ran out
        intent("canceled", canceled_at=None, cancellation_reason="automatic"),
        Canceled(Reference("pi_1"), expired=True),
    ),
    (
        VOID,
        intent("canceled", canceled_at=1_764_000_000),
        Approved(
            Reference("pi_1"),
            usd(0),
            captured=False,
            at=datetime.fromtimestamp(1_764_000_000, UTC),
            payment=Reference("pi_1"),
        ),
    ),
    (VOID, PAID, Declined(DeclineCode.CAPTURED, Reference("pi_1"))),
    (REFUND, {"object": "refund", "id": "re_1", "status": "pending"}, Pending(Reference("re_1"))),
    (REFUND, {"object": "refund", "id": "re_1", "status": "requires_action"}, ActionNeeded("", Reference("re_1"))),
    (
        REFUND,
        {"object": "refund", "id": "re_1", "status": "failed"},
        Declined(DeclineCode.FAILED, Reference("re_1")),
    ),
    (REFUND, {"object": "refund", "id": "re_1", "status": "canceled"}, Canceled(Reference("re_1"))),
    (
        REFUND,
        {
            "object": "refund",
            "id": "re_1",
            "status": "succeeded",
            "amount": 200,
            "currency": "usd",
            "created": 1_764_000_000,
            "payment_intent": "pi_1",
        },
        Approved(
            Reference("re_1"),
            usd(200),
            captured=False,
            at=datetime.fromtimestamp(1_764_000_000, UTC),
            payment=Reference("pi_1"),
        ),
    ),
]


@pytest.mark.parametrize(("kind", "doc", "means"), CASES)
def test_what_a_status_means(kind: OperationKind, doc: Doc, means: Outcome) -> None:
    assert wire.outcome(doc, kind) == means


@pytest.mark.parametrize(
    "doc",
    [
        intent("a_status_of_tomorrow"),
        intent("requires_confirmation"),
        intent("requires_payment_method"),
        PAID | {"amount_received": "12500"},
        PAID | {"amount_received": 125.5},
        PAID | {"amount_received": None},
        PAID | {"currency": None},
        PAID | {"currency": "zzz"},
        PAID | {"latest_charge": None},
        PAID | {"id": 7},
        {key: value for key, value in PAID.items() if key != "amount_received"},
        {key: value for key, value in HELD.items() if key != "amount_capturable"},
        {"object": "payment_intent"},
        {"object": "charge", "status": "succeeded"},
        {},
    ],
)
def test_what_we_can_not_read_is_unknown_and_never_approved(doc: Doc) -> None:
    for kind in OperationKind:
        assert isinstance(wire.outcome(doc, kind), Unknown), kind


def page(status: str, paid: object = None, **more: Any) -> Doc:
    doc = {"object": "checkout.session", "id": "cs_1", "status": status, "url": "https://p", "payment_intent": paid}
    return doc | more


def test_a_page_ends_when_it_was_paid_or_has_expired() -> None:
    failed = intent("requires_payment_method", last_payment_error={"code": "card_declined"})
    open_page = ActionNeeded("https://p", Reference("cs_1"))
    assert wire.outcome(page("open"), HOSTED) == open_page
    assert wire.outcome(page("open", failed), HOSTED) == open_page  # one try of several
    assert wire.outcome(page("expired", failed), HOSTED) == Canceled(Reference("cs_1"), expired=True)
    assert wire.outcome(page("complete", PAID), HOSTED) == wire.outcome(PAID, SALE)
    assert wire.outcome(page("expired", PAID), HOSTED) == wire.outcome(PAID, SALE)  # money is money
    assert wire.outcome(page("complete", intent("processing")), HOSTED) == Pending(Reference("pi_1"))
    assert isinstance(wire.outcome(page("complete", "pi_1"), HOSTED), Unknown)
    assert isinstance(wire.outcome(page("complete", intent("requires_payment_method")), HOSTED), Unknown)
    assert isinstance(wire.outcome(page("a_status_of_tomorrow"), HOSTED), Unknown)


def test_a_complete_page_whose_bank_debit_failed_days_later_has_failed() -> None:
    bounced = intent("requires_payment_method", last_payment_error={"code": "payment_intent_payment_attempt_failed"})
    assert wire.outcome(page("complete", bounced), HOSTED) == Declined(DeclineCode.FAILED, Reference("pi_1"))
    assert isinstance(wire.outcome(page("complete", intent("canceled")), HOSTED), Canceled)


def test_what_was_found_untouched_is_told_from_what_was_tried() -> None:
    tried = intent("requires_payment_method", last_payment_error={"code": "card_declined"})
    assert wire.not_done(intent("requires_confirmation"), SALE)
    assert wire.not_done(intent("requires_payment_method", last_payment_error=None), AUTHORIZE)
    assert wire.not_done(HELD, CAPTURE)
    assert wire.not_done(HELD, VOID)
    assert wire.not_done(tried, VOID)
    for doc, kind in ((tried, SALE), (HELD, AUTHORIZE), (PAID, SALE), (PAID, VOID), (PAID, CAPTURE), ({}, SALE)):
        assert not wire.not_done(doc, kind)


# ── in: errors ────────────────────────────────────────────────────────────────────────────────────────────────────


def card_error(code: str, decline_code: str | None = None, **more: Any) -> Doc:
    error = {"type": "card_error", "code": code, "payment_intent": {"id": "pi_1"}, **more}
    return error | ({"decline_code": decline_code} if decline_code else {})


@pytest.mark.parametrize(
    ("error", "code", "again"),
    [
        (card_error("card_declined", "generic_decline"), "declined", True),
        (card_error("card_declined", "do_not_honor"), "declined", True),
        (card_error("card_declined", "a_code_of_tomorrow"), "declined", True),
        (card_error("card_declined", "insufficient_funds"), "insufficient_funds", True),
        (card_error("card_declined", "insufficient_funds", advice_code="try_again_later"), "insufficient_funds", True),
        (card_error("card_declined", "generic_decline", advice_code="do_not_try_again"), "do_not_retry", False),
        (card_error("card_declined", "do_not_try_again"), "do_not_retry", False),
        (card_error("card_declined", "stolen_card"), "do_not_retry", False),
        (card_error("expired_card", "expired_card"), "method_expired", False),
        (card_error("expired_card"), "method_expired", False),
        (card_error("expired_card", advice_code="do_not_try_again"), "method_expired", False),
        (card_error("card_declined", "generic_decline", network_advice_code="03"), "do_not_retry", False),
        (card_error("card_declined", "generic_decline", network_advice_code="02"), "declined", True),
        (card_error("card_declined", "approve_with_id"), "call_bank", True),
        (card_error("incorrect_cvc", "incorrect_cvc"), "details_invalid", True),
        (card_error("processing_error", "processing_error"), "try_later", True),
    ],
)
def test_a_decline_in_our_words_with_the_advice_on_trying_again(error: Doc, code: str, again: bool) -> None:
    found = wire.answered_otherwise(402, error, SALE)
    assert isinstance(found, Declined)
    assert (found.code, not found.meaning.ends, found.reference) == (code, again, "pi_1")


def test_a_code_that_nobody_here_knows_is_kept_as_it_came() -> None:
    found = wire.answered_otherwise(402, card_error("card_declined", "a_code_of_tomorrow"), SALE)
    assert found == Declined(DeclineCode.DECLINED, Reference("pi_1"), "a_code_of_tomorrow")


def test_off_session_a_bank_that_wants_to_ask_the_payer_has_not_declined() -> None:
    for error in (
        card_error("authentication_required", "authentication_required"),
        card_error("card_declined", "authentication_required"),
    ):
        assert wire.answered_otherwise(402, error, SALE) == ActionNeeded("", Reference("pi_1"))


def invalid(code: str | None = None, **more: Any) -> Doc:
    return {"type": "invalid_request_error", "code": code, "message": "CANARY", **more}


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, invalid("amount_too_small"), "amount_too_small"),
        (400, invalid("charge_already_refunded"), "already_refunded"),
        (400, invalid("parameter_unknown"), "refused"),
        (400, invalid(), "refused"),
        (404, invalid("resource_missing", param="payment_method"), "method_unknown"),
        (400, invalid("resource_missing", param="payment_method"), "method_unknown"),
    ],
)
def test_a_request_that_stripe_did_not_act_on_is_a_decline_in_our_own_words(status: int, error: Doc, code: str) -> None:
    found = wire.answered_otherwise(status, error, REFUND)
    assert isinstance(found, Declined)
    assert found.code == code
    assert "CANARY" not in found.said


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}),
        (400, {"type": "idempotency_error"}),
        (409, invalid()),
        (424, {"type": "api_error"}),
        (500, {"type": "api_error"}),
        (503, {}),
        (402, {}),
        (200, {}),
        (302, {}),
        (400, {"type": "a_type_of_tomorrow"}),
        (400, invalid("payment_intent_unexpected_state")),
        (400, invalid("payment_intent_unexpected_state", payment_intent=PAID)),  # an error proves no success
        (400, invalid("payment_intent_unexpected_state", payment_intent=intent("requires_confirmation"))),
    ],
)
def test_every_other_answer_leaves_it_open(status: int, error: Doc) -> None:
    assert isinstance(wire.answered_otherwise(status, error, SALE), Unknown)


def test_a_payment_in_another_state_may_end_the_operation_but_never_prove_that_it_was_done() -> None:
    canceled = invalid("payment_intent_unexpected_state", payment_intent=intent("canceled"))
    paid = invalid("payment_intent_unexpected_state", payment_intent=PAID)
    assert isinstance(wire.answered_otherwise(400, canceled, CAPTURE), Canceled)
    assert isinstance(wire.answered_otherwise(400, canceled, VOID), Unknown)
    assert isinstance(wire.answered_otherwise(400, paid, VOID), Declined)
    assert isinstance(wire.answered_otherwise(400, paid, CAPTURE), Unknown)
    assert isinstance(wire.answered_otherwise(400, canceled, REFUND), Declined)


def test_an_object_of_the_other_mode_or_of_another_account_is_told_apart() -> None:
    other_mode = "No such PaymentMethod: 'pm_1'; a similar object exists in live mode, but a test mode key was used."
    assert "for tests" in wire.elsewhere(invalid("resource_missing", param="payment_method", message=other_mode))
    assert "another account" in wire.elsewhere(invalid("resource_missing", param="intent"))
    assert wire.elsewhere(invalid("resource_missing", param="payment_method")) == ""
    assert wire.elsewhere({}) == ""


# ── in: methods, events ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_stored_method_is_named_with_its_customer_and_kept_without_its_number() -> None:
    doc = {"id": "pm_Xyz2", "card": {"brand": "visa", "last4": "4242", "exp_year": 2034, "exp_month": 3}}
    found = wire.method(doc, "cus_Abc1")
    assert found is not None
    assert (found.token, found.brand, found.last4, found.expires) == ("cus_Abc1-pm_Xyz2", "visa", "4242", "2034-03")
    assert wire.split(found.token) == ("cus_Abc1", "pm_Xyz2")
    request(method=found.token)  # is a token as the port has them
    assert wire.method(doc, None) is None
    assert wire.method({"id": "pm_1", "us_bank_account": {}}, "cus_Abc1") is None


def event(type_: str, about: Doc) -> bytes:
    doc = {"id": "evt_1", "object": "event", "type": type_, "created": 1_764_000_000, "data": {"object": about}}
    return json.dumps(doc).encode()


@pytest.mark.parametrize(
    ("type_", "about", "means"),
    [
        ("payment_intent.succeeded", PAID, (EventAbout.PAYMENT, OURS, "pi_1")),
        ("payment_intent.payment_failed", PAID, (EventAbout.PAYMENT, OURS, "pi_1")),
        ("payment_intent.processing", PAID, (EventAbout.PAYMENT, OURS, "pi_1")),
        ("payment_intent.canceled", PAID | {"metadata": {}}, (EventAbout.PAYMENT, "", "pi_1")),
        ("payment_intent.amount_capturable_updated", HELD, (EventAbout.PAYMENT, OURS, "pi_1")),
        ("payment_intent.created", PAID, (EventAbout.OTHER, OURS, "pi_1")),
        (
            "charge.refunded",
            charge(payment_intent="pi_1", metadata={"reference": OURS}),
            (EventAbout.PAYMENT, OURS, "pi_1"),
        ),
        ("charge.refunded", charge(payment_intent=None), (EventAbout.PAYMENT, "", None)),
        ("refund.updated", {"object": "refund", "id": "re_1", "metadata": None}, (EventAbout.REFUND, "", "re_1")),
        ("charge.refund.updated", {"object": "refund", "id": "re_1"}, (EventAbout.REFUND, "", "re_1")),
        (
            "checkout.session.completed",
            page("complete", "pi_1", client_reference_id=OURS, mode="payment"),
            (EventAbout.PAGE, OURS, "cs_1"),
        ),
        (
            "checkout.session.completed",
            page("complete", client_reference_id="set" + "0" * 26, mode="setup"),
            (EventAbout.OTHER, "set" + "0" * 26, "cs_1"),
        ),
        ("charge.dispute.created", {"object": "dispute", "id": "du_1"}, (EventAbout.DISPUTE, "", "du_1")),
        ("payout.paid", {"object": "payout", "id": "po_1"}, (EventAbout.OTHER, "", "po_1")),
        ("a.type.of.tomorrow", {"object": "thing", "id": "x_1"}, (EventAbout.OTHER, "", "x_1")),
    ],
)
def test_which_events_say_that_something_has_to_be_looked_at(
    type_: str, about: Doc, means: tuple[EventAbout, str, str | None]
) -> None:
    found = wire.read_event(event(type_, about))
    assert (found.id, found.type) == ("evt_1", type_)
    assert (found.about, found.our_reference, found.processor_reference) == means
    assert found.occurred_at == datetime.fromtimestamp(1_764_000_000, UTC)


@pytest.mark.parametrize("ours", [True, False])
def test_an_event_of_the_other_mode_is_about_nothing_of_ours(ours: bool) -> None:
    about = {"object": "refund", "id": "re_1"}
    for theirs in (True, False):
        body = json.dumps(json.loads(event("refund.created", about)) | {"livemode": theirs}).encode()
        expected = EventAbout.REFUND if theirs is ours else EventAbout.OTHER
        assert wire.read_event(body, live=ours).about is expected
        assert wire.read_event(body).about is EventAbout.REFUND  # a key that doesn't say its mode
    assert wire.read_event(event("refund.created", about), live=ours).about is EventAbout.REFUND


def test_an_event_without_its_parts_is_none() -> None:
    for body in (b"{}", event("x", {"id": "no object"}), event("x", {"object": "thing"}), b'{"data": {"object": 1}}'):
        with pytest.raises(MessageInvalid):
            wire.read_event(body)


def test_what_is_kept_of_an_event_holds_no_key_token_or_client_secret() -> None:
    secrets = ["sk_live_51Abc", "rk_test_9", "whsec_Zz", "pm_1QxYz", "pi_1_secret_aBc", "4242424242424242"]
    kept = wire.scrub(json.dumps({"data": secrets, "code": "card_declined", "created": 1_764_000_000}))
    for secret in secrets:
        assert secret not in kept
    assert json.loads(kept)["code"] == "card_declined"
    assert json.loads(kept)["created"] == 1_764_000_000


# ── bank debits ───────────────────────────────────────────────────────────────────────────────────────────────────


def debit(status: str, **more: Any) -> dict[str, Any]:
    """A PaymentIntent whose charge was made by a bank account."""
    bank = {"type": "us_bank_account", "us_bank_account": {"bank_name": "First Bank", "last4": "6789"}}
    charge = {"id": "py_1", "created": 1_700_000_000, "payment_method_details": bank, "amount_refunded": 0}
    doc = {"object": "payment_intent", "id": "pi_1", "status": status, "currency": "usd", "amount_received": 8000}
    return {**doc, "capture_method": "automatic", "latest_charge": {**charge, **more.pop("charge", {})}, **more}


def test_a_debit_that_cleared_shows_until_when_it_may_come_back_though_its_money_is_not_shown_yet() -> None:
    found = wire.outcome(debit("succeeded"), OperationKind.SALE)
    assert isinstance(found, Approved)
    assert (found.details.kind, found.at) == ("bank", None)
    assert found.returnable_until == wire.moment(1_700_000_000 + 60 * 24 * 3600)
    shown = {"balance_transaction": {"created": 1_700_300_000}}
    found = wire.outcome(debit("succeeded", charge=shown), OperationKind.SALE)
    assert isinstance(found, Approved)
    assert (found.at, found.returnable_until) == (
        wire.moment(1_700_300_000),
        wire.moment(1_700_300_000 + 60 * 24 * 3600),
    )


@pytest.mark.parametrize(
    ("error", "network", "said"),
    [
        ({"code": "insufficient_funds", "network_decline_code": "R09"}, None, "R09"),
        ({"code": "insufficient_funds"}, "R09", "R09"),
        ({"code": "insufficient_funds"}, None, "R01"),
        ({"code": "account_closed", "decline_code": "bank_account_closed"}, None, "R02"),
        ({"code": "debit_not_authorized"}, "not a code", "R10"),
        ({"code": "something_new"}, None, "something_new"),
        ({"code": "something_new", "decline_code": "bank_account_frozen"}, None, "R16"),
    ],
)
def test_what_a_failed_debit_says_is_nachas_code_or_the_strictest_that_stripes_word_covers(
    error: dict[str, Any], network: str | None, said: str
) -> None:
    doc = debit("requires_payment_method", charge={"outcome": {"network_decline_code": network}})
    found = wire.outcome({**doc, "last_payment_error": error}, OperationKind.SALE)
    assert isinstance(found, Declined)
    assert (str(found.code), found.said) == ("failed", said)


def test_a_debit_above_stripes_limits_says_nothing_of_the_account() -> None:
    error = {"code": "charge_exceeds_weekly_limit", "type": "invalid_request_error"}
    bank = {"payment_method": {"type": "us_bank_account"}}
    for found in (
        wire.answered_otherwise(400, {**error, **bank}, OperationKind.SALE),
        wire.outcome({**debit("requires_payment_method"), "last_payment_error": error}, OperationKind.SALE),
    ):
        assert isinstance(found, Declined)
        assert (str(found.code), found.meaning.ends) == ("over_limit", False)


def test_a_debit_that_is_confirmed_a_second_time_has_not_failed() -> None:
    """It is under way since the first: taken for failed, it would be asked for again."""
    intent = {"id": "pi_1", "object": "payment_intent", "status": "processing"}
    bank = {"id": "pm_1", "type": "us_bank_account"}
    error = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "payment_intent": intent}
    assert isinstance(wire.answered_otherwise(400, {**error, "payment_method": bank}, SALE), Unknown)


@pytest.mark.parametrize(
    ("blocked", "code"),
    [
        ({"network_code": "R10", "reason": "debit_not_authorized"}, "R10"),
        ({"network_code": None, "reason": "bank_account_closed"}, "R02"),
        (None, "payment_method_bank_account_blocked"),
    ],
)
def test_a_blocked_account_is_refused_for_what_it_was_blocked_for(blocked: Doc | None, code: str) -> None:
    """Suspended only, a revoked mandate could be taken up again."""
    bank = {"id": "pm_1", "type": "us_bank_account", "us_bank_account": {"status_details": {"blocked": blocked}}}
    error = {"type": "invalid_request_error", "code": "payment_method_bank_account_blocked", "payment_method": bank}
    found = wire.answered_otherwise(400, error, SALE)
    assert isinstance(found, Declined)
    assert found.said == code
