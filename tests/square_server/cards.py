"""Cards, customers and what a card does (API reference, Cards API, Customers API; guide: Sandbox payments)."""

from __future__ import annotations

from .books import MERCHANT, Books
from .errors import Doc, invalid, missing
from .fields import KEY, integer, obj, string

CREATE = obj(
    {
        "idempotency_key": KEY,
        "source_id": string(16384, 1),
        "verification_token": string(),
        "card": obj(
            {
                "customer_id": string(191, 1),
                "reference_id": string(128),
                "cardholder_name": string(96),
                "exp_month": integer,
                "exp_year": integer,
            },
            ("customer_id",),
        ),
    },
    ("idempotency_key", "source_id", "card"),
)
_NAMES = ("given_name", "family_name", "company_name", "email_address", "phone_number")
CUSTOMER = obj(
    {"idempotency_key": string(191), "reference_id": string(100), **dict.fromkeys(_NAMES, string(500))},
)
CUSTOMER_ID = "VDKXEEKPJN48QDG3BGGFAK05P8"
_USUAL: Doc = {"declines": "", "refund": "COMPLETED", "refund_after_s": 0}
# What a card does: `declines` with this code; its refunds end so, after so long.
BEHAVIOURS: dict[str, Doc] = {
    "ok": _USUAL,
    "declined": {**_USUAL, "declines": "GENERIC_DECLINE"},
    "insufficient-funds": {**_USUAL, "declines": "INSUFFICIENT_FUNDS"},
    "expired": {**_USUAL, "declines": "CARD_EXPIRED"},
    "requires-verification": {**_USUAL, "declines": "CARD_DECLINED_VERIFICATION_REQUIRED"},
    "refund-slow": {**_USUAL, "refund_after_s": 24 * 3600},
    "refund-fails": {**_USUAL, "refund": "FAILED", "refund_after_s": 24 * 3600},
    "refund-rejected": {**_USUAL, "refund": "REJECTED", "refund_after_s": 24 * 3600},
    "refund-fails-late": {**_USUAL, "refund_fails_after_s": 48 * 3600},
}
# Sandbox payments: payment tokens, and the number that the hosted page declines.
_NONCES = {
    "cnon:card-nonce-ok": "ok",
    "cnon:card-nonce-declined": "declined",
    "cnon:card-nonce-requires-verification": "requires-verification",
}
NUMBERS = {"4111111111111111": "ok", "4000000000000002": "declined"}
_CARD = {
    "card_brand": "VISA",
    "last_4": "1111",
    "exp_month": 11,
    "exp_year": 2031,
    "fingerprint": "sq-1-lookalike",
    "card_type": "CREDIT",
    "prepaid_type": "NOT_PREPAID",
    "bin": "411111",
}


def seed(books: Books) -> None:
    """A customer with a card for each behaviour, by the names that the sandbox uses."""
    books.add("customer", {"id": CUSTOMER_ID, "given_name": "Amelia", "created_at": books.time()})
    for name in BEHAVIOURS:
        books.add("card", _on_file(f"ccof:customer-card-id-{name}", CUSTOMER_ID), behaviour=name)


def _on_file(id_: str, customer: str, **more: object) -> Doc:
    return {"id": id_, **_CARD, "customer_id": customer, "merchant_id": MERCHANT, "enabled": True, "version": 1, **more}


def shown(card: Doc) -> Doc:
    """Of a card on file too, a payment names the card but not its id (CreatePayment, example)."""
    return {name: card[name] for name in _CARD}


def source(books: Books, id_: str, customer: object) -> tuple[Doc, str]:
    """The card that a payment is taken from, and what it does. Raises Refused."""
    if id_ in _NONCES:
        return dict(_CARD), _NONCES[id_]
    if not id_.startswith("ccof:"):
        raise invalid("NOT_FOUND", "Card nonce not found", "source_id", status=404)
    card = books.find("card", id_)
    if card is None:
        raise invalid("NOT_FOUND", "Card not found", "source_id", status=404)
    if not customer:
        # CreatePayment: customer_id is required if the source_id refers to a card on file
        raise invalid("MISSING_REQUIRED_PARAMETER", "customer_id is required for a card on file.", "customer_id")
    if customer != card["customer_id"]:
        raise invalid("INVALID_VALUE", "The card is not this customer's.", "customer_id")
    if not card["enabled"]:
        raise invalid("INVALID_CARD", "The card is disabled.", "source_id")
    return card, books.known[id_]["behaviour"]


def number(books: Books, typed: str) -> tuple[Doc, str] | None:
    """A card typed on the hosted page."""
    behaviour = NUMBERS.get(typed.replace(" ", ""))
    return ({**_CARD, "last_4": typed[-4:]}, behaviour) if behaviour else None


def create(books: Books, body: Doc) -> Doc:
    wish = body["card"]
    if books.find("customer", wish["customer_id"]) is None:
        raise invalid("CUSTOMER_NOT_FOUND", "Customer not found.", "card.customer_id")
    if payment := books.find("payment", body["source_id"]):
        # CreateCard: the source is a card nonce or a payment id
        if payment["status"] not in ("APPROVED", "COMPLETED"):
            raise invalid("INVALID_CARD_DATA", "The payment did not succeed.", "source_id")
        behaviour = books.known[payment["id"]]["behaviour"]
    elif body["source_id"] in _NONCES:
        behaviour = _NONCES[body["source_id"]]
    else:
        raise invalid("SOURCE_EXPIRED", "The provided source id has expired.", "source_id")
    more = {name: wish[name] for name in ("reference_id", "cardholder_name") if wish.get(name)}
    card = books.add("card", _on_file(f"ccof:{books.id('card')}", wish["customer_id"], **more), behaviour=behaviour)
    books.emit("card.created", "card", card)
    return {"card": card}


def disable(books: Books, body: Doc, id_: str) -> Doc:
    card = books.get("card", id_)
    card["enabled"], card["version"] = False, card["version"] + 1
    books.emit("card.disabled", "card", card)
    return {"card": card}


def customer(books: Books, body: Doc) -> Doc:
    if not any(body.get(name) for name in _NAMES):
        # CreateCustomer: at least one of given_name, family_name, company_name, email_address, phone_number
        raise invalid("BAD_REQUEST", "At least one of the names, the e-mail or the phone number is needed.")
    wish = {name: value for name, value in body.items() if name != "idempotency_key"}
    doc = {"id": books.id("customer"), **wish, "created_at": books.time()}
    return {"customer": books.add("customer", doc)}


def read_card(books: Books, id_: str) -> Doc:
    card = books.find("card", id_)
    if card is None:
        raise missing("card", id_)
    return {"card": card}
