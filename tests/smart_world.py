"""An EHR with SMART backend services as a transport, for tests of our client: strict where Inferno's client suite is.

It keeps every token request it got and what was wrong with it (`faults`), and answers with what `answers` holds first.
Its rules are those of SMART App Launch 2.2 and of Inferno's test kit (client suites, token request verification).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from fhirpay.config import SigningKey
from fhirpay.domain.clock import Clock
from fhirpay.domain.ids import Ids
from fhirpay.net.http import HttpClient, client
from fhirpay.smart.backend import BackendServices
from fhirpay.smart.keys import KeyRing

BASE = "https://ehr.example/fhir"
TOKEN_URL = "https://as.example/oauth/token/"  # noqa: S105 (an address) with a slash at its end: `aud` is this and nothing like it
CLIENT_ID = "fhirpay-at-ehr"
ASKED = "system/PaymentReconciliation.crus"
EC = ECKey.generate_key("P-384").as_pem(private=True).decode()
EC_2 = ECKey.generate_key("P-384").as_pem(private=True).decode()
RSA = RSAKey.generate_key(2048).as_pem(private=True).decode()

Answer = httpx2.Response | Exception | Callable[[dict[str, Any]], httpx2.Response]


def ring(*keys: str) -> KeyRing:
    return KeyRing([SigningKey(private_key=one) for one in keys])


@dataclass
class SmartEhr(httpx2.AsyncBaseTransport):
    clock: Clock
    jwks: Callable[[], dict[str, Any]]
    configuration: dict[str, Any] | httpx2.Response = field(default_factory=dict[str, Any])
    answers: list[Answer] = field(default_factory=list[Answer])
    lives_s: int = 300
    scope: str = ASKED
    delay_s: float = 0
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    faults: list[str] = field(default_factory=list[str])
    live: set[str] = field(default_factory=set[str])
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    looked_up: int = 0
    resources: Callable[[httpx2.Request], httpx2.Response] | None = None
    _jtis: set[str] = field(default_factory=set[str])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        url = str(request.url)
        if url == f"{BASE}/.well-known/smart-configuration":
            self.looked_up += 1
            return self._configuration()
        if url == TOKEN_URL:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            return self._token(request)
        authorization = request.headers.get("authorization", "")
        self.calls.append((request.method, request.url.path, authorization))
        if authorization.removeprefix("Bearer ") not in self.live:
            return httpx2.Response(401, headers={"www-authenticate": "Bearer"})
        if self.resources is not None:
            return self.resources(request)
        return httpx2.Response(200, json={"resourceType": "Patient", "id": "1"})

    def _configuration(self) -> httpx2.Response:
        if isinstance(self.configuration, httpx2.Response):
            return self.configuration
        said = {
            "token_endpoint": TOKEN_URL,
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            "code_challenge_methods_supported": ["S256"],
        }
        return httpx2.Response(200, json=said | self.configuration)

    def _token(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.requests.append(form)
        self._judge(request, form)
        value = f"token-{len(self.requests)}"
        body = {"access_token": value, "token_type": "bearer", "expires_in": self.lives_s, "scope": self.scope}
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer if isinstance(answer, httpx2.Response) else answer(body)
        self.live.add(value)
        return httpx2.Response(200, json=body, headers={"cache-control": "no-store"})

    def _judge(self, request: httpx2.Request, form: dict[str, str]) -> None:
        wrong = self.faults.append
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            wrong("content-type")
        if form.get("grant_type") != "client_credentials":
            wrong("grant_type")
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            wrong("client_assertion_type")
        if not form.get("scope"):
            wrong("scope")
        if "authorization" in request.headers:
            wrong("authorization")
        try:
            read = jwt.decode(
                form.get("client_assertion", ""), KeySet.import_key_set(self.jwks()), algorithms=["RS384", "ES384"]
            )
        except Exception as error:
            return wrong(f"signature: {type(error).__name__}")
        header, claims, now = read.header, read.claims, self.clock.now().timestamp()
        for name, value in (("iss", CLIENT_ID), ("sub", CLIENT_ID), ("aud", TOKEN_URL)):
            if claims.get(name) != value:
                wrong(name)
        if header.get("typ") != "JWT":
            wrong("typ")
        if not header.get("kid"):
            wrong("kid")
        if not now < claims.get("exp", 0) <= now + 300:
            wrong("exp")
        if not claims.get("jti") or claims["jti"] in self._jtis:
            wrong("jti")
        self._jtis.add(claims.get("jti", ""))

    @property
    def claims(self) -> dict[str, Any]:
        """Of the last assertion."""
        keys = KeySet.import_key_set(self.jwks())
        return jwt.decode(self.requests[-1]["client_assertion"], keys, algorithms=["RS384", "ES384"]).claims

    @property
    def header(self) -> dict[str, Any]:
        keys = KeySet.import_key_set(self.jwks())
        return jwt.decode(self.requests[-1]["client_assertion"], keys, algorithms=["RS384", "ES384"]).header

    def http(self, url: str, timeout_s: float = 5, **more: Any) -> HttpClient:
        return client(url, transport=self, timeout_s=timeout_s, **more)

    def access(self, ids: Ids, keys: KeyRing, **more: Any) -> BackendServices:
        given: dict[str, Any] = {"client_id": CLIENT_ID, "scopes": (), "writes": ("PaymentReconciliation",), **more}
        return BackendServices(
            "ehr", BASE, keys=keys, clock=self.clock, ids=ids, open_client=self.http, retry_wait_s=0, **given
        )


def oauth_error(error: str, status: int = 400, said: str = "", **headers: str) -> httpx2.Response:
    body = {"error": error} | ({"error_description": said} if said else {})
    return httpx2.Response(status, content=json.dumps(body), headers={"content-type": "application/json", **headers})
