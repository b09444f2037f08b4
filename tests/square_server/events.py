"""API reference, Events API: Search events (at most 28 days, 100 a page, by cursor), Enable events.

All events are disabled by default: only those that occur while they are enabled are ever found.
"""

from __future__ import annotations

import base64
from datetime import datetime

from .books import Books
from .errors import Doc, invalid
from .fields import array, integer, obj, one_of, string

_SPAN_S = 28 * 24 * 3600
_RANGE = obj({"start_at": string(), "end_at": string()})
_FILTER = obj(
    {
        "event_types": array(string()),
        "merchant_ids": array(string()),
        "location_ids": array(string()),
        "created_at": _RANGE,
    }
)
_SORT = obj({"field": one_of("DEFAULT"), "order": one_of("ASC", "DESC")})
SEARCH = obj({"cursor": string(256), "limit": integer, "query": obj({"filter": _FILTER, "sort": _SORT})})


def enable(books: Books) -> Doc:
    books.settings["events_enabled"] = books.now()
    return {}


def search(books: Books, body: Doc) -> Doc:
    """Without events the field is left out; without more of them the cursor is."""
    query = body.get("query") or {}
    wanted, sort = query.get("filter") or {}, query.get("sort") or {}
    span = wanted.get("created_at") or {}
    end = _moment(span, "end_at", books.now())
    start = _moment(span, "start_at", end - _SPAN_S)
    if not 0 <= end - start <= _SPAN_S:
        raise invalid("INVALID_TIME_RANGE", "The range is longer than 28 days.", "query.filter.created_at")
    limit = body.get("limit", 100)
    if not 1 <= limit <= 100:
        raise invalid("INVALID_VALUE", "A limit is from 1 to 100.", "limit")
    since = max(start, books.settings.get("events_enabled", float("inf")))
    types = wanted.get("event_types")
    found = [
        one
        for one in books.events
        if since <= datetime.fromisoformat(one["created_at"]).timestamp() <= end and (not types or one["type"] in types)
    ]
    if sort.get("order") != "ASC":
        found.reverse()
    at = _place(body.get("cursor", ""), found)
    page = found[at : at + limit]
    doc: Doc = {"events": page, "metadata": [{"event_id": one["event_id"]} for one in page]} if page else {}
    if at + limit < len(found):
        doc["cursor"] = base64.urlsafe_b64encode(page[-1]["event_id"].encode()).decode()
    return doc


def _moment(span: Doc, name: str, usual: float) -> float:
    try:
        moment = datetime.fromisoformat(span[name]) if name in span else None
    except ValueError:
        raise invalid("INVALID_TIME", "Not a time in RFC 3339 format.", name) from None
    if moment is not None and moment.tzinfo is None:
        raise invalid("INVALID_TIME", "A time needs its offset.", name)
    return usual if moment is None else moment.timestamp()


def _place(cursor: str, found: list[Doc]) -> int:
    if not cursor:
        return 0
    try:
        last = base64.urlsafe_b64decode(cursor).decode()
        return 1 + [one["event_id"] for one in found].index(last)
    except ValueError:
        raise invalid("INVALID_CURSOR", "The cursor is not one of this search's.", "cursor") from None
