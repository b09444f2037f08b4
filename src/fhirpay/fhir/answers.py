"""What a FHIR server says back: searchset, history, transaction-response and batch-response
Bundles. Called by web/fhir_server.

Pure rendering of what search.py, store.py and bundles.py return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from ..errors import FhirpayError, MessageUnsupported
from .bundles import Done
from .history import HistoryPage, HistoryQuery
from .outcome import operation_outcome, status_of
from .search import Page, Query
from .store import Stored

Say = Callable[[Stored], dict[str, Any]]  # a resource in the caller's version, or MessageUnsupported


def as_kept(one: Stored) -> dict[str, Any]:
    return one.resource


def etag(one: Stored) -> str:
    return f'W/"{one.version}"'


def version_url(base_url: str, one: Stored) -> str:
    return f"{base_url}/{one.reference}/_history/{one.version}"


def searchset(query: Query, page: Page, base_url: str, say: Say = as_kept, *, issues: bool = False) -> dict[str, Any]:
    """A page of a search, with the link to itself as understood and to the next page. What `say` refuses is named in
    its OperationOutcome, which is an entry in R4 and stands in `issues` in R5."""
    stated = [(name, value) for name, value in query.stated if name != "_after"]
    links = [{"relation": "self", "url": _link(base_url, query.type, query.stated)}]
    if page.after is not None:
        links.append({"relation": "next", "url": _link(base_url, query.type, (*stated, ("_after", page.after)))})
    entries: list[dict[str, Any]] = []
    warnings = [(f"http.{name}", "this parameter was left out") for name in query.ignored]
    for mode, found in (("match", page.matches), ("include", page.included)):
        for one in found:
            try:
                said = say(one)
            except MessageUnsupported as error:
                warnings.append((error.location or one.type, f"{one.reference} is not shown: {error.message}"))
            else:
                entries.append({"fullUrl": f"{base_url}/{one.reference}", "resource": said, "search": {"mode": mode}})
    said_besides = operation_outcome(warnings=warnings) if warnings else None
    if said_besides is not None and not issues:
        entries.append({"resource": said_besides, "search": {"mode": "outcome"}})
    bundle = _bundle("searchset", entries, total=page.total, link=links)
    return {**bundle, "issues": said_besides} if said_besides is not None and issues else bundle


def history(of: str, query: HistoryQuery, page: HistoryPage, base_url: str, say: Say = as_kept) -> dict[str, Any]:
    """A page of versions: of one resource, `of` being its reference; of a type; of everything, `of` being empty. Where
    `say` refuses one, its entry has the reason instead."""
    at = f"{of}/_history".lstrip("/")
    links = [{"relation": "self", "url": _link(base_url, at, query.stated)}]
    if page.before is not None:
        stated = [(name, value) for name, value in query.stated if name != "_before"]
        links.append({"relation": "next", "url": _link(base_url, at, (*stated, ("_before", page.before)))})
    entries: list[dict[str, Any]] = []
    for one in page.versions:
        entry: dict[str, Any] = {"fullUrl": f"{base_url}/{one.reference}"}
        response = _response(one, base_url, created=one.version == 1)
        try:
            entry["resource"] = say(one)
        except MessageUnsupported as error:
            response["outcome"] = operation_outcome(error)
        entries.append({**entry, "request": {"method": "PUT", "url": one.reference}, "response": response})
    total = {} if page.total is None else {"total": page.total}
    return _bundle("history", entries, **total, link=links)


def bundle_response(
    kind: str,
    done: Iterable[Done | FhirpayError],
    base_url: str,
    *,
    content: bool = True,
    say: Say = as_kept,
    issues: bool = False,
) -> dict[str, Any]:
    """One entry for each that was sent; without `content` no written resource comes back. `kind` is "batch-response",
    where an entry may have failed, or "transaction-response".
    """
    entries: list[dict[str, Any]] = []
    for one in done:
        if isinstance(one, FhirpayError):
            status = HTTPStatus(status_of(one))
            says = {"status": f"{status.value} {status.phrase}", "outcome": operation_outcome(one)}
            entries.append({"response": says})
            continue
        if one.stored is None:
            assert one.page is not None
            assert one.query is not None
            found = searchset(one.query, one.page, base_url, say, issues=issues)
            entries.append({"resource": found, "response": {"status": "200 OK"}})
            continue
        entry: dict[str, Any] = {"fullUrl": f"{base_url}/{one.stored.reference}"}
        response = _response(one.stored, base_url, created=one.change == "created")
        if (content or one.change is None) and not one.hidden:
            try:
                entry["resource"] = say(one.stored)
            except MessageUnsupported as error:
                response["outcome"] = operation_outcome(error)
        entries.append({**entry, "response": response})
    return _bundle(kind, entries)


def _response(one: Stored, base_url: str, *, created: bool) -> dict[str, Any]:
    return {
        "status": "201 Created" if created else "200 OK",
        "location": version_url(base_url, one),
        "etag": etag(one),
        "lastModified": one.resource["meta"]["lastUpdated"],
    }


def _bundle(kind: str, entries: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **rest, **({"entry": entries} if entries else {})}


def _link(base_url: str, path: str, stated: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(stated), safe="|/:,")
    return f"{base_url}/{path}" + (f"?{query}" if query else "")
