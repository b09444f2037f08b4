"""Stripe's own SDK drives the look-alike's card readers: a second witness for what our adapter is tested against."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from test_stripe_server_sdk import running as running
from test_stripe_server_sdk import sdk as sdk
from test_stripe_server_sdk import session as session

from stripe_running import Running
from stripe_server.terminal import READERS

FRONT, BACK = READERS


def intent(sdk: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    params = {"amount": 8000, "currency": "usd", "payment_method_types": ["card_present"], **more}
    # The last version in which payment_method_types may be said, and the adapter's own.
    return sdk.v1.payment_intents.create(params, {"stripe_version": "2025-09-30.clover"})


def present(sdk: stripe.StripeClient, reader: str, number: str = "4242424242424242") -> Any:
    params = {"type": "card_present", "card_present": {"number": number}}
    return sdk.v1.test_helpers.terminal.readers.present_payment_method(reader, params)  # type: ignore[arg-type]


def refused(call: Any) -> str:
    with pytest.raises(stripe.InvalidRequestError) as no:
        call()
    return str(no.value.code)


def test_a_payment_is_handed_to_a_reader_and_a_card_is_presented(sdk: stripe.StripeClient) -> None:
    readers = sdk.v1.terminal.readers
    made = intent(sdk)
    assert made.status == "requires_payment_method"
    reader = readers.process_payment_intent(FRONT, {"payment_intent": made.id})
    assert reader.action is not None
    assert (reader.action.status, reader.action.type) == ("in_progress", "process_payment_intent")
    assert refused(lambda: readers.process_payment_intent(FRONT, {"payment_intent": intent(sdk).id})) == (
        "terminal_reader_busy"
    )
    assert present(sdk, FRONT).action.status == "succeeded"
    done = sdk.v1.payment_intents.retrieve(made.id, {"expand": ["latest_charge"]})
    assert (done.status, done.amount_received) == ("succeeded", 8000)
    assert isinstance(done.latest_charge, stripe.Charge)
    assert done.latest_charge.payment_method_details is not None
    card = done.latest_charge.payment_method_details.card_present
    assert card is not None
    assert (card.brand, card.last4, card.read_method) == ("visa", "4242", "contactless_emv")
    assert card.receipt is not None
    assert card.receipt.authorization_code
    assert refused(lambda: readers.process_payment_intent(FRONT, {"payment_intent": made.id})) == "intent_invalid_state"
    assert refused(lambda: readers.process_payment_intent("tmr_none", {"payment_intent": made.id})) == (
        "resource_missing"
    )
    assert {one.id for one in readers.list().data} == set(READERS)


def test_a_declined_card_leaves_the_payment_to_be_processed_again(sdk: stripe.StripeClient) -> None:
    made = intent(sdk)
    sdk.v1.terminal.readers.process_payment_intent(FRONT, {"payment_intent": made.id})
    failed = present(sdk, FRONT, "4000000000009995").action
    assert (failed.status, failed.failure_code) == ("failed", "insufficient_funds")
    seen = sdk.v1.payment_intents.retrieve(made.id)
    assert seen.last_payment_error is not None
    assert (seen.status, seen.last_payment_error.decline_code) == ("requires_payment_method", "insufficient_funds")
    sdk.v1.terminal.readers.process_payment_intent(FRONT, {"payment_intent": made.id})
    assert present(sdk, FRONT).action.status == "succeeded"
    assert sdk.v1.payment_intents.retrieve(made.id).status == "succeeded"


def test_an_action_is_canceled_but_not_while_a_card_is_read(sdk: stripe.StripeClient, running: Running) -> None:
    made = intent(sdk)
    readers, books = sdk.v1.terminal.readers, running.simulator.books
    readers.process_payment_intent(BACK, {"payment_intent": made.id})
    books.known[BACK]["reading"] = True
    assert refused(lambda: readers.cancel_action(BACK)) == "terminal_reader_busy"
    books.known[BACK]["reading"] = False
    assert readers.cancel_action(BACK).action is None
    assert sdk.v1.payment_intents.retrieve(made.id).status == "requires_payment_method"
    assert sdk.v1.payment_intents.cancel(made.id).status == "canceled"
    books.things[BACK]["status"] = "offline"
    other = intent(sdk)
    assert readers.retrieve(BACK).status == "offline"
    assert refused(lambda: readers.process_payment_intent(BACK, {"payment_intent": other.id})) == (
        "terminal_reader_offline"
    )
    books.things[BACK]["status"] = "online"


def test_only_what_may_be_said_is_taken(sdk: stripe.StripeClient) -> None:
    made = sdk.v1.payment_intents.create(
        {"amount": 8000, "currency": "usd", "payment_method_types": ["card"]}, {"stripe_version": "2025-09-30.clover"}
    )
    readers = sdk.v1.terminal.readers
    with pytest.raises(stripe.InvalidRequestError, match="card_present"):
        readers.process_payment_intent(FRONT, {"payment_intent": made.id})
    assert refused(lambda: readers.process_payment_intent(FRONT, {"payment": made.id})) == "parameter_unknown"  # type: ignore[typeddict-item]
    assert refused(lambda: readers.process_payment_intent(FRONT, {})) == "parameter_missing"  # type: ignore[typeddict-item]
