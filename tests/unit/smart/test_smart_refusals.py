"""Every way of getting no token has words for who set up the connection, and none of them holds a secret."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import EhrMisconfigured, EhrUnavailable
from smart_world import ASKED, EC, RSA, TOKEN_URL, SmartEhr, oauth_error, ring

GOOD = {"access_token": "a.b-c", "token_type": "Bearer", "expires_in": 300, "scope": ASKED}
HTML = httpx2.Response(200, text="<html>sign in</html>", headers={"content-type": "text/html; charset=utf-8"})


def given(**other: Any) -> httpx2.Response:
    return httpx2.Response(200, json={name: value for name, value in {**GOOD, **other}.items() if value is not None})


# what the token endpoint answers → what a person reads
FOR_A_PERSON: dict[str, tuple[httpx2.Response, str]] = {
    "client unknown": (oauth_error("invalid_client", 401), "is 'fhirpay-at-ehr' our client id there, .* our key"),
    "client unknown, an hour apart": (
        oauth_error("invalid_client", date="Fri, 20 Nov 2026 16:00:00 GMT"),
        "its clock is 3600 s ahead of ours",
    ),
    "scope unknown": (oauth_error("invalid_scope", said="no such scope"), "invalid_scope: no such scope; ask in"),
    "not registered for it": (oauth_error("unauthorized_client"), "has to be registered there for client_credentials"),
    "no backend services": (oauth_error("unsupported_grant_type"), "it has no backend services"),
    "an error of its own": (oauth_error("consent_required"), "consent_required"),
    "a server error with words": (oauth_error("server_error", 500), "answered 500 server_error"),
    "a page": (HTML, r"answered 200 with a page \(HTML\), not with a token"),
    "a page with 404": (httpx2.Response(404, text="<h1>Not Found"), "no OAuth error: is its token_endpoint right"),
    "a redirect": (httpx2.Response(302, headers={"location": "/login"}), "that it has moved"),
    "a list": (httpx2.Response(200, json=[GOOD]), "not with a token"),
    "an empty answer": (httpx2.Response(200), "something of 0 bytes, not with a token"),
    "no token": (given(access_token=None), "without an access_token"),
    "a token that breaks a header": (given(access_token="a\r\nx: y"), "can't stand in a header"),
    "no type": (given(token_type=None), "of type none, and we can use Bearer only"),
    "another type": (given(token_type="DPoP"), "of type 'DPoP'"),
    "no life": (given(expires_in=None), "a token without expires_in: SMART requires"),
    "no number": (given(expires_in="soon"), "with expires_in 'soon'"),
    "a life of nothing": (given(expires_in=0), "with expires_in '0'"),
    "a life before now": (given(expires_in=-300), "with expires_in '-300'"),
    "true": (given(expires_in=True), "with expires_in 'True'"),
    "no scope": (given(scope=None), "without scope: SMART requires it"),
    "an empty scope": (given(scope=" "), "without scope"),
    "none of what was asked": (given(scope="system/Patient.rs"), "granted nothing of what was asked: asked system/Pay"),
}


@pytest.mark.parametrize("name", FOR_A_PERSON)
async def test_a_refusal_says_what_to_change(name: str, clock: FrozenClock, ids: CountedIds) -> None:
    answer, says = FOR_A_PERSON[name]
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[answer])
    with pytest.raises(EhrMisconfigured, match=says) as caught:
        await ehr.access(ids, keys).authorization(within_s=5)
    assert len(ehr.requests) == 1, "what is for a person isn't tried again"
    assert ehr.requests[0]["client_assertion"] not in str(caught.value)


PASSES: dict[str, httpx2.Response | Exception] = {
    "a broken server": httpx2.Response(500, text="<html>"),
    "a proxy without a server": httpx2.Response(502),
    "no answer": httpx2.ReadTimeout("x"),
    "no connection": httpx2.ConnectError("x"),
    "half an answer": httpx2.RemoteProtocolError("x"),
}


@pytest.mark.parametrize("name", PASSES)
async def test_what_passes_is_asked_again_with_a_new_assertion(name: str, clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[PASSES[name], PASSES[name]])
    assert await ehr.access(ids, keys).authorization(within_s=5) == "Bearer token-3"
    assert ehr.faults == []
    ehr.answers = [PASSES[name]] * 3
    with pytest.raises(EhrUnavailable) as caught:
        await ehr.access(ids, keys).authorization(within_s=5)
    assert not isinstance(caught.value, EhrMisconfigured)
    assert len(ehr.requests) == 6


async def test_who_says_when_to_come_back_is_left_alone_until_then(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[httpx2.Response(429, headers={"retry-after": "40"})])
    with pytest.raises(EhrUnavailable) as caught:
        await ehr.access(ids, keys).authorization(within_s=5)
    assert (caught.value.retry_after_s, len(ehr.requests)) == (40, 1)


@pytest.mark.parametrize("said", ["9" * 30, "9" * 4_500])
async def test_who_wants_to_be_left_alone_for_ever_is_left_for_a_day(
    said: str, clock: FrozenClock, ids: CountedIds
) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[httpx2.Response(429, headers={"retry-after": said})])
    with pytest.raises(EhrUnavailable) as caught:
        await ehr.access(ids, keys).authorization(within_s=5)
    assert caught.value.retry_after_s == 86_400


async def test_a_slow_endpoint_is_given_up_in_time(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, delay_s=30)
    access = ehr.access(ids, keys)
    with pytest.raises(EhrUnavailable, match=r"didn't answer within 0\.05 s"):
        await access.authorization(within_s=0.05)
    ehr.delay_s = 0
    assert await access.authorization(within_s=5) == "Bearer token-1"


async def test_words_of_the_server_are_short_and_hold_nothing_like_a_token(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)

    def echoes(_: dict[str, Any]) -> httpx2.Response:
        return oauth_error(
            "invalid_client", said=f"bad\n assertion {ehr.requests[-1]['client_assertion']} {'x ' * 500}"
        )

    ehr = SmartEhr(clock, keys.published, answers=[echoes])
    with pytest.raises(EhrMisconfigured, match="bad assertion … x x") as caught:
        await ehr.access(ids, keys).authorization(within_s=5)
    assert "eyJ" not in str(caught.value)
    assert len(str(caught.value)) < 600


CONFIGURATIONS: dict[str, tuple[Any, str]] = {
    "none": (httpx2.Response(404, json={"resourceType": "OperationOutcome"}), "404: this EHR may not offer SMART"),
    "a redirect": (httpx2.Response(307, headers={"location": "https://x.example"}), "is base_url the EHR's FHIR base"),
    "a page": (HTML, "no JSON object, but a page"),
    "no endpoint": ({"token_endpoint": None}, "names no token_endpoint"),
    "not https": ({"token_endpoint": "http://as.example/token"}, "as.example is not https"),
    "a relative one": ({"token_endpoint": "/oauth/token"}, "an http or https address, not 'nothing'"),
    "a file": ({"token_endpoint": "file:///etc/passwd"}, "not 'file'"),
    "this machine": ({"token_endpoint": "https://127.0.0.1/token"}, "private or this machine"),
    "a metadata service": ({"token_endpoint": "https://169.254.169.254/token"}, "metadata service of a cloud"),
    "with a password": ({"token_endpoint": "https://a:b@as.example/token"}, "carries a password"),
    "what no URL holds": ({"token_endpoint": "https://as.example/\x00"}, "no URL"),
    "half a character": (httpx2.Response(200, content=rb'{"token_endpoint": "https://as.example/\ud800"}'), "no URL"),
    "a name that isn't written for the wire": ({"token_endpoint": "https://①②⑦.0.0.1/"}, "no URL"),
    "a book": ({"token_endpoint": "https://as.example/" + "a" * 70_000}, "no URL"),
    "nonsense": ({"token_endpoint": "https://[1/token"}, "can't be used"),
    "other clients": (
        {"token_endpoint_auth_methods_supported": ["client_secret_basic"]},
        "and we do by private_key_jwt",
    ),
    "other grants": ({"grant_types_supported": ["authorization_code"]}, "no client_credentials"),
    "other algorithms": ({"token_endpoint_auth_signing_alg_values_supported": ["PS256"]}, "we sign RS384 or ES384"),
    "not of our key": (
        {"token_endpoint_auth_signing_alg_values_supported": ["RS384"]},
        "takes RS384, and our keys are",
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_a_configuration_that_gives_no_token_says_why(name: str, clock: FrozenClock, ids: CountedIds) -> None:
    configuration, says = CONFIGURATIONS[name]
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, configuration=configuration)
    with pytest.raises(EhrMisconfigured, match=says):
        await ehr.access(ids, keys).authorization(within_s=5)
    assert (ehr.requests, ehr.looked_up) == ([], 1)


async def test_inside_a_private_network_http_may_carry_the_assertion(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(RSA)
    ehr = SmartEhr(clock, keys.published, configuration={"token_endpoint": "http://10.1.2.3/token"})
    opened: list[str] = []

    def http(url: str) -> Any:
        opened.append(url)
        return ehr.http(url, allow_private=True)

    access = ehr.access(ids, keys, private=True)
    access._endpoints._open = http
    with pytest.raises(EhrUnavailable):
        await access.authorization(within_s=5)
    assert opened == ["http://10.1.2.3"]


async def test_all_that_waited_get_the_same_refusal_of_one_request(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[oauth_error("invalid_client")], delay_s=0.01)
    access = ehr.access(ids, keys)
    got = await asyncio.gather(*(access.authorization(within_s=5) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(one, EhrMisconfigured) for one in got)
    assert len(ehr.requests) == 1


async def test_an_assertion_goes_to_the_endpoint_that_was_agreed_only(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published)
    elsewhere = ehr.access(ids, keys, token_url="https://login.another.example/token")
    with pytest.raises(EhrMisconfigured, match="names another token endpoint than the connection's token_endpoint"):
        await elsewhere.authorization(within_s=5)
    assert ehr.requests == []
    await ehr.access(ids, keys, token_url=TOKEN_URL).authorization(within_s=5)
    assert ehr.faults == []
