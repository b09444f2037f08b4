"""The entries of a transaction or batch Bundle, read into what each asks for. Called by bundles.py;
touches no database.

What a URL, a method and a condition may be is said here, each refusal with the entry's own address
(`Bundle.entry[2].request.url`). A Bundle that reaches this has passed validation.py, or was made by us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from ..errors import FhirpayError, MessageInvalid, MessageUnsupported, RequiredMissing, ValueInvalid
from .conditional import criteria, implied
from .params import TYPES, WRITABLE
from .search import Query

_INTERACTION = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)(/(?P<id>[A-Za-z0-9\-.]{1,64})(/_history/(?P<version>\d{1,9}))?|\?(?P<query>.+))?\Z"
)
_RESTFUL = re.compile(r"(?P<root>https?://\S+/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}\Z")
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?\Z')


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in a Bundle. `resource` is there exactly when it writes; `query` when it goes by a condition."""

    index: int
    method: str
    url: str
    type: str
    id: str = ""
    version: int | None = None
    params: str = ""
    query: Query | None = None
    implied: bool = False  # the condition is ours: see conditional.implied
    resource: dict[str, Any] | None = None
    full_url: str = ""
    if_match: int | None = None

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.index}]"

    @property
    def root(self) -> str:
        """What comes before `Type/id` in its fullUrl; empty where that is no address of a server."""
        match = _RESTFUL.match(self.full_url)
        return match["root"] if match else ""

    @property
    def identifiers(self) -> list[tuple[str, str, str]]:
        """(type, system, value) of what it writes."""
        held = (self.resource or {}).get("identifier", ())
        return [(self.type, one.get("system", ""), one["value"]) for one in held if "value" in one]


def read(bundle: dict[str, Any], base_url: str = "", *, alone: int | None = None) -> list[Entry]:
    """The entries of a transaction in order; or, of a batch, the one that stands `alone`. Raises whatever is wrong
    with an entry, and MessageUnsupported for any other kind of Bundle.
    """
    kind, entries = bundle.get("type"), bundle.get("entry") or []
    if kind != ("transaction" if alone is None else "batch"):
        says = "this kind of Bundle is not taken here: send a transaction or a batch"
        raise MessageUnsupported(says, location="Bundle.type")
    if alone is not None:
        return [_entry(alone, entries[alone], base_url)]
    return [_entry(index, entry, base_url) for index, entry in enumerate(entries)]


def version_of(etag: str, *, location: str = "http.If-Match") -> int:
    """The version that `W/"3"` names. Raises ValueInvalid."""
    match = _ETAG.match(etag.strip())
    if match is None:
        raise ValueInvalid('not a version such as W/"3"', location=location)
    return int(match[1])


def placed(error: FhirpayError, entry: Entry) -> FhirpayError:
    """`error` with an address in the Bundle instead of one in the resource, the URL or a header."""
    location = error.location or ""
    if location.startswith(entry.at):
        return error
    fields = {"http.If-Match": "request.ifMatch", "http.If-None-Exist": "request.ifNoneExist"}
    if location.startswith("http") or not location:
        place = f"{entry.at}.{fields.get(location, 'request.url')}"
    else:
        place = f"{entry.at}.resource{location.removeprefix(entry.type)}"
    return type(error)(error.message, location=place, **error.ids)


def _entry(index: int, entry: dict[str, Any], base_url: str) -> Entry:
    at = f"Bundle.entry[{index}]"
    request = entry.get("request")
    if request is None:
        raise RequiredMissing("an entry says its request", location=f"{at}.request")
    method, url = str(request.get("method")), str(request.get("url"))
    relative = url.removeprefix(base_url.rstrip("/") + "/") if base_url else url
    match = _INTERACTION.match(relative)
    if method not in ("GET", "POST", "PUT"):
        raise MessageUnsupported(f"{method} is not taken here", location=f"{at}.request.method")
    if match is None:
        raise ValueInvalid("not Type, Type/id or Type?condition", location=f"{at}.request.url")
    if match["type"] not in TYPES:
        raise MessageUnsupported(f"{match['type']} is not kept here", location=f"{at}.request.url")
    if base_url and method != "GET" and match["type"] not in WRITABLE:
        raise MessageUnsupported(f"{match['type']} is not taken here, it can be read", location=f"{at}.request.url")
    known = Entry(
        index=index,
        method=method,
        url=relative,
        type=match["type"],
        id=match["id"] or "",
        version=int(match["version"]) if match["version"] else None,
        params=match["query"] or "",
        full_url=str(entry.get("fullUrl", "")),
    )
    if method == "GET":
        return known
    for name in {"ifNoneMatch", "ifModifiedSince"} & request.keys():
        raise MessageUnsupported("not taken on a write", location=f"{at}.request.{name}")
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        raise RequiredMissing(f"a {method} carries a resource", location=f"{at}.resource")
    if resource.get("resourceType") != known.type:
        raise MessageInvalid(f"the URL says {known.type}", location=f"{at}.resource.resourceType")
    known = replace(known, resource=resource)
    try:
        return _post(known, request) if method == "POST" else _put(known, request)
    except FhirpayError as error:
        raise placed(error, known) from None


def _post(entry: Entry, request: dict[str, Any]) -> Entry:
    if entry.id or entry.params:
        raise ValueInvalid("a POST goes to the type alone")
    condition = request.get("ifNoneExist")
    if condition is None:
        assert entry.resource is not None
        return replace(entry, query=implied(entry.resource), implied=True)
    return replace(entry, query=criteria(entry.type, str(condition), at="http.If-None-Exist"))


def _put(entry: Entry, request: dict[str, Any]) -> Entry:
    assert entry.resource is not None
    if_match = version_of(str(request["ifMatch"])) if "ifMatch" in request else None
    if entry.params:
        return replace(entry, query=criteria(entry.type, entry.params), if_match=if_match)
    if not entry.id or entry.version is not None:
        raise ValueInvalid("a PUT goes to Type/id or Type?condition")
    if unquote(entry.id) != entry.resource.get("id"):
        raise ValueInvalid("the URL names another id", location=f"{entry.type}.id")
    return replace(entry, if_match=if_match)
