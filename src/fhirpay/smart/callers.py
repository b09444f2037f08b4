"""Who calls us, and what they may do: bearer tokens by RFC 6750. Called by every route that isn't open.

A token is one of the configuration (it lives until it is changed there), one of ours (token_store.py) or one of an
issuer that we trust (issuers.py); all three end in the same `Caller`. Authlib reads the header and tells a missing
token from a wrong one. A tenant's tokens are looked for among its own: another tenant's are as wrong as made-up ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6750 import BearerTokenValidator

from ..config_client import ApiClient
from ..db.unit import Units
from ..errors import NotAuthenticated, NotPermitted
from . import token_store
from .issuers import Issuers
from .scopes import Scopes

_LENGTH_MAX = 8_000
MISSING = "send 'Authorization: Bearer …' with a token of a client that is registered here"
WRONG = "this token is no client's here, has ended, or was revoked"


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that has shown a good token. `scopes` are what that token allows, which may be less than its client."""

    client: ApiClient
    scopes: Scopes


@dataclass(frozen=True, slots=True)
class _Request:
    headers: Mapping[str, str]


class Callers:
    """The clients of one tenant. `scopes` are theirs by name, as registered."""

    def __init__(
        self, units: Units, clients: Sequence[ApiClient], scopes: Mapping[str, Scopes], issuers: Issuers
    ) -> None:
        self._units = units
        self._clients = tuple(clients)
        self._by_token = tuple((client.token.encode(), client) for client in clients if client.token)
        self._by_id = {client.id: client for client in clients if not client.issuer}
        self._scopes = scopes
        self._issuers = issuers
        self._protector = ResourceProtector()
        self._protector.register_token_validator(BearerTokenValidator())

    async def caller(self, authorization: str | None) -> Caller:
        """Who an `Authorization` header is of. Raises NotAuthenticated, or UpstreamUnavailable when nobody can tell."""
        request = _Request({"Authorization": authorization} if authorization else {})
        try:
            _, text = self._protector.parse_request_authorization(request)
        except OAuth2Error:
            raise NotAuthenticated(MISSING) from None
        text = text.strip()
        found = None
        if len(text) <= _LENGTH_MAX and text.isascii() and text.isprintable():
            found = self._configured(text) or await self._ours(text) or await self._theirs(text)
        if found is None:
            raise NotAuthenticated(WRONG, error="invalid_token")
        return found

    def registered(self, name: str) -> Caller | None:
        """A client with all that it may do now; None when it isn't registered any more."""
        found = next((client for client in self._clients if client.name == name), None)
        return None if found is None else Caller(found, self._scopes[name])

    async def require(self, authorization: str | None, endpoint: str) -> Caller:
        """A caller that may use an endpoint that is no FHIR (scopes.ENDPOINTS). Raises NotPermitted besides."""
        caller = await self.caller(authorization)
        if endpoint not in caller.scopes.endpoints:
            says = f"this needs the scope '{endpoint}', which the token, or its client in [[tenants.clients]], lacks"
            raise NotPermitted(says, error="insufficient_scope", scope=endpoint)
        return caller

    def _configured(self, text: str) -> Caller | None:
        """Looks at every client, so that time tells nothing."""
        found = None
        for token, client in self._by_token:
            if hmac.compare_digest(token, text.encode()):
                found = Caller(client, self._scopes[client.name])
        return found

    async def _ours(self, text: str) -> Caller | None:
        issued = await self._units.read(token_store.find, text)
        if issued is None or (client := self._by_id.get(issued.client_id)) is None:
            return None
        # Within what is registered now: it may be less than when the token was given out.
        return Caller(client, Scopes.read(issued.scope.split()).within(self._scopes[client.name]))

    async def _theirs(self, text: str) -> Caller | None:
        granted = await self._issuers.granted(text)
        if granted is None:
            return None
        return Caller(granted.client, Scopes.read(granted.scopes).within(self._scopes[granted.client.name]))
