"""A page of a search, as a server answered it: its resources, its next page, its server's clock. Pure; by client.py.

A server may write anything, so nothing here is taken for granted but that the body is a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .loose import objects


@dataclass(frozen=True, slots=True)
class Page:
    """`following` is the next page's path and query under the server's base; `astray`: its link leads elsewhere.

    `answered_at` is the earlier one of what the server and the Bundle say, None where neither says anything.
    """

    resources: tuple[dict[str, Any], ...]
    following: str | None
    astray: bool
    answered_at: datetime | None


def read_page(bundle: Mapping[str, Any], resource_type: str, headers: Mapping[str, str], base_url: str) -> Page:
    """What a searchset says; resources of other types, such as included ones, are left out."""
    following, astray = next_of(bundle, base_url)
    moments = [http_date(headers.get("date", "")), last_updated(bundle)]
    return Page(
        tuple(_matches(bundle, resource_type)), following, astray, min((one for one in moments if one), default=None)
    )


def next_of(bundle: Mapping[str, Any], base_url: str) -> tuple[str | None, bool]:
    """The next page's path and query under `base_url`, None where there is none; and whether its link leads elsewhere.

    Only path and query are taken: a server behind a proxy may name a host that we can't or mustn't call.
    """
    for link in objects(bundle.get("link")):
        if link.get("relation") == "next" and isinstance(url := link.get("url"), str):
            parts, base = urlsplit(url), urlsplit(base_url).path
            path = parts.path.removeprefix(base)
            if not parts.path.startswith(base) or (path and not path.startswith("/")) or ".." in path.split("/"):
                return None, True
            return path + (f"?{parts.query}" if parts.query else ""), False
    return None, False


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


def http_date(text: str) -> datetime | None:
    """A Date header; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _matches(bundle: Mapping[str, Any], resource_type: str) -> Iterator[dict[str, Any]]:
    for entry in objects(bundle.get("entry")):
        search, resource = entry.get("search"), entry.get("resource")
        mode = search.get("mode", "match") if isinstance(search, dict) else "match"
        if mode == "match" and isinstance(resource, dict) and resource.get("resourceType") == resource_type:
            yield resource
