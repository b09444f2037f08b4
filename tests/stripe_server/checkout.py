"""Checkout Sessions on a hosted page: create, pay, expire (API reference, Checkout Sessions; Save and reuse)."""

from __future__ import annotations

from typing import Any

from . import banks, payment_intents, setup
from .books import Books
from .cards import NUMBERS, method_for
from .errors import Doc, exclusive, invalid, unreadable
from .expand import as_list, existing, page
from .forms import EXPAND, MINIMUM, PAGE, Form, array, currency, hash_of, integer, metadata, one_of, string
from .intent_forms import check_descriptors
from .versions import ALLOWED_TYPES, NO_WRITABLE_TYPES, UI_MODE_RENAMED, types_no_longer_supported

LIVES_S = 24 * 3600  # Create a Checkout Session, expires_at: 24 hours by default, 30 minutes to 24 hours

_PRODUCT = Form({"name": string(), "description": string()}, ("name",), frozenset("images metadata tax_code".split()))
_PRICE = Form(
    {"currency": currency, "product_data": hash_of(_PRODUCT), "unit_amount": integer(0)},
    ("currency", "product_data", "unit_amount"),
    frozenset("product recurring tax_behavior unit_amount_decimal".split()),
)
_ITEM = Form(
    {"price_data": hash_of(_PRICE), "quantity": integer(1)},
    ("price_data", "quantity"),
    frozenset("adjustable_quantity dynamic_tax_rates metadata price tax_rates".split()),
)
_PAYMENT = Form(
    {
        "capture_method": one_of("automatic", "automatic_async", "manual"),
        "description": string(1000),
        "metadata": metadata,
        "receipt_email": string(800),
        "setup_future_usage": one_of("off_session", "on_session"),
        "statement_descriptor": string(),
        "statement_descriptor_suffix": string(),
    },
    (),
    frozenset("application_fee_amount on_behalf_of shipping transfer_data transfer_group".split()),
)
# Create a Checkout Session, payment_method_options.us_bank_account: automatic or instant
_BANK = Form(
    {"verification_method": one_of("automatic", "instant")},
    (),
    frozenset({"financial_connections", "setup_future_usage", "target_date"}),
)
_OPTIONS = Form({"us_bank_account": hash_of(_BANK)}, (), frozenset({"card", "link"}))
_SETUP = Form({"description": string(1000), "metadata": metadata}, (), frozenset({"on_behalf_of"}))


def create_form(version: str) -> Form:
    """API reference, Create a Checkout Session."""
    kinds = array(one_of("card", "us_bank_account", "link"))
    renamed = version >= UI_MODE_RENAMED
    types: dict[str, Any] = {"payment_method_types": kinds}
    if version >= ALLOWED_TYPES:
        types["allowed_payment_method_types"] = kinds
    return Form(
        {
            **types,
            "cancel_url": string(),
            "client_reference_id": string(200),
            "currency": currency,
            "customer": string(),
            "customer_creation": one_of("always", "if_required"),
            "customer_email": string(800),
            "expand": EXPAND,
            "expires_at": integer(),
            "line_items": array(hash_of(_ITEM)),
            "locale": string(),
            "metadata": metadata,
            "mode": one_of("payment", "setup", "subscription"),
            "payment_intent_data": hash_of(_PAYMENT),
            "payment_method_options": hash_of(_OPTIONS),
            "setup_intent_data": hash_of(_SETUP),
            "submit_type": one_of("auto", "book", "donate", "pay", "subscribe"),
            "success_url": string(),
            "ui_mode": one_of("hosted_page") if renamed else one_of("hosted"),
        },
        ("mode",),
        frozenset(
            "adaptive_pricing after_expiration allow_promotion_codes automatic_tax billing_address_collection "
            "branding_settings consent_collection custom_fields custom_text customer_account customer_update discounts "
            "excluded_payment_method_types integration_identifier invoice_creation managed_payments name_collection "
            "optional_items origin_context payment_method_collection payment_method_configuration payment_method_data "
            "permissions phone_number_collection redirect_on_completion return_url "
            "saved_payment_method_options shipping_address_collection shipping_options subscription_data "
            "tax_id_collection wallet_options".split()
        ),
    )


LIST = Form(
    {**PAGE, "customer": string(), "payment_intent": string(), "status": one_of("complete", "expired", "open")},
    (),
    frozenset("customer_account customer_details payment_link subscription".split()),
)


def create(books: Books, params: Doc, *, version: str, base_url: str) -> Doc:
    mode = params["mode"]
    if mode == "subscription":
        raise invalid("This look-alike does not model subscriptions.", code="look_alike_limit", param="mode")
    if "success_url" not in params:
        # Create a Checkout Session: required unless ui_mode is embedded or custom
        raise unreadable("Missing required param: success_url.", code="parameter_missing", param="success_url")
    if "payment_method_types" in params and version >= NO_WRITABLE_TYPES:
        # Changelog, 2026-09-30.endive: removes the parameter from Checkout Sessions too
        raise types_no_longer_supported()
    if "customer" in params:
        books.get("customer", params["customer"], param="customer")
    # Create a Checkout Session: customer and customer_email, customer and customer_creation exclude each other
    for other in ("customer_email", "customer_creation"):
        if "customer" in params and other in params:
            raise exclusive("customer", other)
    expires_at = params.get("expires_at", books.now() + LIVES_S)
    if not 30 * 60 <= expires_at - books.now() + 60 <= LIVES_S + 120:
        raise unreadable(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    total, code, items = _total(params) if mode == "payment" else _setup_currency(params)
    types = params.get("payment_method_types") or params.get("allowed_payment_method_types") or ["card"]
    if "us_bank_account" in types and code and code != "usd":
        # ACH Direct Debit with Checkout: prices for all line items in US dollars
        raise unreadable("us_bank_account can only be used with usd.", param="payment_method_types")
    if "us_bank_account" in types and params.get("payment_intent_data", {}).get("capture_method") == "manual":
        raise unreadable("us_bank_account does not support manual capture.", param="payment_intent_data")
    if mode == "payment":
        check_descriptors(params.get("payment_intent_data", {}), types, inside="payment_intent_data")
    doc = _session(books, params, mode, total, code, types, expires_at)
    doc["ui_mode"] = "hosted_page" if version >= UI_MODE_RENAMED else "hosted"
    doc["url"] = f"{base_url}/c/pay/{doc['id']}"
    books.add(doc, line_items=as_list(items, f"/v1/checkout/sessions/{doc['id']}/line_items"), params=params)
    if mode == "setup":
        data = params.get("setup_intent_data", {})
        intent = setup.add(books, {**data, "customer": params.get("customer")}, types, None)
        books.known[intent["id"]]["session"] = doc["id"]
        doc["setup_intent"] = intent["id"]
    return doc


def _total(params: Doc) -> tuple[int, str, list[Doc]]:
    if not params.get("line_items"):
        # Create a Checkout Session, line_items: required for payment mode
        raise unreadable(
            "You must provide `line_items` in `payment` mode.", code="parameter_missing", param="line_items"
        )
    if "setup_intent_data" in params:
        raise unreadable("You can not pass `setup_intent_data` in `payment` mode.", param="setup_intent_data")
    codes = {item["price_data"]["currency"] for item in params["line_items"]}
    if len(codes) > 1 or params.get("currency", next(iter(codes))) not in codes:
        raise unreadable("All prices of a Checkout Session must have the same currency.", param="line_items")
    code, items, total = codes.pop(), [], 0
    for item in params["line_items"]:
        price = item["price_data"]
        sum_ = price["unit_amount"] * item["quantity"]
        total += sum_
        names = {"description": price["product_data"]["name"], "currency": code, "quantity": item["quantity"]}
        items.append({"object": "item", "amount_subtotal": sum_, "amount_total": sum_, **names})
    if total < MINIMUM[code]:
        # Error codes: amount_too_small
        message = f"The Checkout Session's total amount must be at least {MINIMUM[code]} {code}."
        raise unreadable(message, code="amount_too_small", param="line_items")
    return total, code, items


def _setup_currency(params: Doc) -> tuple[int, str, list[Doc]]:
    for key in ("line_items", "payment_intent_data"):
        if key in params:
            raise unreadable(f"You can not pass `{key}` in `setup` mode.", param=key)
    if "currency" not in params and "payment_method_types" not in params:
        # Save and reuse, Checkout: dynamic payment methods need `currency` in setup mode
        raise unreadable("Missing required param: currency.", code="parameter_missing", param="currency")
    return 0, params.get("currency", ""), []


def _session(books: Books, params: Doc, mode: str, total: int, code: str, types: list[str], expires_at: int) -> Doc:
    pays = mode == "payment"
    return {
        "id": books.id("cs"),
        "object": "checkout.session",
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": total if pays else None,
        "amount_total": total if pays else None,
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "consent": None,
        "consent_collection": None,
        "created": books.now(),
        "currency": code or None,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
        "customer": params.get("customer"),
        "customer_creation": None if "customer" in params else params.get("customer_creation", "if_required"),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "expires_at": expires_at,
        "invoice": None,
        "livemode": False,
        "locale": params.get("locale"),
        "metadata": params.get("metadata", {}),
        "mode": mode,
        # Changelog, 2022-08-01: the PaymentIntent is created when the Session is confirmed
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required" if pays else "always",
        "payment_method_options": params.get("payment_method_options", {}),
        "payment_method_types": types,
        "payment_status": "unpaid" if pays else "no_payment_required",
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0} if pays else None,
        "ui_mode": "",
        "url": None,
    }


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pay(books: Books, session: Doc, number: str, *, base_url: str) -> str:
    """The payer types a card, or a bank account of the Testing page. Returns where to go next: the page again, the
    bank, or success_url.

    Raises Refused (card_error) after a decline: the Session stays open and the payer may try again.
    """
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}.")
    known = NUMBERS.get("".join(filter(str.isdigit, number)))
    if known is None:
        raise invalid("Your card number is incorrect.", code="incorrect_number")
    if ("us_bank_account" if known.does == "bank" else "card") not in session["payment_method_types"]:
        raise invalid("This method is not offered on this page.", code="incorrect_number")
    method = method_for(books, known)
    accepted = {"type": "online", "online": {"ip_address": "192.0.2.1", "user_agent": "browser"}}
    if session["mode"] == "setup":
        intent = books.things[session["setup_intent"]]
        _customer(books, session, intent)
        if known.does == "bank":
            # Save details, Checkout: the page shows the mandate's terms and collects the acceptance
            intent["mandate"] = banks.accept(books, method, accepted)["id"]
        setup.finish(books, intent, method, base_url=base_url, return_url=session["success_url"])
    else:
        intent = _intent(books, session)
        params: Doc = {"return_url": session["success_url"]}
        if known.does == "bank":
            params["mandate_data"] = {"customer_acceptance": accepted}
            banks.check(books, intent, params, method)
        payment_intents.attempt(books, intent, method, params, base_url=base_url)
    if intent["status"] == "requires_action":
        return f"{base_url}/3ds/{intent['id']}"
    complete(books, session, intent)
    return session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])


def _intent(books: Books, session: Doc) -> Doc:
    if session["payment_intent"] is not None:
        return books.things[session["payment_intent"]]
    data = books.known[session["id"]]["params"].get("payment_intent_data", {})
    # The Checkout Session object: its metadata is its own; the PaymentIntent's comes from payment_intent_data
    params = {**data, "amount": session["amount_total"], "currency": session["currency"]}
    intent = payment_intents.new(books, params, session["payment_method_types"], None)
    books.add(intent, session=session["id"])
    session["payment_intent"] = intent["id"]
    _customer(books, session, intent)
    books.emit("payment_intent.created", intent)
    return intent


def _customer(books: Books, session: Doc, intent: Doc) -> None:
    if session["customer"] is None and session["customer_creation"] == "always":
        session["customer"] = setup.customer(books, {"email": session["customer_email"] or "payer@example.com"})["id"]
    intent["customer"] = session["customer"]


def complete(books: Books, session: Doc, intent: Doc) -> None:
    """Fulfil orders: completed when the payer is done; payment_status says whether the money is there."""
    details = dict.fromkeys(("address", "name", "phone", "tax_exempt", "tax_ids"))
    session |= {"status": "complete", "url": None}
    session["customer_details"] = {**details, "email": session["customer_email"] or "payer@example.com"}
    if intent["status"] == "succeeded" and session["mode"] == "payment":
        session["payment_status"] = "paid"
    books.emit("checkout.session.completed", session)


def authenticated(books: Books, intent: Doc) -> None:
    """The payer of this page is back from the bank."""
    session = books.things.get(books.known[intent["id"]].get("session", ""))
    if session is not None and session["status"] == "open" and intent["status"] in ("succeeded", "requires_capture"):
        complete(books, session, intent)


def expire(books: Books, session: Doc) -> Doc:
    """API reference, Expire a Checkout Session: only an open one; its payer can't pay any more."""
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{session['status']}`."
        )
    session |= {"status": "expired", "url": None}
    for name in ("payment_intent", "setup_intent"):
        intent = books.things.get(session[name] or "")
        if intent is not None and intent["status"] not in ("succeeded", "canceled", "requires_capture"):
            intent |= {"status": "canceled", "next_action": None, "cancellation_reason": "automatic"}
            if name == "payment_intent":
                intent["canceled_at"] = books.now()
            books.emit(f"{name}.canceled", intent)
    books.emit("checkout.session.expired", session)
    return session


def tick(books: Books) -> None:
    for session in books.all("checkout.session"):
        if session["status"] == "open" and session["expires_at"] <= books.now():
            expire(books, session)


def listed(books: Books, query: Doc) -> Doc:
    names = ("customer", "payment_intent", "status")
    existing(books, query, names[:2])
    docs = [doc for doc in books.all("checkout.session") if all(query.get(name) in (None, doc[name]) for name in names)]
    return page(books, docs, query, "/v1/checkout/sessions", object_="checkout.session")
