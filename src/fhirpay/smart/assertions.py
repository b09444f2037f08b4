"""Who asks for a token: a client's signed assertion (private_key_jwt), checked without touching the database.

By SMART App Launch 2.2, "Client Authentication: Asymmetric", and RFC 7523 §3. Called by authserver.py, which then takes
the `jti` in the unit that acts for the client. Every refusal is Authlib's InvalidClientError, with a reason for the
client's developer in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523.client import ASSERTION_TYPE
from joserfc import jws, jwt
from joserfc.errors import JoseError

from ..config_client import ApiClient
from ..errors import UpstreamUnavailable
from .key_sets import KeySet

ALGORITHMS = ("RS384", "ES384")
LIFETIME_MAX = timedelta(minutes=5)
SKEW = timedelta(seconds=10)  # between its clock and ours
_LENGTH_MAX = 8_000
_JTI_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Asserted:
    """A client that has proved who it is, if `jti` wasn't used before. `expires_at`: from then on it is refused."""

    client: ApiClient
    jti: str
    expires_at: datetime


class Assertions:
    """The clients of one tenant that ask for tokens. `audiences` are our URLs that an assertion may be made for."""

    def __init__(
        self, clients: Mapping[str, tuple[ApiClient, KeySet]], audiences: tuple[str, ...], now: Callable[[], datetime]
    ) -> None:
        self._clients = clients
        self._audiences = audiences
        self._now = now

    async def proved(self, form: Mapping[str, str]) -> Asserted:
        """The client of a request. Raises InvalidClientError."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidClientError(f"client_assertion_type is {ASSERTION_TYPE}, and nothing else is taken")
        assertion = form.get("client_assertion", "")
        header, said = _opened(assertion)
        client, keys = self._registered(said, form)
        if header.get("alg") not in ALGORITHMS:
            raise InvalidClientError(f"sign the assertion with one of {', '.join(ALGORITHMS)}")
        if str(header.get("typ", "JWT")).upper() != "JWT":
            raise InvalidClientError("the typ of the assertion is JWT")
        # A jku that isn't the registered one would let whoever wrote it bring a key along.
        if "jku" in header and (not client.jwks_url or header["jku"] != client.jwks_url):
            raise InvalidClientError("jku is not the URL that was registered for this client")
        claims = await _verified(assertion, header, keys)
        return self._held(client, claims)

    def _registered(self, said: Mapping[str, Any], form: Mapping[str, str]) -> tuple[ApiClient, KeySet]:
        subject = said.get("sub")
        if not isinstance(subject, str):
            raise InvalidClientError("iss and sub of the assertion are both the client_id")
        if form.get("client_id", subject) != subject:
            raise InvalidClientError("client_id is another one than the assertion says")
        found = self._clients.get(subject)
        if found is None:
            raise InvalidClientError("no client with keys is registered under this client_id")
        return found

    def _held(self, client: ApiClient, claims: dict[str, Any]) -> Asserted:
        """What the signed claims promise. Raises InvalidClientError."""
        now = self._now()
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(SKEW.total_seconds()),
            iss={"essential": True, "value": client.id},  # as sub, by which it was found
            aud={"essential": True, "values": list(self._audiences)},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise InvalidClientError(f"the assertion does not hold: {_plain(error)}") from None
        jti = claims["jti"]
        if len(jti) > _JTI_MAX:
            raise InvalidClientError("the jti is too long")
        try:
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        except (OverflowError, ValueError, OSError):
            raise InvalidClientError("the exp is no moment that there is") from None
        if expires_at - now > LIFETIME_MAX + SKEW:
            raise InvalidClientError("the exp is more than five minutes away")
        return Asserted(client, jti, expires_at + SKEW)


async def _verified(assertion: str, header: Mapping[str, Any], keys: KeySet) -> dict[str, Any]:
    """The claims, if exactly one key of the client has the kid and fits the algorithm, and its signature is right."""
    kid, alg = header.get("kid"), str(header["alg"])
    if not isinstance(kid, str):
        raise InvalidClientError("the assertion names no key: its header has a kid")
    try:
        found = await keys.matching(kid, alg)
    except UpstreamUnavailable:
        raise InvalidClientError("the keys of this client can not be read at its jwks_url") from None
    if len(found) != 1:
        raise InvalidClientError(f"{len(found) or 'no'} keys of this client fit its kid and alg, not one")
    try:
        return jwt.decode(assertion, found[0], algorithms=[alg]).claims
    except (JoseError, ValueError, TypeError) as error:  # TypeError: a crit that is no list
        raise InvalidClientError(f"the signature does not hold: {_plain(error)}") from None


def _opened(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they are written, proved by nothing yet."""
    if not assertion or len(assertion) > _LENGTH_MAX or not assertion.isascii():
        raise InvalidClientError("client_assertion is a signed JWT")
    try:
        read = jws.extract_compact(assertion.encode())
        claims = json.loads(read.payload or b"")
    except (JoseError, ValueError, RecursionError):
        raise InvalidClientError("client_assertion is no signed JWT") from None
    if not isinstance(claims, dict):
        raise InvalidClientError("client_assertion is no signed JWT")
    return dict(read.headers()), claims


def _plain(error: Exception) -> str:
    """The kind of an error alone: its words may repeat what somebody sent, in letters that no error_description has."""
    claim = getattr(error, "claim", "")
    kind = str(getattr(error, "error", "") or type(error).__name__)
    return f"{kind} of {claim}" if claim in ("iss", "sub", "aud", "exp", "nbf", "iat", "jti") else kind
