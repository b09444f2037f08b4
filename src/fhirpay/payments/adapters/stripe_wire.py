"""Stripe's forms and JSON ⇄ our port's words. Pure: tested without a server. Used by stripe.py alone.

`STATUS` is the whole of what we believe: a status that isn't in it becomes `Unknown`, never `Approved`. Names are those
of Stripe's API reference. Out go the fields of the `to_…` functions and no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from ...domain.money import Money
from ...errors import FhirpayError, MessageInvalid, ProcessorUnavailable
from ..declines import DeclineCode
from ..event_list import EventPage
from ..port import (
    ActionNeeded,
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
    Prepared,
    ProcessorEvent,
    Reference,
    Unknown,
)
from . import stripe_bank, stripe_disputes, stripe_terminal
from .stripe_declines import declined, refused

Doc = dict[str, Any]

CHARGE = "latest_charge.balance_transaction"  # what a payment is read with: which card, and when the money moved


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def form(doc: Doc) -> bytes:
    """`{"a": {"b": [1]}}` as `a[b][0]=1`, percent-encoded. Empty texts are left out."""
    return urlencode(list(_flat(doc))).encode()


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value != "":
        yield name, str(value)


def to_payment(request: PaymentRequest) -> Doc:
    """The allow-list of a payment by stored method, or on a reader: not confirmed, so no money moves.

    The name on the statement is the account's own: for cards Stripe takes a suffix only, which makes long names fail.
    """
    customer, method = split(request.method)
    kinds = {"bank": stripe_bank.TYPE, "card": stripe_terminal.TYPE if request.reader else "card"}
    return {
        "amount": request.amount.minor,
        "currency": request.amount.currency.lower(),
        "capture_method": _capture_method(request),
        "customer": customer,
        "payment_method": method,
        "payment_method_types": [kinds[request.kind]],
        "metadata": {"reference": request.reference},
    }


def to_confirm(request: PaymentRequest) -> Doc:
    """Off session where nobody is there to be asked; else the payer's bank may ask, and sends them back to us.

    A bank account is debited by the payer's mandate, which Stripe keeps.
    """
    asks: Doc = {"off_session": True} if request.initiated_by == "merchant" else {"return_url": request.return_url}
    return {**asks, "mandate": request.mandate, "expand": [CHARGE]}


def to_page(request: PaymentRequest) -> Doc:
    """The allow-list of a page to pay on. The one line that the payer reads is the practice's neutral name."""
    price = {
        "currency": request.amount.currency.lower(),
        "unit_amount": request.amount.minor,
        "product_data": {"name": request.descriptor or "Payment"},
    }
    types = stripe_bank.page_types(request)
    return {
        "mode": "payment",
        "payment_method_types": types,
        **stripe_bank.options(types),
        "line_items": [{"quantity": 1, "price_data": price}],
        "client_reference_id": request.reference,
        "payment_intent_data": {
            "capture_method": _capture_method(request),
            "metadata": {"reference": request.reference},
        },
        "success_url": request.return_url,
        "cancel_url": request.return_url,
    }


def to_setup_page(our_reference: str, return_url: str, kind: str = "card") -> Doc:
    """A page to store a method on: with a customer at Stripe, since a method without one can be used once only."""
    return {
        "mode": "setup",
        "payment_method_types": [kind],
        **stripe_bank.options([kind]),
        "customer_creation": "always",
        "client_reference_id": our_reference,
        "setup_intent_data": {"metadata": {"reference": our_reference}},
        "success_url": return_url,
        "cancel_url": return_url,
    }


def to_refund(payment: Reference, amount: Money, our_reference: str) -> Doc:
    return {"payment_intent": payment, "amount": amount.minor, "metadata": {"reference": our_reference}}


def _capture_method(request: PaymentRequest) -> str:
    # Said each time: the default of newer API versions captures later, and says less at once.
    return "automatic" if request.capture else "manual"


def split(token: str) -> tuple[str, str]:
    """Our token of a stored method → Stripe's customer (may be empty) and payment method."""
    customer, dash, method = token.partition("-")
    return (customer, method) if dash else ("", token)


# ── in: payments ──────────────────────────────────────────────────────────────────────────────────────────────────


def moment(seconds: object) -> datetime:
    """Raises TypeError for what is no whole number of seconds."""
    if type(seconds) is not int:
        raise TypeError("a time is a whole number of seconds")
    return datetime.fromtimestamp(seconds, UTC)


def money(minor: object, currency: str) -> Money:
    """Raises TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if type(minor) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(minor, currency.upper())


def _id(doc: Doc) -> Reference:
    """Raises TypeError for what is no id."""
    if not isinstance(doc["id"], str) or not doc["id"]:
        raise TypeError("an id is a text")
    return Reference(doc["id"])


def _captured(doc: Doc) -> Outcome:
    charge = doc["latest_charge"]
    known = charge if isinstance(charge, dict) else {"id": charge}
    back = known.get("amount_refunded")
    at = _moved_at(doc, known)
    return Approved(
        reference=_id(known),
        amount=money(doc["amount_received"], doc["currency"]),
        details=_details(known),
        at=at,
        returnable_until=stripe_bank.returnable_until(known, at or _made(known)),
        payment=_id(doc),
        given_back=None if back is None else money(back, doc["currency"]),
    )


def _made(charge: Doc) -> datetime | None:
    return moment(charge["created"]) if "created" in charge else None


def _authorized(doc: Doc) -> Outcome:
    charge = doc["latest_charge"]
    return Approved(
        reference=_id(doc),
        amount=money(doc["amount_capturable"], doc["currency"]),
        captured=False,
        details=_details(charge if isinstance(charge, dict) else {}),
        payment=_id(doc),
    )


def _moved_at(doc: Doc, charge: Doc) -> datetime | None:
    """When it was captured. A charge keeps the moment of its authorization or debit, which may be days earlier."""
    line = charge.get("balance_transaction")
    if isinstance(line, dict):
        return moment(line["created"])
    at_once = doc["capture_method"] == "automatic" and stripe_bank.debit(charge) is None
    return moment(charge["created"]) if at_once and "created" in charge else None


def _details(charge: Doc) -> Details:
    if (bank := stripe_bank.debit(charge)) is not None:
        return stripe_bank.details(bank)
    paid_by = charge.get("payment_method_details") or {}
    card = paid_by.get("card") or paid_by.get(stripe_terminal.TYPE) or {}
    code = card.get("authorization_code") or (card.get("receipt") or {}).get("authorization_code") or ""
    network = card.get("network_transaction_id") or ""  # kept; Stripe sends it by itself with what is off session
    return Details(
        card.get("brand") or "",
        card.get("last4") or "",
        code,
        expires=_expires(card),
        network=network,
        entry_mode=stripe_terminal.entry_mode(card),
    )


def _expires(card: Doc) -> str:
    year, month = card.get("exp_year"), card.get("exp_month")
    return f"{year:04d}-{month:02d}" if isinstance(year, int) and isinstance(month, int) else ""


def _not_paid(doc: Doc) -> Outcome:
    """An attempt that came to nothing. Off session a bank can't ask the payer: that is no decline of the card."""
    error = doc.get("last_payment_error")
    if not error:
        return Unknown("not confirmed: it has no method to pay with")
    charge = doc.get("latest_charge")
    if isinstance(charge, dict) and stripe_bank.debit(charge) is not None:
        return stripe_bank.failed(error, _id(doc), charge)
    return failed(error, _id(doc))


def failed(error: Doc, reference: Reference | None) -> Outcome:
    """A card error, of an answer or of a payment's last attempt; or what became of a bank debit."""
    if stripe_bank.is_bank_error(error):
        return stripe_bank.failed(error, reference)
    if "authentication_required" in (error.get("code"), error.get("decline_code")):
        return ActionNeeded(reference=reference)
    return declined(error, reference)


def _action(doc: Doc) -> Outcome:
    to = (doc.get("next_action") or {}).get("redirect_to_url") or {}
    return ActionNeeded(to.get("url") or "", _id(doc))


def _canceled(doc: Doc) -> Outcome:
    at = moment(doc["canceled_at"]) if doc.get("canceled_at") else None
    return Canceled(_id(doc), expired=doc.get("cancellation_reason") in ("automatic", "expired"), at=at)


STATUS: dict[str, Callable[[Doc], Outcome]] = {
    "requires_payment_method": _not_paid,
    "requires_confirmation": lambda doc: Unknown("created and not confirmed"),
    "requires_action": _action,
    "processing": lambda doc: Pending(_id(doc)),
    "requires_capture": _authorized,
    "succeeded": _captured,
    "canceled": _canceled,
}
REFUND_STATUS: dict[str, Callable[[Doc], Outcome]] = {
    "pending": lambda doc: Pending(_id(doc)),
    "requires_action": lambda doc: ActionNeeded(reference=_id(doc)),
    "succeeded": lambda doc: Approved(
        _id(doc),
        money(doc["amount"], doc["currency"]),
        captured=False,
        at=moment(doc["created"]),
        payment=Reference(doc["payment_intent"]) if doc["payment_intent"] else None,
    ),
    "failed": lambda doc: Declined(DeclineCode.FAILED, _id(doc)),
    "canceled": lambda doc: Canceled(_id(doc)),
}
# Statuses in which what was asked for has not happened (yet), by kind.
_WAITS: dict[OperationKind, frozenset[str]] = {
    OperationKind.SALE: frozenset({"requires_confirmation"}),
    OperationKind.AUTHORIZE: frozenset({"requires_confirmation"}),
    OperationKind.CAPTURE: frozenset({"requires_confirmation", "requires_capture"}),
    OperationKind.ACCEPT_DISPUTE: frozenset({"needs_response"}),
    OperationKind.VOID: frozenset(
        {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing"}
    ),
}


def not_done(doc: Doc, kind: OperationKind) -> bool:
    """Found, and untouched by an operation of this kind."""
    if kind in (OperationKind.SALE, OperationKind.AUTHORIZE) and doc.get("status") == "requires_payment_method":
        return not doc.get("last_payment_error")
    return doc.get("status") in _WAITS.get(kind, frozenset())


def outcome(doc: Doc, kind: OperationKind) -> Outcome:
    """What a payment, refund or page says of an operation. Anything that we don't recognise is `Unknown`."""
    try:
        if doc["object"] == "checkout.session":
            return _page(doc)
        if doc["object"] == "dispute":
            return stripe_disputes.given_up(doc)
        if kind is OperationKind.VOID:
            return _voided(doc)
        return _by_status(REFUND_STATUS if doc["object"] == "refund" else STATUS, doc)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def _by_status(table: Mapping[str, Callable[[Doc], Outcome]], doc: Doc) -> Outcome:
    read = table.get(doc["status"])
    return read(doc) if read else Unknown(f"a status that we don't know: {str(doc['status'])[:40]}")


def _page(doc: Doc) -> Outcome:
    """A page ends when it was paid or has expired; until then a declined card is one try of several.

    One that is complete takes no more tries: what was paid with may still fail days later (a bank debit).
    """
    paid = doc["payment_intent"]
    if isinstance(paid, dict) and paid["status"] in ("succeeded", "requires_capture", "processing"):
        return _by_status(STATUS, paid)
    if doc["status"] == "open":
        return ActionNeeded(doc["url"], _id(doc))
    if doc["status"] == "expired":
        return Canceled(_id(doc), expired=True)
    if doc["status"] == "complete" and isinstance(paid, dict):
        error = paid.get("last_payment_error")
        if paid["status"] == "requires_payment_method" and error:
            debit = stripe_bank.is_bank_error(error)
            return stripe_bank.failed(error, _id(paid)) if debit else Declined(DeclineCode.FAILED, _id(paid))
        if paid["status"] == "canceled":
            return _canceled(paid)
    return Unknown(f"a page that is {str(doc['status'])[:40]}")


def _voided(doc: Doc) -> Outcome:
    """Approved when the payment ended without money; a captured one can be refunded only."""
    found = _by_status(STATUS, doc)
    if isinstance(found, Canceled) and not found.expired:
        return Approved(_id(doc), Money.zero(doc["currency"].upper()), captured=False, at=found.at, payment=_id(doc))
    if isinstance(found, Canceled):
        return found
    if doc["status"] == "succeeded":
        return Declined(DeclineCode.CAPTURED, _id(doc))
    return Unknown(f"not voided, but {str(doc['status'])[:40]}")


def with_reference(docs: Sequence[Doc], our_reference: str) -> list[Doc]:
    """Those that carry our reference, where Stripe keeps it."""

    def theirs(doc: Doc) -> object:
        kept = doc.get("metadata")
        return doc.get("client_reference_id") or (kept.get("reference") if isinstance(kept, dict) else None)

    return [doc for doc in docs if theirs(doc) == our_reference]


# ── in: errors ────────────────────────────────────────────────────────────────────────────────────────────────────


def answered_otherwise(status: int, error: Doc, kind: OperationKind) -> Outcome:
    """What an answer other than 200 to a call of this kind means. A refusal is believed, a success never."""
    about = error.get("payment_intent")
    theirs = Reference(str(about["id"])) if isinstance(about, dict) and about.get("id") else None
    if status == 402 and error.get("type") == "card_error":
        return failed(error, theirs)
    if status in (400, 404) and error.get("type") == "invalid_request_error":
        if error.get("code") != "payment_intent_unexpected_state" or kind is OperationKind.REFUND:
            return stripe_bank.failed(error, theirs) if stripe_bank.is_bank_error(error) else refused(error)
        # It is not in the state that we thought: what it shows of itself may end our operation.
        found = outcome(about, kind) if isinstance(about, dict) and not not_done(about, kind) else None
        return found if isinstance(found, Declined | Canceled) else Unknown("the payment has moved on meanwhile")
    says = f"the processor answered {status} {error.get('code') or ''}".rstrip()
    began = bool(error.get("type")) and status in (400, 402, 500)  # what it answered then is kept for the key
    return Unknown(says, silent=not began)


def elsewhere(error: Doc) -> str:
    """Why what we asked about can't be ours: it is of the other mode, or of another account. Empty: it may be."""
    if error.get("code") != "resource_missing":
        return ""
    if "similar object exists in" in str(error.get("message")):
        return "the key is one for tests and the object is not, or the other way round: look at the secret_key"
    if error.get("param") in ("intent", "payment_intent"):
        return "Stripe does not know a payment that it made for us: the secret_key is that of another account"
    return ""


# ── in: pages, methods, events ────────────────────────────────────────────────────────────────────────────────────


def prepared(doc: Doc) -> Prepared:
    """Raises LookupError, TypeError for what is neither a payment nor a page."""
    expires = doc.get("expires_at")
    return Prepared(_id(doc), doc.get("url") or "", moment(expires) if expires else None)


def method(doc: Doc, customer: object, mandate: Doc | None = None) -> Method | None:
    """A card or bank account kept for a customer. None where it is neither, or belongs to nobody (any more)."""
    if doc.get("type") == stripe_bank.TYPE:
        return stripe_bank.method(doc, customer, mandate)
    card = doc.get("card")
    if not isinstance(card, dict) or not isinstance(customer, str) or not customer:
        return None
    return Method(
        token=f"{customer}-{doc['id']}",
        brand=str(card.get("brand") or "card"),
        last4=str(card.get("last4") or ""),
        expires=_expires(card),
    )


# Which of Stripe's events say that something has to be looked at again. All others are kept and ignored.
_ABOUT = {
    "payment_intent.succeeded": EventAbout.PAYMENT,
    "payment_intent.payment_failed": EventAbout.PAYMENT,
    "payment_intent.processing": EventAbout.PAYMENT,
    "payment_intent.canceled": EventAbout.PAYMENT,
    "payment_intent.requires_action": EventAbout.PAYMENT,
    "payment_intent.amount_capturable_updated": EventAbout.PAYMENT,
    "charge.refunded": EventAbout.PAYMENT,
    "charge.refund.updated": EventAbout.REFUND,
    "refund.created": EventAbout.REFUND,
    "refund.updated": EventAbout.REFUND,
    "refund.failed": EventAbout.REFUND,
    **dict.fromkeys(stripe_terminal.EVENTS, EventAbout.PAYMENT),
    **dict.fromkeys(stripe_disputes.EVENTS, EventAbout.DISPUTE),
    "checkout.session.completed": EventAbout.PAGE,
    "checkout.session.expired": EventAbout.PAGE,
    "checkout.session.async_payment_succeeded": EventAbout.PAGE,
    "checkout.session.async_payment_failed": EventAbout.PAGE,
}


# 20, which is as many as one question may name; what a reader's events tell its payment's do, too.
LISTED = tuple(one for one in _ABOUT if one not in stripe_terminal.EVENTS)


def event_page(doc: Doc, *, live: bool | None = None) -> EventPage:
    """Raises ProcessorUnavailable for what is no list of events."""
    try:
        bodies = [json.dumps(one).encode() for one in doc["data"]]
        events = tuple(replace(read_event(body, live=live), body=body) for body in bodies)
        return EventPage(events, events[-1].id if doc["has_more"] else "")
    except (LookupError, TypeError, MessageInvalid):
        raise ProcessorUnavailable("a list of events that can't be read") from None


def read_event(body: bytes, *, live: bool | None = None) -> ProcessorEvent:
    """A verified body as an event. Raises MessageInvalid when it has not the form of one.

    `live`: the mode that our key is of. An event of the other mode is about nothing of ours: kept and ignored.
    """
    try:
        event = json.loads(body)
        about = event["data"]["object"]
        # A charge is the payment's business; its own id is of no use to us.
        their_reference = about.get("payment_intent") if about["object"] == "charge" else about["id"]
        if about["object"] == "terminal.reader":
            their_reference = stripe_terminal.payment_on(about)
        ours = about.get("client_reference_id") or (about.get("metadata") or {}).get("reference")
        kind = _ABOUT.get(event["type"], EventAbout.OTHER)
        if about.get("mode", "payment") != "payment":  # a page on which a card was stored: asked for when it is needed
            kind = EventAbout.OTHER
        if live is not None and event.get("livemode", live) is not live:
            kind = EventAbout.OTHER
        return ProcessorEvent(
            id=str(event["id"]),
            type=str(event["type"]),
            about=kind,
            our_reference=str(ours or ""),
            processor_reference=Reference(str(their_reference)) if their_reference else None,
            occurred_at=moment(event["created"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MessageInvalid("not an event of this processor") from None


_SECRETS = re.compile(
    r"\b(sk|rk|pk|whsec|pm|mandate)_[A-Za-z0-9_]+|_secret_[A-Za-z0-9]+|(?<=v[01]=)[0-9a-f]{64}|(?i:bearer )\S+"
    r"|(?<![\d.])\d{13,19}(?!\d)"
)


def scrub(transcript: str) -> str:
    return _SECRETS.sub("[removed]", transcript)
