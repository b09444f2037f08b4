"""An EHR launches us, and all goes well: each step by its name in Inferno's SMART App Launch test kit (client side)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import text

from fhirpay.config import Connection
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from launch_world import (
    BASE,
    CLIENT_ID,
    OURS,
    STAFF,
    LaunchEhr,
    LaunchWorld,
    Routed,
    account,
    built,
    invoice,
    launch_world,
    patient,
    said,
)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
KNOWN = (patient("p1"), account("a1", "Patient/p1"), invoice("i1", "Account/a1", "Patient/p1", "Patient/p1"))


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[LaunchWorld]:
    async with launch_world(database, clock) as made:
        await made.put(*KNOWN)
        yield made
        assert made.ehr.faults == []


def cookies(answer: httpx2.Response) -> dict[str, dict[str, str]]:
    found: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return {
        name: {"value": one.value, **{key: str(value) for key, value in one.items()}} for name, one in found.items()
    }


async def test_launch_received_and_the_browser_is_sent_to_sign_in(w: LaunchWorld) -> None:
    answer = await w.opened(launch="what-the-EHR-said")

    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert asked.pop("tenant") == "1"  # of the EHR's own address
    state, nonce, challenge = (asked.pop(name) for name in ("state", "nonce", "code_challenge"))
    assert asked == {
        "response_type": "code",
        "client_id": "fhirpay-app",
        "redirect_uri": "https://pay.example/launch/redirect",
        "scope": "launch openid fhirUser patient/Patient.r patient/Encounter.r online_access",
        "aud": BASE,
        "launch": "what-the-EHR-said",
        "code_challenge_method": "S256",
    }
    again = parse_qs(urlsplit((await w.opened()).headers["location"]).query)
    assert not {state, nonce, challenge} & {again[name][0] for name in ("state", "nonce", "code_challenge")}
    ((name, cookie),) = cookies(answer).items()
    assert name.startswith("__Secure-")
    assert {cookie[flag] for flag in ("httponly", "secure")} == {"True"}
    assert (cookie["samesite"], cookie["path"], cookie["max-age"]) == ("lax", "/launch/redirect", "600")


async def test_redirect_received_with_code_and_token_exchange_succeeds(w: LaunchWorld) -> None:
    answer = await w.came_back(patient="p1")

    assert answer.status_code == 303
    given = cookies(answer)
    path = answer.headers["location"]
    session = given["__Secure-fhirpay-session"]
    assert (session["samesite"], session["path"], session["httponly"], session["secure"]) == (
        "lax",
        path,
        "True",
        "True",
    )
    assert int(session["max-age"]) == 3600
    (spent,) = (one for name, one in given.items() if "sign-in" in name)
    assert (spent["value"], spent["max-age"]) == ("", "0")
    assert "80.00 USD may be asked for now" in await w.page(path)


@pytest.mark.parametrize("auth", ["public", "client_secret_basic", "private_key_jwt"])
async def test_token_exchange_succeeds_by(auth: str, database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock, launch_auth=auth) as w:
        await w.put(*KNOWN)
        assert "Canary-Family" in await w.page(await w.launched(patient="p1"))
        assert w.ehr.faults == []


async def test_standalone_launch_asks_for_a_patient_and_goes_the_same_way(
    database: Database, clock: FrozenClock
) -> None:
    async with launch_world(database, clock, launch_title="City Hospital <main>") as w:
        await w.put(*KNOWN)
        doors = await w.page("/launch")
        assert '<a href="/launch/from/ehr">City Hospital &lt;main&gt;</a>' in doors
        sent = (await w.http.get("/launch/from/ehr")).headers["location"]
        scopes = parse_qs(urlsplit(sent).query)["scope"][0].split()
        assert ("launch/patient" in scopes, "launch" in scopes, "launch" in parse_qs(urlsplit(sent).query)) == (
            True,
            False,
            False,
        )
        answer = await w.http.get(w.ehr.sign_in(sent, patient="p1"))
        assert "Canary-Family" in await w.page(answer.headers["location"])
        assert w.ehr.faults == []


async def test_nobody_signs_in_by_themselves_where_that_is_not_offered(w: LaunchWorld) -> None:
    assert "opened from within an EHR" in await w.page("/launch")
    answer = await w.http.get("/launch/from/ehr")
    assert (answer.status_code, said(answer)) == (403, "Nobody can sign in here by that name.")


@pytest.mark.parametrize("iss", [f"{BASE}/", "HTTPS://EHR.example/fhir", "https://ehr.example:443/fhir"])
async def test_an_iss_is_known_however_its_address_is_written(w: LaunchWorld, iss: str) -> None:
    sent = await w.sent(iss=iss)
    assert parse_qs(urlsplit(sent).query)["aud"] == [iss]
    w.ehr.faults.clear()  # of this EHR, which would know no other spelling as `aud`


async def test_scopes_are_asked_for_as_the_ehr_writes_them(database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock) as w:
        w.ehr.configuration = {"capabilities": ["launch-ehr"]}
        scopes = parse_qs(urlsplit(await w.sent()).query)["scope"][0]
        assert scopes == "launch openid fhirUser patient/Patient.read patient/Encounter.read"


async def test_agreed_scopes_are_asked_for_instead(database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock, launch_scopes=("patient/*.rs", "offline_access")) as w:
        assert parse_qs(urlsplit(await w.sent()).query)["scope"] == [
            "launch openid fhirUser patient/*.rs offline_access"
        ]


async def test_each_tenant_is_launched_at_its_own_address_behind_a_proxy_too(
    database: Database, clock: FrozenClock
) -> None:
    """The proxy serves us below /pay: that is what browsers and the EHR see, and we don't."""
    ehr = LaunchEhr(clock, "public")
    connection = Connection(name="ehr", base_url=BASE, launch_client_id=CLIENT_ID, launch_auth="public", writes=())
    given = {"transport": Routed(ehr), "tenants": ("north", "south"), "public_url": "https://clinic.example/pay/"}
    system = built(connection, database, clock, **given)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=system.web), base_url=OURS) as http:
        headers = {"authorization": "Bearer token-ehr", "content-type": "application/fhir+json"}
        await http.put("/tenants/north/fhir/R4/Patient/p1", json=patient("p1"), headers=headers)
        sent = await http.get("/tenants/north/launch", params={"iss": BASE, "launch": "x"})
        (cookie,) = cookies(sent).values()
        assert cookie["path"] == "/pay/tenants/north/launch/redirect"
        back = httpx2.URL(ehr.sign_in(sent.headers["location"], patient="p1"))
        assert str(back.copy_with(query=None)) == "https://clinic.example/pay/tenants/north/launch/redirect"
        signed_in = {"cookie": f"{next(iter(cookies(sent)))}={cookie['value']}"}
        query = back.query.decode()
        astray = await http.get(f"/tenants/south/launch/redirect?{query}", headers=signed_in)
        assert "wasn't begun in this browser" in said(astray)
        answer = await http.get(f"/tenants/north/launch/redirect?{query}", headers=signed_in)
        path = answer.headers["location"]
        assert path.startswith("/pay/tenants/north/launch/at/ses")
        session = cookies(answer)["__Secure-fhirpay-session"]
        assert session["path"] == path
        kept = {"cookie": f"__Secure-fhirpay-session={session['value']}"}
        inside = path.removeprefix("/pay")
        page = await http.get(inside, headers=kept)
        assert f'action="{path}/end"' in page.text
        assert (await http.get(inside.replace("north", "south"), headers=kept)).status_code == 403
    await system.close()


async def test_two_launches_in_one_browser_keep_to_their_patients(w: LaunchWorld) -> None:
    await w.put(patient("p2"), account("a2", "Patient/p2"), invoice("i2", "Account/a2", "Patient/p2", "Patient/p2"))
    first_sent, second_sent = await w.sent(), await w.sent(launch="other")
    second = await w.http.get(w.ehr.sign_in(second_sent, patient="p2"))
    first = await w.http.get(w.ehr.sign_in(first_sent, patient="p1"))
    pages = [await w.page(one.headers["location"]) for one in (first, second)]
    assert ["Ann p1" in one for one in pages] == [True, False]
    assert ["Ann p2" in one for one in pages] == [False, True]


async def test_nothing_that_opens_anything_is_kept_readable_or_logged(
    w: LaunchWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "fhirpay")
    sent = await w.sent()
    answer = await w.http.get(w.ehr.sign_in(sent, patient="p1"))
    await w.page(answer.headers["location"])
    secrets = [cookie.value for cookie in w.http.cookies.jar] + list(w.ehr.live) + list(w.ehr.refreshable)
    secrets += [one.asked[name] for one in w.ehr.grants.values() for name in ("state", "nonce")] + ["code-0"]
    assert len(secrets) >= 6

    def rows(tx: Tx) -> str:
        tables = ("smart_launch", "smart_session")
        return str([dict(row) for table in tables for row in tx.all(text(f"SELECT * FROM {table}"))])  # noqa: S608

    kept: Any = await w.units.read(rows)
    assert STAFF in kept
    logged = " ".join(
        f"{one.getMessage()} {getattr(one, 'fields', '')}" for one in caplog.records if "fhirpay" in one.name
    )
    assert "launch.opened" in logged
    assert [one for one in secrets if one in kept or one in logged] == []
    assert "Canary" not in logged
    assert not any(one in str(cookies(answer)) for one in (*w.ehr.live, *w.ehr.refreshable, "Patient", "Canary"))


async def test_pages_may_do_nothing_but_be_read_and_sent(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    for one in ("/launch", path, "/launch/paid", "/launch/redirect?state=x"):
        answer = await w.http.get(one)
        headers = answer.headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert {policy[name] for name in ("default-src", "frame-ancestors", "base-uri")} == {"'none'"}
        assert policy["form-action"] == "'self'"
        assert policy["style-src"].startswith("'sha256-")
        assert "script-src" not in policy
        assert "<script" not in answer.text
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert headers["x-content-type-options"] == "nosniff"


async def test_what_a_page_shows_is_escaped(w: LaunchWorld) -> None:
    name = [{"text": "<script>alert(1)</script>"}]
    await w.put({**patient("p1"), "name": name})
    page = await w.page(await w.launched(patient="p1"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
