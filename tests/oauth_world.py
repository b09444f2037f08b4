"""The wired program with two tenants and systems that ask it for tokens: for tests of who may do what.

`north` and `south` have a client of the same name and keys each, so that only the tenant tells their tokens apart.
The clients' key sets, and the hospital's own authorization server, are answered by `outside`, which counts the calls.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import httpx2
from joserfc import jwk, jwt

from fhirpay import wiring
from fhirpay.config import ApiClient, Facility, Issuer, Merchant, Settings, Tenant
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids

BASE = "https://pay.example/tenants/north"
TOKEN_URL = f"{BASE}/oauth/token"
JWKS_URL = "https://his.example/jwks.json"
ISSUER = "https://login.hospital.example"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_jti = count(1)


def key(kid: str, kind: str = "RSA") -> jwk.Key:
    """A key pair that is made once."""
    return _key(kid, kind)


@cache
def _key(kid: str, kind: str) -> jwk.Key:
    if kind == "RSA":
        return jwk.RSAKey.generate_key(2048, {"kid": kid})
    return jwk.ECKey.generate_key("P-384" if kind == "EC" else kind, {"kid": kid})


def key_set(*keys: jwk.Key) -> dict[str, Any]:
    return {"keys": [dict(one.as_dict(private=False)) for one in keys]}


def signed(claims: Mapping[str, Any], by: jwk.Key, *, header: Mapping[str, Any] | None = None) -> str:
    alg = "RS384" if isinstance(by, jwk.RSAKey) else "ES384"
    named = {"alg": alg, "kid": by.kid, **(header or {})}
    named = {name: value for name, value in named.items() if value is not None}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(named, claims, by, algorithms=[named["alg"]])


def _tenant(name: str, *more: ApiClient, issuers: tuple[Issuer, ...] = ()) -> Tenant:
    narrow = ("system/Invoice.rs", "system/Account.rs?status=active", "system/ChargeItem.cu")
    clients = (
        ApiClient(name="backend", client_id="his", jwks_url=JWKS_URL, scopes=("system/*.cruds", "hl7v2")),
        ApiClient(name="narrow", jwks=json.dumps(key_set(key("n", "EC"))), scopes=narrow),
        ApiClient(name="gateway", token=f"gateway-{name}", scopes=("introspect",)),
        ApiClient(name="desk", token=f"desk-{name}", scopes=("payments",)),
        *more,
    )
    return Tenant(
        name=name,
        facilities=(Facility(name="main"),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        clients=clients,
        issuers=issuers,
    )


@dataclass
class OauthWorld:
    system: wiring.System
    http: httpx2.AsyncClient
    clock: FrozenClock
    keys: dict[str, Any] = field(default_factory=lambda: key_set(key("h"), key("e", "EC")))
    calls: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[httpx2.Request], httpx2.Response]] = field(default_factory=dict)

    def outside(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        self.calls.append(url)
        if url in self.answers:
            return self.answers[url](request)
        return httpx2.Response(200, json=self.keys) if url == JWKS_URL else httpx2.Response(404)

    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def assertion(self, by: jwk.Key | None = None, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A good assertion of `his`, but for what is said otherwise; None leaves a claim out."""
        good = {"iss": "his", "sub": "his", "aud": TOKEN_URL, "exp": self.now() + 300, "jti": f"jti-{next(_jti)}"}
        return signed(good | claims, by or key("h"), header=header)

    async def post(self, path: str, form: Mapping[str, str | None], **headers: str) -> httpx2.Response:
        sent = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(f"/tenants/{path}", data=sent, headers=headers)

    async def ask(
        self, assertion: str = "", scope: str | None = "system/*.rs", *, tenant: str = "north", **form: str | None
    ) -> httpx2.Response:
        """Ask for a token."""
        good = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
            "scope": scope,
        }
        return await self.post(f"{tenant}/oauth/token", good | form)

    async def token(self, scope: str = "system/*.cruds", assertion: str = "") -> str:
        answer = await self.ask(assertion, scope)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    async def narrow_token(self, scope: str) -> str:
        return await self.token(scope, self.assertion(key("n", "EC"), iss="narrow", sub="narrow"))

    async def fhir(
        self, token: str, method: str, path: str, body: Any = None, *, tenant: str = "north", **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            named = {"content-type": "application/fhir+json", **named}
        url = f"/tenants/{tenant}/fhir/R4/{path}".rstrip("/")
        return await self.http.request(method, url, json=body, headers=named)


@asynccontextmanager
async def oauth_world(
    database: Database, clock: FrozenClock, ids: Ids, *more: ApiClient, issuers: tuple[Issuer, ...] = ()
) -> AsyncIterator[OauthWorld]:
    found: list[OauthWorld] = []
    settings = Settings(
        hash_key="k" * 32,
        public_url="https://pay.example",
        tenants=(_tenant("north", *more, issuers=issuers), _tenant("south")),
    )
    transport = httpx2.MockTransport(lambda request: found[0].outside(request))
    system = wiring.build(settings, clock=clock, ids=ids, database=database, transport=transport)
    app = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(transport=app, base_url="https://pay.example") as http:
        found.append(OauthWorld(system, http, clock))
        try:
            yield found[0]
        finally:
            await system.close()


def error(answer: httpx2.Response) -> tuple[int, str]:
    """Of an OAuth error: the status and the code."""
    body = answer.json()
    assert body["error_description"]
    return answer.status_code, body["error"]


def form_of(request: httpx2.Request) -> dict[str, str]:
    return dict(parse_qsl(request.content.decode()))
