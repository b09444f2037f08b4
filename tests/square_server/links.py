"""Payment links and the page behind one (API reference, Checkout API; guides: Square order checkout, Quick pay)."""

from __future__ import annotations

from . import orders, payments
from .books import Books
from .cards import BEHAVIOURS, number
from .errors import Doc, declined, invalid
from .fields import LONG_KEY, ORDER, boolean, money, obj, string, url

_PAY = ("apple_pay", "google_pay", "cash_app_pay", "afterpay_clearpay")
CREATE = obj(
    {
        "idempotency_key": LONG_KEY,
        "description": string(4096),
        "quick_pay": obj(
            {"name": string(255, 1), "price_money": money, "location_id": string(50, 1)},
            ("name", "price_money", "location_id"),
        ),
        "order": obj(ORDER, ("location_id",)),
        "checkout_options": obj(
            {
                "allow_tipping": boolean,
                "redirect_url": url,
                "ask_for_shipping_address": boolean,
                "accepted_payment_methods": obj(dict.fromkeys(_PAY, boolean)),
                "enable_coupon": boolean,
                "enable_loyalty": boolean,
            }
        ),
        "payment_note": string(500),
    }
)


def create(books: Books, body: Doc, base_url: str) -> Doc:
    quick, wish = body.get("quick_pay"), body.get("order")
    if (quick is None) == (wish is None):
        # CreatePaymentLink: either quick_pay or order
        raise invalid("BAD_REQUEST", "Exactly one of quick_pay and order is needed.")
    if quick is not None:
        item = {"name": quick["name"], "quantity": "1", "base_price_money": quick["price_money"]}
        wish = {"location_id": quick["location_id"], "line_items": [item]}
    # Square order checkout: the order that the link is for is a DRAFT until it is paid
    order = orders.new(books, wish or {}, state="DRAFT")
    id_ = books.id("link")
    doc: Doc = {
        "id": id_,
        "version": 1,
        "order_id": order["id"],
        "checkout_options": body.get("checkout_options") or {},
        "url": f"{base_url}/checkout/{id_}",
        "long_url": f"{base_url}/checkout/{id_}",
        "created_at": books.time(),
        **({"payment_note": body["payment_note"]} if body.get("payment_note") else {}),
    }
    books.add("link", doc)
    return {"payment_link": doc, "related_resources": {"orders": [order]}}


def delete(books: Books, id_: str) -> Doc:
    """DeletePaymentLink: the order that the link created becomes CANCELED."""
    doc = books.get("link", id_)
    order = books.get("order", doc["order_id"])
    if order["state"] != "DRAFT":
        raise invalid("BAD_REQUEST", f"The order is {order['state']}: its link can't be deleted.")
    orders.cancel(books, order)
    del books.things["link"][id_]
    return {"id": id_, "cancelled_order_id": order["id"]}


def pay(books: Books, id_: str, typed: str) -> Doc:
    """A payer types a card. Raises Refused: declined, no card, or no such page (any more)."""
    doc = books.get("link", id_)
    order = books.get("order", doc["order_id"])
    found = number(books, typed)
    if found is None:
        raise invalid("INVALID_CARD", "The card number is not valid.")
    card, behaviour = found
    amount = order["total_money"]["amount"]
    orders.payable(books, order["id"], amount, whole=True, by_page=True)
    more = {"note": doc["payment_note"]} if "payment_note" in doc else {}
    payment = payments.new(books, order, amount, card, behaviour, more=more)
    if code := BEHAVIOURS[behaviour]["declines"]:
        payments.failed(books, payment, code)
        raise declined(code, payment)
    books.emit("payment.created", "payment", payment)
    return payments.completed(books, payment)
