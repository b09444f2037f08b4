"""The processors that payments are tested with: how each is started and configured, what its tokens and events are.

`payments_world` takes one: the same use cases, workers and API run against any of them, through the adapter that the
configuration names. To add a processor: another `Side`; `sides` finds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import adyen_running
import authorizenet_running
import processor_running
import square_running
import stripe_running
from adyen_server import reports as adyen_reports
from authorizenet_server import webhooks as authorizenet_events
from fhirpay.payments.adapters import authorizenet_wire
from fhirpay.payments.port import Method
from fhirpay.simulators import processor_readers
from fhirpay.simulators import processor_webhooks as simulated_events
from square_server import webhooks as square_events
from square_server.books import LOCATION
from stripe_server import terminal as stripe_readers
from stripe_server import webhooks as stripe_events

Doc = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One processor's side of the tests. `tokens`: what a stored method does → its token there."""

    name: str  # as in the configuration, and in the address of its webhook
    running: Callable[[], AbstractAsyncContextManager[Any]]
    secret_key: str
    webhook_secrets: tuple[str, str]  # the newer first
    header: str
    sign: Callable[[Sequence[str], bytes, int], str]
    events: Callable[[Any], list[Doc]]
    tokens: Mapping[str, str]
    forgets_errors: bool = False  # a key is not said to keep a 500 there: the same key again does it
    event_id: str = "id"  # the field that has it
    settings: Mapping[str, str] = field(default_factory=dict[str, str])  # of the merchant, beyond what every one has
    known_as: Callable[[str], str] = str  # what its books call our reference
    readers: tuple[str, ...] = ()  # card readers that stand there: the terminals `front` and `back`
    sent: Callable[[Doc, Sequence[str], int], tuple[bytes, dict[str, str]]] | None = None  # signed in the body
    banks: Mapping[str, str] = field(default_factory=dict[str, str])  # what a bank account does → its name there
    bank: Callable[[Any, str], Awaitable[Method]] | None = None  # stores one there, with its mandate


SIMULATED = Side(
    name="simulated",
    running=processor_running.running_processor,
    secret_key=processor_running.SECRET_KEY,
    webhook_secrets=(processor_running.WEBHOOK_SECRET, processor_running.OLD_WEBHOOK_SECRET),
    header=simulated_events.HEADER,
    sign=simulated_events.sign,
    events=lambda running: running.simulator.books.events(),
    tokens={
        "approve": "tok_visa",
        "decline": "tok_decline",
        "funds": "tok_funds",
        "partial": "tok_partial",
        "action": "tok_action",
    },
    banks={"clears": "ba_ok", "funds": "ba_fails", "closed": "ba_closed"},
    bank=processor_running.bank_account,
    readers=processor_readers.READERS,
)
STRIPE = Side(
    name="stripe",
    running=stripe_running.running_stripe,
    secret_key=stripe_running.SECRET_KEY,
    webhook_secrets=(stripe_running.WEBHOOK_SECRET, stripe_running.OLD_WEBHOOK_SECRET),
    header=stripe_events.HEADER,
    sign=stripe_events.sign,
    events=lambda running: running.simulator.books.events,
    tokens={
        "approve": "pm_card_visa",
        "decline": "pm_card_chargeDeclined",
        "funds": "pm_card_chargeDeclinedInsufficientFunds",
        "action": "pm_card_authenticationRequired",
    },
    banks={
        "clears": "pm_usBankAccount_success",
        "funds": "pm_usBankAccount_insufficientFunds",
        "closed": "pm_usBankAccount_accountClosed",
    },
    bank=stripe_running.bank_account,
    readers=stripe_readers.READERS,
)
SQUARE = Side(
    name="square",
    running=square_running.running_square,
    secret_key=square_running.SECRET_KEY,
    webhook_secrets=(square_running.WEBHOOK_SECRET, square_running.OLD_WEBHOOK_SECRET),
    header=square_events.HEADER,
    sign=lambda secrets, body, at: square_events.sign(secrets, body, square_running.NOTIFICATION_URL),
    events=lambda running: running.events(),
    tokens={
        "approve": square_running.card("ok"),
        "decline": square_running.card("declined"),
        "funds": square_running.card("insufficient-funds"),
        "action": square_running.card("requires-verification"),
    },
    forgets_errors=True,
    event_id="event_id",
    settings={"location": LOCATION, "notification_url": square_running.NOTIFICATION_URL},
)
AUTHORIZENET = Side(
    name="authorizenet",
    running=authorizenet_running.running_authorizenet,
    secret_key=authorizenet_running.TRANSACTION_KEY,
    webhook_secrets=(authorizenet_running.SIGNATURE_KEY, authorizenet_running.OLD_SIGNATURE_KEY),
    header=authorizenet_events.HEADER,
    sign=authorizenet_events.sign,
    events=lambda running: running.simulator.books.events,
    tokens=authorizenet_running.TOKENS,
    settings={"account": authorizenet_running.LOGIN},
    event_id="notificationId",
    known_as=authorizenet_wire.sent_as,
)
ADYEN = Side(
    name="adyen",
    running=adyen_running.running_adyen,
    secret_key=adyen_running.API_KEY,
    webhook_secrets=(adyen_running.HMAC_KEY, adyen_running.OLD_HMAC_KEY),
    header="",
    sign=lambda secrets, body, at: "",
    events=lambda running: running.simulator.books.notifications,
    tokens=adyen_running.TOKENS,
    settings={
        "account": adyen_running.ACCOUNT,
        "report_user": adyen_reports.USER,
        "report_password": adyen_reports.PASSWORD,
    },
    sent=adyen_running.sent,
)


def sides() -> dict[str, Side]:
    """All of the above, by name."""
    return {one.name: one for one in globals().values() if isinstance(one, Side)}
