"""Adyen's standard webhook: signatures, and what each event states. Pure. Used by adyen.py alone.

One delivery holds one item or several, each signed by itself over eight of its values; every one has to be signed, or
nothing of the delivery is taken. Nothing else of an item is signed (its date, its reason, which card): of that only the
date is used, and never as one that is still to come. There is no time in the signature: an item that is sent again is
told by its id, which is made of signed values. Nothing can be read at Adyen instead, so an item states the outcome:

| event, success | of | states |
|---|---|---|
| AUTHORISATION, true and false | what made the payment | approved; declined (on a page: one try of several) |
| CAPTURE | the capture | captured; refused, and what was held is held still |
| CAPTURE_FAILED | the capture | it was captured, and that was taken back |
| CANCELLATION, TECHNICAL_CANCEL | the void | ended; refused |
| REFUND | the refund | given back; refused |
| REFUND_FAILED, REFUNDED_REVERSED | the refund | given back, and failed |
| EXPIRE | what made the payment | expired, where nothing of it was captured |
| those of `adyen_disputes.py`, true | the dispute | how far it has come, and its money |
| REPORT_AVAILABLE, true | a settlement details report | its name; where it is isn't signed, and not used |
| CANCEL_OR_REFUND, PREARBITRATION_… | the payment | nothing that is signed says what: a person is told |

All others are kept and ignored. https://docs.adyen.com/development-resources/webhooks/webhook-types
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ...domain.money import Money
from ...errors import ConfigInvalid, FhirpayError, MessageInvalid, NotAuthenticated
from ..port import (
    Approved,
    Canceled,
    DeclineCode,
    Declined,
    EventAbout,
    OperationKind,
    ProcessorEvent,
    Reference,
    Return,
    Stated,
)
from . import adyen_disputes, adyen_report

Doc = dict[str, Any]
_SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
_KEPT = (*_SIGNED, "amount", "eventCode", "success", "eventDate", "paymentMethod")  # no names, no addresses


def keys_of(hexadecimal: Sequence[str]) -> tuple[bytes, ...]:
    """Raises ConfigInvalid for what is no key: an event would never be ours."""
    try:
        return tuple(bytes.fromhex(key) for key in hexadecimal)
    except ValueError:
        raise ConfigInvalid(
            "a webhook secret of Adyen's is the HMAC key in hexadecimal, as its page shows it"
        ) from None


def read_events(body: bytes, keys: Sequence[bytes], account: str, now: datetime) -> list[ProcessorEvent]:
    """Raises NotAuthenticated unless each item is signed with a live key; MessageInvalid for one without the form."""
    items = _items(body)
    for item in items:
        _check(item, keys)
    return [_event(item, account, now) for item in items]


# ── signatures ────────────────────────────────────────────────────────────────────────────────────────────────────


def _items(body: bytes) -> list[Doc]:
    try:
        found = [one["NotificationRequestItem"] for one in json.loads(body)["notificationItems"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        found = []
    if not found or not all(isinstance(item, dict) for item in found):
        raise NotAuthenticated("there is nothing in it that is signed by our processor")
    return found


def _check(item: Doc, keys: Sequence[bytes]) -> None:
    amount, more = item.get("amount"), item.get("additionalData")
    given = more.get("hmacSignature") if isinstance(more, dict) else None
    if not isinstance(amount, dict) or not isinstance(given, str):
        raise NotAuthenticated("an item without a signature")
    values = [item.get(name, "") for name in _SIGNED]
    values += [amount.get("value", ""), amount.get("currency", ""), item.get("eventCode", ""), item.get("success", "")]
    if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
        raise NotAuthenticated("an item whose values can't have been signed")
    if any(isinstance(value, str) and ":" in value for value in values[:2]):
        # Two items could have one text to sign. With these two, our account and the last four it is read one way only.
        raise NotAuthenticated("an item whose signature could be that of another")
    signed = ":".join(str(value) for value in values).encode("utf-8", "surrogatepass")
    matches = False
    for key in keys:  # all of them, so that the time taken says nothing
        ours = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        matches |= hmac.compare_digest(ours, given.encode("utf-8", "surrogatepass"))
    if not matches:
        raise NotAuthenticated("the signature of an item is not one of ours")


# ── what an item states ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Item:
    """The signed values of an item, and when it says that it happened."""

    psp: Reference
    original: Reference  # of the payment; of an authorisation its own
    ours: str
    amount: Money
    success: bool
    at: datetime

    def approved(self, *, captured: bool = False, amount: Money | None = None) -> Approved:
        return Approved(self.psp, amount or self.amount, captured=captured, at=self.at, payment=self.original)

    def declined(self, code: DeclineCode = DeclineCode.DECLINED) -> Declined:
        return Declined(code, self.psp)


def _authorisation(item: _Item) -> Stated:
    """Whether it was captured at once was ours to ask for: the use case knows."""
    return Stated(None, (item.approved(captured=True) if item.success else item.declined(),))


def _capture(item: _Item) -> Stated:
    told = item.approved(captured=True) if item.success else item.declined(DeclineCode.REFUSED)
    return Stated(OperationKind.CAPTURE, (told,), item.ours)


def _capture_failed(item: _Item) -> Stated | None:
    """The card network rejected it days later, or before we had heard that it was captured: one is as good."""
    back = Return(item.psp, item.amount, item.at, "CAPTURE_FAILED", "The card network rejected the capture.")
    taken = replace(item.approved(captured=True), returns=(back,))
    return Stated(OperationKind.CAPTURE, (taken,), item.ours) if item.success else None


def _cancel(item: _Item) -> Stated:
    ended = item.approved(amount=Money.zero(item.amount.currency))
    return Stated(OperationKind.VOID, (ended if item.success else item.declined(DeclineCode.CAPTURED),), item.ours)


def _refund(item: _Item) -> Stated:
    return Stated(OperationKind.REFUND, (item.approved() if item.success else item.declined(DeclineCode.REFUSED),))


def _refund_failed(item: _Item) -> Stated | None:
    return Stated(OperationKind.REFUND, (item.approved(), item.declined(DeclineCode.FAILED))) if item.success else None


def _expire(item: _Item) -> Stated | None:
    ended = Canceled(item.psp, expired=True, amount=item.amount, at=item.at)
    return Stated(None, (ended,), item.ours) if item.success else None


_STATES: Mapping[str, tuple[EventAbout, Callable[[_Item], Stated | None]]] = {
    "AUTHORISATION": (EventAbout.PAYMENT, _authorisation),
    "CAPTURE": (EventAbout.PAYMENT, _capture),
    "CAPTURE_FAILED": (EventAbout.PAYMENT, _capture_failed),
    "CANCELLATION": (EventAbout.PAYMENT, _cancel),
    "TECHNICAL_CANCEL": (EventAbout.PAYMENT, _cancel),
    "REFUND": (EventAbout.REFUND, _refund),
    "REFUND_FAILED": (EventAbout.REFUND, _refund_failed),
    "REFUNDED_REVERSED": (EventAbout.REFUND, _refund_failed),
    "EXPIRE": (EventAbout.PAYMENT, _expire),
}
# Money moved, and no signed value says how: looked up, which says nothing here, and so told to a person.
_FOR_A_PERSON = frozenset("CANCEL_OR_REFUND PREARBITRATION_LOST PREARBITRATION_WON".split())


def _event(item: Doc, account: str, now: datetime) -> ProcessorEvent:
    try:
        code = item["eventCode"]
        read = _read(item, now)
        about, states, disputed = EventAbout.OTHER, None, None
        if item["merchantAccountCode"] == account and code in _STATES:
            about, state = _STATES[code]
            states = state(read)
        elif item["merchantAccountCode"] == account and code in _FOR_A_PERSON and read.success:
            about = EventAbout.PAYMENT
        elif item["merchantAccountCode"] == account and code in adyen_disputes.SAYS and read.success:
            about, more = EventAbout.DISPUTE, item.get("additionalData")
            disputed = adyen_disputes.seen(code, read.psp, read.original, read.amount, read.at, more)
        elif item["merchantAccountCode"] == account and code == "REPORT_AVAILABLE" and read.success:
            about = EventAbout.REPORT if adyen_report.NAME.match(read.psp) else EventAbout.OTHER
        modified = read.psp != read.original
        return ProcessorEvent(
            id=f"{read.psp}:{code}:{item['success']}",
            type=str(code),
            about=about
            if states or disputed or code in _FOR_A_PERSON or about is EventAbout.REPORT
            else EventAbout.OTHER,
            our_reference=read.ours if about is EventAbout.REFUND or not modified else "",
            processor_reference=read.psp if about in (EventAbout.REFUND, EventAbout.DISPUTE) else read.original,
            occurred_at=read.at,
            states=states,
            dispute=disputed,
            body=json.dumps({name: item[name] for name in _KEPT if name in item}, sort_keys=True).encode(),
        )
    except (LookupError, TypeError, ValueError, OverflowError, FhirpayError):
        raise MessageInvalid("not an event of this processor") from None


def _read(item: Doc, now: datetime) -> _Item:
    """Raises LookupError, TypeError, ValueError for what has not the form of an item."""
    psp, ours, success = item["pspReference"], item["merchantReference"], item["success"]
    original = item.get("originalReference") or psp
    if not all(isinstance(one, str) for one in (psp, ours, original, item["eventCode"])) or not psp:
        raise TypeError("an id is a text")
    if success not in ("true", "false") or type(item["amount"]["value"]) is not int:
        raise ValueError("neither a success nor a failure of an amount")
    at = datetime.fromisoformat(str(item["eventDate"]).replace("Z", "+00:00"))
    return _Item(
        psp=Reference(psp),
        original=Reference(original),
        ours=ours,
        amount=Money(item["amount"]["value"], item["amount"]["currency"]),
        success=success == "true",
        at=min(at if at.tzinfo else at.replace(tzinfo=UTC), now).astimezone(UTC),
    )
