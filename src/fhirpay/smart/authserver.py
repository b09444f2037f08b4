"""Our authorization server: tokens for systems that call us, by SMART Backend Services. Called by web/oauth.py.

Authlib has the protocols (RFC 6749 client_credentials, 7662 introspection, 7009 revocation); what it asks for is
answered here from one unit of work, so that an assertion is used up and its token kept together or not at all. No user
launches anything here, so there is no authorization endpoint, no refresh token and no `patient/` or `user/` scope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    TokenMixin,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from ..db.unit import Tx, Units
from ..log import Log
from . import token_store
from .assertions import Asserted, Assertions
from .callers import Caller
from .scopes import Scope, Scopes
from .token_store import Issued

log = Log("smart")

LIFETIME = timedelta(minutes=5)  # SMART: should not exceed 300 s
GRANT = "client_credentials"
_METHOD = "private_key_jwt"
_SCOPE_MAX = 4_000  # characters: a token's scopes are compared with each other, and read again at each of its calls


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint says: always JSON, never to be stored by anyone in between."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class AuthServer:
    """The endpoints of one tenant. `understood` says whether a scope can be enforced: no other one is given out."""

    def __init__(
        self,
        units: Units,
        assertions: Assertions,
        bearer: Callable[[str | None, str], Awaitable[Caller]],
        scopes: Mapping[str, Scopes],
        understood: Callable[[Scope], bool],
    ) -> None:
        self._units = units
        self._assertions = assertions
        self._bearer = bearer
        self._scopes = scopes
        self._understood = understood

    async def token(self, form: Mapping[str, str] | None, authorization: str | None = None) -> Answer:
        """An access token, for a client that proves who it is."""
        if form is not None and form.get("grant_type") != GRANT:  # before anything that costs more than a look
            return _refused(OAuth2Error(f"grant_type is {GRANT}: no other is taken", error="unsupported_grant_type"))
        return await self._proved("token", form, authorization)

    async def revoke(self, form: Mapping[str, str] | None, authorization: str | None = None) -> Answer:
        """End a token of the client's own. One that isn't there has ended already: a success (RFC 7009 §2.2)."""
        return await self._proved("revocation", form, authorization)

    async def introspect(self, form: Mapping[str, str] | None, authorization: str | None = None) -> Answer:
        """What a token of ours may do: of any client for a bearer of `introspect`, of its own for a client."""
        if authorization is None or form is None:
            return await self._proved("introspection", form, authorization)
        await self._bearer(authorization, "introspect")  # raises as every other route does
        return await self._units.read(self._run, "introspection", form, None)

    async def _proved(self, endpoint: str, form: Mapping[str, str] | None, authorization: str | None) -> Answer:
        try:
            if form is None:
                raise InvalidRequestError("send a form, application/x-www-form-urlencoded, with each parameter once")
            if authorization is not None:
                raise InvalidClientError("a client proves who it is by client_assertion alone", status_code=401)
            asserted = await self._assertions.proved(form)
        except OAuth2Error as error:
            log.info("smart.refused", code=error.error)
            return _refused(error)
        return await self._units.write(self._run, endpoint, form, asserted, urgent=True)

    def _run(self, tx: Tx, endpoint: str, form: Mapping[str, str], asserted: Asserted | None) -> Answer:
        client = None
        if asserted is not None:
            if not token_store.use_assertion(tx, asserted.client.id, asserted.jti, asserted.expires_at):
                return _refused(InvalidClientError("this assertion was used before: its jti is known"))
            client = _Client(asserted.client.id, self._scopes[asserted.client.name], self._understood)
        server = _Server(tx, client)
        answer: Any = (
            server.create_token_response(form)
            if endpoint == "token"
            else server.create_endpoint_response(endpoint, form)
        )
        return answer


def _refused(error: OAuth2Error) -> Answer:
    status, body, headers = error()
    return Answer(status, dict(body), dict(headers))


class _Client(ClientMixin):
    """What Authlib asks of a client that has been authenticated."""

    def __init__(self, client_id: str, held: Scopes, understood: Callable[[Scope], bool]) -> None:
        self.client_id = client_id
        self._held = held
        self._understood = understood

    def get_client_id(self) -> str:
        return self.client_id

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == _METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == GRANT

    def get_allowed_scope(self, scope: Any) -> Any:
        """What it may have of what it asks for; None, which is invalid_scope, when that is nothing."""
        if len(scope or "") > _SCOPE_MAX:
            raise InvalidScopeError(f"ask for scopes of at most {_SCOPE_MAX} characters in all")
        asked = Scopes.read((scope or "").split())
        known = Scopes(tuple(one for one in asked.fhir if self._understood(one)), asked.endpoints)
        return str(known.within(self._held)) or None


class _Token(TokenMixin):
    """What Authlib asks of a token that is in force."""

    def __init__(self, issued: Issued) -> None:
        self.issued = issued

    def check_client(self, client: _Client) -> bool:
        return client.client_id == self.issued.client_id

    def is_expired(self) -> bool:
        return False  # the store finds none that is

    def is_revoked(self) -> bool:
        return False


class _Request(OAuth2Request):
    """A form that was posted. TLS ends before us, so the scheme that we see says nothing: Authlib shall not look."""

    def __init__(self, form: Mapping[str, str]) -> None:
        super().__init__("POST", "https://localhost")
        self._form = dict(form)
        self.payload = BasicOAuth2Payload(self._form)

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Server(AuthorizationServer):
    """Authlib's server for one request, on one unit of work."""

    def __init__(self, tx: Tx, client: _Client | None) -> None:
        super().__init__()
        self.tx, self.client = tx, client
        self.register_client_auth_method(_METHOD, lambda _query, _request: client)
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                lambda **_: tx.ids.secret(), expires_generator=lambda *_: int(LIFETIME.total_seconds())
            ),
        )
        self.register_grant(_Grant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)

    def query_client(self, client_id: str) -> Any:
        return None  # it has been found already: see `_Client`

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: Mapping[str, str]) -> OAuth2Request:
        return _Request(request)

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        return Answer(status, dict(body), dict(headers))

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        token_store.add(self.tx, token["access_token"], request.client.client_id, token["scope"], LIFETIME)


class _Grant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = [_METHOD]


def _found(server: _Server, text: str) -> _Token | None:
    issued = token_store.find(server.tx, text)
    return None if issued is None else _Token(issued)


def _check_token(form: Mapping[str, str]) -> None:
    """A hint is a hint (RFC 7009 §2.1): one that says something else than we know is no error."""
    if not form.get("token"):
        raise InvalidRequestError("say which token, in 'token'")


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = [_METHOD]

    def check_params(self, request: Any, client: _Client) -> None:
        _check_token(request.payload.data)

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Token | None:
        return _found(self.server, token_string)

    def revoke_token(self, token: _Token, request: Any) -> None:
        token_store.revoke(self.server.tx, request.payload.data["token"])


class _Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = [_METHOD]

    def authenticate_endpoint_client(self, request: Any) -> _Client | None:
        """None for a bearer of `introspect`, who was let in before."""
        request.client = self.server.client
        return request.client

    def check_params(self, request: Any, client: _Client | None) -> None:
        _check_token(request.payload.data)

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Token | None:
        return _found(self.server, token_string)

    def check_permission(self, token: _Token, client: _Client | None, request: Any) -> bool:
        return client is None or token.check_client(client)

    def introspect_token(self, token: _Token) -> dict[str, Any]:
        issued = token.issued
        return {
            "active": True,
            "scope": issued.scope,
            "client_id": issued.client_id,
            "exp": int(issued.expires_at.timestamp()),
            "iat": int(issued.issued_at.timestamp()),
            "token_type": "Bearer",
        }
