"""Who calls us: bearer tokens of the configured clients, compared in constant time. Called by the web room."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from ..config import ApiClient
from ..errors import NotAuthenticated, NotPermitted


class Tokens:
    """The clients of one tenant."""

    def __init__(self, clients: Sequence[ApiClient]) -> None:
        self._clients = tuple(clients)

    def find(self, token: str) -> ApiClient | None:
        """The client with this token, or None. Looks at every client, so that time tells nothing."""
        found = None
        for client in self._clients:
            if hmac.compare_digest(client.token.encode(), token.encode()):
                found = client
        return found

    def require(self, authorization: str | None, scope: str) -> ApiClient:
        """The client of an `Authorization` header. Raises NotAuthenticated, or NotPermitted by scope."""
        kind, _, token = (authorization or "").partition(" ")
        client = self.find(token.strip()) if kind.lower() == "bearer" and token.strip() else None
        if client is None:
            raise NotAuthenticated("send 'Authorization: Bearer …' with the token of a configured client")
        if scope not in client.scopes:
            scopes = ", ".join(client.scopes)
            raise NotPermitted(f"client '{client.name}' may not use '{scope}'; its scopes are {scopes}")
        return client
