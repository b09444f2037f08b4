"""PaymentIntents: create, confirm, capture, cancel, and what time brings (API reference; How PaymentIntents work)."""

from __future__ import annotations

import re

from . import banks, charges
from .books import Books
from .cards import MESSAGES, Card, known_test_method, make_method
from .errors import Doc, card, invalid, unexpected_state, unreadable
from .expand import existing, page, shown
from .intent_forms import ONLY_WITH_CONFIRM, check_amount, check_descriptors, resolve_types
from .versions import NO_WRITABLE_TYPES, types_no_longer_supported

AUTHORIZATION_LIVES_S = 7 * 24 * 3600  # Capture a PaymentIntent: cancelled a set number of days (7 by default) later


# ── create ────────────────────────────────────────────────────────────────────────────────────────────────────────


def create(books: Books, params: Doc, *, version: str, base_url: str) -> Doc:
    check_amount(params["amount"], params["currency"])
    confirm_now = params.get("confirm", False)
    for key in ONLY_WITH_CONFIRM:
        if key in params and not confirm_now:
            message = f"The parameter {key} can only be used with confirm=true."
            raise invalid(message, code="payment_intent_invalid_parameter", param=key)
    types, automatic = resolve_types(params, params["currency"], version)
    check_descriptors(params, types)
    if "customer" in params:
        books.get("customer", params["customer"], param="customer")
    intent = new(books, params, types, automatic)
    method = _method(books, intent, params["payment_method"]) if "payment_method" in params else None
    if confirm_now and method is None:
        raise _no_method(intent)
    if confirm_now:
        _check_confirm(books, intent, params, method)
    books.add(intent)
    books.emit("payment_intent.created", intent)
    if method is not None:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    if confirm_now and method is not None:
        attempt(books, intent, method, params, base_url=base_url)
    return intent


def new(books: Books, params: Doc, types: list[str], automatic: Doc | None) -> Doc:
    id_ = books.id("pi")
    return {
        "id": id_,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),  # Changelog, 2024-04-10: the default
        "client_secret": f"{id_}_secret_{books.id('x')[2:]}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": books.now(),
        "currency": params["currency"],
        "customer": params.get("customer"),
        "description": params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": types,
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": None,
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def _method(books: Books, intent: Doc, id_: str) -> Doc:
    """The PaymentMethod to use, if it may be used. Raises Refused."""
    method = (
        make_method(books, id_) if known_test_method(id_) else books.get("payment_method", id_, param="payment_method")
    )
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. This PaymentIntent "
            f"only accepts: {', '.join(intent['payment_method_types'])}.",
            code="payment_intent_invalid_parameter",
            param="payment_method",
        )
    owner = method["customer"]
    if owner is not None and intent["customer"] is None:
        # Save and reuse: a saved PaymentMethod is charged together with its customer
        raise invalid(
            f"The payment method supplied ({method['id']}) belongs to the Customer {owner}. Please include the "
            "Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    if owner is not None and owner != intent["customer"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. The payment method must be "
            "attached to the customer.",
            code="resource_missing",
            param="payment_method",
        )
    if owner is None and books.known[method["id"]]["spent"] not in ("", intent["id"]):
        # Payment Methods, reuse: one that was used without a customer, or detached, can't be used again; a declined
        # attempt is a use, too
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be used "
            "again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )
    return method


# ── confirm ───────────────────────────────────────────────────────────────────────────────────────────────────────


def confirm(books: Books, intent: Doc, params: Doc, *, version: str, base_url: str) -> Doc:
    if books.known[intent["id"]].get("session"):
        # The Checkout Session object: you can't confirm or cancel the PaymentIntent for a Checkout Session
        raise invalid("You cannot confirm a PaymentIntent that was created by a Checkout Session.")
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        done = intent["status"] in ("succeeded", "requires_capture")
        why = "it has already succeeded after being previously confirmed" if done else f"it is {intent['status']}"
        raise unexpected_state(f"You cannot confirm this PaymentIntent because {why}.", shown(books, intent))
    if "payment_method_types" in params and version >= NO_WRITABLE_TYPES:
        raise types_no_longer_supported()
    chosen = params.get("payment_method") or intent["payment_method"]
    if chosen is None:
        raise _no_method(shown(books, intent))
    types = params.get("payment_method_types", intent["payment_method_types"])
    method = _method(books, {**intent, "payment_method_types": types}, chosen)
    _check_confirm(books, intent, params, method)
    for key in ("capture_method", "receipt_email", "setup_future_usage"):
        if key in params:
            intent[key] = params[key]
    attempt(books, intent, method, params, base_url=base_url)
    return intent


def _no_method(intent: Doc) -> Exception:
    return unexpected_state(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
        "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
        "method or ConfirmationToken.",
        intent,
    )


def _check_confirm(books: Books, intent: Doc, params: Doc, method: Doc | None) -> None:
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and "return_url" not in params:
        # Create a PaymentIntent, automatic_payment_methods.allow_redirects: always needs a return_url on confirm
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents."
        )
    if method and method["type"] == "us_bank_account":
        banks.check(books, intent, params, method)


def attempt(books: Books, intent: Doc, method: Doc, params: Doc, *, base_url: str, authenticated: bool = False) -> None:
    """Try to pay. Raises Refused (card_error) after a decline, which stays on the books."""
    acts: Card = books.known[method["id"]]["acts"]
    intent["payment_method"], intent["next_action"], intent["last_payment_error"] = method["id"], None, None
    books.known[intent["id"]]["off_session"] = params.get("off_session", False)
    if method["customer"] is None:
        books.known[method["id"]]["spent"] = intent["id"]
    if acts.does.startswith("authenticate") and not authenticated:
        if params.get("off_session") or params.get("error_on_requires_action"):
            # Save and reuse, off-session: authentication_required, the customer has to come back on session
            raise decline(books, intent, method, "authentication_required", "authentication_required")
        _ask_to_authenticate(books, intent, params.get("return_url"), base_url)
        return
    if acts.does == "decline" or (acts.does == "authenticate_then_decline" and authenticated):
        raise decline(books, intent, method, acts.code, acts.decline_code)
    if acts.does == "bank":
        banks.submit(books, intent, method, params)
        return
    manual = intent["capture_method"] == "manual"
    charge = charges.add(books, intent, method, status="succeeded", captured=False)
    if method["customer"] is None and intent["customer"] and intent["setup_future_usage"]:
        # Create a PaymentIntent, setup_future_usage: the method is attached to the customer once it is confirmed
        method["customer"] = intent["customer"]
        books.emit("payment_method.attached", method)
    if manual:
        intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
        books.known[intent["id"]]["lapses_at"] = books.now() + AUTHORIZATION_LIVES_S
        books.emit("charge.succeeded", charge)
        books.emit("payment_intent.amount_capturable_updated", intent)
        return
    charges.captured(books, charge, intent["amount"], at_once=intent["capture_method"] == "automatic")
    intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
    books.emit("charge.succeeded", charge)
    books.emit("payment_intent.succeeded", intent)


def _ask_to_authenticate(books: Books, intent: Doc, return_url: str | None, base_url: str) -> None:
    """The PaymentIntent object, next_action: redirect_to_url where there is a return_url."""
    url = f"{base_url}/3ds/{intent['id']}"
    intent["status"] = "requires_action"
    if return_url:
        target = {"return_url": return_url, "url": url}
        intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": target}
    else:
        sdk = {"type": "three_d_secure_redirect", "stripe_js": url, "source": books.id("src")}
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
    books.emit("payment_intent.requires_action", intent)


def decline(books: Books, intent: Doc, method: Doc, code: str, decline_code: str, message: str = "") -> Exception:
    """Declined payments: back to requires_payment_method, the charge failed, the reason in last_payment_error."""
    charge = charges.add(books, intent, method, status="failed", captured=False)
    text = message or MESSAGES.get(decline_code) or MESSAGES.get(code, MESSAGES["card_declined"])
    charge["failure_code"], charge["failure_message"] = code, text
    error = card(code, text, decline_code=decline_code, charge=charge["id"], payment_method=shown(books, method))
    intent["status"], intent["payment_method"] = "requires_payment_method", None
    intent["last_payment_error"] = dict(error.error)
    books.emit("charge.failed", charge)
    books.emit("payment_intent.payment_failed", intent)
    error.error["payment_intent"] = shown(books, intent)
    return error


def authenticated(books: Books, intent: Doc, *, agreed: bool) -> None:
    """The payer answers at the bank's page. 3D Secure: a failed one leads back to requires_payment_method."""
    if intent["status"] != "requires_action":
        raise invalid("This PaymentIntent is not waiting for authentication.")
    method = books.things[intent["payment_method"]]
    params = {"off_session": False}
    if agreed:
        attempt(books, intent, method, params, base_url="", authenticated=True)
        return
    intent["status"], intent["payment_method"], intent["next_action"] = "requires_payment_method", None, None
    message = (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    )
    error = invalid(message, code="payment_intent_authentication_failure", payment_method=shown(books, method))
    intent["last_payment_error"] = error.error
    books.emit("payment_intent.payment_failed", intent)


# ── capture, cancel ───────────────────────────────────────────────────────────────────────────────────────────────


def capture(books: Books, intent: Doc, params: Doc) -> Doc:
    if intent["status"] != "requires_capture":
        already = intent["status"] == "succeeded"
        state = "it has already been captured" if already else f"it has a status of {intent['status']}"
        message = (
            f"This PaymentIntent could not be captured because {state}. Only a PaymentIntent with one of the following "
            "statuses may be captured: requires_capture."
        )
        raise unexpected_state(message, shown(books, intent))
    wanted = params.get("amount_to_capture", intent["amount_capturable"])
    if wanted > intent["amount_capturable"]:
        # Capture a PaymentIntent: amount_to_capture must be less than or equal to the original amount
        raise invalid(
            f"The requested capture amount {wanted} is greater than the amount you can capture for this charge "
            f"({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if params.get("final_capture") is False:
        raise invalid("This PaymentIntent is not eligible for multicapture.", param="final_capture")
    check_descriptors(params, intent["payment_method_types"])
    charge = books.things[intent["latest_charge"]]
    intent["metadata"] |= params.get("metadata", {})
    charges.captured(books, charge, wanted, at_once=True)
    intent["status"], intent["amount_capturable"], intent["amount_received"] = "succeeded", 0, wanted
    books.emit("charge.captured", charge)
    books.emit("payment_intent.succeeded", intent)
    return intent


CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")


def cancel(books: Books, intent: Doc, reason: str | None) -> Doc:
    if books.known[intent["id"]].get("session") and intent["status"] != "requires_capture":
        # Cancel a PaymentIntent: one of a Checkout Session only in requires_capture; else expire the Session
        raise invalid(
            "You cannot cancel the PaymentIntent for a Checkout Session. Expire the Checkout Session instead."
        )
    if intent["status"] not in CANCELABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}, processing."
        )
        raise unexpected_state(message, shown(books, intent))
    if intent["status"] == "requires_capture":
        books.emit("charge.expired", books.things[intent["latest_charge"]])
    intent |= {"status": "canceled", "canceled_at": books.now(), "cancellation_reason": reason}
    intent |= {"amount_capturable": 0, "next_action": None}
    books.emit("payment_intent.canceled", intent)
    return intent


# ── what time brings ──────────────────────────────────────────────────────────────────────────────────────────────


def tick(books: Books) -> None:
    for intent in books.all("payment_intent"):
        kept = books.known[intent["id"]]
        if intent["status"] == "processing" and kept.get("settles_at", 0) <= books.now():
            acts: Card = books.known[intent["payment_method"]]["acts"]
            banks.settle(books, intent, failure=acts.code)
        if intent["status"] == "requires_capture" and kept["lapses_at"] <= books.now():
            # Changelog, 2025-03-31.basil: cancellation_reason expired for an authorization that lapsed
            cancel(books, intent, "expired")


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

_CLAUSE = re.compile(r"\s*(?:metadata\[(['\"])(?P<key>[^'\"]+)\1\]|(?P<field>status|currency|customer))"
                     r"\s*:\s*(['\"])(?P<value>[^'\"]*)\4\s*\Z")  # fmt: skip


def listed(books: Books, query: Doc) -> Doc:
    existing(books, query, ("customer",))
    docs = [doc for doc in books.all("payment_intent") if query.get("customer") in (None, doc["customer"])]
    return page(books, docs, query, "/v1/payment_intents", object_="payment_intent")


def search(books: Books, query: Doc) -> Doc:
    """Search: clauses joined by AND; new objects are found only later (data freshness), here after `search_lag_s`."""
    clauses = [_CLAUSE.match(part) for part in query["query"].split(" AND ")]
    if not all(clauses):
        raise unreadable("We were unable to parse your search query.", param="query")

    def fits(doc: Doc) -> bool:
        for clause in clauses:
            assert clause is not None
            got = doc["metadata"].get(clause["key"]) if clause["key"] else doc[clause["field"]]
            if got != clause["value"]:
                return False
        return doc["created"] <= books.now() - books.settings["search_lag_s"]

    found = [doc for doc in reversed(list(books.all("payment_intent"))) if fits(doc)]
    size = query.get("limit", 10)
    return {
        "object": "search_result",
        "data": [shown(books, doc) for doc in found[:size]],
        "has_more": len(found) > size,
        "next_page": None,
        "url": "/v1/payment_intents/search",
    }
