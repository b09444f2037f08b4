"""Pages of other origins (CORS): none is let in. SMART App Launch 2.2, app-launch, asks that of servers which support
purely browser-based apps; we have `system/` clients alone, whose key no browser could keep.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from oauth_world import BASE, OauthWorld, oauth_world

ORIGIN = "https://app.example"
ENDPOINTS = {
    "well-known": ("GET", "/fhir/R4/.well-known/smart-configuration"),
    "metadata": ("GET", "/fhir/R4/metadata"),
    "token": ("POST", "/oauth/token"),
    "FHIR": ("GET", "/fhir/R4/Patient"),
}


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[OauthWorld]:
    async with oauth_world(database, clock, ids) as made:
        yield made


async def asked(w: OauthWorld, method: str, path: str) -> tuple[httpx2.Response, httpx2.Response]:
    """What a browser asks first, and the call itself, with all that it needs."""
    wants = {"access-control-request-method": method, "access-control-request-headers": "authorization"}
    before = await w.http.request("OPTIONS", f"{BASE}{path}", headers={"origin": ORIGIN, **wants})
    named = {"origin": ORIGIN, "authorization": f"Bearer {await w.token()}"}
    if path == "/oauth/token":
        form = {"client_assertion": w.assertion(), "grant_type": "client_credentials", "scope": "system/*.rs"}
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return before, await w.http.post(f"{BASE}{path}", data=form, headers={"origin": ORIGIN})
    return before, await w.http.request(method, f"{BASE}{path}", headers=named)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_no_page_of_another_origin_reads_an_answer(endpoint: str, w: OauthWorld) -> None:
    before, answer = await asked(w, *ENDPOINTS[endpoint])
    assert (before.status_code, answer.status_code) == (405, 200)
    for one in (before, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]
