"""Saved methods and hosted pages at the Stripe look-alike: the rules of SetupIntents, PaymentMethods and Checkout."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stripe_running import INTENT, NEVER, Caller, Doc, calling_stripe, error

PAGE = {
    "mode": "payment",
    "success_url": "https://x.example/",
    "cancel_url": "https://x.example/back",
    "client_reference_id": "pay0123456789abcdef0123",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "2500",
    "line_items[0][price_data][product_data][name]": "Visit",
    "line_items[0][quantity]": "2",
}
SETUP = {"mode": "setup", "success_url": "https://x.example/", "currency": "usd"}
CARD, BANK, DECLINED = "4242424242424242", "4000002760003184", "4000000000000002"


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with calling_stripe() as caller:
        yield caller


async def session(api: Caller, form: Doc) -> Doc:
    return await api.made("checkout/sessions", form)


# ── SetupIntents and PaymentMethods ───────────────────────────────────────────────────────────────────────────────


async def test_a_setup_intent_goes_through_its_states(api: Caller) -> None:
    """How SetupIntents work; Error codes: setup_intent_unexpected_state."""
    made = await api.made("setup_intents", NEVER | {"automatic_payment_methods[enabled]": "true"})
    path = f"setup_intents/{made['id']}"
    assert error(await api.post(f"{path}/confirm"))["code"] == "setup_intent_unexpected_state"
    declined = error(await api.post(f"{path}/confirm", {"payment_method": "pm_card_chargeDeclined"}), 402)
    assert (declined["code"], declined["setup_intent"]["status"]) == ("card_declined", "requires_payment_method")
    card = {"payment_method": "pm_card_authenticationRequired", "return_url": "https://x.example"}
    for action, status in (("refuse", "requires_payment_method"), ("confirm", "succeeded")):
        asked = await api.made(f"{path}/confirm", card)
        assert asked["status"] == "requires_action"
        await api.running.bank_page(asked["next_action"]["redirect_to_url"]["url"], action)
        assert (await api.get(path)).json()["status"] == status
    for move in ("confirm", "cancel"):
        assert error(await api.post(f"{path}/{move}"))["code"] == "setup_intent_unexpected_state"


async def test_a_setup_intent_is_confirmed_at_once_or_needs_a_return_url(api: Caller) -> None:
    """API reference, Create a SetupIntent: return_url only with confirm=true, and needed where redirects may be."""
    card = {"payment_method": "pm_card_visa", "automatic_payment_methods[enabled]": "true"}
    assert error(await api.post("setup_intents", {**card, "return_url": "https://x.example"}))["param"] == "return_url"
    assert "return_url" in error(await api.post("setup_intents", {**card, "confirm": "true"}))["message"]
    done = await api.made("setup_intents", {**card, "confirm": "true", "return_url": "https://x.example"})
    assert done["status"] == "succeeded"


async def test_a_method_belongs_to_one_customer(api: Caller) -> None:
    """API reference, Attach a PaymentMethod to a Customer; Save and reuse."""
    one, other = [(await api.made("customers"))["id"] for _ in range(2)]
    method = (await api.made("payment_methods/pm_card_visa/attach", {"customer": one}))["id"]
    attach = f"payment_methods/{method}/attach"
    assert "already been attached" in error(await api.post(attach, {"customer": other}))["message"]
    money = {**INTENT, **NEVER, "payment_method": method, "confirm": "true"}
    assert error(await api.post("payment_intents", money))["param"] == "payment_method"
    assert error(await api.post("payment_intents", {**money, "customer": other}))["code"] == "resource_missing"
    assert (await api.made("payment_intents", {**money, "customer": one}))["status"] == "succeeded"
    again = await api.made("setup_intents", {"customer": one, "payment_method": method, "confirm": "true", **NEVER_ON})
    assert again["status"] == "succeeded"
    await api.made(f"payment_methods/{method}/detach")
    assert "not attached" in error(await api.post(f"payment_methods/{method}/detach"))["message"]
    assert error(await api.post("payment_methods/pm_none/attach", {"customer": one}), 404)
    assert error(await api.post("payment_methods/pm_card_visa/attach"))["code"] == "parameter_missing"


NEVER_ON = {**NEVER, "automatic_payment_methods[enabled]": "true"}


async def test_a_bank_account_can_only_be_debited_with_a_mandate_and_at_once(api: Caller) -> None:
    """ACH Direct Debit: mandate_data; no manual capture; another kind of method than the intent takes is refused."""
    mandate = {"mandate_data[customer_acceptance][type]": "offline"}
    form = {**INTENT, **NEVER, "payment_method": "pm_usBankAccount_success", "confirm": "true"}
    assert error(await api.post("payment_intents", form))["param"] == "mandate_data"
    manual = {**form, **mandate, "capture_method": "manual"}
    assert error(await api.post("payment_intents", manual))["param"] == "capture_method"
    only_cards = {"amount": "5000", "currency": "usd", "allowed_payment_method_types[]": "card"}
    card_only = {**only_cards, "payment_method": "pm_usBankAccount_success"}
    assert error(await api.post("payment_intents", card_only))["code"] == "payment_intent_invalid_parameter"


# ── Checkout ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_adds_up_and_shows_itself(api: Caller) -> None:
    page = await session(api, PAGE)
    assert (page["amount_total"], page["currency"], page["livemode"]) == (5000, "usd", False)
    assert page["id"].startswith("cs_test_")
    assert "Pay 5000 usd" in (await api.running.http.get(page["url"])).text
    assert (await api.running.pay_page(page["url"], action="cancel")).headers["location"] == PAGE["cancel_url"]
    assert (await api.running.pay_page(page["url"], "1234")).status_code == 402
    assert (await api.running.pay_page(page["url"], CARD)).is_redirect
    assert "complete" in (await api.running.http.get(page["url"])).text
    assert await api.running.taken(PAGE["client_reference_id"]) == 5000
    assert (await api.running.http.get(f"{api.running.base_url}/c/pay/cs_test_none")).status_code == 404


async def test_a_page_may_only_hold_the_money(api: Caller) -> None:
    page = await session(api, {**PAGE, "payment_intent_data[capture_method]": "manual"})
    await api.running.pay_page(page["url"], CARD)
    done = (await api.get(f"checkout/sessions/{page['id']}?expand[]=payment_intent")).json()
    assert (done["status"], done["payment_status"]) == ("complete", "unpaid")
    assert done["payment_intent"]["status"] == "requires_capture"
    gone = await api.made(f"payment_intents/{done['payment_intent']['id']}/cancel")
    assert gone["status"] == "canceled"


async def test_the_intents_of_a_page_are_the_pages_own(api: Caller) -> None:
    """The Checkout Session object: you can't confirm or cancel its intents; expire the Session instead."""
    page, keep = await session(api, PAGE), await session(api, SETUP)
    await api.running.pay_page(page["url"], DECLINED)
    intent = (await api.get(f"checkout/sessions/{page['id']}")).json()["payment_intent"]
    for path in (f"payment_intents/{intent}/confirm", f"payment_intents/{intent}/cancel"):
        assert "Checkout Session" in error(await api.post(path))["message"]
    assert "Checkout Session" in error(await api.post(f"setup_intents/{keep['setup_intent']}/cancel"))["message"]
    for doc in (page, keep):
        await api.made(f"checkout/sessions/{doc['id']}/expire")
    assert (await api.get(f"payment_intents/{intent}")).json()["status"] == "canceled"
    assert (await api.get(f"setup_intents/{keep['setup_intent']}")).json()["status"] == "canceled"
    assert "expired" in (await api.running.pay_page(page["url"], CARD)).text
    assert await api.running.taken(PAGE["client_reference_id"]) == 0


async def test_a_page_makes_a_customer_only_when_asked(api: Caller) -> None:
    """API reference, Create a Checkout Session, customer_creation: if_required by default."""
    for form, attached in ((SETUP, False), ({**SETUP, "customer_creation": "always"}, True)):
        page = await session(api, form)
        bank = (await api.running.pay_page(page["url"], BANK)).headers["location"]
        await api.running.bank_page(bank)
        done = (await api.get(f"checkout/sessions/{page['id']}?expand[]=setup_intent.payment_method")).json()
        assert done["status"] == "complete"
        assert (done["setup_intent"]["payment_method"]["customer"] is not None) == attached
        assert (done["customer"] is not None) == attached


async def test_a_page_that_contradicts_itself_is_refused(api: Caller) -> None:
    """API reference, Create a Checkout Session; Error codes: parameters_exclusive, look_alike_limit is our own."""
    customer = (await api.made("customers", {"email": "a@example.com", "metadata[x]": "y"}))["id"]
    second = {
        "line_items[1][price_data][currency]": "eur",
        "line_items[1][price_data][unit_amount]": "100",
        "line_items[1][price_data][product_data][name]": "Other",
        "line_items[1][quantity]": "1",
    }
    for form, key, value in (
        ({**PAGE, "customer": customer, "customer_email": "b@example.com"}, "code", "parameters_exclusive"),
        ({**PAGE, "customer": "cus_none"}, "code", "resource_missing"),
        ({**PAGE, "setup_intent_data[description]": "x"}, "param", "setup_intent_data"),
        ({**PAGE, **second}, "param", "line_items"),
        ({**PAGE, "mode": "subscription"}, "code", "look_alike_limit"),
        ({key: PAGE[key] for key in PAGE if key != "success_url"}, "code", "parameter_missing"),
        ({**SETUP, "payment_method_types[]": "card"}, "code", "payment_method_types_no_longer_supported"),
    ):
        assert error(await api.post("checkout/sessions", form))[key] == value
