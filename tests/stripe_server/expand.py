"""What goes out: objects as they are now, `expand[]`, and lists with pages (Expanding Responses; Pagination)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from .books import Books
from .errors import Doc, exclusive, unreadable

# API reference: the attributes marked Expandable, and what is behind them
EXPANDABLE: dict[str, dict[str, str]] = {
    "payment_intent": {"latest_charge": "charge", "customer": "customer", "payment_method": "payment_method"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "refunds": "list.refund",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "payment_intent": "payment_intent",
        "failure_balance_transaction": "balance_transaction",
    },
    "checkout.session": {
        "customer": "customer",
        "payment_intent": "payment_intent",
        "setup_intent": "setup_intent",
        "line_items": "list.item",
    },
    "setup_intent": {"customer": "customer", "payment_method": "payment_method", "mandate": "mandate"},
    "mandate": {"payment_method": "payment_method"},
    "payment_method": {"customer": "customer"},
    "balance_transaction": {"source": "charge"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
}


def check(object_: str, paths: Iterable[str]) -> None:
    """Raises Refused for what can't be expanded, before anything is done. `object_` of a list: `list.refund`."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > 4:
            # Expanding Responses: a maximum depth of four levels
            raise unreadable("You cannot expand more than 4 levels of a property.", param="expand")
        if object_.startswith("list.") and parts[0] != "data":
            message = f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}' instead."
            raise unreadable(message, param="expand")
        node = object_
        for part in parts:
            following = node.removeprefix("list.") if node.startswith("list.") and part == "data" else ""
            node = following or EXPANDABLE.get(node, {}).get(part, "")
            if not node:
                raise unreadable(f"This property cannot be expanded ({path}).", param="expand")


def shown(books: Books, doc: Doc, expand: Iterable[str] = ()) -> Doc:
    """A copy to answer with, its checked paths expanded."""
    out = copy.deepcopy(doc)
    for path in expand:
        _open(books, out, path)
    return out


def _open(books: Books, node: Any, path: str) -> None:
    head, _, rest = path.partition(".")
    if not isinstance(node, dict):
        return
    if node.get("object") == "list":
        for item in node["data"]:
            if rest:
                _open(books, item, rest)
        return
    value = node.get(head)
    if head == "refunds":
        found = [copy.deepcopy(doc) for doc in reversed(list(books.all("refund"))) if doc["charge"] == node["id"]]
        node[head] = as_list(found, f"/v1/charges/{node['id']}/refunds")
    elif head == "line_items":
        node[head] = copy.deepcopy(books.known[node["id"]]["line_items"])
    elif isinstance(value, str):
        node[head] = copy.deepcopy(books.things[value])
    if rest:
        _open(books, node[head], rest)


def as_list(data: list[Doc], url: str, *, has_more: bool = False) -> Doc:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def existing(books: Books, query: Doc, names: Iterable[str]) -> None:
    """A filter by something that this account hasn't got. Error codes: resource_missing."""
    for name in names:
        if name in query:
            books.get(name, query[name], param=name)


def page(books: Books, docs: Iterable[Doc], query: Doc, url: str, *, object_: str) -> Doc:
    """Newest first. API reference, Pagination: limit 10 by default, starting_after and ending_before are ids."""
    limit_ = query.get("limit", 10)
    if "starting_after" in query and "ending_before" in query:
        raise exclusive("starting_after", "ending_before")
    horizon = books.now() - books.settings["list_lag_s"]
    window = query.get("created", {})
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    found = [
        doc
        for doc in reversed(list(docs))
        if doc["created"] <= horizon and all(tests[name](doc["created"], value) for name, value in window.items())
    ]
    for name in ("starting_after", "ending_before"):
        if name in query:
            books.get(object_, query[name], param=name)
    ids = [doc["id"] for doc in found]
    if "starting_after" in query:
        start = ids.index(query["starting_after"]) + 1 if query["starting_after"] in ids else len(ids)
        chosen, more = found[start : start + limit_], start + limit_ < len(found)
    elif "ending_before" in query:
        end = ids.index(query["ending_before"]) if query["ending_before"] in ids else 0
        start = max(0, end - limit_)
        chosen, more = found[start:end], start > 0
    else:
        chosen, more = found[:limit_], limit_ < len(found)
    return as_list([copy.deepcopy(doc) for doc in chosen], url, has_more=more)
