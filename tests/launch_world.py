"""An EHR that launches us, as a transport, and the wired program that it launches: for tests of SMART App Launch.

The EHR is strict where SMART App Launch 2.2 is, and keeps what was wrong with what we sent (`faults`): a test that
goes well ends with none. It does wrong what it is told to: `says` goes over its token response, `claims` over its
id_token, None leaves a name out. A browser is an HTTP client with a jar of cookies of its own.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx2
from authlib.common.encoding import urlsafe_b64encode
from joserfc import jwt
from joserfc.jwk import Key, KeySet

from fhirpay import wiring
from fhirpay.config import ApiClient, Connection, Facility, Interface, Merchant, Settings, SigningKey, Tenant
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import Clock, FrozenClock
from fhirpay.domain.ids import RandomIds
from fhirpay.net.http import Transport
from oauth_world import key
from processor_running import SECRET_KEY, WEBHOOK_SECRET
from smart_world import EC

OURS = "https://pay.example"
BASE = "https://ehr.example/fhir"
ISSUER = "https://login.ehr.example"
TOKEN_URL = f"{ISSUER}/token"
REDIRECT = f"{OURS}/launch/redirect"
CLIENT_ID = "fhirpay-app"
SECRET = "a secret: of/the app"  # noqa: S105
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STAFF = "Practitioner/doc-1"


def patient(id: str, *, born: str = "1980-01-02", **more: Any) -> dict[str, Any]:
    name = [{"family": "Canary-Family", "given": ["Ann", id]}]
    return {"resourceType": "Patient", "id": id, "birthDate": born, "name": name, **more}


def account(id: str, subject: str, **more: Any) -> dict[str, Any]:
    number = [{"system": "urn:clinic:account", "value": id.upper()}]
    return {
        "resourceType": "Account",
        "id": id,
        "status": "active",
        "identifier": number,
        "subject": [{"reference": subject}],
        **more,
    }


def invoice(id: str, on: str, of: str, to: str, amount: str = "80.00") -> dict[str, Any]:
    total = {"value": float(amount), "currency": "USD"}
    return {
        "resourceType": "Invoice",
        "id": id,
        "status": "issued",
        "subject": {"reference": of},
        "recipient": {"reference": to},
        "account": {"reference": on},
        "date": "2026-11-01",
        "totalNet": total,
        "totalGross": total,
    }


def owing(who: str, on: str, amount: str) -> tuple[dict[str, Any], ...]:
    """A patient with an account on which they owe an invoice."""
    ref = f"Patient/{who}"
    return patient(who), account(on, ref), invoice(f"i-{on}", f"Account/{on}", ref, ref, amount)


def encounter(id: str, subject: str, on: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": subject},
        "account": [{"reference": on}],
        "period": {"start": "2026-11-01T09:00:00-05:00", "end": "2026-11-01T10:00:00-05:00"},
    }


@dataclass
class Grant:
    """What somebody agreed to at the EHR. `asked` is the authorization request that it followed from."""

    asked: dict[str, str]
    who: str
    context: dict[str, str]
    used: bool = False


@dataclass
class LaunchEhr(httpx2.AsyncBaseTransport):
    clock: FrozenClock
    auth: str = "private_key_jwt"
    jwks: dict[str, Any] = field(default_factory=dict[str, Any])  # ours, as published
    configuration: dict[str, Any] = field(default_factory=dict[str, Any])
    says: dict[str, Any] = field(default_factory=dict[str, Any])
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    signs: Key = field(default_factory=lambda: key("ehr"))
    token_answers: list[httpx2.Response | Exception] = field(default_factory=list[httpx2.Response | Exception])
    lives_s: int | None = 3600
    rotates: bool = True
    resources: dict[str, Any] = field(default_factory=dict[str, Any])
    grants: dict[str, Grant] = field(default_factory=dict[str, Grant])
    refreshable: dict[str, Grant] = field(default_factory=dict[str, Grant])
    live: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])
    calls: list[str] = field(default_factory=list[str])
    down: bool = False
    _jtis: set[str] = field(default_factory=set[str])

    # ── its sign-in page: what a browser does there ───────────────────────────────────────────────────────────────

    def sign_in(self, url: str, who: str = STAFF, **context: str) -> str:
        """Somebody signs in, agrees, and is sent back: the address that the browser goes to."""
        asked = dict(parse_qsl(urlsplit(url).query))
        self._judge_request(url, asked)
        code = f"code-{len(self.grants)}"
        self.grants[code] = Grant(asked, who, context)
        return self.back(asked, code=code)

    def back(self, asked: dict[str, str], **answer: str) -> str:
        return f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], 'iss': ISSUER, **answer})}"

    def _judge_request(self, url: str, asked: dict[str, str]) -> None:
        wrong = self.faults.append
        if not url.startswith(f"{ISSUER}/authorize?tenant=1&"):
            wrong("authorize url")
        for name, value in (
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT),
            ("code_challenge_method", "S256"),
        ):
            if asked.get(name) != value:
                wrong(name)
        for name, least in (("state", 22), ("nonce", 22), ("code_challenge", 43)):  # 22: 128 bits
            if len(asked.get(name, "")) < least:
                wrong(name)
        if asked.get("aud", "").rstrip("/") != BASE:
            wrong("aud")
        scopes = asked.get("scope", "").split()
        if ("launch" in scopes) != ("launch" in asked) or ("launch/patient" in scopes) == ("launch" in asked):
            wrong("launch")
        if not {"openid", "fhirUser"} <= set(scopes):
            wrong("scope")

    # ── its servers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        url = str(request.url)
        self.calls.append(f"{request.method} {url}")
        if self.down:
            raise httpx2.ConnectError("no route")
        if url == f"{BASE}/.well-known/smart-configuration":
            return httpx2.Response(200, json=self._configuration())
        if url == f"{ISSUER}/jwks":
            return httpx2.Response(200, json={"keys": [dict(key("ehr").as_dict(private=False))]})
        if url == TOKEN_URL:
            return self._token(request)
        if url.startswith(f"{BASE}/"):
            return self._resource(request, url.removeprefix(f"{BASE}/"))
        return httpx2.Response(404)

    def _configuration(self) -> dict[str, Any]:
        said = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/jwks",
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": TOKEN_URL,
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": [
                "launch-ehr",
                "launch-standalone",
                "client-public",
                "client-confidential-symmetric",
                "client-confidential-asymmetric",
                "sso-openid-connect",
                "context-ehr-patient",
                "context-ehr-encounter",
                "context-standalone-patient",
                "permission-online",
                "permission-v2",
            ],
            **self.configuration,
        }
        return {name: value for name, value in said.items() if value is not None}

    def _token(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), keep_blank_values=True).items()}
        if self.token_answers:
            answer = self.token_answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if not self._authenticated(request, form):
            return self._no("invalid_client", 401)
        match form.get("grant_type"):
            case "authorization_code":
                grant = self.grants.get(form.get("code", ""))
                if grant is None or grant.used or form.get("redirect_uri") != grant.asked["redirect_uri"]:
                    return self._no("invalid_grant")
                digest = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).decode()
                if digest.rstrip("=") != grant.asked["code_challenge"]:
                    return self._no("invalid_grant")
                grant.used = True
                return self._granted(grant, fresh=True)
            case "refresh_token":
                token = form.get("refresh_token", "")
                grant = self.refreshable.get(token)
                if grant is None:
                    return self._no("invalid_grant")
                if self.rotates:
                    del self.refreshable[token]
                return self._granted(grant, fresh=False)
            case other:
                return self._no(f"unsupported_grant_type {other}")

    def _authenticated(self, request: httpx2.Request, form: dict[str, str]) -> bool:
        header = request.headers.get("authorization", "")
        match self.auth:
            case "public":
                return form.get("client_id") == CLIENT_ID and not header and "client_assertion" not in form
            case "client_secret_basic":
                pair = b64decode(header.removeprefix("Basic ")).decode() if header.startswith("Basic ") else ""
                return pair == f"{CLIENT_ID}:a%20secret%3A%20of%2Fthe%20app"
            case _:
                return form.get("client_assertion_type") == ASSERTION and self._asserted(form["client_assertion"])

    def _asserted(self, assertion: str) -> bool:
        claims = jwt.decode(assertion, KeySet.import_key_set(self.jwks), algorithms=["RS384", "ES384"]).claims
        now = self.clock.now().timestamp()
        fresh = claims["jti"] not in self._jtis and now < claims["exp"] <= now + 300
        self._jtis.add(claims["jti"])
        return fresh and (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT_ID, CLIENT_ID, TOKEN_URL)

    def _granted(self, grant: Grant, *, fresh: bool) -> httpx2.Response:
        number = len(self.live)
        self.live.add(f"access-{number}")
        said: dict[str, Any] = {
            "access_token": f"access-{number}",
            "token_type": "Bearer",
            "expires_in": self.lives_s,
            "scope": grant.asked["scope"],
            "id_token": self._id_token(grant) if fresh else None,
            **grant.context,
        }
        if {"online_access", "offline_access"} & set(grant.asked["scope"].split()) and (fresh or self.rotates):
            self.refreshable[f"refresh-{number}"] = grant
            said["refresh_token"] = f"refresh-{number}"
        said |= self.says
        return self._json({name: value for name, value in said.items() if value is not None})

    def _id_token(self, grant: Grant) -> str:
        now = int(self.clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "sub-1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": grant.asked["nonce"],
            "fhirUser": f"{BASE}/{grant.who}",
            **self.claims,
        }
        header = {"alg": "RS256", "kid": self.signs.kid, **self.header}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, claims, self.signs, algorithms=[header["alg"]])

    def _json(self, body: dict[str, Any], status: int = 200) -> httpx2.Response:
        date = self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"content-type": "application/json", "cache-control": "no-store", "date": date}
        return httpx2.Response(status, content=json.dumps(body), headers=headers)

    def _no(self, error: str, status: int = 400) -> httpx2.Response:
        self.faults.append(error)
        return self._json({"error": error}, status)

    def _resource(self, request: httpx2.Request, reference: str) -> httpx2.Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.live:
            return httpx2.Response(401)
        found = self.resources.get(reference)
        return httpx2.Response(404) if found is None else httpx2.Response(200, content=json.dumps(found))


class Routed(httpx2.AsyncBaseTransport):
    """The EHR's hosts by the EHR; the rest by the network."""

    def __init__(self, ehr: LaunchEhr) -> None:
        self._ehr = ehr
        self._rest: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host.endswith("ehr.example"):
            return await self._ehr.handle_async_request(request)
        self._rest = self._rest or httpx2.AsyncHTTPTransport()
        return await self._rest.handle_async_request(request)

    async def aclose(self) -> None:
        if self._rest is not None:
            await self._rest.aclose()


class Tags(HTMLParser):
    """Whether a page is well-formed, has a language and a title, and says what its columns, forms and fields are."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._seen: set[str] = set()

    def check(self, page: str) -> None:
        self.feed(page)
        assert self._open == []
        assert {"html", "title", "main", "h1"} <= self._seen

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in given), (tag, given)
        assert tag != "html" or given["lang"] == "en"
        assert tag != "th" or given["scope"] in ("col", "row")
        assert tag != "input" or given["type"] == "hidden", "a field that is seen needs a label"
        assert tag not in ("script", "img", "iframe", "object")
        self._seen.add(tag)
        if tag not in ("meta", "input", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@dataclass
class LaunchWorld:
    system: wiring.System
    ehr: LaunchEhr
    clock: FrozenClock
    http: httpx2.AsyncClient

    @property
    def units(self) -> Units:
        return self.system.house("main").units

    def browser(self) -> httpx2.AsyncClient:
        """Somebody else's."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.system.web), base_url=OURS)

    async def put(self, *resources: dict[str, Any], client: str = "ehr") -> None:
        """As the EHR's own client sends it."""
        await put(self.system, self.http, *resources, client=client)

    async def hl7(self, message: bytes) -> None:
        intake = self.system.house("main").intakes["clinic"]
        answers = [one async for one in intake.answers(message, source="mllp")]
        assert b"MSA|AA" in answers[0], answers
        await self.work()

    async def work(self) -> None:
        await work(self.system)

    # ── a launch, step by step ────────────────────────────────────────────────────────────────────────────────────

    async def opened(self, iss: str = BASE, launch: str = "xyz", **more: Any) -> httpx2.Response:
        """The EHR opens us."""
        return await self.http.get("/launch", params={"iss": iss, "launch": launch, **more})

    async def sent(self, **more: Any) -> str:
        """… and our answer sends the browser to sign in: where to."""
        answer = await self.opened(**more)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def came_back(self, who: str = STAFF, **context: str) -> httpx2.Response:
        """… there they sign in, and come back: our answer to that."""
        return await self.http.get(self.ehr.sign_in(await self.sent(), who, **context))

    async def launched(self, who: str = STAFF, **context: str) -> str:
        """… which opens a session: its path."""
        answer = await self.came_back(who, **context)
        assert answer.status_code == 303, said(answer)
        return answer.headers["location"]

    async def page(self, path: str) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == 200, said(answer)
        Tags().check(answer.text)
        return answer.text


async def put(system: wiring.System, http: httpx2.AsyncClient, *resources: dict[str, Any], client: str = "ehr") -> None:
    headers = {"authorization": f"Bearer token-{client}", "content-type": "application/fhir+json"}
    for one in resources:
        path = f"{OURS}/fhir/R4/{one['resourceType']}/{one['id']}"
        answer = await http.put(path, json=one, headers=headers)
        assert answer.status_code in (200, 201), answer.text
    await work(system)


async def work(system: wiring.System) -> None:
    workers = system.workers("test")
    while sum([await worker.drain() for worker in workers]):
        pass


def said(answer: httpx2.Response) -> str:
    """The sentence of a page that refuses."""
    text = answer.text.partition('role="alert">')[2].partition("</p>")[0]
    return text.replace("&#39;", "'").replace("&#34;", '"')


@asynccontextmanager
async def launch_world(
    database: Database, clock: FrozenClock, *, processor: str = "https://processor.example", **agreed: Any
) -> AsyncIterator[LaunchWorld]:
    auth = agreed.get("launch_auth", "private_key_jwt")
    ehr = LaunchEhr(clock, auth)
    if auth == "client_secret_basic":
        agreed["launch_client_secret"] = SECRET
    connection = Connection(name="ehr", base_url=BASE, launch_client_id=CLIENT_ID, writes=(), **agreed)
    system = built(connection, database, clock, transport=Routed(ehr), processor=processor)
    ehr.jwks = system.house("main").keys.published()
    app = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(transport=app, base_url=OURS) as http:
        try:
            yield LaunchWorld(system, ehr, clock, http)
        finally:
            await system.close()


def built(
    connection: Connection,
    database: Database,
    clock: Clock,
    *,
    transport: Transport | None = None,
    processor: str = "https://processor.example",
    tenants: tuple[str, ...] = ("main",),
    public_url: str = OURS,
) -> wiring.System:
    """The program that the EHR of this connection launches, for each of these tenants."""
    owners = tuple(_tenant(name, connection, processor) for name in tenants)
    settings = Settings(hash_key="k" * 32, public_url=public_url, tenants=owners)
    return wiring.build(settings, clock=clock, ids=RandomIds(clock), database=database, transport=transport)


def _tenant(name: str, connection: Connection, processor: str) -> Tenant:
    merchant = Merchant(
        name="main",
        processor="simulated",
        base_url=processor,
        private_network=True,
        secret_key=SECRET_KEY,
        webhook_secrets=(WEBHOOK_SECRET,),
    )
    return Tenant(
        name=name,
        facilities=(Facility(name="main"),),
        merchants=(merchant,),
        interfaces=(Interface(name="clinic", namespace="urn:clinic", account_key="PID-18", co_means="due"),),
        connections=(connection,),
        clients=(
            ApiClient(name="ehr", token="token-ehr", scopes=("system/*.cruds",)),
            ApiClient(name="stranger", token="token-stranger", scopes=("system/*.cruds",)),
        ),
        keys=(SigningKey(private_key=EC),),
    )


def words(page: str) -> str:
    """What is read on it, without its stylesheet."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page.partition("<main>")[2]).split()))


def form_of(page: str) -> dict[str, str]:
    """The one form that pays."""
    part = page.partition('/payments">')[2].partition("</form>")[0]
    return {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', part)}


async def sent(w: LaunchWorld, path: str, form: dict[str, str]) -> httpx2.Response:
    """The form is sent while the workers work."""
    posted = asyncio.create_task(w.http.post(f"{path}/payments", data=form))
    while not posted.done():
        await w.work()
        await asyncio.sleep(0)
    return await posted
