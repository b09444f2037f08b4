"""The simulated processor's JSON ⇄ our port's words. Pure: tested without a server. Used by simulated.py alone.

`STATUS` is the whole of what we believe: a status that isn't in it becomes `Unknown`, never `Approved`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ...domain.dispute import DisputeState
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
    DisputeMoney,
    DisputeSeen,
    EntryMode,
    EventAbout,
    InReview,
    Method,
    Notice,
    OperationKind,
    Outcome,
    PaymentRequest,
    Pending,
    Prepared,
    ProcessorEvent,
    Reference,
    Return,
    Unknown,
)
from ..terminal_port import ReaderSeen

Doc = dict[str, Any]

# The processor's decline codes → ours. One that isn't here is a plain decline.
DECLINES: Mapping[str, DeclineCode] = {
    "card_declined": DeclineCode.DECLINED,
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "authentication_failed": DeclineCode.NOT_CONFIRMED,
    "expired_method": DeclineCode.METHOD_EXPIRED,
    "method_unknown": DeclineCode.METHOD_UNKNOWN,
    "currency_unsupported": DeclineCode.CURRENCY_UNSUPPORTED,
    "amount_too_large": DeclineCode.AMOUNT_TOO_LARGE,
    "amount_invalid": DeclineCode.REFUSED,
    "reader_offline": DeclineCode.READER_OFFLINE,
    "reader_busy": DeclineCode.READER_BUSY,
    "reader_unknown": DeclineCode.READER_UNKNOWN,
}
# Refusals of a request as such: nothing was done, and asking again would not help.
REFUSED = frozenset(
    {
        "method_unknown",
        "currency_unsupported",
        "amount_too_large",
        "amount_invalid",
        "reader_offline",
        "reader_busy",
        "reader_unknown",
    }
)
READING = "reader_reading"  # a card is being read: what comes of it is not known yet


def to_payment(request: PaymentRequest) -> Doc:
    """The allow-list: these fields and no others leave the house."""
    body: Doc = {
        "amount": request.amount.minor,
        "currency": request.amount.currency,
        "reference": request.reference,
        "method": "card_present" if request.reader else request.method,
        "descriptor": request.descriptor,
        "initiated_by": request.initiated_by,
        "merchant_reason": request.merchant_reason,
        "network_reference": request.network_reference,
        "partial": request.partial,
    }
    return body | ({"mandate": request.mandate, "retry": request.retry} if request.kind == "bank" else {})


def to_page(request: PaymentRequest) -> Doc:
    return {
        "mode": "payment",
        "amount": request.amount.minor,
        "currency": request.amount.currency,
        "reference": request.reference,
        "descriptor": request.descriptor,
        "return_url": request.return_url,
        "methods": list(request.pay_by),
    }


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def money(minor: object, currency: str) -> Money:
    """Raises TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if type(minor) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(minor, currency)


def prepared(doc: Doc) -> Prepared:
    expires = doc.get("expires_at")
    return Prepared(Reference(doc["id"]), doc.get("url", ""), moment(expires) if expires else None)


def declined(code: str, reference: Reference | None = None) -> Declined:
    return Declined.of(code, DECLINES, reference)


# ── a payment's state → outcome of the operation that was asked about ─────────────────────────────────────────────


def _captured(doc: Doc) -> Outcome:
    took = doc["capture"]
    return Approved(
        reference=Reference(took["id"]),
        amount=money(took["amount"], doc["currency"]),
        details=_details(doc),
        at=moment(took["at"]),
        payment=Reference(doc["id"]),
        given_back=money(doc.get("amount_refunded", 0), doc["currency"]),
        returns=tuple(_return(one, doc["currency"]) for one in doc.get("returns", ())),
        returnable_until=moment(doc["returnable_until"]) if doc.get("returnable_until") else None,
        notices=tuple(
            Notice(Reference(one["id"]), str(one["code"]), str(one["message"]), moment(one["at"]))
            for one in doc.get("notices", ())
        ),
    )


def _return(one: Doc, currency: str) -> Return:
    again = one["reversed"]
    return Return(
        reference=Reference(one["id"]),
        amount=money(one["amount"], currency),
        at=moment(one["at"]),
        code=str(one["code"]),
        reason=str(one["message"]),
        fee=money(one["fee"], currency),
        reversed_by=again and Reference(again["id"]),
        reversed_at=again and moment(again["at"]),
    )


def _authorized(doc: Doc) -> Outcome:
    held = doc["authorization"]
    return Approved(
        reference=Reference(held["id"]),
        amount=money(held["amount"], doc["currency"]),
        captured=False,
        details=_details(doc),
        payment=Reference(doc["id"]),
    )


def _ended(doc: Doc) -> Outcome:
    gone = doc["voided"]
    undoes = gone["undoes"] and Reference(gone["undoes"])
    amount = money(doc["amount_captured"], doc["currency"]) if undoes else None
    return Canceled(Reference(gone["id"]), undoes=undoes, amount=amount, at=moment(gone["at"]))


STATUS: dict[str, Callable[[Doc], Outcome]] = {
    "created": lambda doc: Unknown("created and not confirmed"),
    "requires_action": lambda doc: ActionNeeded(doc["next_action"]["url"], Reference(doc["id"])),
    "on_reader": lambda doc: ActionNeeded(reference=Reference(doc["id"])),
    "processing": lambda doc: Pending(Reference(doc["id"])),
    "in_review": lambda doc: InReview(Reference(doc["id"])),
    "authorized": _authorized,
    "captured": _captured,
    "returned": _captured,
    "declined": lambda doc: declined(doc["decline"]["code"], Reference(doc["id"])),
    "failed": lambda doc: Declined(
        DeclineCode.FAILED, Reference(doc["id"]), (doc.get("decline") or {}).get("code", "")
    ),
    "canceled": _ended,
    "voided": _ended,
    "expired": lambda doc: Canceled(Reference(doc["id"]), expired=True),
}
REFUND_STATUS: dict[str, Callable[[Doc], Outcome]] = {
    "pending": lambda doc: Pending(Reference(doc["id"])),
    "succeeded": lambda doc: Approved(
        Reference(doc["id"]), money(doc["amount"], doc["currency"]), captured=False, payment=Reference(doc["payment"])
    ),
    "failed": lambda doc: Declined(DeclineCode.FAILED, Reference(doc["id"])),
}

# What a dispute says of an attempt to give it up.
DISPUTE_STATUS: dict[str, Callable[[Doc], Outcome]] = {
    "lost": lambda doc: Approved(
        Reference(doc["id"]), money(doc["amount"], doc["currency"]), captured=False, payment=Reference(doc["payment"])
    ),
    "needs_response": lambda doc: Unknown("the dispute still waits for a response"),
    **dict.fromkeys(
        ("inquiry", "inquiry_closed", "under_review", "won"),
        lambda doc: Declined(DeclineCode.REFUSED, Reference(doc["id"])),
    ),
}
_ENTRY_MODES: Mapping[str, EntryMode] = {"chip": "chip", "contactless": "contactless", "swipe": "swipe"}
_TABLES = {"refund": REFUND_STATUS, "dispute": DISPUTE_STATUS}


def _details(doc: Doc) -> Details:
    shown = doc["method"]
    held = doc["authorization"]
    return Details(
        shown["brand"],
        shown["last4"],
        held["code"],
        expires=shown.get("expires") or "",
        network=held.get("network") or "",
        kind="bank" if shown.get("kind") == "bank" else "card",
        entry_mode=_ENTRY_MODES.get(str(shown.get("entry_mode")), ""),
    )


def outcome(doc: Doc) -> Outcome:
    """What a payment, refund or page says. Anything that we don't recognise is `Unknown`."""
    try:
        if doc["object"] == "checkout":
            return _page(doc)
        read = _TABLES.get(doc["object"], STATUS).get(doc["status"])
        return read(doc) if read else Unknown(f"a status that we don't know: {str(doc['status'])[:40]}")
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def _page(doc: Doc) -> Outcome:
    paid = doc["payment"]
    # On a page that is not complete, a payment that came to nothing was only a try.
    if isinstance(paid, dict) and (doc["status"] == "complete" or paid["status"] not in ("declined", "canceled")):
        return outcome(paid)
    if doc["status"] == "open":
        return ActionNeeded(doc["url"], Reference(doc["id"]))
    if doc["status"] == "expired":
        return Canceled(Reference(doc["id"]), expired=True)
    return Unknown(f"a page that is {str(doc['status'])[:40]}")


def voided(doc: Doc) -> Outcome:
    """The outcome of a void: approved when it ended the payment."""
    found = outcome(doc)
    if isinstance(found, Canceled) and found.expired:
        return found
    if isinstance(found, Canceled) and found.reference:
        amount = found.amount or Money.zero(str(doc.get("currency", "USD")))
        return Approved(found.reference, amount, captured=False, at=found.at, payment=Reference(doc["id"]))
    return Unknown(f"not voided, but {str(doc.get('status'))[:40]}")


def of_many(docs: Sequence[Doc], kind: OperationKind) -> Outcome | None:
    """Of several objects with our reference: the one that has money in it, else the newest. None: there is none."""
    outcomes = [(voided(doc) if kind is OperationKind.VOID else outcome(doc)) for doc in docs]
    approved = [found for found in outcomes if isinstance(found, Approved)]
    return approved[0] if approved else outcomes[-1] if outcomes else None


def reader(doc: Doc) -> ReaderSeen | Unknown:
    """A card reader as it is now. Whatever we don't recognise is `Unknown`."""
    waits = doc.get("payment")
    match doc.get("status"):
        case "online":
            return ReaderSeen("online", Reference(str(waits)) if waits else None)
        case "offline":
            return ReaderSeen("offline", Reference(str(waits)) if waits else None)
        case _:
            return Unknown("a reader that we can't read")


# ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def dispute(doc: Doc) -> DisputeSeen | Unknown:
    """A dispute as it is now. Whatever we don't recognise is `Unknown`."""
    try:
        ends = doc["respond_by"]
        return DisputeSeen(
            reference=Reference(doc["id"]),
            payment=Reference(doc["payment"]),
            state=DisputeState(doc["status"]),
            amount=money(doc["amount"], doc["currency"]),
            opened_at=moment(doc["created"]),
            money=tuple(_dispute_money(line, doc["currency"]) for line in doc["money"]),
            round=doc["round"],
            reason=str(doc["reason"]),
            respond_by=moment(ends) if ends is not None else None,
        )
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"a dispute that we can't read ({type(error).__name__})")


def _dispute_money(line: Doc, currency: str) -> DisputeMoney:
    return DisputeMoney(
        reference=Reference(line["id"]),
        amount=money(line["amount"], currency),
        back={"withdrawn": False, "reinstated": True}[line["type"]],
        fee=money(line["fee"], currency),
        at=moment(line["at"]),
        round=line["round"],
    )


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

_ABOUT = {
    "payment": EventAbout.PAYMENT,
    "refund": EventAbout.REFUND,
    "checkout": EventAbout.PAGE,
    "dispute": EventAbout.DISPUTE,
}


def read_event(body: bytes) -> ProcessorEvent:
    """A verified body as an event. Raises MessageInvalid when it has not the form of one."""
    try:
        event = json.loads(body)
        about = event["data"]["object"]
        return ProcessorEvent(
            id=str(event["id"]),
            type=str(event["type"]),
            about=_ABOUT.get(about["object"], EventAbout.OTHER),
            our_reference=str(about.get("reference", "")),
            processor_reference=Reference(str(about["id"])),
            occurred_at=moment(event["created"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MessageInvalid("not an event of this processor") from None


def event_page(doc: Doc) -> EventPage:
    """Raises ProcessorUnavailable for what is no list of events."""
    try:
        bodies = [json.dumps(one).encode() for one in doc["data"]]
        events = tuple(replace(read_event(body), body=body) for body in bodies)
        return EventPage(events, events[-1].id if doc["has_more"] else "")
    except (LookupError, TypeError, MessageInvalid):
        raise ProcessorUnavailable("a list of events that can't be read") from None


def method(doc: Doc) -> Method:
    kind = "bank" if doc.get("kind") == "bank" else "card"
    known = {"expires": doc.get("expires", ""), "mandate": doc.get("mandate", "")}
    return Method(token=doc["token"], brand=doc["brand"], last4=doc["last4"], kind=kind, **known)


_SECRETS = re.compile(
    r"(sk_|whsec_|tok_|ba_|sm_|ma_)[A-Za-z0-9_]+|(?<=v1=)[0-9a-f]{64}|(?i:bearer )\S+|(?<![\d.])\d{13,19}(?!\d)"
)


def scrub(transcript: str) -> str:
    return _SECRETS.sub("[removed]", transcript)
