"""Lists (API reference, ListPayments, ListPaymentRefunds, ListCards, ListPaymentLinks): newest first, by cursor.

Results are eventually consistent: what is newer than `list_lag_s` is not there yet.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime

from .books import Books
from .errors import Doc, invalid
from .fields import query

_RANGE = ("begin_time", "end_time", "sort_order", "cursor", "limit", "location_id")
PAYMENTS = (*_RANGE, "total", "last_4", "card_brand")
REFUNDS = (*_RANGE, "status", "source_type")
CARDS = ("cursor", "customer_id", "include_disabled", "reference_id", "sort_order")
LINKS = ("cursor", "limit")
_YEAR = 365 * 24 * 3600


def _moment(params: Mapping[str, str], name: str, usual: float) -> float:
    if name not in params:
        return usual
    try:
        moment = datetime.fromisoformat(params[name])
    except ValueError:
        raise invalid("INVALID_TIME", "Not a time in RFC 3339 format.", name) from None
    if moment.tzinfo is None:
        raise invalid("INVALID_TIME", "A time needs its offset.", name)
    return moment.timestamp()


def listed(
    books: Books,
    kind: str,
    name: str,
    params: Mapping[str, str],
    allowed: tuple[str, ...],
    *,
    fits: Callable[[Doc], bool] = lambda _: True,
    most: int = 100,
) -> Doc:
    query(params, allowed)
    order = params.get("sort_order", "DESC")
    if order not in ("ASC", "DESC"):
        raise invalid("INVALID_SORT_ORDER", "ASC or DESC.", "sort_order")
    begin = _moment(params, "begin_time", books.now() - _YEAR)  # default: the current time minus one year
    end = min(_moment(params, "end_time", books.now()), books.now() - books.settings["list_lag_s"])
    if begin > books.now():
        raise invalid("INVALID_TIME_RANGE", "The range begins after it ends.", "begin_time")
    there, total = params.get("location_id"), params.get("total")
    found = [
        one
        for one in books.all(kind)
        if begin <= books.known[one["id"]]["at"] <= end
        and (not there or one["location_id"] == there)
        and (not total or str(one["total_money"]["amount"]) == total)
        and fits(one)
    ]
    if order == "DESC":
        found.reverse()
    start = _start(params.get("cursor", ""), found)
    limit = params.get("limit", str(most))
    if not limit.isdigit() or not 1 <= int(limit) <= most:
        raise invalid("INVALID_VALUE", f"A limit is from 1 to {most}.", "limit")
    page = found[start : start + int(limit)]
    doc: Doc = {name: page} if page else {}  # an empty list is left out
    if start + int(limit) < len(found):
        doc["cursor"] = base64.urlsafe_b64encode(page[-1]["id"].encode()).decode()
    return doc


def _start(cursor: str, found: list[Doc]) -> int:
    if not cursor:
        return 0
    try:
        last = base64.urlsafe_b64decode(cursor).decode()
        return 1 + [one["id"] for one in found].index(last)
    except ValueError:
        raise invalid("INVALID_CURSOR", "The cursor is not one of this list's.", "cursor") from None
