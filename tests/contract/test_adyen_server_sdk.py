"""Adyen's own library drives the stand-in through every flow: a second witness that it speaks Adyen's API.

Its check of signatures reads what the stand-in signs, too. It looks at the first item of a delivery only; ours at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import Adyen
import httpx2
import pytest
from Adyen import exceptions
from Adyen.util import is_valid_hmac_notification
from fastapi import HTTPException

from adyen_running import ACCOUNT, API_KEY, HMAC_KEY, OLD_HMAC_KEY, Running, adyen_apart
from adyen_server import account, disputes
from adyen_server.cards import SHOPPER
from adyen_server.faults import Fault
from adyen_server.webhooks import delivery

EUR = {"value": 12500, "currency": "EUR"}
Doc = dict[str, Any]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with adyen_apart() as served:
        yield served


@pytest.fixture
def sdk(running: Running) -> Iterator[Any]:
    made = Adyen.Adyen(xapikey=API_KEY, platform="test", http_timeout=30)
    apis = ("payments_api", "modifications_api", "payment_links_api", "recurring_api")
    for name in apis:
        getattr(made.checkout, name).baseUrl = f"{running.base_url}/v71"
    yield made.checkout
    running.simulator.faults.waiting.clear()


def wish(card: str = "M5N7TQ4TG5PFWR50", **more: Any) -> Doc:
    return {
        "merchantAccount": ACCOUNT,
        "amount": EUR,
        "reference": "pay0123456789abcdef",
        "returnUrl": "https://pay.example.com/back",
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": card},
        "shopperReference": SHOPPER,
        "shopperInteraction": "ContAuth",
        "recurringProcessingModel": "CardOnFile",
        **more,
    }


MANUAL = {"additionalData": {"manualCapture": "true"}}


def taken(running: Running, psp: str) -> int:
    return sum(one["amount"] for one in running.simulator.books.movements if one["payment"] == psp)


def told(running: Running, psp: str) -> list[tuple[str, str, int]]:
    """What was told of a payment: code, success, amount."""
    items = running.items()
    mine = [item for item in items if psp in (item["pspReference"], item.get("originalReference"))]
    return [(item["eventCode"], item["success"], item["amount"]["value"]) for item in mine]


def test_a_payment_is_captured_at_once_or_held(running: Running, sdk: Any) -> None:
    paid = sdk.payments_api.payments(wish()).message
    assert (paid["resultCode"], paid["amount"]) == ("Authorised", EUR)
    assert len(paid["pspReference"]) == 16
    assert taken(running, paid["pspReference"]) == 12500
    held = sdk.payments_api.payments(wish(**MANUAL)).message
    assert taken(running, held["pspReference"]) == 0
    assert told(running, held["pspReference"]) == [("AUTHORISATION", "true", 12500)]


@pytest.mark.parametrize(
    ("card", "result", "code"),
    [
        ("M5N7TQ4TG5PFWR51", "Refused", "2"),
        ("M5N7TQ4TG5PFWR52", "Refused", "12"),
        ("M5N7TQ4TG5PFWR53", "Refused", "38"),
        ("M5N7TQ4TG5PFWR58", "Error", "4"),
    ],
)
def test_a_refusal_is_an_answer_with_its_code(running: Running, sdk: Any, card: str, result: str, code: str) -> None:
    answer = sdk.payments_api.payments(wish(card))
    assert answer.status_code == 200
    assert (answer.message["resultCode"], answer.message["refusalReasonCode"]) == (result, code)
    assert told(running, answer.message["pspReference"]) == [("AUTHORISATION", "false", 12500)]


def test_modifications_are_received_and_told_later(running: Running, sdk: Any) -> None:
    books, modify = running.simulator.books, sdk.modifications_api
    books.settings["modifications_s"] = 60
    try:
        psp = sdk.payments_api.payments(wish(**MANUAL)).message["pspReference"]
        asked = {"merchantAccount": ACCOUNT, "amount": {"value": 10000, "currency": "EUR"}, "reference": "k1"}
        capture = modify.capture_authorised_payment(asked, psp)
        assert (capture.status_code, capture.message["status"]) == (201, "received")
        assert (capture.message["paymentPspReference"], capture.message["reference"]) == (psp, "k1")
        assert taken(running, psp) == 0
        books.offset_s += 60
        account.tick(books)
        assert taken(running, psp) == 10000
        for value, expected in ((4000, 6000), (6000, 0), (1, 0)):
            modify.refund_captured_payment(
                {"merchantAccount": ACCOUNT, "amount": {"value": value, "currency": "EUR"}, "reference": "r"}, psp
            )
            books.offset_s += 60
            account.tick(books)
            assert taken(running, psp) == expected
        modify.cancel_authorised_payment_by_psp_reference({"merchantAccount": ACCOUNT}, psp)
        books.offset_s += 60
        account.tick(books)
    finally:
        books.settings["modifications_s"] = 0
    assert told(running, psp) == [
        ("AUTHORISATION", "true", 12500),
        ("CAPTURE", "true", 10000),
        ("REFUND", "true", 4000),
        ("REFUND", "true", 6000),
        ("REFUND", "false", 1),
        ("CANCELLATION", "false", 12500),
    ]


def test_a_reversal_cancels_or_refunds(running: Running, sdk: Any) -> None:
    for more, action in ((MANUAL, "cancel"), ({}, "refund")):
        psp = sdk.payments_api.payments(wish(**more)).message["pspReference"]
        sdk.modifications_api.refund_or_cancel_payment({"merchantAccount": ACCOUNT}, psp)
        assert taken(running, psp) == 0
        last = running.items()[-1]
        assert (last["eventCode"], last["additionalData"]["modification.action"]) == ("CANCEL_OR_REFUND", action)


def test_the_same_key_answers_as_it_did_and_does_nothing_twice(running: Running, sdk: Any) -> None:
    first = sdk.payments_api.payments(wish(reference="pay-key"), idempotency_key="k" * 64).message
    again = sdk.payments_api.payments(wish(reference="pay-key"), idempotency_key="k" * 64).message
    assert again == first
    running.simulator.books.offset_s += 7 * 24 * 3600
    later = sdk.payments_api.payments(wish(reference="pay-key"), idempotency_key="k" * 64).message
    assert later["pspReference"] != first["pspReference"]
    with pytest.raises(exceptions.AdyenAPIUnprocessableEntity):
        sdk.payments_api.payments(wish(), idempotency_key="k" * 65)


def test_a_key_whose_call_is_running_is_refused_with_704(running: Running, sdk: Any) -> None:
    running.simulator.faults.waiting.append(Fault("confirm", "late", seconds=60))
    with pytest.raises(Exception, match=r".*"):
        sdk.payments_api.payments(wish(), idempotency_key="running")
    with pytest.raises(exceptions.AdyenAPIResponseError) as no:
        sdk.payments_api.payments(wish(), idempotency_key="running")
    assert (no.value.status_code, no.value.error_code) == (409, "704")
    running.simulator.books.offset_s += 60
    assert sdk.payments_api.payments(wish(), idempotency_key="running").message["resultCode"] == "Authorised"


def test_links_are_read_ended_and_paid(running: Running, sdk: Any) -> None:
    links = sdk.payment_links_api
    asked = {"merchantAccount": ACCOUNT, "amount": EUR, "reference": "pay-link", "allowedPaymentMethods": ["scheme"]}
    made = links.payment_links(asked).message
    assert (made["status"], made["reference"]) == ("active", "pay-link")
    for typed, status in (
        ({"card": "4111111111111111", "holder": "DECLINED"}, 402),
        ({"card": "4111111111111111"}, 200),
    ):
        answer = httpx2.post(made["url"], data=typed, trust_env=False, verify=False)
        assert answer.status_code == status
    assert links.get_payment_link(made["id"]).message["status"] == "completed"
    with pytest.raises(exceptions.AdyenAPIUnprocessableEntity):
        links.update_payment_link({"status": "expired"}, made["id"])
    other = links.payment_links(asked).message
    assert links.update_payment_link({"status": "expired"}, other["id"]).message["status"] == "expired"
    lapsing = links.payment_links(asked).message
    running.simulator.books.offset_s += 24 * 3600
    assert links.get_payment_link(lapsing["id"]).message["status"] == "expired"


def test_a_card_is_stored_on_a_link_listed_charged_and_removed(running: Running, sdk: Any) -> None:
    made = sdk.payment_links_api.payment_links(
        {
            "merchantAccount": ACCOUNT,
            "amount": {"value": 0, "currency": "USD"},
            "reference": "set0123456789abcdef",
            "shopperReference": "set0123456789abcdef",
            "storePaymentMethodMode": "enabled",
            "recurringProcessingModel": "UnscheduledCardOnFile",
        }
    ).message
    httpx2.post(made["url"], data={"card": "4111111111111111"}, trust_env=False, verify=False)
    query = {"merchantAccount": ACCOUNT, "shopperReference": "set0123456789abcdef"}
    recurring = sdk.recurring_api
    [card] = recurring.get_tokens_for_stored_payment_details(query_parameters=query).message["storedPaymentMethods"]
    assert (card["lastFour"], card["brand"], card["expiryYear"]) == ("1111", "visa", "30")
    asked = wish(card["id"], shopperReference="set0123456789abcdef", recurringProcessingModel="Subscription")
    assert sdk.payments_api.payments(asked).message["resultCode"] == "Authorised"
    recurring.delete_token_for_stored_payment_details(card["id"], query_parameters=query)
    with pytest.raises(exceptions.AdyenAPIUnprocessableEntity) as no:
        sdk.payments_api.payments(asked)
    assert no.value.error_code == "803"


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"amount": None}, exceptions.AdyenAPIUnprocessableEntity, "100"),
        ({"amount": {"value": 1.5, "currency": "EUR"}}, exceptions.AdyenAPIValidationError, "702"),
        ({"amount": {"value": 0, "currency": "EUR"}}, exceptions.AdyenAPIUnprocessableEntity, "137"),
        ({"amount": {"value": 1, "currency": "XYZ"}}, exceptions.AdyenAPIUnprocessableEntity, "138"),
        ({"reference": ""}, exceptions.AdyenAPIUnprocessableEntity, "130"),
        ({"returnUrl": ""}, exceptions.AdyenAPIUnprocessableEntity, "702"),
        ({"patientName": "x"}, exceptions.AdyenAPIValidationError, "702"),
        ({"merchantAccount": "Another"}, exceptions.AdyenAPIInvalidPermission, "901"),
        ({"shopperReference": "ab"}, exceptions.AdyenAPIUnprocessableEntity, "702"),
        ({"captureDelayHours": 673}, exceptions.AdyenAPIUnprocessableEntity, "702"),
        ({"shopperStatement": "A & B"}, exceptions.AdyenAPIUnprocessableEntity, "702"),
    ],
)
def test_what_is_not_right_is_refused_and_takes_nothing(
    running: Running, sdk: Any, change: Doc, error: type[Exception], code: str
) -> None:
    before = len(running.simulator.books.movements)
    with pytest.raises(error) as no:
        sdk.payments_api.payments({**wish(), **change})
    assert no.value.error_code == code  # type: ignore[attr-defined]
    assert len(running.simulator.books.movements) == before


def test_a_wrong_key_and_a_server_error_are_told_apart(running: Running, sdk: Any) -> None:
    wrong = Adyen.Adyen(xapikey="AQEwrong", platform="test").checkout
    wrong.payments_api.baseUrl = f"{running.base_url}/v71"
    with pytest.raises(exceptions.AdyenAPIAuthenticationError):
        wrong.payments_api.payments(wish())
    for fault, transient in (("before", "true"), ("error500", None)):
        running.simulator.faults.waiting.append(Fault("confirm", fault))
        with pytest.raises(exceptions.AdyenAPICommunicationError) as no:
            sdk.payments_api.payments(wish(), idempotency_key=fault)
        assert no.value.headers.get("transient-error") == transient
    assert sdk.payments_api.payments(wish(), idempotency_key="before").message["resultCode"] == "Authorised"
    with pytest.raises(exceptions.AdyenAPICommunicationError):
        sdk.payments_api.payments(wish(), idempotency_key="error500")


def test_its_check_of_signatures_takes_what_is_signed_with_the_key_and_nothing_else(running: Running, sdk: Any) -> None:
    psp = sdk.payments_api.payments(wish(**MANUAL)).message["pspReference"]
    sdk.modifications_api.capture_authorised_payment({"merchantAccount": ACCOUNT, "amount": EUR}, psp)
    for item in running.items()[-2:]:
        for key in (HMAC_KEY, OLD_HMAC_KEY):
            sent = json.loads(delivery([item], [key]))
            assert is_valid_hmac_notification(sent, key)
            assert not is_valid_hmac_notification(sent, HMAC_KEY if key == OLD_HMAC_KEY else OLD_HMAC_KEY)
            sent["notificationItems"][0]["NotificationRequestItem"]["amount"]["value"] += 1
            assert not is_valid_hmac_notification(sent, key)


def test_a_disputes_items_are_signed_like_the_others_and_come_in_the_order_of_the_dispute_flow(
    running: Running, sdk: Any
) -> None:
    psp = sdk.payments_api.payments(wish()).message["pspReference"]
    books = running.simulator.books
    theirs = disputes.open_dispute(books, {"payment": psp, "amount": 1000})["id"]
    with pytest.raises(HTTPException):
        disputes.goes_on(books, theirs, "CHARGEBACK_REVERSED", None)
    disputes.goes_on(books, theirs, "CHARGEBACK", None)
    opened, taken = running.items()[-2:]
    assert [(item["eventCode"], item["originalReference"]) for item in (opened, taken)] == [
        ("NOTIFICATION_OF_CHARGEBACK", psp),
        ("CHARGEBACK", psp),
    ]
    assert opened["pspReference"] == taken["pspReference"] == theirs
    assert is_valid_hmac_notification(json.loads(delivery([taken], [HMAC_KEY])), HMAC_KEY)
    assert books.movements[-1]["amount"] == -1000
