"""Clients that nobody here wrote, pointed at us over a real socket: fhirclient (SMART's own, for Python and for
JavaScript), fhirpy, and Authlib's OAuth client. Each gets a token by a signed assertion, uses it, and is refused what
the token doesn't allow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from fhirclient.client import FHIRClient
from fhirclient.models.account import Account
from fhirclient.server import FHIRPermissionDeniedException, FHIRUnauthorizedException
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ForbiddenError

from fhirpay import wiring
from fhirpay.app import listen, served
from fhirpay.config import ApiClient, Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import CountedIds
from node_running import needs_npm, node
from oauth_world import key, key_set, signed

SCOPE = "system/Account.crs"
ACCOUNT = {"resourceType": "Account", "id": "a1", "status": "active", "identifier": [{"system": "urn:a", "value": "1"}]}


class _ForFiveMinutes(PrivateKeyJWT):
    """Authlib's way to sign, but for its hour: SMART allows five minutes."""

    def sign(self, auth: Any, token_endpoint: str) -> str:
        named = {"alg": self.alg, "header": dict(self.headers), "expires_in": 240}
        return private_key_jwt_sign(auth.client_secret, auth.client_id, token_endpoint, **named)


@dataclass(frozen=True)
class Site:
    """Where we are. `token_url` is what a client has found in our SMART configuration."""

    url: str

    @property
    def fhir(self) -> str:
        return f"{self.url}/fhir/R4"

    def session(self, kid: str, kind: str, alg: str) -> OAuth2Session:
        """Authlib's client, with a key of its own."""
        way = "private_key_jwt"
        session = OAuth2Session(
            "his", key(kid, kind), token_endpoint_auth_method=way, revocation_endpoint_auth_method=way
        )
        session.register_client_auth_method(_ForFiveMinutes(alg=alg, headers={"kid": kid}))
        session.trust_env = False
        return session

    def assertion(self) -> str:
        now = int(SystemClock().now().timestamp())
        claims = {
            "iss": "his",
            "sub": "his",
            "aud": f"{self.url}/oauth/token",
            "exp": now + 240,
            "jti": "of-fhirclient",
        }
        return signed(claims, key("h"))


@pytest.fixture
async def site(database: Database, ids: CountedIds) -> AsyncIterator[Site]:
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    keys = json.dumps(key_set(key("h"), key("e", "EC")))
    client = ApiClient(name="his", jwks=keys, scopes=("system/Account.cruds",))
    merchant = Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k")
    tenant = Tenant(name="main", facilities=(Facility(name="main"),), merchants=(merchant,), clients=(client,))
    settings = Settings(hash_key="k" * 32, public_url=url, tenants=(tenant,))
    # The strangers go by the machine's clock, and so does who checks their assertions; the database's stands still.
    system = wiring.build(settings, clock=SystemClock(), ids=ids, database=database)
    async with served(system.web, bound):
        yield Site(url)
    await system.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_authlibs_client_gets_a_token_with_either_kind_of_key(site: Site) -> None:
    def ask(kid: str, kind: str, alg: str) -> dict[str, Any]:
        with site.session(kid, kind, alg) as session:
            found = session.get(f"{site.fhir}/.well-known/smart-configuration", withhold_token=True).json()
            token = session.fetch_token(found["token_endpoint"], grant_type="client_credentials", scope=SCOPE)
            assert session.get(f"{site.fhir}/Account").json()["total"] == 0
            assert session.get(f"{site.fhir}/Invoice").status_code == 403
            asked = session.introspect_token(found["introspection_endpoint"], token["access_token"])
            assert asked.json()["scope"] == SCOPE
            revoked = session.revoke_token(found["revocation_endpoint"], token["access_token"])
            assert revoked.status_code == 200, revoked.text
            assert session.get(f"{site.fhir}/Account").status_code == 401
            return token

    for kid, kind, alg in (("h", "RSA", "RS384"), ("e", "EC", "ES384")):
        token = await asyncio.to_thread(ask, kid, kind, alg)
        assert (token["token_type"], token["scope"], token["expires_in"]) == ("Bearer", SCOPE, 300)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fhirclient_finds_us_gets_a_token_and_reads_what_it_wrote(site: Site) -> None:
    def use() -> None:
        settings = {"app_id": "his", "api_base": site.fhir, "scope": SCOPE, "jwt_token": site.assertion()}
        smart = FHIRClient(settings=settings)
        smart.prepare()
        assert smart.server.auth.auth_type == "oauth2"
        smart.authorize()
        assert smart.ready
        made = Account(ACCOUNT | {"id": None}).create(smart.server)
        assert made["id"]
        (found,) = Account.where({"identifier": "urn:a|1"}).perform_resources_iter(smart.server)
        assert (found.id, found.status) == (made["id"], "active")
        assert Account.read(found.id, smart.server).identifier[0].value == "1"
        found.status = "inactive"
        with pytest.raises(FHIRPermissionDeniedException):
            found.update(smart.server)
        smart.server.auth.access_token = site.url
        with pytest.raises(FHIRUnauthorizedException):
            Account.read(found.id, smart.server)

    await asyncio.to_thread(use)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fhirpy_works_with_a_token_that_authlib_got(site: Site) -> None:
    def use() -> None:
        with site.session("h", "RSA", "RS384") as session:
            token = session.fetch_token(f"{site.url}/oauth/token", grant_type="client_credentials", scope=SCOPE)
        client = SyncFHIRClient(site.fhir, authorization=f"Bearer {token['access_token']}")
        client.resource("Account", **{name: value for name, value in ACCOUNT.items() if name != "id"}).create()
        (found,) = client.resources("Account").search(identifier="urn:a|1").fetch_all()
        assert found["status"] == "active"
        for refused in (
            lambda: client.resources("Invoice").fetch(),
            lambda: client.resource("Account", **ACCOUNT).update(),
        ):
            with pytest.raises(ForbiddenError, match="this needs system/"):
                refused()

    await asyncio.to_thread(use)


# base → an account that names another as its parent, and by which path
PARENT = {
    "R4": ({"partOf": {"reference": "Account/top"}}, "partOf"),
    "R5": (
        {
            "relatedAccount": [
                {
                    "relationship": {
                        "coding": [{"system": "http://hl7.org/fhir/account-relationship", "code": "parent"}]
                    },
                    "account": {"reference": "Account/top"},
                }
            ]
        },
        "relatedAccount.0.account",
    ),
}


@needs_npm
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_smarts_javascript_client_creates_reads_pages_and_follows_references_in_both_versions(site: Site) -> None:
    def use(base: str) -> dict[str, Any]:
        with site.session("h", "RSA", "RS384") as session:
            scope = "system/Account.crus"
            token = session.fetch_token(f"{site.url}/oauth/token", grant_type="client_credentials", scope=scope)
            top = {"resourceType": "Account", "id": "top", "status": "active"}
            headers = {"content-type": "application/fhir+json"}
            session.put(f"{site.url}/fhir/{base}/Account/top", data=json.dumps(top), headers=headers)
        parent, path = PARENT[base]
        accounts = [{"resourceType": "Account", "status": "active", **parent} for _ in range(3)]
        told = {"serverUrl": f"{site.url}/fhir/{base}", "token": token["access_token"], "accounts": accounts}
        with node("smart.mjs") as client:
            return client.tell(json.dumps({**told, "reference": path, "beyond": "Invoice"}))

    before = 0
    for base, version in (("R4", "4.0.1"), ("R5", "5.0.0")):
        done = await asyncio.to_thread(use, base)
        assert "error" not in done, done["error"]
        everything = before + 3 + (before == 0)
        assert (done["version"], len(done["made"]), done["two"], done["refused"]) == (version, 3, 2, 403)
        assert len(set(done["found"])) == len(done["found"]) == everything
        assert done["pages"] == [everything] * everything
        before = everything
        assert PARENT[base][0].items() <= done["read"].items()
        followed = done["followed"]["partOf"] if base == "R4" else done["followed"]["relatedAccount"][0]["account"]
        assert (followed["resourceType"], followed["id"]) == ("Account", "top")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fhirpy_speaks_r5_with_us(site: Site) -> None:
    balance = [{"amount": {"value": 3.5, "currency": "USD"}, "estimate": False}]

    def use() -> None:
        with site.session("h", "RSA", "RS384") as session:
            token = session.fetch_token(f"{site.url}/oauth/token", grant_type="client_credentials", scope=SCOPE)
        client = SyncFHIRClient(f"{site.url}/fhir/R5", authorization=f"Bearer {token['access_token']}")
        named = {name: value for name, value in ACCOUNT.items() if name != "id"}
        client.resource("Account", **named, balance=balance).create()
        (found,) = client.resources("Account").search(identifier="urn:a|1").fetch_all()
        assert found["balance"] == balance

    await asyncio.to_thread(use)
