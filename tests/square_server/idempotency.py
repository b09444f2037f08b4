"""Idempotency keys (Build Basics, Idempotency): the first answer again; another request with the key is an error.

How long a key is kept is not published: `keys_live_s` of the settings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .books import Books
from .errors import Doc, invalid


@dataclass(slots=True)
class Kept:
    request: str
    at: float
    status: int = 0  # 0: still running
    body: str = ""


class Keys:
    """By endpoint: a key is unique among the requests to one (CreatePayment, RefundPayment …)."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.kept: dict[tuple[str, str], Kept] = {}

    def begin(self, endpoint: str, key: str, body: Doc) -> tuple[int, Doc] | None:
        """The first answer to this key, or None: go ahead. Raises Refused."""
        now, request = self._books.now(), json.dumps(body, sort_keys=True)
        first = self.kept.get((endpoint, key))
        if first is None or (first.status and now - first.at >= self._books.settings["keys_live_s"]):
            self.kept[endpoint, key] = Kept(request, now)
            return None
        if first.request != request:
            # ErrorCode IDEMPOTENCY_KEY_REUSED
            raise invalid("IDEMPOTENCY_KEY_REUSED", "The idempotency key was used for another request.")
        if not first.status:
            raise invalid("CONFLICT", "A request with this idempotency key is being processed.", status=409)
        return first.status, json.loads(first.body)

    def end(self, endpoint: str, key: str, status: int, body: Doc) -> None:
        kept = self.kept[endpoint, key]
        kept.status, kept.body = status, json.dumps(body)

    def drop(self, endpoint: str, key: str) -> None:
        """What fails validation is not remembered."""
        self.kept.pop((endpoint, key), None)
