"""Payouts and their entries (API reference, Payouts; guide Payouts API overview): the sum of a BATCH is its entries.

A SIMPLE payout has none. Entries name Square's ids alone. A payout that fails comes back as RETURNED_PAYOUT.
"""

from __future__ import annotations

from typing import Any

from .books import LOCATION, Books
from .errors import Doc
from .listing import listed

LIST = ("location_id", "status", "begin_time", "end_time", "sort_order", "cursor", "limit")
ENTRIES = ("sort_order", "cursor", "limit")
STATUS = {"in_transit": "SENT", "paid": "PAID", "failed": "FAILED"}
# ActivityType of what the simulated processor calls so
_LINES = {"fee": ("FEE", -1), "reserve_held": ("RESERVE_HOLD", -1), "reserve_released": ("RESERVE_RELEASE", 1)}
_TYPES = {"payment": "CHARGE", "refund": "REFUND", "refund_failure": "REFUND"}


def pay_out(books: Books, body: dict[str, Any]) -> Doc:
    """In the simulated processor's words: `{"status": "in_transit"}`; with `amount`: one without entries."""
    books.gathered += [_entry_of(books, one) for one in books.movements[books.taken :]]
    books.taken = len(books.movements)
    doc: Doc = {
        "id": f"po_{books.id('payout')}",
        "status": STATUS[body.get("status", "in_transit")],
        "location_id": LOCATION,
        "created_at": books.time(),
        "updated_at": books.time(),
        "amount_money": books.money(
            body.get("amount", sum(one["net_amount_money"]["amount"] for one in books.gathered))
        ),
        "destination": {"type": "BANK_ACCOUNT", "id": "ccof:bank"},
        "version": 1,
        "type": "SIMPLE" if "amount" in body else "BATCH",
        "payout_fee": [],
        "arrival_date": books.time(books.now() + 2 * 24 * 3600)[:10],
        "end_to_end_id": "L2100000005",
    }
    books.add("payout", doc)
    if "amount" not in body:
        for one in books.gathered:
            books.add("entry", {**one, "payout_id": doc["id"]})
        books.gathered = []
    return doc


def change(books: Books, doc: Doc, body: dict[str, Any]) -> Doc:
    doc |= {"status": STATUS[body["status"]], "updated_at": books.time(), "version": doc["version"] + 1}
    if doc["status"] == "FAILED":
        books.gathered.append(
            _entry(books, "RETURNED_PAYOUT", doc["amount_money"]["amount"], 0, {"payout_id": doc["id"]})
        )
    return doc


def line(books: Books, body: dict[str, Any]) -> Doc:
    type_, sign = _LINES[body["type"]]
    books.gathered.append(_entry(books, type_, sign * body["amount"], 0, {}))
    return books.gathered[-1]


def _entry_of(books: Books, movement: Doc) -> Doc:
    amount, about = movement["amount"], {"payment_id": movement["payment"]}
    if movement["type"] in _TYPES:
        about |= {"refund_id": movement["source"]} if movement["type"] != "payment" else {}
        fee = amount * 26 // 1000 + 15 if movement["type"] == "payment" else 0
        return _entry(books, _TYPES[movement["type"]], amount, fee, about)
    return _entry(books, "OPEN_DISPUTE", amount, 0, {**about, "dispute_id": movement["source"]})


def _entry(books: Books, type_: str, gross: int, fee: int, details: Doc) -> Doc:
    return {
        "id": f"poe_{books.id('entry')}",
        "effective_at": books.time(),
        "type": type_,
        "gross_amount_money": books.money(gross),
        "fee_amount_money": books.money(fee),
        "net_amount_money": books.money(gross - fee),
        f"type_{type_.lower()}_details": details,
    }


def listing(books: Books, params: Doc) -> Doc:
    wanted = params.get("status")
    return listed(books, "payout", "payouts", params, LIST, fits=lambda one: not wanted or one["status"] == wanted)


def entries(books: Books, params: Doc, id_: str) -> Doc:
    books.get("payout", id_)
    return listed(books, "entry", "payout_entries", params, ENTRIES, fits=lambda one: one["payout_id"] == id_)
