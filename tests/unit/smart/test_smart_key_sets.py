"""Key sets behind a URL: read when needed, kept for a while, and never a way to make us call without bound."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import ConfigInvalid, UpstreamUnavailable
from fhirpay.net.http import HttpClient
from fhirpay.smart.key_sets import BODY_MAX_BYTES, FixedKeys, RemoteKeys
from oauth_world import key, key_set

Answers = Callable[[httpx2.Request], httpx2.Response]


class Site:
    """A URL with a key set, and what was asked of it."""

    def __init__(self, clock: FrozenClock) -> None:
        self.calls = 0
        self.says: Any = key_set(key("h"))
        self.clock = clock
        http = HttpClient(
            "https://his.example/jwks.json", max_body_bytes=BODY_MAX_BYTES, transport=httpx2.MockTransport(self.answer)
        )
        self.keys = RemoteKeys(http, clock.now, retry_wait_s=0)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, httpx2.Response) else httpx2.Response(200, json=self.says)

    async def has(self, kid: str, alg: str = "RS384") -> bool:
        return len(await self.keys.matching(kid, alg)) == 1

    def later(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))


@pytest.fixture
def site(clock: FrozenClock) -> Site:
    return Site(clock)


async def test_a_set_is_read_once_and_again_when_it_is_old(site: Site) -> None:
    for _ in range(3):
        assert await site.has("h")
    assert site.calls == 1
    site.later(minutes=5)
    assert await site.has("h")
    assert site.calls == 2


async def test_an_unknown_id_has_it_read_again_but_not_at_each_request(site: Site) -> None:
    assert await site.has("h")
    for number in range(50):
        assert not await site.has(f"made-up-{number}")
    assert site.calls == 1  # just read
    site.later(seconds=20)
    site.says = key_set(key("h"), key("new"))
    assert await site.has("new")
    assert site.calls == 2


async def test_many_at_once_make_one_read(site: Site) -> None:
    assert all(await asyncio.gather(*(site.has("h") for _ in range(20))))
    assert site.calls == 1


async def test_a_call_that_brought_no_answer_is_tried_once_more(site: Site) -> None:
    site.says = httpx2.ConnectError("down")
    with pytest.raises(UpstreamUnavailable):
        await site.has("h")
    assert site.calls == 2
    with pytest.raises(UpstreamUnavailable):
        await site.has("h")
    assert site.calls == 2  # not again at once
    site.says = key_set(key("h"))
    site.later(seconds=20)
    assert await site.has("h")


async def test_keys_outlive_an_hour_without_an_answer_and_no_more(site: Site) -> None:
    assert await site.has("h")
    site.says = httpx2.Response(503)
    site.later(minutes=59)
    assert await site.has("h")
    site.later(minutes=2)
    with pytest.raises(UpstreamUnavailable):
        await site.has("h")


@pytest.mark.parametrize(
    "says",
    [
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"keys": {}}),
        httpx2.Response(200, json={"keys": [{}] * 51}),
        httpx2.Response(200, content=b" " * (BODY_MAX_BYTES + 1)),
        httpx2.Response(302, headers={"location": "http://169.254.169.254/"}),
        httpx2.Response(404, json=key_set(key("h"))),
    ],
    ids=["html", "list", "object", "too many", "too large", "elsewhere", "not found"],
)
async def test_what_is_no_key_set_changes_nothing(site: Site, says: httpx2.Response) -> None:
    assert await site.has("h")
    site.says = says
    site.later(minutes=6)
    assert await site.has("h")


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the weak one, where its number is odd
def _weak() -> str:
    """The modulus of an RSA key of 1,024 bits, behind zeros that make it look like one of 2,048."""
    number = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
    return urlsafe_b64encode(number.to_bytes(256, "big")).decode().rstrip("=")


async def test_keys_that_no_signature_is_checked_with_are_left_out(site: Site) -> None:
    good = key_set(key("h"))["keys"][0]
    site.says = {
        "keys": [
            {**good, "kid": "encrypts", "use": "enc"},
            {**good, "kid": "other-alg", "alg": "RS256"},
            {**dict(key("h").as_dict(private=True)), "kid": "private"},
            {**good, "kid": 7},
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            {"kty": "RSA", "kid": "weak", "n": _weak(), "e": "AQAB"},
            {"kty": "EC", "kid": "off-curve", "crv": "P-384", "x": "AA", "y": "AA"},
            "no key",
            good,
        ]
    }
    assert await site.has("h")
    for kid in ("encrypts", "other-alg", "private", "shared", "broken", "off-curve", "weak"):
        assert not await site.has(kid), kid
    assert not await site.has("h", "ES384")
    assert not await site.has("h", "none")
    assert await site.has("other-alg", "RS256")


async def test_a_key_on_another_curve_does_not_fit(site: Site) -> None:
    site.says = key_set(key("p256", "P-256"), key("e", "EC"))
    assert await site.has("e", "ES384")
    assert not await site.has("p256", "ES384")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON Web Key Set"),
        ("[]", "no JSON Web Key Set"),
        ('{"keys": "x"}', "no JSON Web Key Set"),
        ('{"keys": []}', "has no RSA key"),
        (json.dumps({"keys": [dict(key("h").as_dict(private=True))]}), "holds a private key"),
    ],
)
def test_a_registered_set_that_holds_no_key_is_refused_at_start(text: str, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        FixedKeys.read(text, "his")
