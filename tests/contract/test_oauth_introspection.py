"""What a token allows, and its end: introspection (RFC 7662) and revocation (RFC 7009), asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from oauth_world import ASSERTION_TYPE, OauthWorld, error, key, oauth_world


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[OauthWorld]:
    async with oauth_world(database, clock, ids) as made:
        yield made


async def introspected(w: OauthWorld, token: str, bearer: str = "gateway-north", tenant: str = "north") -> dict:
    answer = await w.post(f"{tenant}/oauth/introspect", {"token": token}, authorization=f"Bearer {bearer}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def as_client(
    w: OauthWorld, endpoint: str, token: str | None, assertion: str = "", hint: str | None = None
) -> httpx2.Response:
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion or w.assertion()}
    return await w.post(f"north/oauth/{endpoint}", {**form, "token": token, "token_type_hint": hint})


def narrow(w: OauthWorld) -> str:
    return w.assertion(key("n", "EC"), iss="narrow", sub="narrow")


async def test_token_introspection_returns_correct_response_when_the_token_is_active(w: OauthWorld) -> None:
    token = await w.token("system/Invoice.rs hl7v2")
    assert await introspected(w, token) == {
        "active": True,
        "scope": "system/Invoice.rs hl7v2",
        "client_id": "his",
        "exp": w.now() + 300,
        "iat": w.now(),
        "token_type": "Bearer",
    }


async def test_token_introspection_returns_correct_response_when_the_token_is_invalid(w: OauthWorld) -> None:
    """Nothing is said but that it isn't active: nor when it has ended, is another tenant's, or is no token of ours."""
    token = await w.token()
    assert await introspected(w, "invalid_token_value") == {"active": False}
    assert await introspected(w, "desk-north") == {"active": False}
    assert await introspected(w, token, "gateway-south", "south") == {"active": False}
    w.clock.advance(timedelta(seconds=299))
    assert (await introspected(w, token))["active"] is True
    w.clock.advance(timedelta(seconds=1))
    assert await introspected(w, token) == {"active": False}


async def test_who_asks_about_tokens_has_to_be_allowed_to(w: OauthWorld) -> None:
    token = await w.token()
    nobody = await w.post("north/oauth/introspect", {"token": token})
    assert error(nobody) == (400, "invalid_client")
    for bearer, status in (("desk-north", 403), ("gateway-south", 401), (token, 403), ("made-up", 401)):
        answer = await w.post("north/oauth/introspect", {"token": token}, authorization=f"Bearer {bearer}")
        assert answer.status_code == status
        assert answer.headers["www-authenticate"].startswith("Bearer ")


async def test_a_client_is_told_of_its_own_tokens_and_of_no_others(w: OauthWorld) -> None:
    token, other = await w.token(), await w.narrow_token("system/Invoice.rs")
    assert (await as_client(w, "introspect", token)).json()["active"] is True
    assert (await as_client(w, "introspect", other)).json() == {"active": False}
    assert (await as_client(w, "introspect", other, narrow(w))).json()["scope"] == "system/Invoice.rs"
    assert error(await as_client(w, "introspect", None)) == (400, "invalid_request")


async def test_access_is_refused_after_the_token_is_revoked(w: OauthWorld) -> None:
    token, kept = await w.token(), await w.token()
    assert (await w.fhir(token, "GET", "Invoice")).status_code == 200
    revoked = await as_client(w, "revoke", token, hint="access_token")
    assert (revoked.status_code, revoked.headers["cache-control"]) == (200, "no-store")
    answer = await w.fhir(token, "GET", "Invoice")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert await introspected(w, token) == {"active": False}
    assert (await w.fhir(kept, "GET", "Invoice")).status_code == 200
    again = await as_client(w, "revoke", token)
    assert again.status_code == 200


async def test_a_hint_that_is_wrong_is_no_error(w: OauthWorld) -> None:
    for hint in ("refresh_token", "whatever"):
        token = await w.token()
        assert (await as_client(w, "introspect", token, hint=hint)).json()["active"] is True
        assert (await as_client(w, "revoke", token, hint=hint)).status_code == 200
        assert (await w.fhir(token, "GET", "Invoice")).status_code == 401


async def test_a_client_ends_no_token_but_its_own(w: OauthWorld) -> None:
    token = await w.token()
    assert error_code(await as_client(w, "revoke", token, narrow(w))) == (400, "invalid_grant")
    assert (await as_client(w, "revoke", "made-up", narrow(w))).status_code == 200
    bearer = await w.post("north/oauth/revoke", {"token": token}, authorization="Bearer gateway-north")
    assert error(bearer) == (401, "invalid_client")
    assert error(await as_client(w, "revoke", None)) == (400, "invalid_request")
    assert (await w.fhir(token, "GET", "Invoice")).status_code == 200


def error_code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]
