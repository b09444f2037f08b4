"""Stripe Terminal, driven from the server: what a reader and a refusal about one say, in our port's words. Pure.

Called by stripe.py. Sources: https://docs.stripe.com/terminal/payments/collect-card-payment (server-driven; Verify the
reader state, Handle errors), https://docs.stripe.com/api/terminal/readers, https://docs.stripe.com/error-codes

| Stripe says | here |
|---|---|
| action `in_progress` with our payment | it waits there |
| action `failed`, `customer_canceled` | Declined: the payer did not confirm it |
| action `failed` otherwise, `connection_error` too | what the payment says; until it does, it waits |
| terminal_reader_offline, …_hardware_fault; …_busy | Declined: nothing was started |
| terminal_reader_timeout | Unknown: now and then the reader has the command all the same |
| cancel_action: terminal_reader_busy | a card is being read: it can't be stopped now |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..declines import DeclineCode
from ..port import ActionNeeded, Declined, EntryMode, Outcome, Reference, Unknown
from ..terminal_port import ReaderSeen

Doc = dict[str, Any]
TYPE = "card_present"
PATH = "/v1/terminal/readers"
EVENTS = ("terminal.reader.action_succeeded", "terminal.reader.action_failed")
BUSY = "terminal_reader_busy"
# A reader that does not answer: its payment is canceled at Stripe all the same, and then no card can pay it.
SILENT = frozenset({"terminal_reader_offline", "terminal_reader_timeout", "terminal_reader_hardware_fault"})
NOT_STARTED: Mapping[str, DeclineCode] = {
    "terminal_reader_offline": DeclineCode.READER_OFFLINE,
    "terminal_reader_hardware_fault": DeclineCode.READER_OFFLINE,
    BUSY: DeclineCode.READER_BUSY,
    "terminal_reader_invalid_location_for_payment": DeclineCode.NOT_SET_UP,
}
_ENTRY_MODES: Mapping[str, EntryMode] = {
    "contact_emv": "chip",
    "contactless_emv": "contactless",
    "contactless_magstripe_mode": "contactless",
    "magnetic_stripe_fallback": "swipe",
    "magnetic_stripe_track2": "swipe",
}


def entry_mode(card: Doc) -> EntryMode:
    """How it was read: `read_method` of charge.payment_method_details.card_present."""
    return _ENTRY_MODES.get(str(card.get("read_method")), "")


def payment_on(reader: Doc) -> str:
    """The payment of the reader's last action; empty where it was another action, or none."""
    action = reader.get("action")
    inside = action.get("process_payment_intent") if isinstance(action, dict) else None
    intent = inside.get("payment_intent") if isinstance(inside, dict) else None
    return str(intent.get("id") if isinstance(intent, dict) else intent or "")


def waits(reader: Doc, payment: Reference) -> bool:
    """Whether the reader asks for a card for this payment now."""
    return payment_on(reader) == payment and reader["action"].get("status") == "in_progress"


def started(reader: Doc, payment: Reference) -> Outcome:
    """The answer to process_payment_intent."""
    has_it = payment_on(reader) == payment and reader["action"].get("status") in ("in_progress", "succeeded")
    if has_it and isinstance(seen(reader), ReaderSeen):
        return ActionNeeded(reference=payment)  # what came of it is read from the payment
    return Unknown("the reader does not say that it has the payment")


def not_started(status: int, error: Doc) -> Declined | Unknown | None:
    """A refusal to start. None: it is none of a reader's."""
    code = str(error.get("code") or "")
    if status not in (400, 404) or code == "":
        return None
    if code in NOT_STARTED:
        return Declined(NOT_STARTED[code], said=code)
    if code == "resource_missing" and error.get("param") == "reader":
        return Declined(DeclineCode.READER_UNKNOWN, said=code)
    return Unknown(code) if code in ("terminal_reader_timeout", "intent_invalid_state") else None


def not_paid(reader: Doc, intent: Doc, payment: Reference) -> Outcome | None:
    """Of a payment that has no money in it yet, read after its reader. None: the reader has never had it."""
    if payment_on(reader) != payment:
        return None
    action = reader["action"]
    if action.get("status") == "failed" and action.get("failure_code") == "customer_canceled":
        return Declined(DeclineCode.NOT_CONFIRMED, payment, said=action["failure_code"])
    if action.get("status") == "succeeded":
        return Unknown("the reader has succeeded, and the payment does not say so yet")
    return ActionNeeded(reference=payment)


def seen(reader: Doc) -> ReaderSeen | Unknown:
    """A reader as it is now."""
    states: Mapping[object, Literal["online", "offline"]] = {"online": "online", "offline": "offline"}
    state = states.get(reader.get("status"))
    if state is None:
        return Unknown("a reader that we can't read")
    intent = payment_on(reader)
    busy = intent and reader["action"].get("status") == "in_progress"
    return ReaderSeen(state, Reference(intent) if busy else None)
