"""Refunds: create, and what becomes of them later (API reference, Refunds; Refund and cancel payments)."""

from __future__ import annotations

from .books import Books
from .cards import Card
from .errors import Doc, invalid, unreadable
from .expand import existing, page
from .forms import EXPAND, PAGE, Form, amount, metadata, one_of, string

LATER_S = 2 * 24 * 3600  # Testing, Refunds: "some time later"

# API reference, Create a refund
CREATE = Form(
    {
        "amount": amount,
        "charge": string(),
        "expand": EXPAND,
        "metadata": metadata,
        "payment_intent": string(),
        "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    },
    (),
    frozenset("currency customer instructions_email origin refund_application_fee reverse_transfer".split()),
)
LIST = Form({**PAGE, "charge": string(), "payment_intent": string()})


def create(books: Books, params: Doc) -> Doc:
    charge = _charge(books, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        # Error codes: charge_already_refunded
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    wanted = params.get("amount", left)
    if wanted > left:
        # Create a refund: an error is raised when refunding more money than is left on a charge
        code = charge["currency"].upper()
        message = f"Refund amount ({wanted} {code}) is greater than unrefunded amount on charge ({left} {code})"
        raise invalid(message, param="amount")
    acts: Card = books.known[charge["id"]]["acts"]
    doc = books.add(
        {
            "id": books.id("pyr" if charge["id"].startswith("py_") else "re"),
            "object": "refund",
            "amount": wanted,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": books.now(),
            "currency": charge["currency"],
            "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
            "metadata": params.get("metadata", {}),
            "payment_intent": charge["payment_intent"],
            "pending_reason": "processing" if acts.refund == "pend" else None,
            "reason": params.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "pending" if acts.refund == "pend" else "succeeded",
            "transfer_reversal": None,
        }
    )
    # Testing, Refunds: one card's refunds are pending first, another's succeed first and fail later
    if acts.refund != "succeed":
        books.known[doc["id"]]["turns"] = ("succeeded" if acts.refund == "pend" else "failed", books.now() + LATER_S)
    movement = books.move("refund", -wanted, doc, charge["payment_intent"])
    doc["balance_transaction"] = movement["id"]
    charge["amount_refunded"] += wanted
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    books.emit("refund.created", doc)
    books.emit("charge.refunded", charge)
    return doc


def _charge(books: Books, params: Doc) -> Doc:
    given = [key for key in ("charge", "payment_intent") if key in params]
    if not given:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise unreadable(message, code="parameter_missing", param="payment_intent")
    if "charge" in params:
        charge = books.get("charge", params["charge"], param="charge")
        if params.get("payment_intent") not in (None, charge["payment_intent"]):
            raise invalid("The charge does not belong to this PaymentIntent.", param="payment_intent")
    else:
        intent = books.get("payment_intent", params["payment_intent"], param="payment_intent")
        found = books.find("charge", intent["latest_charge"])
        if found is None or found["status"] == "failed":
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge = found
    if charge["status"] != "succeeded" or not charge["captured"]:
        # Refund and cancel payments: a payment that is not complete is canceled, not refunded
        raise invalid(f"Charge {charge['id']} has not been captured and can't be refunded; cancel its PaymentIntent.")
    return charge


def turn(books: Books, doc: Doc, status: str) -> None:
    """Refund and cancel payments, Failed refunds: the money comes back to the balance."""
    if doc["status"] in ("failed", "canceled") or (doc["status"] == "succeeded" and status != "failed"):
        raise invalid(f"This refund is {doc['status']}.")
    previous = {"status": doc["status"]}
    doc |= {"status": status, "pending_reason": None}
    books.known[doc["id"]].pop("turns", None)
    if status == "failed":
        charge = books.things[doc["charge"]]
        charge["amount_refunded"] -= doc["amount"]
        charge["refunded"] = False
        doc["failure_reason"] = "expired_or_canceled_card"
        movement = books.move("refund_failure", doc["amount"], doc, doc["payment_intent"])
        doc["failure_balance_transaction"] = movement["id"]
        books.emit("refund.failed", doc)
    books.emit("refund.updated", doc, previous)
    books.emit("charge.refund.updated", doc, previous)


def tick(books: Books) -> None:
    for doc in books.all("refund"):
        status, at = books.known[doc["id"]].get("turns", ("", 0))
        if status and at <= books.now():
            turn(books, doc, status)


def listed(books: Books, query: Doc) -> Doc:
    names = ("charge", "payment_intent")
    existing(books, query, names)
    docs = [doc for doc in books.all("refund") if all(query.get(name) in (None, doc[name]) for name in names)]
    return page(books, docs, query, "/v1/refunds", object_="refund")
