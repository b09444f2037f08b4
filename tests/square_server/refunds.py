"""Refunds (API reference, Refunds API; guide: Refund payments)."""

from __future__ import annotations

from . import payments
from .books import Books
from .cards import BEHAVIOURS
from .errors import Doc, invalid, no_refund
from .fields import KEY, money, obj, string

CREATE = obj(
    {
        "idempotency_key": KEY,
        "amount_money": money,
        "payment_id": string(192),
        "reason": string(192),
        "payment_version_token": string(),
    },
    ("idempotency_key", "amount_money", "payment_id"),
)
_YEAR = 365 * 24 * 3600
_MOST = 20
_GONE = ("FAILED", "REJECTED")


def of(books: Books, payment: str) -> list[Doc]:
    return [one for one in books.all("refund") if one["payment_id"] == payment]


def create(books: Books, body: Doc) -> Doc:
    payment = books.get("payment", body["payment_id"])
    amount, before = body["amount_money"]["amount"], of(books, payment["id"])
    if payment["status"] != "COMPLETED":
        # Refunds API: only payments with status COMPLETED; an APPROVED one can be canceled
        code = "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION" if payment["status"] == "APPROVED" else "PAYMENT_NOT_REFUNDABLE"
        raise no_refund(code, f"The payment is {payment['status']}.")
    if body["amount_money"]["currency"] != books.currency:
        raise invalid("CURRENCY_MISMATCH", "The currency is not that of the payment.", "amount_money.currency")
    if books.now() - books.known[payment["id"]]["at"] > _YEAR:
        # Refund payments: not more than 1 year ago
        raise no_refund("PAYMENT_NOT_REFUNDABLE", "The payment is too old to be refunded.")
    if any(one["status"] == "FAILED" for one in before):
        # Refunds API: after a FAILED refund, future refunds to this payment will not be allowed
        raise no_refund("PAYMENT_NOT_REFUNDABLE", "A refund of the payment has failed.")
    if len(before) >= _MOST:
        # Refund payments: 20 refunds per payment ID
        raise no_refund("PAYMENT_NOT_REFUNDABLE", "The payment has been refunded too often.")
    if books.settings["one_refund_at_a_time"] and any(one["status"] == "PENDING" for one in before):
        raise no_refund("REFUND_ALREADY_PENDING", "The payment already has a pending refund.")
    gone = sum(one["amount_money"]["amount"] for one in before if one["status"] not in _GONE)
    if amount > books.known[payment["id"]]["taken"] - gone:
        # Refunds API: you cannot refund more than what was originally collected
        raise no_refund("REFUND_AMOUNT_INVALID", "The amount exceeds what is available to refund.")
    does = BEHAVIOURS[books.known[payment["id"]]["behaviour"]]
    at = books.now()
    doc: Doc = {
        "id": f"{payment['id']}_{books.id('refund')}",
        "status": "PENDING",
        "location_id": payment["location_id"],
        "amount_money": dict(body["amount_money"]),
        "payment_id": payment["id"],
        "order_id": books.id("order"),  # Refund payments: the order that the refund creates, not the one that was paid
        **({"reason": body["reason"]} if body.get("reason") else {}),
        "created_at": books.time(at),
        "updated_at": books.time(at),
    }
    late = does.get("refund_fails_after_s")
    books.add("refund", doc, ends=does["refund"], due=at + does["refund_after_s"], fails=at + late if late else None)
    books.move("refund", -amount, payment["id"], doc["id"])
    _show(books, payment)
    books.emit("refund.created", "refund", doc)
    payments.changed(books, payment)
    return {"refund": dict(doc)}


def _show(books: Books, payment: Doc) -> None:
    """Refund payments: each refund reduces amount_money by what it gives back; refunded_money appears."""
    mine = of(books, payment["id"])
    back = sum(one["amount_money"]["amount"] for one in mine if one["status"] not in _GONE)
    taken = books.known[payment["id"]]["taken"]
    payment["refund_ids"] = [one["id"] for one in mine]
    payment["refunded_money"] = books.money(back)
    payment["amount_money"] = payment["total_money"] = books.money(taken - back)


def turn(books: Books, doc: Doc, status: str) -> None:
    doc["status"], doc["updated_at"] = status, books.time()
    payment = books.get("payment", doc["payment_id"])
    if status in _GONE:
        books.move("refund_failure", doc["amount_money"]["amount"], payment["id"], doc["id"])
    _show(books, payment)
    books.emit("refund.updated", "refund", doc)
    payments.changed(books, payment)


def tick(books: Books) -> None:
    for doc in books.all("refund"):
        known = books.known[doc["id"]]
        if doc["status"] == "PENDING" and known["due"] <= books.now():
            turn(books, doc, known["ends"])
        if doc["status"] == "COMPLETED" and known["fails"] is not None and known["fails"] <= books.now():
            turn(books, doc, "FAILED")
