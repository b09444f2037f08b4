"""Tokens for systems that call us, as SMART Backend Services has it: the wired program, asked over HTTP.

Many names are those of Inferno's SMART test kit ("Backend Services Authorization"), whose tests ask the same.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import func, select

from fhirpay.db.metadata import table
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.smart.tables import OauthAssertionRow, OauthTokenRow
from oauth_world import ASSERTION_TYPE, BASE, JWKS_URL, TOKEN_URL, OauthWorld, error, key, key_set, oauth_world


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[OauthWorld]:
    async with oauth_world(database, clock, ids) as made:
        yield made


async def test_authorization_request_succeeds_when_supplied_correct_information(w: OauthWorld) -> None:
    answer = await w.ask(scope="system/Invoice.rs")
    assert answer.status_code == 200
    assert (await w.fhir(answer.json()["access_token"], "GET", "Invoice")).status_code == 200


async def test_authorization_request_response_body_contains_required_information(w: OauthWorld) -> None:
    answer = await w.ask(scope="system/Invoice.rs hl7v2")
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "system/Invoice.rs hl7v2")
    assert answer.headers["content-type"] == "application/json"


async def test_what_is_said_of_tokens_is_stored_by_nobody_in_between(w: OauthWorld) -> None:
    for answer in (await w.ask(), await w.ask("nonsense"), await w.post("north/oauth/introspect", {})):
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


async def test_authorization_request_fails_when_supplied_invalid_grant_type(w: OauthWorld) -> None:
    for grant in ("not_a_grant_type", "authorization_code", "refresh_token", "password", None):
        assert error(await w.ask(grant_type=grant)) == (400, "unsupported_grant_type"), grant


async def test_authorization_request_fails_when_supplied_invalid_client_assertion_type(w: OauthWorld) -> None:
    for kind in ("not_an_assertion_type", None):
        assert error(await w.ask(client_assertion_type=kind)) == (400, "invalid_client"), kind


async def test_authorization_request_fails_when_client_supplies_invalid_jwt_token(w: OauthWorld) -> None:
    unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJoaXMiLCJzdWIiOiJoaXMifQ."
    for jwt in ("not_a_jwt", "a.b.c", "...", "e30.e30.", unsigned, "ü", "x" * 9_000):
        assert error(await w.ask(jwt)) == (400, "invalid_client"), jwt
    assert w.calls == []


async def test_both_algorithms_that_smart_asks_for_are_taken_and_no_other(w: OauthWorld) -> None:
    assert (await w.ask(w.assertion(key("e", "EC")))).status_code == 200
    assert (await w.ask(w.assertion(key("h")))).status_code == 200
    assert error(await w.ask(w.assertion(header={"alg": "RS256"}))) == (400, "invalid_client")


async def test_a_signature_by_another_key_under_a_known_id_is_refused(w: OauthWorld) -> None:
    stranger = key("stranger")
    assert error(await w.ask(w.assertion(stranger, header={"kid": "h"}))) == (400, "invalid_client")


async def test_the_public_key_as_a_shared_secret_proves_nothing(w: OauthWorld) -> None:
    """The old confusion: an HMAC with what everybody can read."""
    _, claims, _ = w.assertion().split(".")
    header = urlsafe_b64encode(b'{"typ":"JWT","alg":"HS384","kid":"h"}').decode().rstrip("=")
    mac = hmac.digest(key("h").as_pem(private=False), f"{header}.{claims}".encode(), "sha384")
    forged = f"{header}.{claims}.{urlsafe_b64encode(mac).decode().rstrip('=')}"
    assert error(await w.ask(forged)) == (400, "invalid_client")


async def test_a_header_of_anybodys_making_is_refused_and_no_bug(w: OauthWorld) -> None:
    _, rest = w.assertion().split(".", 1)
    for more in (b'"crit":5', b'"crit":["exp"]', b'"kid":7', b'"typ":[]', b'"x5c":5', b'"jwk":{}'):
        header = urlsafe_b64encode(b'{"alg":"RS384","kid":"h",' + more + b"}").decode().rstrip("=")
        assert error(await w.ask(f"{header}.{rest}")) == (400, "invalid_client"), more


async def test_a_claim_that_does_not_hold_is_refused(w: OauthWorld) -> None:
    wrong: list[dict[str, object]] = [
        {"iss": "someone"},
        {"sub": "someone"},
        {"iss": "nobody", "sub": "nobody"},
        {"iss": None},
        {"aud": "https://elsewhere.example/token"},
        {"aud": TOKEN_URL.replace("north", "south")},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**400},
        {"exp": True},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 1001},
    ]
    for claims in wrong:
        assert error(await w.ask(w.assertion(**claims))) == (400, "invalid_client"), claims


async def test_an_assertion_lives_five_minutes_at_most(w: OauthWorld) -> None:
    """Ten seconds are allowed for clocks that differ."""
    now = w.now()
    for exp, taken in ((now + 300, True), (now + 320, False), (now + 3600, False), (now - 5, True), (now - 20, False)):
        answer = await w.ask(w.assertion(exp=exp))
        assert (answer.status_code == 200) is taken, exp - now
    assert error(await w.ask(w.assertion(nbf=now + 60))) == (400, "invalid_client")
    assert error(await w.ask(w.assertion(iat=now + 60))) == (400, "invalid_client")


async def test_an_assertion_is_used_once(w: OauthWorld) -> None:
    once = w.assertion(jti="once")
    assert (await w.ask(once)).status_code == 200
    assert error(await w.ask(once)) == (400, "invalid_client")
    assert error(await w.ask(w.assertion(jti="once"))) == (400, "invalid_client")
    other = w.assertion(key("n", "EC"), iss="narrow", sub="narrow", jti="once")
    assert (await w.ask(other, "system/Invoice.rs")).status_code == 200  # of another client


async def test_an_assertion_is_used_up_by_a_refused_request_too_and_at_any_endpoint(w: OauthWorld) -> None:
    once = w.assertion(jti="once")
    assert error(await w.ask(once, "system/Observation.rs")) == (400, "invalid_scope")
    assert error(await w.ask(once)) == (400, "invalid_client")
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": once, "token": "t"}
    assert error(await w.post("north/oauth/revoke", form)) == (400, "invalid_client")


async def test_a_used_assertion_is_known_after_a_restart(
    w: OauthWorld, database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    once = w.assertion()
    assert (await w.ask(once)).status_code == 200
    async with oauth_world(database, clock, ids) as again:
        assert error(await again.ask(once)) == (400, "invalid_client")


async def test_of_two_at_once_with_one_assertion_one_gets_a_token(w: OauthWorld) -> None:
    once = w.assertion()
    answers = await asyncio.gather(*(w.ask(once) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 400, 400, 400]


async def test_jku_has_to_be_the_url_that_was_registered(w: OauthWorld) -> None:
    evil = key("evil")
    w.answers["https://evil.example/jwks.json"] = lambda _: httpx2.Response(200, json=key_set(evil))
    assert (await w.ask(w.assertion(header={"jku": JWKS_URL}))).status_code == 200
    for jku in ("https://evil.example/jwks.json", f"{JWKS_URL}/", JWKS_URL.replace("jwks", "JWKS")):
        assert error(await w.ask(w.assertion(evil, header={"jku": jku}))) == (400, "invalid_client")
    assert set(w.calls) == {JWKS_URL}
    inline = w.assertion(key("n", "EC"), iss="narrow", sub="narrow", header={"jku": JWKS_URL})
    assert error(await w.ask(inline, "system/Invoice.rs")) == (400, "invalid_client")


async def test_exactly_one_key_has_to_fit_kid_and_kind(w: OauthWorld) -> None:
    twin = key("h", "EC")  # the same id, another kind: told apart by the algorithm
    w.keys = key_set(key("h"), twin)
    assert (await w.ask(w.assertion(key("h")))).status_code == 200
    assert (await w.ask(w.assertion(twin))).status_code == 200
    w.clock.advance(timedelta(minutes=6))
    w.keys = key_set(key("h"), key("h-other"))
    w.keys["keys"][1]["kid"] = "h"
    assert error(await w.ask(w.assertion(key("h")))) == (400, "invalid_client")
    assert error(await w.ask(w.assertion(header={"kid": None}))) == (400, "invalid_client")
    assert error(await w.ask(w.assertion(header={"kid": "unknown"}))) == (400, "invalid_client")


async def test_a_key_that_its_owner_has_changed_is_read_anew(w: OauthWorld) -> None:
    assert (await w.ask()).status_code == 200
    w.keys = key_set(key("new"))
    w.clock.advance(timedelta(seconds=30))
    assert (await w.ask(w.assertion(key("new")))).status_code == 200
    assert error(await w.ask(w.assertion(key("h")))) == (400, "invalid_client")  # withdrawn
    assert len(w.calls) == 2


async def test_a_client_id_beside_the_assertion_has_to_be_the_same(w: OauthWorld) -> None:
    assert (await w.ask(client_id="his")).status_code == 200
    assert error(await w.ask(client_id="narrow")) == (400, "invalid_client")


async def test_a_shared_secret_is_no_way_in(w: OauthWorld) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    basic = await w.post("north/oauth/token", form, authorization="Basic aGlzOnNlY3JldA==")
    assert error(basic) == (401, "invalid_client")
    assert basic.headers["www-authenticate"].startswith("Basic ")
    assert error(await w.post("north/oauth/token", {**form, "client_id": "his", "client_secret": "s"}))[0] == 400


async def test_what_is_no_form_is_refused(w: OauthWorld) -> None:
    for kind, body in (
        ("application/json", b'{"grant_type": "client_credentials"}'),
        ("application/x-www-form-urlencoded", b"grant_type=client_credentials&scope=a&scope=b"),
        ("application/x-www-form-urlencoded", b"grant_type=%ff&\xff"),
    ):
        answer = await w.http.post("/tenants/north/oauth/token", content=body, headers={"content-type": kind})
        assert error(answer) == (400, "invalid_request")
    huge = await w.post("north/oauth/token", {"grant_type": "x" * 70_000})
    assert huge.status_code == 413


async def test_no_more_is_granted_than_is_registered(w: OauthWorld) -> None:
    for asked, granted in (
        ("system/*.rs", "system/Invoice.rs system/Account.rs?status=active"),
        ("system/*.read", "system/Invoice.read system/Account.rs?status=active"),
        ("system/Invoice.rs openid launch patient/Invoice.rs user/*.cruds", "system/Invoice.rs"),
        ("system/Invoice.cruds", "system/Invoice.rs"),
        ("system/Invoice.*", "system/Invoice.read"),
        ("system/Invoice.r system/Invoice.s", "system/Invoice.r system/Invoice.s"),
        ("system/Invoice.rs system/Invoice.r", "system/Invoice.rs"),
        ("system/Account.r?patient=Patient/1", "system/Account.r?status=active&patient=Patient/1"),
        ("system/Account.r?status=inactive", "system/Account.r?status=active&status=inactive"),
        ("system/ChargeItem.write", "system/ChargeItem.cu"),
        ("system/Invoice.rs hl7v2 payments", "system/Invoice.rs"),
    ):
        answer = await w.ask(w.assertion(key("n", "EC"), iss="narrow", sub="narrow"), asked)
        assert answer.json().get("scope") == granted, asked


async def test_a_request_for_nothing_that_is_registered_is_refused(w: OauthWorld) -> None:
    for asked in (
        None,
        "openid fhirUser launch",
        "patient/*.rs",
        "user/Invoice.rs",
        "system/Patient.rs",
        "system/Invoice.sr",
        "system/Invoice.dus",
        "system/Invoice.",
        "system/invoice.rs",
        "system/Invoice.c",
        "system/Account.rs?no-such=1",
        "system/Account.rs?status:not=active",
        "system/Account.rs?",
        "system/*.rs?_count=5",
        "hl7v2",
    ):
        answer = await w.ask(w.assertion(key("n", "EC"), iss="narrow", sub="narrow"), asked)
        assert error(answer) == (400, "invalid_scope"), asked


async def test_more_scopes_than_anybody_needs_are_refused(w: OauthWorld) -> None:
    """They are compared with each other in the unit that others wait for, and read again at each call."""
    many = " ".join(f"system/Account.r?_id={number}" for number in range(200))
    for asked in (many, "system/Account.rs?" + "&".join(["_id=1"] * 1_000)):
        answer = await w.ask(scope=asked)
        assert error(answer) == (400, "invalid_scope")
        assert "4000 characters" in answer.json()["error_description"]
    assert (await w.ask(scope=many[:2_000].rpartition(" ")[0])).status_code == 200


async def test_a_token_is_kept_as_its_hash_alone(w: OauthWorld, database: Database) -> None:
    token = await w.token()
    (row,) = await database.units("north").read(lambda tx: tx.all(select(table(OauthTokenRow))))
    assert token not in str(dict(row))
    assert (row["client_id"], row["scope"]) == ("his", "system/*.cruds")


async def test_what_ended_long_ago_is_deleted_as_others_come(w: OauthWorld, database: Database) -> None:
    async def kept() -> list[int]:
        counts = [select(func.count()).select_from(table(row)) for row in (OauthTokenRow, OauthAssertionRow)]
        return await database.units("north").read(lambda tx: [tx.scalar(one) for one in counts])

    for _ in range(3):
        await w.token()
    assert await kept() == [3, 3]
    w.clock.advance(timedelta(hours=2))
    await w.token()
    assert await kept() == [1, 1]


async def test_who_never_gets_a_token_leaves_no_more_behind(w: OauthWorld, database: Database) -> None:
    for number in range(3):
        assert error(await w.ask(scope="openid")) == (400, "invalid_scope"), number
    w.clock.advance(timedelta(hours=2))
    assert error(await w.ask(scope="openid")) == (400, "invalid_scope")
    count = select(func.count()).select_from(table(OauthAssertionRow))
    assert await database.units("north").read(lambda tx: tx.scalar(count)) == 1


CONFIGURATION = "/tenants/north/fhir/R4/.well-known/smart-configuration"


async def test_well_known_endpoint_is_available_to_all_and_as_json(w: OauthWorld) -> None:
    for accept in ("application/json", "application/fhir+json", "text/html", "*/*", ""):
        answer = await w.http.get(CONFIGURATION, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    r5 = await w.http.get(CONFIGURATION.replace("R4", "R5"))
    assert (r5.status_code, r5.json()) == (200, answer.json())


async def test_well_known_contains_required_fields(w: OauthWorld) -> None:
    found = (await w.http.get(CONFIGURATION)).json()
    assert found["token_endpoint"] == TOKEN_URL
    assert found["grant_types_supported"] == ["client_credentials"]
    assert set(found["capabilities"]) == {"client-confidential-asymmetric", "permission-v1", "permission-v2"}
    assert "S256" in found["code_challenge_methods_supported"]
    assert "plain" not in found["code_challenge_methods_supported"]
    # Nobody is launched here, and nobody signs in.
    assert not {"authorization_endpoint", "issuer", "jwks_uri"} & found.keys()


async def test_the_configuration_of_smart_says_where_and_how(w: OauthWorld) -> None:
    found = (await w.http.get(CONFIGURATION)).json()
    assert found["introspection_endpoint"] == f"{BASE}/oauth/introspect"
    assert found["revocation_endpoint"] == f"{BASE}/oauth/revoke"
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert (await w.http.post(found[name])).status_code == 400  # there, and not content with nothing
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert set(found["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert {"system/*.cruds", "system/Invoice.cruds", "hl7v2"} <= set(found["scopes_supported"])


async def test_the_capability_statement_says_the_same(w: OauthWorld) -> None:
    security = (await w.http.get("/tenants/south/fhir/R4/metadata")).json()["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = {one["url"]: one["valueUri"] for one in security["extension"][0]["extension"]}
    south = BASE.replace("north", "south")
    assert uris == {
        "token": f"{south}/oauth/token",
        "introspect": f"{south}/oauth/introspect",
        "revoke": f"{south}/oauth/revoke",
    }
