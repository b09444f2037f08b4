"""Payouts and the balance, line by line (API reference, Payouts, Balance transactions; guide Payout reconciliation).

An automatic payout takes every balance transaction that none has taken; its own is listed with them. A manual one is
not itemised. A payout that fails puts its amount back as `payout_failure`, also after it was `paid`.
"""

from __future__ import annotations

from .books import Books
from .errors import Doc, invalid
from .expand import existing, page
from .forms import EXPAND, PAGE, Form, currency, one_of, string

# The Payout object, status
STATUS = ("pending", "in_transit", "paid", "failed", "canceled")
LIST = Form({**PAGE, "destination": string(), "status": one_of(*STATUS)}, (), frozenset({"arrival_date"}))
LINES = Form({**PAGE, "currency": currency, "payout": string(), "source": string(), "type": string()})
RETRIEVE = Form({"expand": EXPAND})
_DAY_S = 24 * 3600
_REASONS = {"fee": "fee", "reserve_transaction": "risk_reserved_funds", "adjustment": "other_adjustment"}


def pay_out(books: Books, body: Doc) -> Doc:
    """In the simulated processor's words: `{"status": "in_transit"}`; with `amount`: a manual one."""
    code = str(body.get("currency", "USD")).lower()
    untaken = [one for one in books.all("balance_transaction") if "payout" not in books.known[one["id"]]]
    lines = [] if "amount" in body else [one for one in untaken if one["currency"] == code]
    doc = books.add(
        {
            "id": books.id("po"),
            "object": "payout",
            "amount": body.get("amount", sum(one["net"] for one in lines)),
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": books.now() + 2 * _DAY_S,
            "automatic": "amount" not in body,
            "balance_transaction": None,
            "created": books.now(),
            "currency": code,
            "description": "STRIPE PAYOUT",
            "destination": "ba_lookalike",
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": {},
            "method": "standard",
            "original_payout": None,
            "reconciliation_status": "completed" if "amount" not in body else "not_applicable",
            "reversed_by": None,
            "source_type": "card",
            "statement_descriptor": None,
            "status": "pending",
            "trace_id": None,
            "type": "bank_account",
        }
    )
    own = books.move("payout", -doc["amount"], doc, "")
    doc["balance_transaction"] = own["id"]
    for one in (*lines, own):
        books.known[one["id"]]["payout"] = doc["id"]
    return change(books, doc, {"status": body.get("status", "in_transit")})


def change(books: Books, doc: Doc, body: Doc) -> Doc:
    """The Payout object, status: some that fail first show as paid."""
    status = body["status"]
    if status not in STATUS or doc["status"] in ("failed", "canceled"):
        raise invalid(f"This payout is {doc['status']} and can't become {status}.")
    doc["status"] = status
    if status in ("failed", "canceled"):
        back = books.move("payout_failure" if status == "failed" else "payout_cancel", doc["amount"], doc, "")
        doc["failure_balance_transaction"] = back["id"]
        doc["failure_code"] = "account_closed" if status == "failed" else None
    return doc


def line(books: Books, body: Doc) -> Doc:
    """What no payment tells of: `{"type": "fee", "amount": 900}`, also reserve_held, reserve_released, adjustment."""
    types = {
        "fee": ("stripe_fee", -1),
        "reserve_held": ("reserve_transaction", -1),
        "reserve_released": ("reserve_transaction", 1),
        "adjustment": ("adjustment", 1),
    }
    type_, sign = types[str(body["type"])]
    about = {"id": None, "currency": str(body.get("currency", "USD")).lower()}
    made = books.move(type_, sign * body["amount"], about, "")
    made["reporting_category"] = _REASONS.get("fee" if type_ == "stripe_fee" else type_, "other_adjustment")
    return made


def listed(books: Books, query: Doc) -> Doc:
    docs = [doc for doc in books.all("payout") if query.get("status") in (None, doc["status"])]
    return page(books, docs, query, "/v1/payouts", object_="payout")


def balance(books: Books) -> Doc:
    """The balance object: of the account's own payments, nothing of a platform's."""
    parts: dict[str, dict[str, int]] = {"pending": {}, "available": {}}
    for one in books.all("balance_transaction"):
        part = parts["pending" if one["available_on"] > books.now() else "available"]
        part[one["currency"]] = part.get(one["currency"], 0) + one["net"]
    shown = {
        name: [{"amount": amount, "currency": code, "source_types": {"card": amount}} for code, amount in part.items()]
        for name, part in parts.items()
    }
    return {"object": "balance", "livemode": False, **shown}


def lines(books: Books, query: Doc) -> Doc:
    """List all balance transactions, payout: of automatic payouts only."""
    existing(books, query, ("payout",))
    names = ("currency", "type", "source")
    docs = [doc for doc in books.all("balance_transaction") if all(query.get(n) in (None, doc[n]) for n in names)]
    if (payout := query.get("payout")) is not None:
        if not books.things[payout]["automatic"]:
            raise invalid("Balance transactions can be listed by automatic payouts only.", param="payout")
        docs = [doc for doc in docs if books.known[doc["id"]].get("payout") == payout]
    return page(books, docs, query, "/v1/balance_transactions", object_="balance_transaction")
