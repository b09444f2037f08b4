"""Who calls us: bearer tokens by RFC 6750, of the configured clients. Called by the web room.

Authlib reads the header, tells a missing token from a wrong one and compares scopes. A token is looked for in constant
time. Tokens that we issue ourselves, with an end and a revocation, become another `authenticate_token`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6750 import BearerTokenValidator, InsufficientScopeError

from ..config import ApiClient
from ..errors import NotAuthenticated, NotPermitted


@dataclass(frozen=True, slots=True)
class _Token:
    """What Authlib asks of a token."""

    client: ApiClient

    def is_expired(self) -> bool:
        return False  # one from the configuration lives until it is changed there

    def is_revoked(self) -> bool:
        return False

    def get_scope(self) -> str:
        return " ".join(self.client.scopes)


@dataclass(frozen=True, slots=True)
class _Request:
    headers: Mapping[str, str]


class _Configured(BearerTokenValidator):
    def __init__(self, clients: Sequence[ApiClient]) -> None:
        super().__init__()
        self._clients = tuple(clients)

    def authenticate_token(self, token_string: str) -> _Token | None:
        """The client with this token. Looks at every client, so that time tells nothing."""
        found = None
        for client in self._clients:
            if hmac.compare_digest(client.token.encode(), token_string.strip().encode()):
                found = _Token(client)
        return found


class Tokens:
    """The clients of one tenant."""

    def __init__(self, clients: Sequence[ApiClient]) -> None:
        self._protector = ResourceProtector()
        self._protector.register_token_validator(_Configured(clients))

    def require(self, authorization: str | None, scope: str) -> ApiClient:
        """The client of an `Authorization` header. Raises NotAuthenticated, or NotPermitted when the scope is short."""
        request = _Request({"Authorization": authorization} if authorization else {})
        try:
            token: _Token = self._protector.validate_request([scope], request)
        except InsufficientScopeError:
            raise NotPermitted(
                f"this client may not use '{scope}'; add it to its scopes in [[tenants.clients]]"
            ) from None
        except OAuth2Error:
            raise NotAuthenticated("send 'Authorization: Bearer …' with the token of a configured client") from None
        return token.client
