"""What a FHIR server says back: searchset, history and transaction-response Bundles. Called by web/fhir_server.

Pure rendering of what search.py, store.py and bundles.py return.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from .bundles import Done
from .outcome import operation_outcome
from .search import Page, Query
from .store import Stored


def etag(one: Stored) -> str:
    return f'W/"{one.version}"'


def version_url(base_url: str, one: Stored) -> str:
    return f"{base_url}/{one.reference}/_history/{one.version}"


def searchset(query: Query, page: Page, base_url: str) -> dict[str, Any]:
    """A page of a search, with the link to itself as understood and to the next page."""
    stated = [(name, value) for name, value in query.stated if name != "_after"]
    links = [{"relation": "self", "url": _link(base_url, query.type, query.stated)}]
    if page.after is not None:
        links.append({"relation": "next", "url": _link(base_url, query.type, (*stated, ("_after", page.after)))})
    entries: list[dict[str, Any]] = [
        {"fullUrl": f"{base_url}/{one.reference}", "resource": one.resource, "search": {"mode": "match"}}
        for one in page.matches
    ]
    if query.ignored:
        left_out = operation_outcome(
            warnings=[(f"http.{name}", "this parameter was left out") for name in query.ignored]
        )
        entries.append({"resource": left_out, "search": {"mode": "outcome"}})
    return _bundle("searchset", entries, total=page.total, link=links)


def history(versions: list[Stored], base_url: str) -> dict[str, Any]:
    """The versions of one resource, newest first."""
    entries = [
        {
            "fullUrl": f"{base_url}/{one.reference}",
            "resource": one.resource,
            "request": {"method": "PUT", "url": one.reference},
            "response": _response(one, base_url, created=one.version == 1),
        }
        for one in versions
    ]
    return _bundle("history", entries, total=versions[0].version if versions else 0)


def transaction_response(done: Iterable[Done], base_url: str, *, content: bool = True) -> dict[str, Any]:
    """One entry for each of the transaction; without `content` no written resource comes back."""
    entries: list[dict[str, Any]] = []
    for one in done:
        if one.stored is None:
            assert one.page is not None
            assert one.query is not None
            found = searchset(one.query, one.page, base_url)
            entries.append({"resource": found, "response": {"status": "200 OK"}})
            continue
        entry: dict[str, Any] = {"fullUrl": f"{base_url}/{one.stored.reference}"}
        if (content or one.change is None) and not one.hidden:
            entry["resource"] = one.stored.resource
        entries.append({**entry, "response": _response(one.stored, base_url, created=one.change == "created")})
    return _bundle("transaction-response", entries)


def _response(one: Stored, base_url: str, *, created: bool) -> dict[str, Any]:
    return {
        "status": "201 Created" if created else "200 OK",
        "location": version_url(base_url, one),
        "etag": etag(one),
        "lastModified": one.resource["meta"]["lastUpdated"],
    }


def _bundle(kind: str, entries: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **rest, **({"entry": entries} if entries else {})}


def _link(base_url: str, resource_type: str, stated: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(stated), safe="|/:,")
    return f"{base_url}/{resource_type}" + (f"?{query}" if query else "")
