"""Disputes: opened and decided by the payer's bank, closed by us (API reference, Disputes; How disputes work)."""

from __future__ import annotations

from . import banks
from .books import Books
from .errors import Doc, invalid
from .expand import existing, page
from .forms import EXPAND, PAGE, Form, string

RESPONDS_S = 9 * 24 * 3600
FEE = 15_00
# The Dispute object, status
STATUS = "warning_needs_response warning_under_review warning_closed needs_response under_review won lost".split()
LIST = Form({**PAGE, "charge": string(), "payment_intent": string()})
CLOSE = Form({"expand": EXPAND})
_CLOSED = ("warning_closed", "won", "lost")


def open_dispute(books: Books, body: Doc) -> Doc:
    """In the simulated processor's words: `{"payment": "pi_…", "amount": 5000, "status": "lost", "withdraw": true}`."""
    intent = books.things[str(body["payment"])]
    charge = books.things[intent["latest_charge"]]
    status = str(body.get("status", "needs_response")).replace("inquiry", "warning_needs_response")
    bank = charge["payment_method_details"]["type"] == "us_bank_account"
    doc = books.add(
        {
            "id": books.id("du"),
            "object": "dispute",
            "amount": body.get("amount", charge["amount_captured"]),
            "balance_transactions": [],
            "charge": charge["id"],
            "created": books.now(),
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {
                "due_by": None if status in _CLOSED else books.now() + RESPONDS_S,
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": status.startswith("warning"),
            "livemode": False,
            "metadata": {},
            "network_reason_code": body.get("network_reason_code", "R10" if bank else "10.4"),
            "payment_intent": intent["id"],
            "payment_method_details": {"type": charge["payment_method_details"]["type"]},
            "reason": body.get("reason", "fraudulent"),
            "status": status,
        }
    )
    charge["disputed"] = True
    if bank:
        banks.disputed(books, intent)
    books.emit("charge.dispute.created", doc)
    if body.get("withdraw", not status.startswith("warning")):
        _line(books, doc, -doc["amount"], body.get("fee", FEE))
    if status in _CLOSED:
        books.emit("charge.dispute.closed", doc)
    return doc


# The Dispute object, reason: of a debit that its bank took back after it had succeeded
_REASONS = {
    **dict.fromkeys(("R01", "R09"), "insufficient_funds"),
    **dict.fromkeys(("R02", "R03", "R04"), "incorrect_account_details"),
    **dict.fromkeys(("R05", "R07", "R08", "R10", "R11", "R29"), "debit_not_authorized"),
    **dict.fromkeys(("R16", "R20"), "bank_cannot_process"),
}


def returned(books: Books, intent: Doc, code: str, *, tells_network: bool = True) -> Doc:
    """ACH Direct Debit, Failures and Disputed payments: what comes back after it succeeded is a dispute, and final."""
    body = {"payment": intent["id"], "status": "lost", "reason": _REASONS.get(code, "general")}
    return open_dispute(books, {**body, "network_reason_code": code if tells_network else None})


def change(books: Books, doc: Doc, body: Doc) -> Doc:
    """`{"status": "won", "reinstate": 5000, "fee_back": 1500}`, `{"withdraw": 5000}`."""
    status = {"inquiry_closed": "warning_closed"}.get(str(body.get("status")), body.get("status", doc["status"]))
    if status not in STATUS:
        raise invalid(f"status is one of {', '.join(STATUS)}")
    if status != doc["status"]:
        previous = {"status": doc["status"]}
        doc["status"] = status
        books.emit("charge.dispute.updated", doc, previous)
        if status in _CLOSED:
            books.emit("charge.dispute.closed", doc)
    if body.get("withdraw"):
        _line(books, doc, -body["withdraw"], body.get("fee", FEE))
    if body.get("reinstate"):
        _line(books, doc, body["reinstate"], -body.get("fee_back", 0))
    return doc


def _line(books: Books, doc: Doc, amount: int, fee: int) -> None:
    """The Dispute object, balance_transactions: funds withdrawn and reinstated, of type adjustment."""
    line = books.move("adjustment", amount, doc, doc["payment_intent"])
    line |= {"fee": fee, "net": amount - fee, "reporting_category": "dispute" if amount < 0 else "dispute_reversal"}
    books.movements[-1] |= {"fee": fee, "net": amount - fee}
    doc["balance_transactions"] = [*doc["balance_transactions"], dict(line)]
    books.emit(f"charge.dispute.funds_{'withdrawn' if amount < 0 else 'reinstated'}", doc)


def close(books: Books, doc: Doc) -> Doc:
    """Close a dispute: from needs_response to lost, irreversible."""
    if doc["status"] != "needs_response":
        raise invalid(f"This dispute is {doc['status']} and can't be closed.")
    return change(books, doc, {"status": "lost"})


def listed(books: Books, query: Doc) -> Doc:
    names = ("charge", "payment_intent")
    existing(books, query, names)
    docs = [doc for doc in books.all("dispute") if all(query.get(name) in (None, doc[name]) for name in names)]
    return page(books, docs, query, "/v1/disputes", object_="dispute")
