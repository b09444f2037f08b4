"""One tenant's callers and authorization server, from its configuration. Called by `wiring`.

What an administrator may have got wrong is said here, at start: a scope that can't be enforced, a key set that holds
no key, a URL that we must not call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ..config import Tenant
from ..config_client import ApiClient, Issuer
from ..db.unit import Units
from ..errors import ConfigInvalid
from ..net.http import HttpClient, Transport
from .assertions import Assertions
from .authserver import AuthServer
from .callers import Callers
from .issuers import ByAsking, BySignature, Issuers, TrustedIssuer
from .key_sets import BODY_MAX_BYTES, FixedKeys, KeySet, RemoteKeys
from .scopes import ENDPOINTS, Scope, Scopes

_KEYS_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Who calls, and where they get their tokens. `aclose` gives back the connections for keys and questions."""

    callers: Callers
    server: AuthServer
    key_sets: tuple[KeySet, ...]
    issuers: Issuers

    async def aclose(self) -> None:
        for keys in self.key_sets:
            await keys.aclose()
        await self.issuers.aclose()


def build(
    tenant: Tenant,
    units: Units,
    *,
    base_url: str,
    fhir_url: str,
    understood: Callable[[Scope], bool],
    now: Callable[[], datetime],
    transport: Transport | None = None,
) -> FrontDoor:
    """Raises ConfigInvalid, with what to write. `understood`: whether a scope's parameters can be enforced."""
    scopes = {client.name: _registered(client, understood) for client in tenant.clients}
    keys = {
        client.id: (client, _keys_of(client, now, transport))
        for client in tenant.clients
        if client.jwks or client.jwks_url
    }
    issuers = Issuers([_trusted(one, tenant, fhir_url, now, transport) for one in tenant.issuers], now)
    callers = Callers(units, tenant.clients, scopes, issuers)
    urls = endpoints(base_url)
    server = AuthServer(units, Assertions(keys, tuple(urls.values()), now), callers.require, scopes, understood)
    return FrontDoor(callers, server, tuple(found for _, found in keys.values()), issuers)


def endpoints(base_url: str) -> dict[str, str]:
    """The authorization server's endpoints by what they are called in discovery."""
    return {
        "token_endpoint": f"{base_url}/oauth/token",
        "introspection_endpoint": f"{base_url}/oauth/introspect",
        "revocation_endpoint": f"{base_url}/oauth/revoke",
    }


def _registered(client: ApiClient, understood: Callable[[Scope], bool]) -> Scopes:
    for text in client.scopes:
        scope = Scope.parse(text)
        if text not in ENDPOINTS and (scope is None or not understood(scope)):
            instead = "system/*.cruds" if text == "fhir" else "system/Invoice.rs, " + ", ".join(ENDPOINTS)
            raise ConfigInvalid(f"client '{client.name}' has the scope '{text}', which allows nothing: write {instead}")
    return Scopes.read(client.scopes)


def _keys_of(client: ApiClient, now: Callable[[], datetime], transport: Transport | None) -> KeySet:
    if client.jwks:
        return FixedKeys.read(client.jwks, client.name)
    return _remote_keys(client.jwks_url, f"client '{client.name}'", client.private_network, now, transport)


def _remote_keys(
    url: str, owner: str, private: bool, now: Callable[[], datetime], transport: Transport | None
) -> RemoteKeys:
    return RemoteKeys(_http(url, owner, private, _KEYS_TIMEOUT_S, transport), now)


def _http(url: str, owner: str, private: bool, timeout_s: float, transport: Transport | None) -> HttpClient:
    if not url.startswith("https://") and not private:
        raise ConfigInvalid(f"{owner}: {url} is not https; what comes from there could be anybody's")
    return HttpClient(
        url,
        timeout_s=timeout_s,
        allow_private=private,
        max_body_bytes=BODY_MAX_BYTES,
        transport=transport,
    )


def _trusted(
    issuer: Issuer, tenant: Tenant, fhir_url: str, now: Callable[[], datetime], transport: Transport | None
) -> TrustedIssuer:
    owner = f"issuer '{issuer.name}'"
    if issuer.jwks_url:
        checks: BySignature | ByAsking = BySignature(
            _remote_keys(issuer.jwks_url, owner, issuer.private_network, now, transport)
        )
    else:
        http = _http(issuer.introspection_url, owner, issuer.private_network, issuer.timeout_s, transport)
        checks = ByAsking(http, issuer.introspection_client, issuer.introspection_secret)
    clients: Mapping[str, ApiClient] = {one.id: one for one in tenant.clients if one.issuer == issuer.name}
    return TrustedIssuer(issuer.issuer, issuer.audience or fhir_url, checks, clients)
