"""A page of a search, as a server answered it: its resources, its next page, its server's clock. Pure; by client.py.

A server may write anything, so nothing here is taken for granted but that the body is a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..net.dates import http_date
from .loose import objects


@dataclass(frozen=True, slots=True)
class Page:
    """`following` is the next page's path and query under the server's base; `astray`: its link leads elsewhere.

    `answered_at` is the earlier one of what the server and the Bundle say, None where neither says anything.
    `in_order`: its link to itself says that it sorted by `_lastUpdated`. A server may leave `_sort` out, and has to say
    by that link what it did (FHIR R4, search.html, "Server Conformance").
    """

    resources: tuple[dict[str, Any], ...]
    following: str | None
    astray: bool
    answered_at: datetime | None
    in_order: bool = False


def read_page(bundle: Mapping[str, Any], resource_type: str, headers: Mapping[str, str], base_url: str) -> Page:
    """What a searchset says; resources of other types, such as included ones, are left out."""
    following, astray = next_of(bundle, base_url)
    moments = [http_date(headers.get("date", "")), last_updated(bundle)]
    return Page(
        tuple(_matches(bundle, resource_type)),
        following,
        astray,
        min((one for one in moments if one), default=None),
        _in_order(bundle),
    )


def next_of(bundle: Mapping[str, Any], base_url: str) -> tuple[str | None, bool]:
    """The next page's path and query under `base_url`, None where there is none; and whether its link leads elsewhere.

    Only path and query are taken: a server behind a proxy may name a host that we can't or mustn't call.
    """
    for link in objects(bundle.get("link")):
        if link.get("relation") == "next" and isinstance(url := link.get("url"), str):
            parts, base = _split(url), urlsplit(base_url).path
            if parts is None or not parts.path.startswith(base):
                return None, True
            path = parts.path.removeprefix(base)
            if (path and not path.startswith("/")) or ".." in unquote(path).split("/"):
                return None, True
            return path + (f"?{parts.query}" if parts.query else ""), False
    return None, False


def _split(url: str) -> SplitResult | None:
    """None for what is no URL that anybody can call."""
    try:
        return urlsplit(url) if url.isprintable() else None
    except ValueError:
        return None


def _in_order(bundle: Mapping[str, Any]) -> bool:
    for link in objects(bundle.get("link")):
        if link.get("relation") == "self" and isinstance(url := link.get("url"), str) and (parts := _split(url)):
            return dict(parse_qsl(parts.query)).get("_sort", "").partition(",")[0] == "_lastUpdated"
    return False


def failed(bundle: Mapping[str, Any]) -> dict[str, Any] | None:
    """The OperationOutcome of a searchset that says that there was an error: what it shows isn't all there is."""
    entries = (entry.get("resource") for entry in objects(bundle.get("entry")))
    return next((one for one in entries if isinstance(one, dict) and is_error(one)), None)


def is_error(outcome: Mapping[str, Any]) -> bool:
    """Whether it is an OperationOutcome of errors, and not of hints."""
    graves = (issue.get("severity") in ("error", "fatal") for issue in objects(outcome.get("issue")))
    return outcome.get("resourceType") == "OperationOutcome" and any(graves)


def split_link(link: str) -> tuple[str, list[tuple[str, str]]]:
    """Path and parameters of a link that `next_of` gave."""
    path, _, query = link.partition("?")
    return path, parse_qsl(query, keep_blank_values=True)


def last_updated(resource: Mapping[str, Any]) -> datetime | None:
    """`meta.lastUpdated`; None where there is none, or none that is an instant."""
    meta = resource.get("meta")
    text = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return instant(text) if isinstance(text, str) else None


def instant(text: str) -> datetime | None:
    """A FHIR instant; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _matches(bundle: Mapping[str, Any], resource_type: str) -> Iterator[dict[str, Any]]:
    for entry in objects(bundle.get("entry")):
        search, resource = entry.get("search"), entry.get("resource")
        mode = search.get("mode", "match") if isinstance(search, dict) else "match"
        if mode == "match" and isinstance(resource, dict) and resource.get("resourceType") == resource_type:
            yield resource
