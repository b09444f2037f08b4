"""Customers, PaymentMethods and SetupIntents: keeping a method for later (API reference; Save and reuse)."""

from __future__ import annotations

from typing import Any

from . import banks
from .books import Books
from .cards import MESSAGES, Card, known_test_method, make_method
from .errors import Doc, card, invalid
from .expand import existing, page, shown
from .forms import EXPAND, PAGE, Form, array, boolean, hash_of, metadata, one_of, string
from .intent_forms import MANDATE, resolve_types
from .versions import ALLOWED_TYPES

# API reference, Create a customer
CUSTOMER = Form(
    {
        "description": string(),
        "email": string(512),
        "expand": EXPAND,
        "metadata": metadata,
        "name": string(256),
        "payment_method": string(),
        "phone": string(20),
    },
    (),
    frozenset(
        "address balance business_name cash_balance individual_name invoice_prefix invoice_settings "
        "next_invoice_sequence preferred_locales shipping source tax tax_exempt tax_id_data test_clock validate".split()
    ),
)
ATTACH = Form({"customer": string(), "expand": EXPAND}, ("customer",), frozenset({"customer_account"}))
EXPAND_ONLY = Form({"expand": EXPAND})
LIST = Form({**PAGE, "customer": string(), "payment_method": string()}, (), frozenset({"attach_to_self"}))
CANCEL = Form({"cancellation_reason": one_of("abandoned", "duplicate", "requested_by_customer"), "expand": EXPAND})


def _types(version: str) -> dict[str, Any]:
    kinds = array(one_of("card", "us_bank_account", "link"))
    return {
        "payment_method_types": kinds,
        **({"allowed_payment_method_types": kinds} if version >= ALLOWED_TYPES else {}),
    }


def create_form(version: str) -> Form:
    """API reference, Create a SetupIntent."""
    automatic = Form({"enabled": boolean, "allow_redirects": one_of("always", "never")}, ("enabled",))
    return Form(
        {
            **_types(version),
            "automatic_payment_methods": hash_of(automatic),
            "confirm": boolean,
            "customer": string(),
            "description": string(1000),
            "expand": EXPAND,
            "mandate_data": MANDATE,
            "metadata": metadata,
            "payment_method": string(),
            "return_url": string(),
            "usage": one_of("off_session", "on_session"),
            "use_stripe_sdk": boolean,
        },
        (),
        frozenset(
            "attach_to_self confirmation_token customer_account excluded_payment_method_types flow_directions "
            "on_behalf_of payment_method_configuration payment_method_data payment_method_options single_use".split()
        ),
    )


CONFIRM = Form(
    {
        "expand": EXPAND,
        "mandate_data": MANDATE,
        "payment_method": string(),
        "return_url": string(),
        "use_stripe_sdk": boolean,
    },
    (),
    frozenset("confirmation_token payment_method_data payment_method_options".split()),
)


def customer(books: Books, params: Doc) -> Doc:
    method = _unattached(books, params["payment_method"]) if "payment_method" in params else None
    doc = books.add(
        {
            "id": books.id("cus"),
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": books.now(),
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": params.get("description"),
            "email": params.get("email"),
            "invoice_prefix": books.id("x")[2:10].upper(),
            "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
            "livemode": False,
            "metadata": params.get("metadata", {}),
            "name": params.get("name"),
            "phone": params.get("phone"),
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    books.emit("customer.created", doc)
    if method is not None:
        attach_to(books, method, doc["id"])
    return doc


def _unattached(books: Books, id_: str) -> Doc:
    method = (
        make_method(books, id_) if known_test_method(id_) else books.get("payment_method", id_, param="payment_method")
    )
    if method["customer"] is not None:
        raise invalid("The payment method you provided has already been attached to a customer.")
    if books.known[method["id"]]["spent"]:
        # Payment Methods, reuse: used without a customer, or detached, it can't be attached any more
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
            "Customer, and may not be used again."
        )
    return method


def attach_to(books: Books, method: Doc, customer_id: str) -> None:
    method["customer"] = customer_id
    books.emit("payment_method.attached", method)


def attach(books: Books, id_: str, params: Doc) -> Doc:
    """API reference, Attach a PaymentMethod to a Customer."""
    books.get("customer", params["customer"], param="customer")
    if not known_test_method(id_):
        books.get("payment_method", id_, param="payment_method", in_path=True)
    method = _unattached(books, id_)
    attach_to(books, method, params["customer"])
    return method


def detach(books: Books, method: Doc) -> Doc:
    """API reference, Detach a PaymentMethod from a Customer: it can no longer be used for a payment."""
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    previous = {"customer": method["customer"]}
    method["customer"] = None
    books.known[method["id"]]["spent"] = "detached"
    books.emit("payment_method.detached", method, previous)
    return method


# ── SetupIntents ──────────────────────────────────────────────────────────────────────────────────────────────────


def create(books: Books, params: Doc, *, version: str, base_url: str) -> Doc:
    types, automatic = resolve_types(params, "usd", version)
    if "customer" in params:
        books.get("customer", params["customer"], param="customer")
    # Create a SetupIntent: return_url and mandate_data can only be used with confirm=true
    for key in ("return_url", "mandate_data"):
        if key in params and not params.get("confirm"):
            raise invalid(f"The parameter {key} can only be used with confirm=true.", param=key)
    intent = add(books, params, types, automatic)
    if "payment_method" in params:
        intent["payment_method"] = _usable(books, intent, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    if params.get("confirm"):
        confirm(books, intent, params, base_url=base_url)
    return intent


def add(books: Books, params: Doc, types: list[str], automatic: Doc | None) -> Doc:
    id_ = books.id("seti")
    doc = books.add(
        {
            "id": id_,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": automatic,
            "cancellation_reason": None,
            "client_secret": f"{id_}_secret_{books.id('x')[2:]}",
            "created": books.now(),
            "customer": params.get("customer"),
            "description": params.get("description"),
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": params.get("metadata", {}),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_options": {},
            "payment_method_types": types,
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": params.get("usage", "off_session"),
        }
    )
    books.emit("setup_intent.created", doc)
    return doc


def _usable(books: Books, intent: Doc, id_: str) -> Doc:
    if not known_test_method(id_):
        method = books.get("payment_method", id_, param="payment_method")
        if method["customer"] is not None and method["customer"] == intent["customer"]:
            return method
    return _unattached(books, id_)


def confirm(books: Books, intent: Doc, params: Doc, *, base_url: str) -> Doc:
    """API reference, Confirm a SetupIntent."""
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        # Error codes: setup_intent_unexpected_state
        message = f"You cannot confirm this SetupIntent because it has a status of {intent['status']}."
        raise invalid(message, code="setup_intent_unexpected_state", setup_intent=shown(books, intent))
    chosen = params.get("payment_method") or intent["payment_method"]
    if chosen is None:
        message = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise invalid(message, code="setup_intent_unexpected_state", setup_intent=shown(books, intent))
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and "return_url" not in params:
        raise invalid(
            "This SetupIntent is configured to accept payment methods enabled in your Dashboard. Because some of these "
            "payment methods might redirect your customer off of your page, you must provide a `return_url`."
        )
    method = _usable(books, intent, chosen)
    if method["type"] == "us_bank_account":
        if "mandate_data" not in params:
            # Save details for future payments with ACH Direct Debit: confirmed with the payer's acceptance
            raise invalid("You must provide mandate_data.", code="parameter_missing", param="mandate_data")
        intent["mandate"] = banks.accept(books, method, params["mandate_data"]["customer_acceptance"])["id"]
    finish(books, intent, method, base_url=base_url, return_url=params.get("return_url"))
    return intent


def finish(books: Books, intent: Doc, method: Doc, *, base_url: str = "", return_url: str | None = None) -> None:
    """Set the method up. Testing: a card that asks for authentication asks here too. Raises Refused (card_error)."""
    acts: Card = books.known[method["id"]]["acts"]
    if acts.does == "decline" and acts.number != "4000000000000341":  # that one attaches, and fails when charged
        error = card(
            acts.code, MESSAGES.get(acts.decline_code, MESSAGES["card_declined"]), decline_code=acts.decline_code
        )
        intent |= {"status": "requires_payment_method", "payment_method": None, "last_setup_error": dict(error.error)}
        books.emit("setup_intent.setup_failed", intent)
        error.error["setup_intent"] = shown(books, intent)
        raise error
    intent["payment_method"] = method["id"]
    if acts.does.startswith("authenticate") and base_url:
        target = {"return_url": return_url, "url": f"{base_url}/3ds/{intent['id']}"}
        intent |= {"status": "requires_action", "next_action": {"type": "redirect_to_url", "redirect_to_url": target}}
        books.emit("setup_intent.requires_action", intent)
        return
    intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
    if intent["customer"] and method["customer"] is None:
        attach_to(books, method, intent["customer"])
    books.emit("setup_intent.succeeded", intent)


def authenticated(books: Books, intent: Doc, *, agreed: bool) -> None:
    if intent["status"] != "requires_action":
        raise invalid("This SetupIntent is not waiting for authentication.")
    if agreed:
        finish(books, intent, books.things[intent["payment_method"]])
        return
    # Error codes: setup_intent_authentication_failure
    message = "The latest attempt to set up the payment method has failed because authentication failed."
    error = invalid(message, code="setup_intent_authentication_failure")
    intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    intent["last_setup_error"] = error.error
    books.emit("setup_intent.setup_failed", intent)


def listed(books: Books, query: Doc) -> Doc:
    """API reference, List all SetupIntents."""
    existing(books, query, ("customer", "payment_method"))
    names = ("customer", "payment_method")
    docs = [doc for doc in books.all("setup_intent") if all(query.get(name) in (None, doc[name]) for name in names)]
    return page(books, docs, query, "/v1/setup_intents", object_="setup_intent")


def cancel(books: Books, intent: Doc, reason: str | None) -> Doc:
    """API reference, Cancel a SetupIntent."""
    if books.known[intent["id"]].get("session"):
        raise invalid("You cannot cancel the SetupIntent for a Checkout Session. Expire the Checkout Session instead.")
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        message = f"You cannot cancel this SetupIntent because it has a status of {intent['status']}."
        raise invalid(message, code="setup_intent_unexpected_state", setup_intent=shown(books, intent))
    intent |= {"status": "canceled", "cancellation_reason": reason, "next_action": None}
    books.emit("setup_intent.canceled", intent)
    return intent
