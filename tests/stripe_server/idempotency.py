"""Idempotency keys (API reference, Idempotent requests; Advanced error handling, Idempotency)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from .books import Books
from .errors import Doc, idempotency, unreadable


@dataclass(slots=True)
class Kept:
    """What is known of a key: the request it was first used for, and its answer once there is one."""

    path: str
    params: str
    at: int
    request_id: str
    status: int = 0
    body: Doc | None = None


class Keys:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.kept: dict[str, Kept] = {}

    def begin(self, key: str, path: str, params: Doc, request_id: str) -> Kept | None:
        """The first answer to this key, or None: go ahead. Raises Refused."""
        if len(key) > 255:
            # Idempotent requests: keys are up to 255 characters long
            raise unreadable("Idempotency keys can be up to 255 characters long.")
        digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
        first = self.kept.get(key)
        # Idempotent requests: keys may be removed once they are at least 24 hours old; then the request is a new one
        if first is None or (
            first.body is not None and self._books.now() - first.at >= self._books.settings["keys_live_s"]
        ):
            self.kept[key] = Kept(path, digest, self._books.now(), request_id)
            return None
        if first.path != path:
            raise idempotency(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{path}' vs '{first.path}'). Try using a key other than '{key}' if you meant to execute a different "
                "request."
            )
        if first.params != digest:
            # Idempotent requests: incoming parameters are compared to those of the original request
            raise idempotency(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
        if first.body is None:
            # Error codes: idempotency_key_in_use; HTTP 409
            raise idempotency(
                f"There is currently another in-progress request using this Idempotency Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}.",
                status=409,
                code="idempotency_key_in_use",
            )
        return first

    def end(self, key: str, status: int, body: Doc) -> None:
        """Idempotent requests: the status code and body are saved, whether it succeeded or failed, also a 500."""
        kept = self.kept[key]
        kept.status, kept.body = status, json.loads(json.dumps(body))

    def drop(self, key: str) -> None:
        """Nothing is saved for what failed validation: the key is free again."""
        self.kept.pop(key, None)
