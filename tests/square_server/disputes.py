"""Disputes: opened and decided by the payer's bank, accepted by us (API reference and guide, Disputes API)."""

from __future__ import annotations

from typing import Any

from .books import Books
from .errors import Doc, invalid
from .fields import obj
from .listing import listed

# The Dispute object, DisputeState, and what the simulated processor calls each
STATES = {
    "inquiry": "INQUIRY_EVIDENCE_REQUIRED",
    "inquiry_closed": "INQUIRY_CLOSED",
    "needs_response": "EVIDENCE_REQUIRED",
    "under_review": "PROCESSING",
    "won": "WON",
    "lost": "LOST",
    "accepted": "ACCEPTED",
}
ACCEPT = obj({})
LIST = ("cursor", "states", "location_id")
RESPONDS_S = 12 * 24 * 3600
_WITHHELD = ("EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED")


def open_dispute(books: Books, body: dict[str, Any]) -> Doc:
    """In the simulated processor's words: `{"payment": id of a payment or its order, "status": "inquiry"}`."""
    named = str(body["payment"])
    payment = next(one for one in books.all("payment") if named in (one["id"], one["order_id"]))
    at = books.now()
    doc: Doc = {
        "id": books.id("dispute"),
        "amount_money": books.money(body.get("amount", books.known[payment["id"]]["taken"])),
        "reason": body.get("reason", "NO_KNOWLEDGE"),
        "state": STATES[body.get("status", "needs_response")],
        "due_at": books.time(at + RESPONDS_S),
        "disputed_payment": {"payment_id": payment["id"]},
        "card_brand": "VISA",
        "created_at": books.time(at),
        "updated_at": books.time(at),
        "reported_at": books.time(at),
        "brand_dispute_id": books.id("brand"),
        "version": 1,
        "location_id": payment["location_id"],
    }
    doc["dispute_id"] = doc["id"]
    books.add("dispute", doc, withheld=0)
    _hold(books, doc)
    books.emit("dispute.created", "dispute", doc)
    return doc


def change(books: Books, doc: Doc, body: dict[str, Any]) -> Doc:
    """`{"status": "won"}`: the bank decides, or the seller has sent evidence."""
    state = STATES[body["status"]]
    if state != doc["state"]:
        doc |= {"state": state, "updated_at": books.time(), "version": doc["version"] + 1}
        _hold(books, doc)
        books.emit("dispute.state.updated", "dispute", doc)
    return doc


def _hold(books: Books, doc: Doc) -> None:
    """How the dispute process works: withheld from the notification on, given back if it is won."""
    known = books.known[doc["id"]]
    wanted = doc["amount_money"]["amount"] if doc["state"] in _WITHHELD else 0
    if more := wanted - known["withheld"]:
        type_ = "dispute_withheld" if more > 0 else "dispute_released"
        books.move(type_, -more, doc["disputed_payment"]["payment_id"], doc["id"])
        known["withheld"] = wanted


def accept(books: Books, body: Doc, id_: str) -> Doc:
    """Process disputes: the amount goes back to the cardholder, the state becomes ACCEPTED, the dispute is closed."""
    doc = books.get("dispute", id_)
    if doc["state"] not in ("EVIDENCE_REQUIRED", "INQUIRY_EVIDENCE_REQUIRED"):
        raise invalid("BAD_REQUEST", f"The dispute is {doc['state']} and can't be accepted.")
    return {"dispute": change(books, doc, {"status": "accepted"})}


def listing(books: Books, params: Doc) -> Doc:
    """API reference, ListDisputes: by states and location."""
    wanted = params.get("states", "")
    if wanted and wanted not in STATES.values():
        raise invalid("INVALID_ENUM_VALUE", f"`{wanted}` is not a valid enum value.", "states")
    return listed(books, "dispute", "disputes", params, LIST, fits=lambda one: not wanted or one["state"] == wanted)
