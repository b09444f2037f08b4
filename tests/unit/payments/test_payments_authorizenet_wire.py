"""Authorize.Net's answers and our words, without a server: states, reasons, amounts, names, signatures."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.errors import ConfigInvalid, MessageInvalid, NotAuthenticated
from fhirpay.net.http import client
from fhirpay.payments.adapters import authorizenet_wire as wire
from fhirpay.payments.adapters.authorizenet import SANDBOX_URL, AuthorizeNetProcessor
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import (
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    PaymentRequest,
    Reference,
    Unknown,
)

# The vector that a published library proves its check with: https://github.com/stymiee/authnetjson, AuthnetWebhookTest.
KEY = (
    "52CB4A002C634B84E397DC8A218E1A160BA7CAB7CBE4C05B35E9CBB05E14FE4A"
    "2385812E980CCF97D177F17863CE214D1BE6CE8E1E894487AACF3609C1A5FE17"
)
BODY = (
    b'{"notificationId":"182cbbff-cab2-4080-931d-80e5d818f23a","eventType":"net.authorize.payment.authcapture.created",'
    b'"eventDate":"2017-08-18T20:40:52.7722007Z","webhookId":"849eb87e-078a-4169-a34b-c0bded5019a8","payload":'
    b'{"responseCode":0,"authCode":"Z3PV5H","avsResponse":"Y","authAmount":0.0,"entityName":"transaction",'
    b'"id":"40005915599"}}'
)
SIGNED = (
    "sha512=A1E0CC0F8A7B6274E0951CAC5EB63579F70FC6B7B15384B146DCE02B98DEE395"
    "4A5A8E331661B51DE953E141E88994DFA7D267FFB8428BE0660511B6EFB94960"
)
DETAILS = {
    "transId": "2162566217",
    "submitTimeUTC": "2011-09-01T16:30:49.39Z",
    "transactionType": "authCaptureTransaction",
    "authAmount": Decimal("1018.88"),
    "settleAmount": Decimal("1018.88"),
    "authCode": "JPG9DJ",
    "payment": {"creditCard": {"cardNumber": "XXXX4444", "expirationDate": "XXXX", "cardType": "MasterCard"}},
}
K = OperationKind


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def found(status: str, kind: OperationKind = K.SALE, **more: object) -> object:
    return wire.outcome({**DETAILS, "transactionStatus": status, **more}, kind, "USD")


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.from_regex(r"[a-z]{2,8}[0-9a-z]{16,40}", fullmatch=True))
def test_a_name_fits_where_it_has_to_and_is_always_the_same(reference: str) -> None:
    told = wire.sent_as(reference)
    assert len(told) == 20
    assert told.isascii()
    assert told.isalnum()
    assert told == wire.sent_as(reference)
    assert not wire.is_id(told)  # a transaction's id is digits only


def test_names_of_ids_that_differ_in_one_character_differ() -> None:
    ours = [f"{kind}{number:026d}" for kind in ("pay", "ref") for number in range(5000)]
    assert len({wire.sent_as(one) for one in ours}) == len(ours)


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_goes_out_is_the_allow_list_and_nothing_else() -> None:
    request = PaymentRequest("pay01j9zzzzzzzzzzzzzzzzzzzzzz", usd(80_05), "900001-800001", descriptor="Main Street")
    told = wire.sent_as(request.reference)
    assert wire.to_sale(request) == {
        "refId": told,
        "transactionRequest": {
            "transactionType": "authCaptureTransaction",
            "amount": "80.05",
            "currencyCode": "USD",
            "profile": {"customerProfileId": "900001", "paymentProfile": {"paymentProfileId": "800001"}},
            "order": {"invoiceNumber": told},
            "transactionSettings": {
                "setting": [
                    {"settingName": "duplicateWindow", "settingValue": "28800"},
                    {"settingName": "allowPartialAuth", "settingValue": "false"},
                ]
            },
            "processingOptions": {"isStoredCredentials": True},
        },
    }
    assert wire.to_void("42") == {"transactionRequest": {"transactionType": "voidTransaction", "refTransId": "42"}}


# ── in: answers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(response: str, **more: object) -> dict[str, object]:
    said = {"responseCode": response, "transId": "60", "authCode": "ABC123", "accountNumber": "XXXX1111"}
    return {"transactionResponse": {**said, "accountType": "Visa", **more}}


def refused(response: str, reason: str) -> object:
    said = answer(response, transId="0", errors=[{"errorCode": reason, "errorText": "…"}])
    return wire.answered(said, K.SALE, usd(500))


def test_an_approval_names_the_capture_the_hold_and_the_void_apart() -> None:
    sale = wire.answered(answer("1"), K.SALE, usd(500))
    held = wire.answered(answer("1"), K.AUTHORIZE, usd(500))
    void = wire.answered(answer("1"), K.VOID, usd(0))
    assert isinstance(sale, Approved)
    assert isinstance(held, Approved)
    assert isinstance(void, Approved)
    assert [one.reference for one in (sale, held, void)] == ["60", "60-auth", "60-void"]
    assert [one.payment for one in (sale, held, void)] == ["60"] * 3
    assert (sale.captured, held.captured, sale.amount) == (True, False, usd(500))
    assert (sale.details.brand, sale.details.last4, sale.details.authorization) == ("visa", "1111", "ABC123")


@pytest.mark.parametrize(
    ("response", "reason", "code"),
    [
        ("2", "2", DeclineCode.DECLINED),
        ("2", "4", DeclineCode.DO_NOT_RETRY),
        ("2", "251", DeclineCode.DO_NOT_RETRY),
        ("2", "9999", DeclineCode.DECLINED),
        ("3", "8", DeclineCode.METHOD_EXPIRED),
        ("3", "39", DeclineCode.CURRENCY_UNSUPPORTED),
        ("3", "55", DeclineCode.ALREADY_REFUNDED),
    ],
)
def test_a_refusal_is_a_decline_with_our_word(response: str, reason: str, code: DeclineCode) -> None:
    outcome = refused(response, reason)
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.said) == (code, reason)


@pytest.mark.parametrize("reason", ["11", "16", "19", "120", "121", "122", "310", "311", "9999"])
def test_an_error_that_may_stand_beside_money_is_no_decline(reason: str) -> None:
    """A duplicate has been there before; a void of an authorization that timed out may have failed."""
    assert isinstance(refused("3", reason), Unknown)


def test_held_for_review_is_neither_and_a_part_that_nobody_asked_for_is_unknown() -> None:
    assert wire.answered(answer("4"), K.SALE, usd(500)) == InReview(Reference("60"))
    prepaid = {"requestedAmount": "5.00", "approvedAmount": "1.23", "balanceOnCard": "0"}
    assert isinstance(wire.answered(answer("1", prePaidCard=prepaid), K.SALE, usd(500)), Unknown)


@pytest.mark.parametrize(
    "doc",
    [
        {},
        {"transactionResponse": None},
        {"transactionResponse": {}},
        answer("1", transId="0"),
        answer("1", transId=None),
        answer("1", transId="60-1"),
        answer("9"),
        answer("2"),
        answer("3", errors=[]),
        answer("3", errors={"errorCode": "8"}),
        answer("4", transId=""),
    ],
)
def test_an_answer_that_can_not_be_read_approves_nothing(doc: dict[str, object]) -> None:
    assert isinstance(wire.answered(doc, K.SALE, usd(500)), Unknown)


# ── in: transactions ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sale_by_its_status() -> None:
    taken = found("settledSuccessfully")
    assert isinstance(taken, Approved)
    assert (taken.reference, taken.amount, taken.captured) == ("2162566217", usd(1018_88), True)
    assert taken.details.brand == "mastercard"
    assert found("capturedPendingSettlement") == taken
    held = found("authorizedPendingCapture", K.AUTHORIZE)
    assert isinstance(held, Approved)
    assert not held.captured
    assert found("voided") == Canceled(
        Reference("2162566217-void"), undoes=Reference("2162566217"), amount=usd(1018_88)
    )
    declined_in_review = found("voided", responseCode=4)  # it need never have been taken
    assert declined_in_review == Canceled(Reference("2162566217-void"), undoes=Reference("2162566217"))
    assert isinstance(found("expired"), Canceled)
    for status in ("FDSPendingReview", "FDSAuthorizedPendingReview", "underReview", "approvedReview"):
        assert isinstance(found(status), InReview)
    for status in ("declined", "failedReview", "generalError", "communicationError"):
        assert isinstance(found(status, responseReasonCode=2), Declined)
    for status in ("settlementError", "chargeback", "returnedItem", "couldNotVoid", "quantum", ""):
        assert isinstance(found(status), Unknown)


def test_a_hold_that_was_voided_may_have_been_captured_meanwhile() -> None:
    """The details keep the type that was submitted, and don't say what came of it."""
    ended = found("voided", K.AUTHORIZE, transactionType="authOnlyTransaction")
    assert ended == Canceled(Reference("2162566217-void"), undoes=Reference("2162566217"), amount=None)


def test_what_a_capture_a_void_and_a_refund_see() -> None:
    for status, capture, void in (
        ("authorizedPendingCapture", True, True),
        ("capturedPendingSettlement", False, True),
        ("settledSuccessfully", False, False),
        ("voided", False, False),
    ):
        doc = {**DETAILS, "transactionStatus": status}
        assert (wire.not_done(doc, K.CAPTURE), wire.not_done(doc, K.VOID)) == (capture, void)
    settled = found("settledSuccessfully", K.VOID)
    assert isinstance(settled, Declined)
    assert settled.code is DeclineCode.CAPTURED
    assert isinstance(found("voided", K.VOID), Approved)
    back = {"transactionType": "refundTransaction", "refTransId": "7"}
    for status in ("refundPendingSettlement", "refundSettledSuccessfully"):
        given_back = found(status, K.REFUND, **back)
        assert isinstance(given_back, Approved)
        assert (given_back.payment, given_back.captured) == ("7", False)
    assert isinstance(found("voided", K.REFUND, **back), Canceled)
    assert isinstance(found("refundPendingSettlement", K.REFUND), Unknown)  # a payment is no refund


@pytest.mark.parametrize("amount", [1018.88, True, None, "12.345", "NaN", [], "1e3"])
def test_an_amount_that_is_no_plain_decimal_is_not_believed(amount: object) -> None:
    assert isinstance(found("settledSuccessfully", settleAmount=amount), Unknown) or amount == "1e3"


def test_answers_begin_with_a_mark_and_have_exact_decimals() -> None:
    assert wire.read_json(b"\xef\xbb\xbf" + b'{"settleAmount": 0.1}') == {"settleAmount": Decimal("0.1")}
    for body in (b"", b"[]", b"\xff", b"<xml/>", b'{"a":'):
        assert wire.read_json(body) == {}
        assert wire.code_of(wire.read_json(body)) == "unreadable"


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_published_vector_is_signed_with_the_text_of_the_key() -> None:
    wire.check_signature(SIGNED, BODY, [KEY.encode()])
    wire.check_signature(SIGNED.lower(), BODY, [b"another", KEY.encode()])
    with pytest.raises(NotAuthenticated):
        wire.check_signature(SIGNED, BODY, [bytes.fromhex(KEY)])
    with pytest.raises(NotAuthenticated):
        wire.check_signature(SIGNED, BODY + b" ", [KEY.encode()])
    with pytest.raises(NotAuthenticated):
        wire.check_signature(SIGNED, BODY, [])
    event = wire.read_event(BODY)
    assert (event.id, event.processor_reference) == ("182cbbff-cab2-4080-931d-80e5d818f23a", "40005915599")
    assert event.occurred_at.utcoffset() == timedelta(0)


def test_a_key_can_be_told_to_be_hexadecimal_and_a_login_is_needed() -> None:
    def made(**more: object) -> AuthorizeNetProcessor:
        given_ = {"login": "5KP3u95bQpv", "transaction_key": "k", "signature_keys": [KEY], **more}
        return AuthorizeNetProcessor(client(SANDBOX_URL), **given_)  # type: ignore[arg-type]

    by_hex = "sha512=" + hmac.new(bytes.fromhex(KEY), BODY, hashlib.sha512).hexdigest()
    now = wire.read_event(BODY).occurred_at
    made(keys_are="hex").read_events({"x-anet-signature": by_hex}, BODY, now=now)
    made().read_events({"X-Anet-Signature": SIGNED}, BODY, now=now)
    with pytest.raises(NotAuthenticated):
        made().read_events({"x-anet-signature": by_hex}, BODY, now=now)
    for more in ({"login": ""}, {"keys_are": "hex", "signature_keys": ["not hex"]}):
        with pytest.raises(ConfigInvalid):
            made(**more)


@pytest.mark.parametrize("change", [{"payload": 3}, {"eventDate": None}, {"payload": {"id": "1"}}, {"eventType": []}])
def test_what_is_signed_and_no_event_is_invalid(change: dict[str, object]) -> None:
    with pytest.raises(MessageInvalid):
        wire.read_event(json.dumps({**json.loads(BODY), **change}).encode())


def test_what_a_support_case_keeps_has_no_key_and_no_token() -> None:
    kept = wire.scrub(json.dumps({"merchantAuthentication": {"name": "x", "transactionKey": "346HZ32z3fP4hTG2"}}))
    kept += wire.scrub('{"token":"FCfc6VbK/x==.89nE4Beh"} 900001-800001 sha512=AB12')
    for secret in ("346HZ32z3fP4hTG2", "FCfc6VbK", "900001-800001", "AB12"):
        assert secret not in kept
