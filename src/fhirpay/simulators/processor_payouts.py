"""What the simulated processor pays out: its balance line by line, payouts of what has gathered, and what goes wrong.

Called by `processor.py` (API: reading) and `processor_control.py` (making), inside their transaction. Every movement of
money has a line, with its fee; a payout takes all lines of a currency that none has taken yet, and its amount is what
they come to, also below zero. A payout that fails puts its amount back as a line of its own, to be paid out anew.
"""

from __future__ import annotations

from .processor_books import Books, Doc, Refused

STATUS = ("pending", "in_transit", "paid", "failed", "canceled")
_LIMIT = 100
_PENDING_S = 2 * 24 * 3600


def pay_out(books: Books, body: Doc) -> Doc:
    """`{"currency": "USD", "status": "in_transit"}`. With `amount`: by hand, of that much, and nobody says of what."""
    currency, status = body.get("currency", "USD"), body.get("status", "in_transit")
    if status not in STATUS:
        raise Refused(422, "status_unknown", f"status is one of {', '.join(STATUS)}")
    lines = books.lines(currency=currency) if "amount" not in body else []
    amount = body.get("amount", sum(line["amount"] - line["fee"] for line in lines))
    payout = books.new(
        "po",
        "payout",
        "",
        amount=amount,
        currency=currency,
        status="pending",
        automatic="amount" not in body,
        arrives_on=body.get("arrives_on", ""),
        trace=body.get("trace", ""),
    )
    for line in lines:
        books.save_line({**line, "payout": payout["id"]})
    books.move("payout", {"id": "", "currency": currency}, -amount, source=payout["id"], payout=payout["id"])
    return change(books, payout, {"status": status})


def change(books: Books, payout: Doc, body: Doc) -> Doc:
    """`{"status": "failed"}`, also after it was paid."""
    status = body["status"]
    if status not in STATUS:
        raise Refused(422, "status_unknown", f"status is one of {', '.join(STATUS)}")
    if payout["status"] in ("failed", "canceled"):
        raise Refused(409, "wrong_state", f"the payout is {payout['status']}")
    payout["status"] = status
    books.save(payout)
    if status in ("failed", "canceled"):
        of = {"id": "", "currency": payout["currency"]}
        books.move("payout_failed", of, payout["amount"], source=payout["id"])
    return payout


def move(books: Books, body: Doc) -> Doc:
    """`{"type": "reserve_held", "amount": 5000}`: fee and reserve_held from the merchant, reserve_released and
    adjustment to them, unless the amount is below zero."""
    types = {"fee": -1, "reserve_held": -1, "reserve_released": 1, "adjustment": 1}
    sign = types.get(str(body.get("type")))
    if sign is None:
        raise Refused(422, "type_unknown", f"type is one of {', '.join(types)}")
    of = {"id": "", "currency": body.get("currency", "USD")}
    return books.move(body["type"], of, sign * body["amount"])


def listed(books: Books, since: float, after: str) -> Doc:
    """Those made since then, oldest first, a page at a time."""
    found = [one for one in books.all("payout") if one["created"] >= since]
    return _page(found, after)


def lines_of(books: Books, payout: Doc, after: str) -> Doc:
    """In the order in which the money moved. Of one that was made by hand nobody can say."""
    if not payout["automatic"]:
        raise Refused(422, "not_itemised", "a payout that was made by hand has no lines")
    return _page(books.lines(payout=payout["id"]), after)


def lines_since(books: Books, since: float, after: str) -> Doc:
    """Every movement of the balance since then, whether a payout has taken it or not."""
    return _page([one for one in books.every_line() if one["at"] >= since], after)


def balance(books: Books) -> Doc:
    """What is held for the merchant, by currency: `pending` for two days, then `available`; and what is `reserved`."""
    found: list[Doc] = []
    for currency, total in sorted(books.totals().items()):
        moved = [one for one in books.movements() if one["currency"] == currency]
        reserved = -sum(one["amount"] for one in moved if one["type"].startswith("reserve"))
        young = [one for one in books.lines(currency=currency) if one["at"] > books.now() - _PENDING_S]
        pending = sum(one["amount"] - one["fee"] for one in young)
        parts = {"pending": pending, "available": total["balance"] - pending, "reserved": reserved}
        found.append({"currency": currency, **parts})
    return {"data": found}


def _page(docs: list[Doc], after: str) -> Doc:
    ids = [doc["id"] for doc in docs]
    if after and after not in ids:
        raise Refused(422, "after_unknown", "there is no such object in this list")
    start = ids.index(after) + 1 if after else 0
    return {"data": docs[start : start + _LIMIT], "has_more": start + _LIMIT < len(docs)}
