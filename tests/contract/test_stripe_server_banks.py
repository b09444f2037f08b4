"""Bank debits at the look-alike of Stripe, driven by Stripe's own SDK: mandates, failures, blocks, late disputes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import requests
import stripe

from stripe_running import SECRET_KEY, Running, stripe_apart

BANK: Any = {"allowed_payment_method_types": ["us_bank_account"]}
ACCEPTED: Any = {"customer_acceptance": {"type": "offline"}}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with stripe_apart() as served:
        yield served


@pytest.fixture
def sdk(running: Running) -> Iterator[stripe.StripeClient]:
    with requests.Session() as opened:
        yield stripe.StripeClient(
            SECRET_KEY,
            base_addresses={"api": running.base_url},
            http_client=stripe.RequestsClient(session=opened, timeout=30),
            max_network_retries=0,
        )


def stored(sdk: stripe.StripeClient, name: str = "pm_usBankAccount_success") -> stripe.SetupIntent:
    customer = sdk.v1.customers.create({}).id
    params: Any = {**BANK, "customer": customer, "payment_method": name, "confirm": True}
    with pytest.raises(stripe.InvalidRequestError, match="mandate_data"):
        sdk.v1.setup_intents.create(params)
    agreed: Any = {**params, "mandate_data": ACCEPTED, "expand": ["mandate"]}
    return sdk.v1.setup_intents.create(agreed)


def debit(sdk: stripe.StripeClient, setup: stripe.SetupIntent, **more: Any) -> stripe.PaymentIntent:
    params: Any = {**BANK, "amount": 8000, "currency": "usd", "confirm": True, "off_session": True}
    ids = {"customer": setup.customer, "payment_method": setup.payment_method}
    wanted: Any = {**params, **ids, "expand": ["latest_charge"], **more}
    return sdk.v1.payment_intents.create(wanted)


def advance(running: Running, days: float) -> None:
    running.simulator.books.offset_s += days * 24 * 3600
    running.simulator.tick()


def test_a_mandate_is_kept_with_the_account_and_named_by_what_it_debits(
    running: Running, sdk: stripe.StripeClient
) -> None:
    setup = stored(sdk)
    mandate = setup.mandate
    assert isinstance(mandate, stripe.Mandate)
    assert (mandate.status, mandate.type, mandate.payment_method) == ("active", "multi_use", setup.payment_method)
    assert sdk.v1.mandates.retrieve(mandate.id).customer_acceptance.type == "offline"
    listed = sdk.v1.setup_intents.list({"payment_method": str(setup.payment_method)})
    assert [one.mandate for one in listed.data] == [mandate.id]
    intent = debit(sdk, setup, mandate=mandate.id)
    assert intent.status == "processing"
    assert isinstance(intent.latest_charge, stripe.Charge)
    details = intent.latest_charge.payment_method_details
    assert details is not None
    assert details.us_bank_account is not None
    assert (details.us_bank_account.mandate, details.us_bank_account.last4) == (mandate.id, "6789")
    advance(running, 4)
    assert sdk.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_another_accounts_mandate_or_two_ways_of_agreeing_are_refused(sdk: stripe.StripeClient) -> None:
    mine, other = stored(sdk), stored(sdk)
    assert isinstance(other.mandate, stripe.Mandate)
    with pytest.raises(stripe.InvalidRequestError) as no:
        debit(sdk, mine, mandate=other.mandate.id)
    assert no.value.code == "payment_intent_mandate_invalid"
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        debit(sdk, mine, mandate=other.mandate.id, mandate_data=ACCEPTED)
    with pytest.raises(stripe.InvalidRequestError, match="not allowed"):
        debit(sdk, mine, currency="eur")
    with pytest.raises(stripe.InvalidRequestError, match="manual capture"):
        debit(sdk, mine, capture_method="manual")


@pytest.mark.parametrize(
    ("name", "network", "declined", "code"),
    [
        ("pm_usBankAccount_insufficientFunds", "R01", "insufficient_funds", "insufficient_funds"),
        ("pm_usBankAccount_accountClosed", "R02", "bank_account_closed", "account_closed"),
        ("pm_usBankAccount_debitNotAuthorized", "R10", "debit_not_authorized", "debit_not_authorized"),
    ],
)
def test_a_failure_says_why_and_blocks_what_was_no_want_of_funds(
    running: Running, sdk: stripe.StripeClient, name: str, network: str, declined: str, code: str
) -> None:
    setup = stored(sdk, name)
    intent = debit(sdk, setup)
    advance(running, 4)
    failed = sdk.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    error = failed.last_payment_error
    assert error is not None
    assert (failed.status, failed.amount_received) == ("requires_payment_method", 0)
    assert (error.network_decline_code, error.decline_code, error.code) == (network, declined, code)
    assert isinstance(failed.latest_charge, stripe.Charge)
    assert failed.latest_charge.outcome is not None
    assert failed.latest_charge.outcome.network_decline_code == network
    if network == "R01":
        assert debit(sdk, setup).status == "processing"
        return
    with pytest.raises(stripe.InvalidRequestError) as no:
        debit(sdk, setup, mandate_data=ACCEPTED)
    assert no.value.code == "payment_method_bank_account_blocked"
    bank = sdk.v1.payment_methods.retrieve(str(setup.payment_method)).us_bank_account
    assert bank is not None
    assert bank.status_details is not None
    assert bank.status_details.blocked is not None
    assert bank.status_details.blocked.network_code == network


def test_what_comes_back_after_it_succeeded_is_a_dispute_that_is_lost(
    running: Running, sdk: stripe.StripeClient
) -> None:
    setup = stored(sdk)
    intent = debit(sdk, setup)
    advance(running, 5)
    body = {"id": intent.id, "result": "returned", "code": "R10"}
    httpx2.post(f"{running.base_url}/control/decide", json=body, trust_env=False, verify=False).raise_for_status()
    (dispute,) = sdk.v1.disputes.list({"payment_intent": intent.id}).data
    assert (dispute.status, dispute.reason, dispute.network_reason_code) == ("lost", "debit_not_authorized", "R10")
    assert [line.amount for line in dispute.balance_transactions] == [-8000]
    assert isinstance(setup.mandate, stripe.Mandate)
    assert sdk.v1.mandates.retrieve(setup.mandate.id).status == "inactive"
    with pytest.raises(stripe.InvalidRequestError, match="mandate"):
        debit(sdk, setup)
