"""A launch from a server that nobody here wrote: npm's oidc-provider asks who it is, gives the code, checks PKCE and
our client's proof, signs the id_token and renews. A browser follows its pages and ours, redirect by redirect.

One process serves the whole file (tests/npm/launch.mjs).
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from fhirpay import wiring
from fhirpay.config import Connection, SigningKey
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.smart.keys import KeyRing
from launch_world import OURS, REDIRECT, SECRET, account, built, encounter, invoice, patient, put, said
from node_running import Node, needs_npm, node
from smart_world import EC

pytestmark = [needs_npm, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

MRN = {"system": "urn:clinic:mrn", "value": "77"}
AT_THE_EHR = patient("ehr-77", identifier=[MRN])
KNOWN = (
    patient("p1"),
    account("a1", "Patient/p1"),
    encounter("e1", "Patient/p1", "Account/a1"),
    invoice("i1", "Account/a1", "Patient/p1", "Patient/p1"),
    patient("p2", identifier=[MRN]),
    account("a2", "Patient/p2"),
    invoice("i2", "Account/a2", "Patient/p2", "Patient/p2", "12.00"),
)
CLIENTS = {"public": "public-app", "client_secret_basic": "secret-app", "private_key_jwt": "key-app"}


@pytest.fixture(scope="module")
def stranger() -> Iterator[Node]:
    jwks = KeyRing([SigningKey(private_key=EC)]).published()
    given = {"redirectUri": REDIRECT, "jwks": jwks, "secret": SECRET, "resources": [AT_THE_EHR]}
    with node("launch.mjs", json.dumps(given)) as running:
        yield running


@dataclass
class Ahead:
    """The real clock, which the stranger goes by too, and what it is put forward."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead


@dataclass
class Visit:
    """Our program, and a browser that reaches both it and the stranger."""

    system: wiring.System
    browser: httpx2.AsyncClient
    base: str
    clock: Ahead

    async def launch(self, launch: str, who: str, **more: str) -> httpx2.Response:
        """From the EHR's button to wherever that leads, through its login and consent pages."""
        params = {"iss": self.base, "launch": launch, **more}
        return await self.sign_in(await self.browser.get(f"{OURS}/launch", params=params), who)

    async def sign_in(self, page: httpx2.Response, who: str) -> httpx2.Response:
        for _ in range(3):
            form = re.search(r'<form[^>]+action="([^"]+)"', page.text)
            if form is None or str(page.url).startswith(OURS):
                break
            asked = "login" if 'name="login"' in page.text else "consent"
            filled = {"prompt": asked} | ({"login": who, "password": "any"} if asked == "login" else {})
            page = await self.browser.post(form[1], data=filled)
        return page


@asynccontextmanager
async def visit(stranger: Node, database_url: str, auth: str = "public", **agreed: Any) -> AsyncIterator[Visit]:
    clock = Ahead()
    database = open_database(database_url, clock=clock, ids=RandomIds(clock), database_clock=False)
    base = f"http://127.0.0.1:{stranger.first}/fhir"
    secret = {"launch_client_secret": SECRET} if auth == "client_secret_basic" else {}
    agreed = {"launch_client_id": CLIENTS[auth], "launch_auth": auth, **secret, **agreed}
    connection = Connection(name="ehr", base_url=base, private_network=True, writes=(), **agreed)
    await database.start()
    system = built(connection, database, clock)
    ours = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(follow_redirects=True, mounts={OURS: ours}) as browser:
        try:
            await put(system, browser, *KNOWN)
            stranger.tell("seen")
            yield Visit(system, browser, base, clock)
        finally:
            await system.close()
            await database.stop()


@pytest.mark.parametrize("auth", CLIENTS)
async def test_a_stranger_launches_us_and_staff_see_the_patient_and_the_visit(
    stranger: Node, database_url: str, auth: str
) -> None:
    async with visit(stranger, database_url, auth) as v:
        page = await v.launch("p1.e1", "Practitioner/doc-1")
        assert page.status_code == 200, said(page)
        assert "What is owed: Ann p1 Canary-Family" in page.text
        assert "Account A1 (this visit)" in page.text
        called = stranger.tell("seen")
        assert [status for method, path, status in called if path == "/token"] == [200]
        assert ["GET", "/auth", 303] in called


async def test_a_stranger_launches_us_and_patients_see_their_own_balance(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url) as v:
        page = await v.launch("p1", "Patient/p1")
        assert "Your balance" in page.text
        assert "80.00 USD to pay" in page.text


async def test_fhir_user_claim_retrievable_and_known_here_by_its_number(stranger: Node, database_url: str) -> None:
    """The stranger's Patient/ehr-77 is read with its token: it is our Patient/p2, by the number that both have."""
    async with visit(stranger, database_url) as v:
        page = await v.launch("ehr-77", "Patient/ehr-77")
        assert "12.00 USD to pay" in page.text, said(page)
        assert ["GET", "/fhir/Patient/ehr-77", 200] in stranger.tell("seen")


async def test_standalone_launch_by_our_own_page(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url, launch_title="The Stranger") as v:
        page = await v.sign_in(await v.browser.get(f"{OURS}/launch/from/ehr"), "Practitioner/doc-1")
        assert "What is owed: Ann p1" in page.text, said(page)


async def test_token_refresh_at_a_stranger(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url) as v:
        page = await v.launch("p1", "Practitioner/doc-1")
        for _ in range(2):
            stranger.tell("seen")
            v.clock.ahead += timedelta(seconds=301)
            again = await v.browser.get(str(page.url))
            assert again.status_code == 200, said(again)
            assert stranger.tell("seen")[0] == ["POST", "/token", 200]


async def test_a_session_ends_when_a_stranger_renews_it_no_more(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url) as v:
        page = await v.launch("p1", "Practitioner/doc-1")
        stranger.tell("forget")
        v.clock.ahead = timedelta(seconds=301)
        over = await v.browser.get(str(page.url))
        assert (over.status_code, "Your session has ended" in said(over)) == (403, True)


async def test_token_exchange_fails_with_a_code_that_was_used(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url) as v:
        page = await v.launch("p1", "Practitioner/doc-1")
        code = next(one.url.params["code"] for one in page.history if "code" in one.url.params)
        sent = await v.browser.get(f"{OURS}/launch", params={"iss": v.base, "launch": "p1"}, follow_redirects=False)
        state = httpx2.URL(sent.headers["location"]).params["state"]
        issuer = v.base.removesuffix("/fhir")
        back = await v.browser.get(REDIRECT, params={"code": code, "state": state, "iss": issuer})
        assert (back.status_code, "takes this sign-in no more" in said(back)) == (403, True)


async def test_who_declines_at_the_stranger_is_told_so(stranger: Node, database_url: str) -> None:
    async with visit(stranger, database_url) as v:
        page = await v.browser.get(f"{OURS}/launch", params={"iss": v.base, "launch": "p1"})
        back = await v.browser.get(f"{page.url}/abort")
        assert said(back) == "The EHR didn't let you in, or you chose not to come in."


@pytest.mark.warns("launch.misconfigured")
async def test_a_client_with_a_wrong_secret_is_on_the_worklist(stranger: Node, database_url: str) -> None:
    agreed = {"launch_client_secret": "wrong"}
    async with visit(stranger, database_url, "client_secret_basic", **agreed) as v:
        page = await v.launch("p1", "Practitioner/doc-1")
        assert "don't agree on how people come in" in said(page)
        assert ["POST", "/token", 401] in stranger.tell("seen")
