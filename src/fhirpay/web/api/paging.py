"""Lists of `/api/v1`, page by page: one way for all. A route asks its store for what comes after the cursor's key.

A cursor holds the key of the last one seen, and a mark that only we can make, of the list and what it is filtered by:
one that was made up, changed, or given out for something else is refused. It says nothing that the list doesn't.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request

from ...errors import ValueInvalid
from ...security.blind_index import keyed_hash
from .deps import Deps

T = TypeVar("T")
LIMIT, LIMIT_MAX, CURSOR_MAX = 50, 200, 1000
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="at most so many on a page")]
Cursor = Annotated[str, Query(max_length=CURSOR_MAX, description="`next_cursor` of the page before; empty: the first")]
_MARK = 24  # characters: 96 bits


@dataclass(frozen=True, slots=True)
class Asked:
    """What page of which list is wanted. `after` is the key of the last one seen; None: from the beginning."""

    deps: Deps
    name: str
    filters: Mapping[str, str]
    limit: int
    after: list[Any] | None
    path: str = ""  # where it is asked for by GET: there is an address of the next page

    @property
    def most(self) -> int:
        """How many to look for: one more tells whether there is a next page."""
        return self.limit + 1

    @property
    def last(self) -> str | None:
        """The last one seen, of a list by id."""
        return None if self.after is None else self.after[0]

    def answer(self, found: Sequence[T], key: Callable[[T], Sequence[Any]], show: Callable[[T], Any]) -> dict[str, Any]:
        """The page under the list's name, and what leads to the next one."""
        page = found[: self.limit]
        cursor = self.cursor(key(page[-1])) if len(found) > self.limit else None
        body: dict[str, Any] = {self.name: [show(one) for one in page], "next_cursor": cursor}
        if self.path:
            query = urlencode({**self.filters, "limit": self.limit, "cursor": cursor or ""})
            body["next"] = f"{self.deps.public_url.rstrip('/')}{self.path}?{query}" if cursor else None
        return body

    def of_all(
        self,
        found: Iterable[T],
        key: Callable[[T], str],
        show: Callable[[T], Any],
        *,
        newest: bool = False,
    ) -> dict[str, Any]:
        """The page of a list that is short and read whole, such as what is of one account; in the order of its keys."""
        last = self.last
        left = [one for one in found if last is None or (key(one) < last if newest else key(one) > last)]
        left.sort(key=key, reverse=newest)
        return self.answer(left, lambda one: [key(one)], show)

    def cursor(self, key: Sequence[Any]) -> str:
        said = urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{_mark(self.deps, self.name, self.path, self.filters, said)}{said}"


def asked(
    deps: Deps, name: str, filters: Mapping[str, str] | Request, limit: int, cursor: str, types: Sequence[type] = (str,)
) -> Asked:
    """`filters` is the request where they stand in its address. `types` are those of the key.

    Raises ValueInvalid for a cursor that was not given out for this list with these filters.
    """
    path = ""
    if isinstance(filters, Request):
        said, path = filters.query_params, filters.url.path
        path = path[path.index("/api/v1/") :]
        filters = {one: said[one] for one in sorted(said) if one not in ("limit", "cursor")}
    return Asked(deps, name, filters, limit, _key(deps, name, path, filters, cursor, types) if cursor else None, path)


def _key(deps: Deps, name: str, path: str, filters: Mapping[str, str], cursor: str, types: Sequence[type]) -> list[Any]:
    mark, said = cursor[:_MARK], cursor[_MARK:]
    good = cursor.isascii() and hmac.compare_digest(mark, _mark(deps, name, path, filters, said))
    try:
        key = json.loads(urlsafe_b64decode(said + "=" * (-len(said) % 4))) if good else None
    except (ValueError, binascii.Error):
        key = None
    if not isinstance(key, list) or len(key) != len(types) or not all(map(isinstance, key, types)):
        says = "this cursor was not given out for this list with these filters: begin without one"
        raise ValueInvalid(says, location="cursor")
    return key


def _mark(deps: Deps, name: str, path: str, filters: Mapping[str, str], said: str) -> str:
    about = json.dumps([deps.tenant.name, name, path, sorted(filters.items()), said]).encode()
    return keyed_hash(deps.hash_key, about)[:_MARK]
