"""Access tokens of the hospital's own authorization server: signed ones, and ones that it has to be asked about."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.config import ApiClient, Issuer
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from oauth_world import BASE, ISSUER, OauthWorld, form_of, key, key_set, oauth_world, signed

KEYS_URL = f"{ISSUER}/keys"
ASK_URL = "https://asks.example/introspect"
ISSUERS = (
    Issuer(name="hospital", issuer=ISSUER, jwks_url=KEYS_URL),
    Issuer(
        name="asked",
        issuer="https://asks.example",
        audience="fhirpay",
        introspection_url=ASK_URL,
        introspection_client="us",
        introspection_secret="s:cret",
    ),
)
CLIENTS = (
    ApiClient(name="lis", client_id="lab", issuer="hospital", scopes=("system/Account.rs", "hl7v2")),
    ApiClient(name="portal", issuer="asked", scopes=("system/Account.rs",)),
)


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[OauthWorld]:
    async with oauth_world(database, clock, ids, *CLIENTS, issuers=ISSUERS) as made:
        made.answers[KEYS_URL] = lambda _: httpx2.Response(200, json=key_set(key("i"), key("p256", "P-256")))
        yield made


def token(w: OauthWorld, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    good = {
        "iss": ISSUER,
        "aud": f"{BASE}/fhir/R4",
        "exp": w.now() + 60,
        "client_id": "lab",
        "scope": "openid system/*.read patient/Patient.rs",
    }
    return signed(good | claims, key("i"), header={"alg": "RS256", **(header or {})})


async def status(w: OauthWorld, token: str, path: str = "Account") -> int:
    return (await w.fhir(token, "GET", path)).status_code


async def test_a_signed_token_is_taken_for_what_it_says_and_no_more_than_is_registered(w: OauthWorld) -> None:
    assert await status(w, token(w)) == 200
    assert await status(w, token(w), "Invoice") == 403
    assert await status(w, token(w, scope="system/Account.r")) == 403
    assert await status(w, token(w, scope=["system/Account.s"])) == 200
    assert await status(w, token(w, scope=None, scp=["system/Account.s"])) == 200
    assert await status(w, token(w, scope=None)) == 403
    assert await status(w, token(w, client_id=None, azp="lab")) == 200
    assert await status(w, token(w, header={"typ": "at+jwt"})) == 200
    assert await status(w, token(w, aud=["https://other.example", f"{BASE}/fhir/R4"])) == 200
    assert w.calls == [KEYS_URL]


async def test_a_signed_token_that_does_not_hold_is_401(w: OauthWorld) -> None:
    wrong: list[dict[str, Any]] = [
        {"iss": "https://login.elsewhere.example"},
        {"iss": None},
        {"aud": "https://other.example"},
        {"aud": f"{BASE}/fhir/R4".replace("north", "south")},
        {"aud": None},
        {"exp": w.now() - 60},
        {"exp": None},
        {"nbf": w.now() + 60},
        {"client_id": "stranger"},
        {"client_id": None},
        {"client_id": "his"},  # ours, but not of that issuer
        {"client_id": "portal"},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
    ]
    for claims in wrong:
        assert await status(w, token(w, **claims)) == 401, claims
    forged = signed(
        {"iss": ISSUER, "aud": f"{BASE}/fhir/R4", "exp": w.now() + 60, "client_id": "lab"},
        key("h"),
        header={"kid": "i"},
    )
    assert await status(w, forged) == 401
    w.answers[ASK_URL] = lambda _: httpx2.Response(200, json={"active": False})  # what is no JWT is asked about
    head, _, tail = token(w).partition(".")
    critical = urlsafe_b64encode(b'{"alg":"RS384","kid":"i","crit":5}').decode().rstrip("=")
    for broken in (f"{critical}.{tail}", f"{head}.{tail[:-4]}AAAA", f"{head}.e30.x", "..", f"{head}..{tail}"):
        assert await status(w, broken) == 401
    there = await w.fhir(token(w), "GET", "Account", tenant="south")
    assert there.status_code == 401


async def test_keys_that_can_not_be_read_are_no_verdict_on_the_token(w: OauthWorld) -> None:
    w.answers[KEYS_URL] = lambda _: httpx2.Response(500)
    answer = await w.fhir(token(w), "GET", "Account")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_token_is_asked_about_where_its_issuer_wants_that(w: OauthWorld) -> None:
    said = {"active": True, "client_id": "portal", "scope": "system/Account.rs", "aud": "fhirpay", "exp": w.now() + 9}
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=said)

    w.answers[ASK_URL] = answer
    assert await status(w, "opaque") == 200
    assert form_of(asked[0]) == {"token": "opaque", "token_type_hint": "access_token"}
    assert asked[0].headers["authorization"] == "Basic " + b64encode(b"us:s%3Acret").decode()
    assert await status(w, "opaque", "Invoice") == 403
    for claims in (
        {"active": False},
        {"active": "true"},
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"client_id": "lab"},
        {"exp": None},
    ):
        said = {**said, **claims}
        assert await status(w, "opaque") == 401, claims
        said = {**said, "active": True, "client_id": "portal", "aud": "fhirpay", "exp": w.now() + 9}
        said.pop("iss", None)
    assert await status(w, "opaque") == 200
    w.clock.advance(timedelta(seconds=30))
    assert await status(w, "opaque") == 401


async def test_an_issuer_that_can_not_be_asked_is_no_verdict_on_the_token(w: OauthWorld) -> None:
    for trouble in (httpx2.Response(500), httpx2.Response(401), httpx2.ConnectError("down")):

        def answer(request: httpx2.Request, trouble: Any = trouble) -> httpx2.Response:
            if isinstance(trouble, Exception):
                raise trouble
            return trouble

        w.answers[ASK_URL] = answer
        assert (await w.fhir("opaque", "GET", "Account")).status_code == 503


async def test_a_token_is_shown_to_nobody_but_its_own_issuer(w: OauthWorld) -> None:
    await w.token()
    w.calls.clear()
    assert await status(w, await w.token()) == 200  # one of ours
    assert await status(w, token(w)) == 200
    assert await status(w, token(w, iss="https://third.example")) == 401
    assert ASK_URL not in w.calls
