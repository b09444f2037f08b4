"""Square's JSON ⇄ our port's words. Pure: tested without a server. Used by square.py alone.

`STATUS` is the whole of what we believe: a status that isn't in it becomes `Unknown`, never `Approved`. Names are those
of Square's API reference. Out go the fields of the `to_…` functions and no others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ...domain.money import Money
from ...errors import FhirpayError, MessageInvalid, NotAuthenticated, ProcessorUnavailable, RuleBroken
from ..declines import DeclineCode
from ..event_list import EventPage
from ..port import (
    Approved,
    Canceled,
    Declined,
    Details,
    EventAbout,
    Method,
    OperationKind,
    Outcome,
    PaymentRequest,
    Pending,
    ProcessorEvent,
    Reference,
    Unknown,
)
from .square_declines import failed, refused

Doc = dict[str, Any]

LIVE = ("APPROVED", "PENDING", "COMPLETED")  # a payment that holds or has money, or may yet
_KEY_MAX = 45
_REFERENCE_MAX = 40
_CARD = re.compile(r"ccof:[A-Za-z0-9_-]{4,60}\Z")
_OURS = re.compile(r"[a-z]{2,8}[0-9a-z]{16,40}\Z")
_HOLD = "PT168H"  # as long as a card that isn't there can be held for; then Square lets it go


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def key(ours: str) -> str:
    """An idempotency key has 45 characters at most: a longer one of ours is told by its hash."""
    return ours if len(ours) <= _KEY_MAX else hashlib.sha256(ours.encode()).hexdigest()[:_KEY_MAX]


def encoded(body: Doc) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def to_money(amount: Money) -> Doc:
    return {"amount": amount.minor, "currency": amount.currency}


def to_order(request: PaymentRequest, location: str) -> Doc:
    """The allow-list of an order: what a payment is for, which is one neutral line."""
    if len(request.reference) > _REFERENCE_MAX:
        raise RuleBroken(f"Square keeps references of {_REFERENCE_MAX} characters at most")
    item = {"name": request.descriptor or "Payment", "quantity": "1", "base_price_money": to_money(request.amount)}
    return {"location_id": location, "reference_id": request.reference, "line_items": [item]}


def to_payment(request: PaymentRequest, order: Reference, location: str) -> Doc:
    """The allow-list of a payment by a card on file: taken at once, or held and let go by itself after a week."""
    customer, card = split(request.method)
    return {
        "source_id": card,
        **({"customer_id": customer} if customer else {}),
        "amount_money": to_money(request.amount),
        "order_id": order,
        "location_id": location,
        "reference_id": request.reference,
        "customer_details": {"customer_initiated": request.initiated_by == "customer"},
        "autocomplete": request.capture,
        **({} if request.capture else {"delay_duration": _HOLD, "delay_action": "CANCEL"}),
    }


def to_page(request: PaymentRequest, location: str) -> Doc:
    """The allow-list of a page to pay on: a card or a card's wallet, and the amount as it stands."""
    ways = {"apple_pay": True, "google_pay": True, "cash_app_pay": False, "afterpay_clearpay": False}
    options: Doc = {
        "allow_tipping": False,
        "ask_for_shipping_address": False,
        "enable_coupon": False,
        "enable_loyalty": False,
        "accepted_payment_methods": ways,
    }
    if request.return_url:
        options["redirect_url"] = request.return_url
    return {
        "order": to_order(request, location),
        "checkout_options": options,
        "payment_note": request.reference,  # the order's reference is not in an event; this is
    }


def to_refund(payment: str, amount: Money, our_reference: str) -> Doc:
    """A refund has no reference of ours but its reason."""
    return {"payment_id": payment, "amount_money": to_money(amount), "reason": our_reference}


def split(token: str) -> tuple[str, str]:
    """Our token of a stored card → Square's customer (may be empty) and card id."""
    customer, dash, card = token.partition("-")
    return (customer, f"ccof:{card}") if dash else ("", f"ccof:{token}")


def is_card(id_: str) -> bool:
    """Whether it has the form of a card's id: it goes into a path."""
    return _CARD.match(id_) is not None


def page_of(reference: str) -> tuple[str, str]:
    """Our reference of a page → the link and its order: a link that is closed can't be asked for its order any more."""
    link, _, order = reference.partition(":")
    return link, order


# ── in: payments ──────────────────────────────────────────────────────────────────────────────────────────────────


def moment(text: object) -> datetime:
    """Raises TypeError, ValueError for what is no time with its offset."""
    if not isinstance(text, str):
        raise TypeError("a time is a text")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time has an offset")
    return at.astimezone(UTC)


def money(doc: object) -> Money:
    """Raises TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if not isinstance(doc, dict) or type(doc["amount"]) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(doc["amount"], str(doc["currency"]))


def _id(doc: Doc, name: str = "id") -> Reference:
    """Raises TypeError for what is no id."""
    if not isinstance(doc[name], str) or not doc[name]:
        raise TypeError("an id is a text")
    return Reference(doc[name])


def _amount(doc: Doc) -> Money:
    """What was approved: each refund takes its part off `amount_money` (guide: Refund payments)."""
    return money(doc.get("approved_money") or doc["total_money"])


def _captured(doc: Doc, kind: OperationKind) -> Outcome:
    line = doc["card_details"].get("card_payment_timeline") or {}
    back = doc.get("refunded_money")
    return Approved(
        reference=_id(doc),
        amount=_amount(doc),
        details=_details(doc["card_details"]),
        at=moment(line.get("captured_at") or doc["updated_at"]),
        payment=_id(doc, "order_id"),
        given_back=money(back) if back else None,
    )


def _approved(doc: Doc, kind: OperationKind) -> Outcome:
    """Held. What is to be taken at once passes through here; a hold by itself is none of its ends."""
    if kind in (OperationKind.SALE, OperationKind.HOSTED):
        return Pending(_id(doc, "order_id"))
    return Approved(
        reference=_id(doc, "order_id"),
        amount=_amount(doc),
        captured=False,
        details=_details(doc["card_details"]),
        payment=_id(doc, "order_id"),
    )


def _details(paid_by: Doc) -> Details:
    card = paid_by.get("card") or {}
    brand = str(card.get("card_brand") or "").lower().replace("_", " ")
    code = str(paid_by.get("auth_result_code") or "")
    return Details(brand, str(card.get("last_4") or ""), code, expires=_expires(card))


def _expires(card: Doc) -> str:
    year, month = card.get("exp_year"), card.get("exp_month")
    return f"{year:04d}-{month:02d}" if isinstance(year, int) and isinstance(month, int) else ""


def _canceled(doc: Doc, kind: OperationKind) -> Outcome:
    """By somebody, or by Square when the hold had lasted long enough."""
    at, until = moment(doc["updated_at"]), doc.get("delayed_until")
    return Canceled(_id(doc, "order_id"), expired=bool(until) and at >= moment(until), at=at)


def _failed(doc: Doc, kind: OperationKind) -> Outcome:
    return failed((doc.get("card_details") or {}).get("errors") or [], _id(doc, "order_id"))


STATUS: dict[str, Callable[[Doc, OperationKind], Outcome]] = {
    "APPROVED": _approved,
    "PENDING": lambda doc, kind: Pending(_id(doc, "order_id")),
    "COMPLETED": _captured,
    "CANCELED": _canceled,
    "FAILED": _failed,
}


def payment(doc: Doc, kind: OperationKind) -> Outcome:
    """What a payment says of an operation. Anything that we don't recognise is `Unknown`."""
    return _read(lambda: _payment(doc, kind))


def _payment(doc: Doc, kind: OperationKind) -> Outcome:
    read = STATUS.get(doc["status"])
    if read is None:
        return Unknown(f"a status that we don't know: {str(doc['status'])[:40]}")
    return voided(doc) if kind is OperationKind.VOID else read(doc, kind)


def voided(doc: Doc) -> Outcome:
    """Approved when the payment ended without money; a captured one can be refunded only."""
    if doc["status"] == "COMPLETED":
        return Declined(DeclineCode.CAPTURED, _id(doc, "order_id"))
    found = _canceled(doc, OperationKind.VOID) if doc["status"] == "CANCELED" else None
    if isinstance(found, Canceled) and not found.expired:
        return nothing_left(_id(doc, "order_id"), _amount(doc).currency, found.at)
    return found or Unknown(f"not voided, but {doc['status']}")


def nothing_left(order: Reference, currency: str, at: datetime | None = None) -> Approved:
    """A void that has left nothing behind."""
    return Approved(order, Money.zero(currency), captured=False, at=at, payment=order)


def waits(doc: Doc, kind: OperationKind) -> bool:
    """Found as it was, and untouched by an operation of this kind: a hold that stands, or a try that had failed."""
    return doc.get("status") in ("APPROVED", "FAILED") and kind in (OperationKind.CAPTURE, OperationKind.VOID)


def is_split(docs: Sequence[Doc]) -> bool:
    """Whether several payments have paid one order in parts: none of them is what was asked for."""
    return sum(doc.get("status") == "COMPLETED" for doc in docs) > 1


def refund(doc: Doc, order: Reference | None) -> Outcome:
    """What a refund says. `order`: that of the payment; the refund's own `order_id` is one that it made for itself."""
    return _read(lambda: _refund(doc, order))


def _refund(doc: Doc, order: Reference | None) -> Outcome:
    match doc["status"]:
        case "PENDING":
            return Pending(_id(doc))
        case "COMPLETED":
            at = moment(doc["updated_at"])
            return Approved(_id(doc), money(doc["amount_money"]), captured=False, at=at, payment=order)
        case "FAILED" | "REJECTED":
            return Declined(DeclineCode.FAILED, _id(doc), said=doc["status"])
        case _:
            return Unknown(f"a status that we don't know: {str(doc['status'])[:40]}")


def _read(read: Callable[[], Outcome]) -> Outcome:
    try:
        return read()
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def order_paid(then: Outcome) -> Callable[[Doc], Outcome]:
    """What the answer of PayOrder says: `then`, when it is an order that we can read."""

    def read(doc: Doc) -> Outcome:
        state = (doc.get("order") or {}).get("state")
        return then if state in ("OPEN", "COMPLETED") else Unknown(f"an order that is {str(state)[:40]}")

    return read


def payment_ids(order: Doc) -> list[str]:
    """The payments that an order names: those that hold or have its money."""
    tenders = order.get("tenders")
    found = [one.get("payment_id") or one.get("id") for one in tenders or [] if isinstance(one, dict)]
    return [one for one in found if isinstance(one, str)]


# ── in: errors ────────────────────────────────────────────────────────────────────────────────────────────────────


def errors(doc: Doc) -> list[Doc]:
    found = doc.get("errors")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def answered_otherwise(status: int, doc: Doc, order: Reference | None) -> Outcome:
    """What an answer other than 200 to a call that may move money means. A refusal is believed, a success never."""
    found = errors(doc)
    categories = {one.get("category") for one in found}
    says = f"the processor answered {status} {found[0].get('code') if found else ''}".rstrip()
    unclear = Unknown(says, silent=True)  # no error is said to be kept for its key
    if not 400 <= status < 500 or status == 408 or not found:
        return unclear
    if "PAYMENT_METHOD_ERROR" in categories:
        return failed(found, order)
    if status in (400, 404, 422) and categories <= {"INVALID_REQUEST_ERROR", "REFUND_ERROR"}:
        if any(one.get("code") in ("IDEMPOTENCY_KEY_REUSED", "CONFLICT", "VERSION_MISMATCH") for one in found):
            return unclear
        return refused(found)
    return unclear


def elsewhere(doc: Doc) -> str:
    """Why what we named can't be ours: an order, a payment or the location is not there. Empty: it may be.

    Only a payer's card may be gone (`source_id`), and what is asked for by GET is the caller's to judge.
    """
    gone = any(one.get("code") == "NOT_FOUND" and one.get("field") != "source_id" for one in errors(doc))
    return (
        "Square does not know our order, payment or location: look at secret_key, location and base_url" if gone else ""
    )


# ── in: cards and events ──────────────────────────────────────────────────────────────────────────────────────────


def method(card: object) -> Method | None:
    """A card kept for a customer. None where it belongs to nobody, or is disabled."""
    if not isinstance(card, dict) or not card.get("enabled"):
        return None
    customer, id_ = card.get("customer_id"), card.get("id")
    if not isinstance(customer, str) or not customer or not isinstance(id_, str) or not id_.startswith("ccof:"):
        return None
    brand = str(card.get("card_brand") or "card").lower().replace("_", " ")
    token = f"{customer}-{id_.removeprefix('ccof:')}"
    return Method(token, brand, str(card.get("last_4") or ""), _expires(card))


def check_signature(header: str, url: str, body: bytes, secrets: Sequence[str]) -> None:
    """Raises NotAuthenticated unless one of the live keys signed this body for this address.

    base64 of HMAC-SHA256 over the notification URL and the raw body (guide: Validate that the notification is from
    Square). No time is signed: an old event that is sent again is known by its id, and says only what to look at.
    """
    matches = False
    for secret in secrets:  # all of them, so that the time taken says nothing
        ours = base64.b64encode(hmac.new(secret.encode(), url.encode() + body, hashlib.sha256).digest())
        matches |= hmac.compare_digest(ours, header.encode())
    if not matches:
        raise NotAuthenticated("the signature is not one of ours")


_ABOUT = {
    "payment.created": EventAbout.PAYMENT,
    "payment.updated": EventAbout.PAYMENT,
    "refund.created": EventAbout.REFUND,
    "refund.updated": EventAbout.REFUND,
    "dispute.created": EventAbout.DISPUTE,
    "dispute.state.updated": EventAbout.DISPUTE,
}


def to_events(since: datetime, until: datetime) -> Doc:
    """A search for the events that say that something has to be looked at, the newest first."""
    span = {"start_at": since.astimezone(UTC).isoformat(), "end_at": until.astimezone(UTC).isoformat()}
    wanted = {"event_types": list(_ABOUT), "created_at": span}
    return {"query": {"filter": wanted, "sort": {"field": "DEFAULT", "order": "DESC"}}}


def event_page(doc: Doc) -> EventPage:
    """Raises ProcessorUnavailable for what is no list of events. One that is empty is left out by Square."""
    try:
        bodies = [json.dumps(one).encode() for one in doc.get("events") or []]
        return EventPage(tuple(replace(read_event(body), body=body) for body in bodies), str(doc.get("cursor") or ""))
    except (LookupError, TypeError, MessageInvalid):
        raise ProcessorUnavailable("a list of events that can't be read") from None


def read_event(body: bytes) -> ProcessorEvent:
    """A verified body as an event. Raises MessageInvalid when it has not the form of one."""
    try:
        event = json.loads(body)
        data = event["data"]
        kind = _ABOUT.get(event["type"], EventAbout.OTHER)
        about: Mapping[str, Any] = data["object"][data["type"]] if kind is not EventAbout.OTHER else {}
        ours = about.get("reason") if kind is EventAbout.REFUND else about.get("reference_id") or about.get("note")
        theirs = about.get("order_id") if kind is EventAbout.PAYMENT else about.get("id") or about.get("dispute_id")
        return ProcessorEvent(
            id=str(event["event_id"]),
            type=str(event["type"]),
            about=kind,
            our_reference=ours if isinstance(ours, str) and _OURS.match(ours) else "",
            processor_reference=Reference(str(theirs)) if theirs else None,
            occurred_at=moment(event["created_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MessageInvalid("not an event of this processor") from None


_SECRETS = re.compile(
    r"(?i:bearer )\S+|\bEAAA[A-Za-z0-9_-]+|\bsq0[a-z]{3}-[A-Za-z0-9_-]+|\b(ccof|cnon|wnon|bauth):[A-Za-z0-9_-]+"
    r"|\b[0-9A-Z]{20,}-[A-Za-z0-9_-]{6,}|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=|(?<![\d.])\d{13,19}(?!\d)"
)


def scrub(transcript: str) -> str:
    return _SECRETS.sub("[removed]", transcript)
