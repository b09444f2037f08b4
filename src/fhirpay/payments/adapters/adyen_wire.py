"""Adyen's JSON ⇄ our port's words, for what is asked and answered. Pure: tested without a server. Used by adyen.py.

`RESULTS` is the whole of what we believe of a payment: a result that isn't in it becomes `Unknown`, never `Approved`.
Names are those of the Checkout API reference, v71. Out go the fields of the `to_…` functions and no others. What Adyen
tells later is adyen_events.py's to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ...domain.money import Money
from ...errors import FhirpayError
from ..declines import DeclineCode
from ..port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    Details,
    Method,
    Outcome,
    PaymentRequest,
    Pending,
    Prepared,
    Reference,
    Unknown,
)
from .adyen_declines import CONFIRM, DECLINES, IN_PROGRESS, REFUSALS

Doc = dict[str, Any]

# The API wants an address of each payment. Nobody is sent to this one: a stored card is never sent to its bank's page.
_NOBODY_GOES_THERE = "https://payments.invalid/"
# Adyen keeps the card network's id with the card, and sends it by itself: which of these it is, is all that it asks.
_MODELS = {
    "": "UnscheduledCardOnFile",
    "unscheduled": "UnscheduledCardOnFile",
    "recurring": "Subscription",
    "installment": "Subscription",
}
_LINK = re.compile(r"PL[0-9A-Z]{8,32}\Z")


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_payment(request: PaymentRequest, account: str) -> Doc:
    """The allow-list of a payment by stored card. Captured at once, or by a call of ours: said each time, since an
    account may be set either way. Its bank's page is never asked for: who has to go there pays on a page instead.
    """
    shopper, stored = split(request.method)
    model = _MODELS[request.merchant_reason] if request.initiated_by == "merchant" else "CardOnFile"
    return {
        "merchantAccount": account,
        "amount": amount(request.amount),
        "reference": request.reference,
        "returnUrl": request.return_url or _NOBODY_GOES_THERE,
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": stored},
        "shopperReference": shopper,
        "shopperInteraction": "ContAuth",
        "recurringProcessingModel": model,
        "authenticationData": {"attemptAuthentication": "never"},
        **_statement(request),
        **({"captureDelayHours": 0} if request.capture else {"additionalData": {"manualCapture": "true"}}),
    }


def to_page(request: PaymentRequest, account: str) -> Doc:
    """The allow-list of a payment link: a card, once. The one line that the payer reads is the practice's name."""
    return {
        "merchantAccount": account,
        "amount": amount(request.amount),
        "reference": request.reference,
        "returnUrl": request.return_url,
        "description": request.descriptor or "Payment",
        "allowedPaymentMethods": ["scheme"],
        "reusable": False,
        **_statement(request),
        **({"captureDelayHours": 0} if request.capture else {"manualCapture": True}),
    }


def to_setup_page(our_reference: str, return_url: str, account: str, currency: str) -> Doc:
    """A link that takes nothing and stores a card, for a shopper whose name is our opaque reference."""
    return {
        "merchantAccount": account,
        "amount": {"value": 0, "currency": currency},
        "reference": our_reference,
        "returnUrl": return_url,
        "allowedPaymentMethods": ["scheme"],
        "reusable": False,
        "shopperReference": our_reference,
        "storePaymentMethodMode": "enabled",
        "recurringProcessingModel": "UnscheduledCardOnFile",
    }


def to_modification(account: str, reference: str, of: Money | None = None) -> Doc:
    """A capture, a cancel or a refund. `reference` comes back in the event that tells what became of it."""
    return {"merchantAccount": account, "reference": reference, **({"amount": amount(of)} if of else {})}


def amount(money: Money) -> Doc:
    return {"value": money.minor, "currency": money.currency}


def _statement(request: PaymentRequest) -> Doc:
    """What the payer's statement shows; an ampersand is not among the characters that Adyen takes."""
    return {"shopperStatement": request.descriptor.replace("&", "+")} if request.descriptor else {}


def split(token: str) -> tuple[str, str]:
    """Our token of a stored card → the shopper that it is kept for, and Adyen's id of it."""
    shopper, dash, stored = token.rpartition("-")
    return (shopper, stored) if dash else ("", token)


# ── in: payments ──────────────────────────────────────────────────────────────────────────────────────────────────


def money(doc: Doc) -> Money:
    """Raises LookupError, TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if type(doc["value"]) is not int or not isinstance(doc["currency"], str):
        raise TypeError("an amount is a whole number of minor units")
    return Money(doc["value"], doc["currency"])


def reference(doc: Doc, name: str = "pspReference") -> Reference:
    """Raises LookupError, TypeError for what is no id."""
    if not isinstance(doc[name], str) or not doc[name]:
        raise TypeError("an id is a text")
    return Reference(doc[name])


def _approved(doc: Doc, request: PaymentRequest) -> Outcome:
    """`amount` is left out where all of it was approved; a part says so itself."""
    whole = doc["resultCode"] == "Authorised" and "amount" not in doc
    return Approved(
        reference=reference(doc),
        amount=request.amount if whole else money(doc["amount"]),
        captured=request.capture,
        details=_details(doc),
        payment=reference(doc),
    )


def _details(doc: Doc) -> Details:
    """Which card; all but the brand only where the account is set to say it (additional data)."""
    more, method = doc.get("additionalData") or {}, doc.get("paymentMethod") or {}
    month, slash, year = str(more.get("expiryDate") or "").partition("/")
    expires = f"{year}-{month.zfill(2)}" if slash and year.isdigit() and month.isdigit() else ""
    last4 = str(more.get("cardSummary") or "")
    return Details(
        str(method.get("brand") or ""),
        last4 if re.fullmatch(r"[0-9]{4}", last4) else "",
        str(more.get("authCode") or ""),
        expires=expires,
        network=str(more.get("networkTxReference") or ""),
    )


def _refused(doc: Doc, _: PaymentRequest) -> Outcome:
    code = str(doc.get("refusalReasonCode") or "")
    if code in CONFIRM:
        return ActionNeeded()
    return Declined.of(code, DECLINES, reference(doc))


RESULTS: Mapping[str, Callable[[Doc, PaymentRequest], Outcome]] = {
    "Authorised": _approved,
    "PartiallyAuthorised": _approved,
    "Refused": _refused,
    "Error": _refused,
    "Cancelled": _refused,
    "Pending": lambda doc, _: Pending(reference(doc)),
    "Received": lambda doc, _: Pending(reference(doc)),
    # The bank wants to see the payer, against what was asked for: nobody is sent there, so nothing comes of it.
    "RedirectShopper": lambda doc, _: ActionNeeded(),
    "ChallengeShopper": lambda doc, _: ActionNeeded(),
    "IdentifyShopper": lambda doc, _: ActionNeeded(),
}


def paid(doc: Doc, request: PaymentRequest) -> Outcome:
    """What an answer of 200 to a payment says of it."""
    try:
        read = RESULTS.get(doc["resultCode"])
        if read is None:
            return Unknown(f"a result that we don't know: {str(doc['resultCode'])[:40]}")
        return read(doc, request)
    except (LookupError, TypeError, AttributeError, ValueError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def received(doc: Doc, payment: Reference, asked: Money | None) -> Outcome:
    """What an answer of 201 to a modification says: received, of this payment and this amount; the rest comes later."""
    try:
        if doc["status"] != "received" or reference(doc, "paymentPspReference") != payment:
            return Unknown("an answer about something else, or a status that we don't know")
        if asked is not None and money(doc["amount"]) != asked:
            return Unknown(f"asked for {asked}, the answer says {money(doc['amount'])}")
        return Pending(reference(doc))
    except (LookupError, TypeError, AttributeError, ValueError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def answered_otherwise(status: int, doc: Doc, *, transient: bool) -> Outcome:
    """What an answer other than success means. A refusal of the request is believed; nothing else is."""
    code = str(doc.get("errorCode") or "")
    if status in (400, 422) and doc.get("errorType") and code != IN_PROGRESS and not transient:
        return Declined(REFUSALS.get(code, DeclineCode.REFUSED), said=code)
    # Whether such an answer is kept for its key is not said: an earlier call may still be carried out.
    return Unknown(f"the processor answered {status} {code}".rstrip(), silent=True)


# ── in: links, methods ────────────────────────────────────────────────────────────────────────────────────────────


def prepared(doc: Doc) -> Prepared:
    """Raises LookupError, TypeError, ValueError for what is no payment link."""
    ends = doc.get("expiresAt")
    url = doc["url"]
    if not isinstance(url, str) or not url:
        raise TypeError("a page has an address")
    return Prepared(reference(doc, "id"), url, datetime.fromisoformat(ends) if ends else None)


def is_page(token: str) -> bool:
    """Whether it is the id of a link, and not our token of a stored card."""
    return bool(_LINK.match(token))


def page(doc: Doc) -> Outcome:
    """A link says whether it was used, and never as which payment: that is for the event to tell."""
    try:
        match doc["status"]:
            case "active":
                return ActionNeeded(str(doc["url"]), reference(doc, "id"))
            case "expired":
                return Canceled(reference(doc, "id"), expired=True)
            case "completed" | "paid" | "paymentPending" as status:
                return Unknown(f"the page is {status}: as which payment only its event says")
            case other:
                return Unknown(f"a page that is {str(other)[:40]}")
    except (LookupError, TypeError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def method(doc: Doc, shopper: str) -> Method | None:
    """A stored card. None where it is none."""
    try:
        month, year = int(doc["expiryMonth"]), int(doc["expiryYear"])
        return Method(
            token=f"{shopper}-{reference(doc, 'id')}",
            brand=str(doc.get("brand") or "card"),
            last4=str(doc.get("lastFour") or ""),
            expires=f"{2000 + year % 100:04d}-{month:02d}",
        )
    except (LookupError, TypeError, ValueError):
        return None


_SECRETS = re.compile(
    r"(?i:(?<=x-api-key: )|(?<=x-api-key=))\S+|\bAQE[A-Za-z0-9+/=_.-]{12,}|[A-Za-z0-9+/]{43}=|\b[0-9A-Fa-f]{64}\b"
    r"|(?<=\"storedPaymentMethodId\": \")[^\"]+|\b[a-z]{2,8}[0-9a-z]{16,40}-[0-9A-Z]{16}\b|(?<![\d.])\d{13,19}(?!\d)"
)


def scrub(transcript: str) -> str:
    return _SECRETS.sub("[removed]", transcript)
