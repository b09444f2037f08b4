"""Authorize.Net's JSON ⇄ our port's words. Pure: tested without a server. Used by authorizenet.py alone.

`STATUS` is the whole of what we believe of a transaction: a status that isn't in it becomes `Unknown`. Out go the
fields of the `to_…` functions and no others, in the order of AnetApiSchema.xsd's sequences: in JSON too a child that
comes out of order is refused. Amounts are decimals both ways, and never pass through a float.

A transaction keeps its id through capture and void. So that a fact has a reference of its own, a hold is `<id>-auth`
and a void `<id>-void` here; a capture is the plain id, which is what Authorize.Net's reports show.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ...domain.money import Money
from ...errors import FhirpayError, MessageInvalid, NotAuthenticated
from ..declines import DeclineCode
from ..port import (
    Approved,
    Canceled,
    Declined,
    Details,
    EventAbout,
    InReview,
    Method,
    OperationKind,
    Outcome,
    PaymentRequest,
    ProcessorEvent,
    Reference,
    Unknown,
)
from .authorizenet_declines import DECLINES, REFUSALS

Doc = dict[str, Any]

_DECLINED = {**REFUSALS, **DECLINES}  # a bank may name for a decline what the gateway names for an error
DUPLICATE_WINDOW_S = 28_800  # the longest: the same invoice number, amount and card twice is refused for eight hours
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_TOLD = re.compile(r"f[0-9a-v]{19}\Z")


def sent_as(our_reference: str) -> str:
    """What Authorize.Net is told instead of our reference, as refId and invoiceNumber: 20 characters are all it takes.

    95 bits of a hash: two of a billion payments a year would share one once in ten thousand years.
    """
    digest = base64.b32hexencode(hashlib.sha256(our_reference.encode()).digest()).decode().lower()
    return f"f{digest[:19]}"


def is_id(text: str | None) -> bool:
    """Whether it is a transaction's id, and no name of ours."""
    return bool(text and _NUMBER.match(text))


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_sale(request: PaymentRequest) -> Doc:
    """The allow-list of a payment by stored method. The description stays empty: it is printed on receipts."""
    customer, _, method = request.method.partition("-")
    told = sent_as(request.reference)
    stored = {"isSubsequentAuth": True} if request.initiated_by == "merchant" else {"isStoredCredentials": True}
    return {
        "refId": told,
        "transactionRequest": {
            "transactionType": "authCaptureTransaction" if request.capture else "authOnlyTransaction",
            "amount": _decimal(request.amount),
            "currencyCode": request.amount.currency,
            "profile": {"customerProfileId": customer, "paymentProfile": {"paymentProfileId": method}},
            "order": {"invoiceNumber": told},
            "transactionSettings": _settings(duplicateWindow=str(DUPLICATE_WINDOW_S), allowPartialAuth="false"),
            "processingOptions": stored,
        },
    }


def to_capture(authorization: str, amount: Money) -> Doc:
    asked = {"transactionType": "priorAuthCaptureTransaction", "amount": _decimal(amount)}
    return {"transactionRequest": {**asked, "currencyCode": amount.currency, "refTransId": authorization}}


def to_void(payment: str) -> Doc:
    return {"transactionRequest": {"transactionType": "voidTransaction", "refTransId": payment}}


def to_refund(payment: str, amount: Money, our_reference: str, last4: str) -> Doc:
    told = sent_as(our_reference)
    return {
        "refId": told,
        "transactionRequest": {
            "transactionType": "refundTransaction",
            "amount": _decimal(amount),
            "currencyCode": amount.currency,
            "payment": {"creditCard": {"cardNumber": last4, "expirationDate": "XXXX"}},
            "refTransId": payment,
            "order": {"invoiceNumber": told},
            "transactionSettings": _settings(duplicateWindow=str(DUPLICATE_WINDOW_S)),
        },
    }


def to_page(request: PaymentRequest) -> Doc:
    """The allow-list of a page to pay on. The name that the payer reads is the practice's neutral one."""
    told = sent_as(request.reference)
    back = {"showReceipt": bool(request.return_url)}
    if request.return_url:
        back |= {"url": request.return_url, "urlText": "Continue"}
        back |= {"cancelUrl": request.return_url, "cancelUrlText": "Cancel"}
    pays = {"cardCodeRequired": True, "showCreditCard": True, "showBankAccount": False}
    asks = {"showEmail": False, "requiredEmail": False, "addPaymentProfile": False}
    options: dict[str, Doc] = {
        "hostedPaymentReturnOptions": back,
        "hostedPaymentPaymentOptions": pays,
        "hostedPaymentBillingAddressOptions": {"show": True, "required": False},
        "hostedPaymentShippingAddressOptions": {"show": False, "required": False},
        "hostedPaymentCustomerOptions": asks,
        "hostedPaymentOrderOptions": {"show": True, "merchantName": request.descriptor or "Payment"},
    }
    return {
        "refId": told,
        "transactionRequest": {
            "transactionType": "authCaptureTransaction" if request.capture else "authOnlyTransaction",
            "amount": _decimal(request.amount),
            "currencyCode": request.amount.currency,
            "order": {"invoiceNumber": told},
        },
        "hostedPaymentSettings": _settings(**{name: json.dumps(value) for name, value in options.items()}),
    }


def to_customer(our_reference: str) -> Doc:
    """A payer's profile, under a name of ours: asked for twice, it is there once."""
    return {"profile": {"merchantCustomerId": sent_as(our_reference)}}


def to_setup_page(customer: str, return_url: str) -> Doc:
    settings = {
        "hostedProfileReturnUrl": return_url,
        "hostedProfileReturnUrlText": "Continue",
        "hostedProfilePageBorderVisible": "false",
        "hostedProfileBillingAddressRequired": "false",
        "hostedProfileCardCodeRequired": "true",
        "hostedProfileManageOptions": "showPayment",
        "hostedProfilePaymentOptions": "showCreditCard",
    }
    return {"customerProfileId": customer, "hostedProfileSettings": _settings(**settings)}


def to_list(page: int, size: int) -> Doc:
    return {
        "sorting": {"orderBy": "id", "orderDescending": True},
        "paging": {"limit": str(size), "offset": str(page)},
    }


def _settings(**values: str) -> Doc:
    return {"setting": [{"settingName": name, "settingValue": value} for name, value in values.items()]}


def _decimal(amount: Money) -> str:
    return str(amount.decimal)


# ── in: answers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read_json(body: bytes) -> Doc:
    """An answer as JSON, without the mark in front of it; empty where it is none. Decimals as they are written."""
    try:
        doc = json.loads(body.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError):
        return {}
    return doc if isinstance(doc, dict) else {}


def code_of(doc: Doc) -> str:
    """The first message's code of an answer that is an error; empty when it says that all went well, or nothing."""
    try:
        messages = doc["messages"]
        return "" if messages["resultCode"] == "Ok" else str(messages["message"][0]["code"])
    except (LookupError, TypeError):
        return "unreadable"


def answered(doc: Doc, kind: OperationKind, amount: Money) -> Outcome:
    """What the answer to a createTransactionRequest says. `amount` is what was asked for: the answer has none."""
    try:
        said = doc["transactionResponse"]
        return _by_response(said, str(said["responseCode"]), kind, amount)
    except (LookupError, TypeError, AttributeError, ValueError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def _by_response(said: Doc, response: str, kind: OperationKind, amount: Money) -> Outcome:
    if response == "1":
        return _approved(said, kind, amount)
    if response == "4":
        return InReview(_id(said["transId"]))
    if response not in ("2", "3"):
        return Unknown(f"a response code that we don't know: {response[:20]}")
    reason = str(said["errors"][0]["errorCode"])
    if response == "2":
        return Declined.of(reason, _DECLINED, _known_id(said.get("transId")))
    if reason in REFUSALS:
        return Declined.of(reason, REFUSALS)
    # 11: it has been there before; 16, 310, 311: it has moved on. What became of it stands in the transaction.
    return Unknown(f"the gateway answered with reason {reason[:10]}")


def _approved(said: Doc, kind: OperationKind, amount: Money) -> Outcome:
    id_ = _id(said["transId"])
    prepaid = said.get("prePaidCard")
    if isinstance(prepaid, dict) and prepaid.get("approvedAmount") not in (None, prepaid.get("requestedAmount")):
        return Unknown("a part was approved, which was not asked for")
    details = Details(
        _brand(said.get("accountType")), _last4(said.get("accountNumber")), str(said.get("authCode") or "")
    )
    if kind is OperationKind.VOID:
        return _void_of(id_, amount)
    if kind is OperationKind.REFUND:
        return Approved(id_, amount, captured=False, details=details, payment=_known_id(said.get("refTransID")))
    if kind is OperationKind.AUTHORIZE:
        return Approved(_hold(id_), amount, captured=False, details=details, payment=id_)
    return Approved(id_, amount, details=details, payment=id_)


# ── in: transactions ──────────────────────────────────────────────────────────────────────────────────────────────────

HELD = frozenset({"authorizedPendingCapture"})
CAPTURED = frozenset({"capturedPendingSettlement", "pendingSettlement", "pendingFinalSettlement", "updatingSettlement"})
SETTLED = frozenset({"settledSuccessfully"})
_REVIEWED = frozenset(
    "FDSPendingReview FDSAuthorizedPendingReview underReview approvedReview authorizedPendingRelease".split()
)
_FAILED = frozenset({"generalError", "communicationError"})
_GIVEN_BACK = frozenset({"refundPendingSettlement", "refundSettledSuccessfully"})


_MAY_GIVE_BACK = _GIVEN_BACK | _REVIEWED


def not_done(doc: Doc, kind: OperationKind) -> bool:
    """Found, and untouched by an operation of this kind."""
    status = str(doc.get("transactionStatus"))
    if kind is OperationKind.CAPTURE:
        return status in HELD
    return kind is OperationKind.VOID and status in HELD | CAPTURED | _REVIEWED


def outcome(doc: Doc, kind: OperationKind, currency: str) -> Outcome:
    """What a transaction's details say of an operation. Anything that we don't recognise is `Unknown`."""
    try:
        status = str(doc["transactionStatus"])
        if kind is OperationKind.REFUND:
            return _refund(doc, status, currency)
        return _voiding(doc, status, currency) if kind is OperationKind.VOID else _payment(doc, status, currency)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, FhirpayError) as error:
        return Unknown(f"a transaction that we can't read ({type(error).__name__})")


def _payment(doc: Doc, status: str, currency: str) -> Outcome:
    id_ = _id(doc["transId"])
    if status in HELD:
        amount = money(doc["authAmount"], currency)
        return Approved(_hold(id_), amount, captured=False, details=_details(doc), payment=id_)
    if status in CAPTURED | SETTLED:
        at = _moment(doc["submitTimeUTC"]) if _is_sale(doc) else None  # a hold was submitted earlier than captured
        return Approved(id_, money(doc["settleAmount"], currency), details=_details(doc), at=at, payment=id_)
    if status == "voided":
        # One that was held for review and declined may never have been taken: its response code is 4.
        sure = _is_sale(doc) and str(doc.get("responseCode", "1")) == "1"
        taken = money(doc["settleAmount"], currency) if sure else None
        return Canceled(_voided(id_), undoes=id_, amount=taken)
    if status == "expired":
        return Canceled(id_, expired=True)
    if status in _REVIEWED:
        return InReview(id_)
    return _ended(doc, status, id_)


def _voiding(doc: Doc, status: str, currency: str) -> Outcome:
    id_ = _id(doc["transId"])
    if status == "voided":
        return _void_of(id_, Money.zero(currency))
    if status in SETTLED:
        return Declined(DeclineCode.CAPTURED, id_, status)
    if status == "expired":
        return Canceled(id_, expired=True)
    return _ended(doc, status, id_)


def _refund(doc: Doc, status: str, currency: str) -> Outcome:
    id_ = _id(doc["transId"])
    if doc["transactionType"] != "refundTransaction":
        return Unknown("a transaction that is no refund")
    if status in _GIVEN_BACK:
        amount, at = money(doc["settleAmount"], currency), _moment(doc["submitTimeUTC"])
        return Approved(id_, amount, captured=False, at=at, payment=_known_id(doc.get("refTransId")))
    if status in ("voided", "expired"):
        return Canceled(id_)
    if status == "settlementError":
        return Declined(DeclineCode.FAILED, id_, status)
    return InReview(id_) if status in _REVIEWED else _ended(doc, status, id_)


def _ended(doc: Doc, status: str, id_: Reference) -> Outcome:
    if status in ("declined", "failedReview"):
        return Declined.of(str(doc.get("responseReasonCode") or ""), _DECLINED, id_)
    if status in _FAILED:
        return Declined(DeclineCode.TRY_LATER, id_, status)
    return Unknown(f"a status that we don't know: {status[:40]}")


def _is_sale(doc: Doc) -> bool:
    return doc["transactionType"] == "authCaptureTransaction"


def _void_of(id_: Reference, amount: Money) -> Approved:
    return Approved(_voided(id_), Money.zero(amount.currency), captured=False, payment=id_)


def _hold(id_: str) -> Reference:
    return Reference(f"{id_}-auth")


def _voided(id_: str) -> Reference:
    return Reference(f"{id_}-void")


def last4(doc: Doc) -> str:
    """Of the card that a transaction was paid with; empty where it doesn't say."""
    return _details(doc).last4


def _details(doc: Doc) -> Details:
    payment = doc.get("payment")
    card = payment.get("creditCard") if isinstance(payment, dict) else None
    card = card if isinstance(card, dict) else {}
    return Details(_brand(card.get("cardType")), _last4(card.get("cardNumber")), str(doc.get("authCode") or ""))


_BRANDS = {"visa": "visa", "mastercard": "mastercard", "americanexpress": "amex", "dinersclub": "diners"}


def _brand(said: object) -> str:
    name = str(said or "card").lower()
    return _BRANDS.get(name, name)[:20]


def _last4(masked: object) -> str:
    found = re.search(r"[0-9]{4}\Z", str(masked or ""))
    return found.group() if found else ""


def money(amount: object, currency: str) -> Money:
    """Raises TypeError for what is no decimal: an amount that we'd have to interpret is no amount."""
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal | str):
        raise TypeError("an amount is a decimal")
    return Money.of(Decimal(amount), currency)


def _moment(text: object) -> datetime:
    found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _id(value: object) -> Reference:
    """Raises ValueError for what is no transaction's id; `0` is none."""
    if not is_id(str(value)) or not int(str(value)):
        raise ValueError("no id of a transaction")
    return Reference(str(value))


def _known_id(value: object) -> Reference | None:
    return Reference(str(value)) if is_id(str(value)) and int(str(value)) else None


def ids_of(doc: Doc, told: str) -> list[Reference]:
    """The transactions of a list's page that carry this invoice number, the newest first. Raises for no such page."""
    listed = doc.get("transactions") or []
    return [_id(one["transId"]) for one in listed if one.get("invoiceNumber") == told]


def refunds_like(doc: Doc, amount: Money, named: str, since: datetime) -> list[Reference]:
    """The refunds of a list's page that may be one of this amount without a name of its own: under its payment's, which
    is `named`, or under none. Raises for no such page."""
    return [
        _id(one["transId"])
        for one in doc.get("transactions") or []
        if one["transactionStatus"] in _MAY_GIVE_BACK
        and one.get("invoiceNumber") in (None, "", named)
        and money(one["settleAmount"], amount.currency) == amount
        and _moment(one["submitTimeUTC"]) >= since
    ]


# ── in: methods, events ───────────────────────────────────────────────────────────────────────────────────────────────


def method(customer: str, doc: object) -> Method | None:
    """A stored card. None for what is none, such as a bank account."""
    if not isinstance(doc, dict):
        return None
    payment = doc.get("payment")
    card = payment.get("creditCard") if isinstance(payment, dict) else None
    id_ = str(doc.get("customerPaymentProfileId") or "")
    if not isinstance(card, dict) or not is_id(id_):
        return None
    expires = str(card.get("expirationDate") or "")
    expires = expires if re.fullmatch(r"[0-9]{4}-[0-9]{2}", expires) else ""
    return Method(f"{customer}-{id_}", _brand(card.get("cardType")), _last4(card.get("cardNumber")), expires)


# Which events say that something has to be looked at again. All others are kept and ignored.
_ABOUT = {
    "net.authorize.payment.authcapture.created": EventAbout.PAYMENT,
    "net.authorize.payment.authorization.created": EventAbout.PAYMENT,
    "net.authorize.payment.capture.created": EventAbout.PAYMENT,
    "net.authorize.payment.priorAuthCapture.created": EventAbout.PAYMENT,
    "net.authorize.payment.void.created": EventAbout.PAYMENT,
    "net.authorize.payment.fraud.held": EventAbout.PAYMENT,
    "net.authorize.payment.fraud.approved": EventAbout.PAYMENT,
    "net.authorize.payment.fraud.declined": EventAbout.PAYMENT,
    "net.authorize.payment.refund.created": EventAbout.REFUND,
}


def check_signature(header: str, body: bytes, keys: Sequence[bytes]) -> None:
    """`sha512=<hex>`: HMAC-SHA512 of the raw body with a Signature Key. No time is in it: an event's id tells a
    repetition. Raises NotAuthenticated."""
    name, _, given = header.strip().partition("=")
    if name.lower() != "sha512" or not re.fullmatch(r"[0-9A-Fa-f]{128}", given):
        raise NotAuthenticated("the signature header is missing or malformed")
    matches = False
    for key in keys:  # all of them, so that the time taken says nothing
        ours = hmac.new(key, body, hashlib.sha512).hexdigest()
        matches |= hmac.compare_digest(ours, given.lower())
    if not matches:
        raise NotAuthenticated("the signature is not one of ours")


def read_event(body: bytes) -> ProcessorEvent:
    """A verified body as an event. Raises MessageInvalid when it has not the form of one."""
    try:
        event = json.loads(body)
        about = event["payload"]
        told = str(about.get("merchantReferenceId") or "")
        is_transaction = about["entityName"] == "transaction"
        return ProcessorEvent(
            id=str(event["notificationId"]),
            type=str(event["eventType"]),
            about=_ABOUT.get(event["eventType"], EventAbout.OTHER) if is_transaction else EventAbout.OTHER,
            our_reference=told if _TOLD.match(told) else "",
            processor_reference=Reference(str(about["id"])) if about.get("id") else None,
            occurred_at=_event_time(event["eventDate"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MessageInvalid("not an event of this processor") from None


def _event_time(text: object) -> datetime:
    """With up to seven digits of a second, which is more than a `datetime` has."""
    if not isinstance(text, str):
        raise TypeError("a time is a text")
    return _moment(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text))


_SECRETS = re.compile(
    r'(?<="transactionKey": ")[^"]+|(?<="transactionKey":")[^"]+|(?<="token": ")[^"]+|(?<="token":")[^"]+'
    r"|(?<=sha512=)[0-9A-Fa-f]+|\b[0-9]{5,20}-[0-9]{5,20}\b|(?i:bearer |basic )\S+|(?<![\d.])\d{13,19}(?!\d)"
)


def scrub(transcript: str) -> str:
    return _SECRETS.sub("[removed]", transcript)
