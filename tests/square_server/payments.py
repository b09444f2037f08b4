"""Payments (API reference, Payments API; guides: Take payments, Delayed capture, Pay for orders)."""

from __future__ import annotations

from typing import Any

from . import orders
from .books import LOCATION, Books
from .cards import BEHAVIOURS, shown, source
from .errors import Doc, Refused, declined, invalid, missing
from .fields import KEY, boolean, money, obj, one_of, seconds, string

CREATE = obj(
    {
        "source_id": string(16384, 1),
        "idempotency_key": KEY,
        "amount_money": money,
        "delay_duration": string(50),
        "delay_action": one_of("CANCEL", "COMPLETE"),
        "autocomplete": boolean,
        "order_id": string(192),
        "customer_id": string(191),
        "location_id": string(50),
        "reference_id": string(40),
        "verification_token": string(),
        "accept_partial_authorization": boolean,
        "customer_details": obj({"customer_initiated": boolean, "seller_keyed_in": boolean}),
        "note": string(500),
        "statement_description_identifier": string(20),
    },
    ("source_id", "idempotency_key", "amount_money"),
)
COMPLETE = obj({"version_token": string()})
CANCEL_BY_KEY = obj({"idempotency_key": KEY}, ("idempotency_key",))
WEEK = 7 * 24 * 3600


def create(books: Books, body: Doc) -> Doc:
    delay_s = _delay(body)
    amount = _amount(books, body)
    auto = body.get("autocomplete") in (None, True)
    card, behaviour = source(books, body["source_id"], body.get("customer_id"))
    order = None
    if body.get("order_id"):
        if body.get("delay_action") == "COMPLETE":
            # Delayed capture: COMPLETE is invalid if an order_id is provided
            raise invalid("BAD_REQUEST", "COMPLETE is invalid if an order_id is provided", "delay_action")
        order = orders.payable(books, body["order_id"], amount, whole=auto)
    else:
        # Payments API: when no order is named, Square creates one
        item = {"quantity": "1", "base_price_money": books.money(amount)}
        order = orders.new(books, {"location_id": LOCATION, "line_items": [item]})
    more = {name: body[name] for name in ("reference_id", "note", "customer_id") if body.get(name)}
    doc = new(books, order, amount, card, behaviour, delay_s=delay_s, more=more)
    books.known[doc["id"]]["key"] = body["idempotency_key"]
    if code := BEHAVIOURS[behaviour]["declines"]:
        failed(books, doc, code)
        raise declined(code, doc)
    orders.touched(books, order)
    books.emit("payment.created", "payment", doc)
    if auto:
        completed(books, doc)
    return {"payment": doc}


def _delay(body: Doc) -> int:
    """Delayed capture, Time threshold: between a minute and seven days, for what is not completed at once."""
    if not body.get("delay_duration"):
        return WEEK
    if body.get("autocomplete") is not False:
        raise invalid("BAD_REQUEST", "delay_duration needs autocomplete to be false.", "delay_duration")
    found = seconds(body["delay_duration"], "delay_duration")
    if not 60 <= found <= WEEK:
        raise invalid("INVALID_VALUE", "The delay is from a minute to seven days.", "delay_duration")
    return found


def _amount(books: Books, body: Doc) -> int:
    if body["amount_money"]["currency"] != books.currency:
        # CreatePayment: the currency code must match the currency associated with the business
        raise invalid("INVALID_VALUE", "The currency is not that of the business.", "amount_money.currency")
    if body.get("location_id") not in (None, LOCATION):
        raise missing("location", body["location_id"])
    if body.get("accept_partial_authorization") and body.get("autocomplete") is not False:
        # CreatePayment: cannot be true when autocomplete is
        raise invalid("BAD_REQUEST", "It can't be true when autocomplete is.", "accept_partial_authorization")
    return body["amount_money"]["amount"]


def new(
    books: Books, order: Doc, amount: int, card: Doc, behaviour: str, *, delay_s: int = WEEK, more: Doc | None = None
) -> Doc:
    at = books.now()
    doc: Doc = {
        "id": books.id("payment"),
        "created_at": books.time(at),
        "updated_at": books.time(at),
        "amount_money": books.money(amount),
        "total_money": books.money(amount),
        "approved_money": books.money(amount),
        "status": "APPROVED",
        "delay_duration": f"PT{delay_s // 3600}H" if delay_s % 3600 == 0 else f"PT{delay_s}S",
        "delay_action": "CANCEL",
        "delayed_until": books.time(at + delay_s),
        "source_type": "CARD",
        "card_details": {
            "status": "AUTHORIZED",
            "card": shown(card),
            "entry_method": "ON_FILE" if card.get("id") else "KEYED",
            "cvv_status": "CVV_ACCEPTED",
            "avs_status": "AVS_ACCEPTED",
            "auth_result_code": "vNEn2f",
            "statement_description": "SQ *MAIN STREET",
            "card_payment_timeline": {"authorized_at": books.time(at)},
        },
        "location_id": order["location_id"],
        "order_id": order["id"],
        **(more or {}),
        "version_token": books.id("version"),
    }
    return books.add("payment", doc, taken=0, until=at + delay_s, behaviour=behaviour, refunds=0)


def failed(books: Books, doc: Doc, code: str) -> None:
    """Payment: FAILED, with `card_details.errors`; it is listed, and no tender of its order."""
    doc["status"] = doc["card_details"]["status"] = "FAILED"
    error = {"category": "PAYMENT_METHOD_ERROR", "code": code, "detail": f"Authorization error: '{code}'"}
    doc["card_details"]["errors"] = [error]
    doc.pop("approved_money")
    books.emit("payment.updated", "payment", doc)


def completed(books: Books, doc: Doc) -> Doc:
    amount = doc["approved_money"]["amount"]
    doc["status"], doc["card_details"]["status"] = "COMPLETED", "CAPTURED"
    doc["card_details"]["card_payment_timeline"]["captured_at"] = books.time()
    doc["receipt_number"] = doc["id"][:4]
    books.known[doc["id"]]["taken"] = amount
    books.move("payment", amount, doc["id"], doc["id"])
    return changed(books, doc)


def canceled(books: Books, doc: Doc, at: float | None = None) -> Doc:
    doc["status"], doc["card_details"]["status"] = "CANCELED", "VOIDED"
    doc["card_details"]["card_payment_timeline"]["voided_at"] = books.time(at)
    return changed(books, doc, at)


def changed(books: Books, doc: Doc, at: float | None = None) -> Doc:
    doc["updated_at"], doc["version_token"] = books.time(at), books.id("version")
    order: Any = books.find("order", doc["order_id"])
    orders.touched(books, order)
    books.emit("payment.updated", "payment", doc)
    return doc


def not_open(books: Books, doc: Doc) -> Refused:
    """API reference, ErrorCode DELAYED_TRANSACTION_…: what a payment that is not APPROVED any more is."""
    expired = doc["status"] == "CANCELED" and books.known[doc["id"]].get("expired")
    name = "EXPIRED" if expired else {"COMPLETED": "CAPTURED"}.get(doc["status"], doc["status"])
    return invalid(f"DELAYED_TRANSACTION_{name}", f"The payment is {doc['status']}.")


def complete(books: Books, body: Doc, id_: str) -> Doc:
    doc = books.get("payment", id_)
    if doc["status"] != "APPROVED":
        raise not_open(books, doc)
    if body.get("version_token") not in (None, doc["version_token"]):
        # CompletePayment: if the server has a different version, the update fails
        raise invalid("VERSION_MISMATCH", "The payment was updated meanwhile.", "version_token", status=409)
    order = books.get("order", doc["order_id"])
    if order["total_money"]["amount"] != doc["approved_money"]["amount"]:
        raise invalid("BAD_REQUEST", "The payment total does not match the order total: use PayOrder.")
    return {"payment": completed(books, doc)}


def cancel(books: Books, body: Doc, id_: str) -> Doc:
    doc = books.get("payment", id_)
    if doc["status"] != "APPROVED":
        raise not_open(books, doc)
    return {"payment": canceled(books, doc)}


def cancel_by_key(books: Books, body: Doc) -> Doc:
    """CancelPaymentByIdempotencyKey: if no payment with the key is found, no action is taken and it succeeds."""
    for doc in books.all("payment"):
        if books.known[doc["id"]].get("key") == body["idempotency_key"] and doc["status"] != "FAILED":
            if doc["status"] != "APPROVED":
                raise not_open(books, doc)
            canceled(books, doc)
    return {}


def tick(books: Books) -> None:
    """Delayed capture: what is neither completed nor canceled in time is canceled by Square."""
    for doc in books.all("payment"):
        known = books.known[doc["id"]]
        if doc["status"] == "APPROVED" and known["until"] <= books.now():
            known["expired"] = True
            canceled(books, doc, max(known["until"], books.now()))
