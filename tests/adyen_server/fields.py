"""Which fields a request may have, which it must, and of what kind (API reference). Anything else is refused.

Only those of the real API that these tests are about are listed: one that is real and missing here is refused as
unknown, which is a limit of this stand-in and shows at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import Doc, invalid, unreadable

Check = Callable[[str, Any], None]


def text(longest: int = 0, pattern: str = "") -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise unreadable(f"Unable to read field '{name}'")
        if longest and len(value) > longest:
            raise invalid("702", f"Field '{name}' is too long: {longest} characters at most")
        if pattern and not re.fullmatch(pattern, value):
            raise invalid("702", f"Field '{name}' is not valid.")

    return check


def one_of(*values: str) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in values:
            raise unreadable(f"Unrecognized value '{value}' for '{name}'")

    return check


def whole(name: str, value: Any) -> None:
    if type(value) is not int:
        raise unreadable(f"Unable to read field '{name}'")


def flag(name: str, value: Any) -> None:
    if type(value) is not bool:
        raise unreadable(f"Unable to read field '{name}'")


def texts(name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise unreadable(f"Unable to read field '{name}'")


def texts_by_name(*known: str) -> Check:
    """API reference, additionalData: a map of text to text."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise unreadable(f"Unable to read field '{name}'")
        if unknown := sorted(value.keys() - set(known)):
            raise unreadable(f"{name} contains the following unknown fields: {unknown}")

    return check


class Shape:
    """One kind of request. `required` → the code and words with which a missing one is refused."""

    def __init__(self, name: str, fields: dict[str, Check], required: dict[str, tuple[str, str]]) -> None:
        self.name = name
        self.fields = fields
        self.required = required

    def __call__(self, name: str, value: Any) -> None:
        self.check(value)

    def check(self, doc: Any) -> Doc:
        if not isinstance(doc, dict):
            raise unreadable(f"Unable to read {self.name}")
        if unknown := sorted(doc.keys() - self.fields.keys()):
            # Error codes, 702: unknown fields are named
            raise unreadable(f"Structure of {self.name} contains the following unknown fields: {unknown}")
        for field, (code, message) in self.required.items():
            if field not in doc or doc[field] in ("", None):
                raise invalid(code, message)
        for field, value in doc.items():
            self.fields[field](field, value)
        return doc


def _missing(field: str) -> tuple[str, str]:
    return "702", f"Required field '{field}' is not provided."


_ACCOUNT = ("901", "Invalid Merchant Account")
_REFERENCE = ("130", "Required field 'reference' is not provided.")  # error codes, 130: reference missing
AMOUNT = Shape(
    "Amount",
    {"currency": text(3, "[A-Z]{3}"), "value": whole},
    {"currency": ("138", "Currency code is missing"), "value": ("137", "Invalid amount specified")},
)
_NO_AMOUNT = ("100", "No amount specified")
_STATEMENT = text(0, r"[A-Za-z0-9 .,'_\-?+*/]+")
_MODEL = one_of("CardOnFile", "Subscription", "UnscheduledCardOnFile")
_SHOPPER = text(256, "(?s).{3,}")  # API reference, shopperReference: at least three characters
STORED_CARD = Shape(
    "paymentMethod",
    {"type": one_of("scheme"), "storedPaymentMethodId": text(64)},
    {"type": _missing("paymentMethod.type"), "storedPaymentMethodId": _missing("storedPaymentMethodId")},
)
PAYMENT = Shape(
    "PaymentRequest",
    {
        "merchantAccount": text(),
        "amount": AMOUNT,
        "reference": text(80),
        "returnUrl": text(8000),
        "paymentMethod": STORED_CARD,
        "shopperReference": _SHOPPER,
        "shopperInteraction": one_of("Ecommerce", "ContAuth", "Moto", "POS"),
        "recurringProcessingModel": _MODEL,
        "captureDelayHours": whole,
        "shopperStatement": _STATEMENT,
        "additionalData": texts_by_name("manualCapture", "allowPartialAuth", "RequestedTestAcquirerResponseCode"),
        "authenticationData": Shape("authenticationData", {"attemptAuthentication": one_of("always", "never")}, {}),
        "channel": one_of("iOS", "Android", "Web"),
    },
    {
        "merchantAccount": _ACCOUNT,
        "amount": _NO_AMOUNT,
        "reference": _REFERENCE,
        "paymentMethod": _missing("paymentMethod"),
        "returnUrl": _missing("returnUrl"),
    },
)
_MODIFICATION = {"merchantAccount": text(), "reference": text(80)}
CAPTURE = Shape(
    "PaymentCaptureRequest", {**_MODIFICATION, "amount": AMOUNT}, {"merchantAccount": _ACCOUNT, "amount": _NO_AMOUNT}
)
REFUND = Shape(
    "PaymentRefundRequest",
    {
        **_MODIFICATION,
        "amount": AMOUNT,
        "merchantRefundReason": one_of("FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"),
    },
    {"merchantAccount": _ACCOUNT, "amount": _NO_AMOUNT},
)
CANCEL = Shape("PaymentCancelRequest", dict(_MODIFICATION), {"merchantAccount": _ACCOUNT})
REVERSAL = Shape("PaymentReversalRequest", dict(_MODIFICATION), {"merchantAccount": _ACCOUNT})
LINK = Shape(
    "PaymentLinkRequest",
    {
        "merchantAccount": text(),
        "amount": AMOUNT,
        "reference": text(80),
        "returnUrl": text(8000),
        "description": text(280),
        "shopperStatement": _STATEMENT,
        "allowedPaymentMethods": texts,
        "manualCapture": flag,
        "captureDelayHours": whole,
        "expiresAt": text(),
        "reusable": flag,
        "shopperReference": _SHOPPER,
        "storePaymentMethodMode": one_of("askForConsent", "disabled", "enabled"),
        "recurringProcessingModel": _MODEL,
    },
    {"merchantAccount": _ACCOUNT, "amount": _NO_AMOUNT, "reference": _REFERENCE},
)
LINK_UPDATE = Shape("UpdatePaymentLinkRequest", {"status": one_of("expired")}, {"status": _missing("status")})
