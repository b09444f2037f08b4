"""Orders (API reference, Orders API; guides: Orders API, Pay for orders, Update orders)."""

from __future__ import annotations

from typing import Any

from . import payments
from .books import LOCATION, Books
from .errors import Doc, Refused, invalid, missing
from .fields import LONG_KEY, ORDER, array, integer, obj, one_of, string

CREATE = obj({"idempotency_key": LONG_KEY, "order": obj(ORDER, ("location_id",))}, ("order",))
PAY = obj(
    {"idempotency_key": LONG_KEY, "order_version": integer, "payment_ids": array(string(192, 1))}, ("idempotency_key",)
)
# UpdateOrder: a sparse order; of its fields only the state is modelled
UPDATE = obj(
    {
        "idempotency_key": LONG_KEY,
        "order": obj(
            {"location_id": string(50), "version": integer, "state": one_of("OPEN", "COMPLETED", "CANCELED")},
            ("version",),
        ),
    },
    ("order",),
)


def new(books: Books, wish: Doc, *, state: str = "OPEN") -> Doc:
    """Raises Refused for another location or currency, and for an order without a price."""
    if wish["location_id"] != LOCATION:
        raise missing("location", wish["location_id"])
    items = []
    for number, item in enumerate(wish.get("line_items") or []):
        price = item.get("base_price_money")
        if price is None:
            # OrderLineItem: base_price_money is needed for an ad hoc item
            raise invalid("MISSING_REQUIRED_PARAMETER", "An ad hoc item needs a price.", f"order.line_items[{number}]")
        if price["currency"] != books.currency:
            raise invalid("INVALID_VALUE", "The currency is not that of the location.", "order.line_items")
        if not item["quantity"].isdigit():
            raise invalid("INVALID_VALUE", "A quantity is a number.", f"order.line_items[{number}].quantity")
        total = books.money(price["amount"] * int(item["quantity"]))
        items.append({"uid": books.id("item"), "item_type": "ITEM", **item, "total_money": total})
    if not items:
        raise invalid("BAD_REQUEST", "This look-alike models orders with line items only.", "order.line_items")
    at = books.time()
    doc: Doc = {
        "id": books.id("order"),
        **{name: wish[name] for name in ("location_id", "reference_id", "customer_id") if wish.get(name)},
        "line_items": items,
        "created_at": at,
        "updated_at": at,
        "state": state,
        "version": 1,
        "total_money": books.money(sum(item["total_money"]["amount"] for item in items)),
    }
    return touched(books, books.add("order", doc))


def create(books: Books, body: Doc) -> Doc:
    doc = new(books, body["order"])
    _tell(books, "order.created", doc)
    return {"order": doc}


def _tell(books: Books, type_: str, doc: Doc) -> None:
    """API reference, order.created and order.updated: the event names the order, its state and version, no more."""
    kind = type_.replace(".", "_")
    brief = {name: doc[name] for name in ("location_id", "state", "version", "created_at")}
    books.emit(type_, kind, {"id": doc["id"], "order_id": doc["id"], **brief})


def touched(books: Books, doc: Doc) -> Doc:
    """Its tenders as its payments are now; COMPLETED once they pay for it (guide: Pay for orders)."""
    mine = [one for one in books.all("payment") if one["order_id"] == doc["id"] and one["status"] != "FAILED"]
    tenders = [_tender(one) for one in mine if one["status"] != "CANCELED"]
    paid = sum(books.known[one["id"]]["taken"] for one in mine if one["status"] == "COMPLETED")
    was = {name: doc.get(name) for name in ("tenders", "state")}
    doc["net_amount_due_money"] = books.money(max(0, doc["total_money"]["amount"] - paid))
    if tenders:
        doc["tenders"] = tenders
    else:
        doc.pop("tenders", None)
    if paid >= doc["total_money"]["amount"]:
        doc["state"], doc["closed_at"] = "COMPLETED", doc.get("closed_at") or books.time()
    if was != {name: doc.get(name) for name in ("tenders", "state")}:
        doc["version"], doc["updated_at"] = doc["version"] + 1, books.time()
        _tell(books, "order.updated", doc)
    return doc


def _tender(payment: Doc) -> Doc:
    """API reference, Tender: its id is that of the payment; card_details.status AUTHORIZED or CAPTURED."""
    return {
        "id": payment["id"],
        "location_id": payment["location_id"],
        "transaction_id": payment["order_id"],
        "created_at": payment["created_at"],
        "amount_money": dict(payment["approved_money"]),
        "type": "CARD",
        "card_details": {
            "status": payment["card_details"]["status"],
            "card": dict(payment["card_details"]["card"]),
            "entry_method": payment["card_details"]["entry_method"],
        },
        "payment_id": payment["id"],
    }


def update(books: Books, body: Doc, id_: str) -> Doc:
    doc, wish = books.get("order", id_), body["order"]
    if doc["state"] in ("COMPLETED", "CANCELED"):
        # UpdateOrder: orders with a COMPLETED or CANCELED state cannot be updated
        raise invalid("BAD_REQUEST", f"Order in state {doc['state']} cannot be updated.")
    if wish["version"] != doc["version"]:
        # UpdateOrder: the latest version of the order is required (optimistic concurrency)
        raise invalid("VERSION_MISMATCH", "The order was updated meanwhile.", "order.version", status=409)
    if wish.get("state") == "COMPLETED":
        raise invalid("BAD_REQUEST", "An order that is not paid can't be completed.")
    if wish.get("state") == "CANCELED":
        if doc.get("tenders"):
            raise invalid("BAD_REQUEST", "An order with a payment can't be canceled.")
        cancel(books, doc)
    return {"order": doc}


def cancel(books: Books, doc: Doc) -> None:
    doc["state"], doc["version"], doc["updated_at"] = "CANCELED", doc["version"] + 1, books.time()
    _tell(books, "order.updated", doc)


def pay(books: Books, body: Doc, id_: str) -> Doc:
    """PayOrder: completes the approved payments named, whose sum is the order's total, and cancels the others."""
    doc = books.get("order", id_)
    if doc["state"] != "OPEN":
        raise _closed(doc)
    if body.get("order_version") not in (None, doc["version"]):
        raise invalid("VERSION_MISMATCH", "The order was updated meanwhile.", "order_version", status=409)
    named = [books.get("payment", one) for one in body.get("payment_ids") or []]
    for one in named:
        if one["order_id"] != id_ or one["status"] != "APPROVED":
            raise (
                payments.not_open(books, one)
                if one["order_id"] == id_
                else invalid("BAD_REQUEST", "The payment does not reference this order.", "payment_ids")
            )
    if sum(one["approved_money"]["amount"] for one in named) != doc["total_money"]["amount"]:
        raise invalid("PAYMENT_AMOUNT_MISMATCH", "The payment total does not match the order total.", "payment_ids")
    others = [one for one in books.all("payment") if one["order_id"] == id_ and one["status"] == "APPROVED"]
    for one in others:
        if one in named:
            payments.completed(books, one)
        else:
            payments.canceled(books, one)
    return {"order": doc}


def _closed(doc: Doc) -> Refused:
    return invalid("BAD_REQUEST", f"The order is {doc['state']}: it can't be paid.", "order_id")


def payable(books: Books, id_: str, amount: int, *, whole: bool, by_page: bool = False) -> Doc:
    """The order that a payment names, while it may be paid. Raises Refused."""
    doc: Any = books.find("order", id_)
    if doc is None:
        raise invalid("NOT_FOUND", f"Order {id_} was not found.", "order_id", status=404)
    if doc["state"] != ("DRAFT" if by_page else "OPEN"):
        raise _closed(doc)
    total = doc["total_money"]["amount"]
    if amount != total if whole else amount > total:
        # Pay for orders: the payment amount must match the order total
        raise invalid("BAD_REQUEST", "The payment total does not match the order total.", "amount_money")
    return doc
