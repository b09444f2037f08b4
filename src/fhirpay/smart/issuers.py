"""Access tokens of another authorization server, such as the hospital's own. Called by callers.py.

A signed JWT is checked by the issuer's public keys (RFC 9068, without asking for its `typ`: many issuers write JWT),
any other token by asking the issuer (RFC 7662). Either way it counts for us only if it names us as its audience, has
an end that hasn't come, and is of a client that is registered here under that issuer; what it may do is what the token
says, and no more than is registered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from joserfc import jws, jwt
from joserfc.errors import JoseError

from ..config_client import ApiClient
from ..errors import UpstreamUnavailable
from ..net.errors import NeverSent, Uncertain
from ..net.http import HttpClient
from .client_auth import basic
from .key_sets import ALGORITHMS, KeySet

_SKEW = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Granted:
    """What an issuer says that a token allows, to a client of ours."""

    client: ApiClient
    scopes: tuple[str, ...]


class Checks(Protocol):
    async def claims(self, token: str) -> Mapping[str, Any] | None:
        """What the token says, vouched for by its issuer; None when it isn't. Raises UpstreamUnavailable."""
        ...

    async def aclose(self) -> None: ...


class BySignature:
    """Signed JWTs."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def claims(self, token: str) -> Mapping[str, Any] | None:
        header = _header(token)
        kid, alg = header.get("kid"), header.get("alg")
        if not isinstance(kid, str) or not isinstance(alg, str) or alg not in ALGORITHMS:
            return None
        found = await self._keys.matching(kid, alg)
        if len(found) != 1:
            return None
        try:
            return jwt.decode(token, found[0], algorithms=[alg]).claims
        except (JoseError, ValueError, TypeError):  # TypeError: a crit that is no list
            return None

    async def aclose(self) -> None:
        await self._keys.aclose()


class ByAsking:
    """Whatever the issuer knows again. It is asked each time, so that what it revokes ends here too."""

    def __init__(self, http: HttpClient, client_id: str, secret: str) -> None:
        self._http = http
        self._headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        if client_id:
            self._headers["authorization"] = basic(client_id, secret)

    async def claims(self, token: str) -> Mapping[str, Any] | None:
        body = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        try:
            answer = await self._http.send("POST", body=body, headers=self._headers)
        except (NeverSent, Uncertain):
            raise UpstreamUnavailable("the issuer of this token can't be asked now; try again") from None
        if answer.status != 200:
            raise UpstreamUnavailable(f"the issuer of this token answered {answer.status}; try again")
        said = answer.json_object()
        return said if said.get("active") is True else None

    async def aclose(self) -> None:
        await self._http.aclose()


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One issuer: how it is named, how we are, how its tokens are checked, and which of its clients are ours."""

    issuer: str
    audience: str
    checks: Checks
    clients: Mapping[str, ApiClient]

    async def granted(self, token: str, now: datetime) -> Granted | None:
        claims = await self.checks.claims(token)
        if claims is None or not self._holds(claims, now):
            return None
        client = self.clients.get(str(claims.get("client_id") or claims.get("azp") or ""))
        return None if client is None else Granted(client, _words(claims.get("scope", claims.get("scp"))))

    def _holds(self, claims: Mapping[str, Any], now: datetime) -> bool:
        asked = isinstance(self.checks, ByAsking)  # it spoke for itself: its name may be left out
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(_SKEW.total_seconds()),
            iss={"essential": not asked, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            exp={"essential": True},
        )
        try:
            registry.validate(dict(claims))
        except JoseError:
            return False
        return True


class Issuers:
    """All issuers that a tenant trusts."""

    def __init__(self, issuers: Sequence[TrustedIssuer], now: Callable[[], datetime]) -> None:
        self._issuers = issuers
        self._now = now

    async def granted(self, token: str) -> Granted | None:
        """What a token allows, by the first issuer that vouches for it. A JWT is shown to none but its own."""
        stated = _claimed_issuer(token)
        for one in self._issuers:
            if stated is not None and stated != one.issuer:
                continue
            if stated is None and isinstance(one.checks, BySignature):
                continue
            if (found := await one.granted(token, self._now())) is not None:
                return found
        return None

    async def aclose(self) -> None:
        for one in self._issuers:
            await one.checks.aclose()


def _words(scope: object) -> tuple[str, ...]:
    if isinstance(scope, str):
        return tuple(scope.split())
    return tuple(one for one in scope if isinstance(one, str)) if isinstance(scope, list) else ()


def _header(token: str) -> dict[str, Any]:
    try:
        return dict(jws.extract_compact(token.encode()).headers())
    except (JoseError, ValueError, RecursionError):
        return {}


def _claimed_issuer(token: str) -> str | None:
    """The `iss` that a JWT states, proved by nothing; None for what is no JWT, "" for one that states none."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload or b"")
    except (JoseError, ValueError, RecursionError):
        return None
    return str(claims.get("iss", "")) if isinstance(claims, dict) else None
