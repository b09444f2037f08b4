"""Our client by SMART backend services against an authorization server and a FHIR server that nobody here wrote:
npm's oidc-provider, which fetches our keys from the URL where we publish them, and Medplum's FHIR router.

One process serves the whole file (tests/npm/ehr.mjs).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from joserfc.jwk import ECKey

from fhirpay.config import Connection, SigningKey
from fhirpay.domain.clock import Clock, FrozenClock, SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.errors import EhrMisconfigured
from fhirpay.fhir.client import EhrRefused, FhirClient
from fhirpay.fhir.statement import Capability
from fhirpay.smart.keys import KeyRing
from fhirpay.usecases.check_ehr import check_ehr
from fhirpay.web.jwks import jwks_router
from fhirpay.wiring_ehr import ehr_access, ehr_client, ehr_http
from fhirpay.writeback.profile import Way, ways
from node_running import Node, needs_npm, node
from smart_world import ASKED, EC, EC_2, RSA, ring

pytestmark = needs_npm

KIND = "PaymentReconciliation"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
PUBLISHED = KeyRing(
    [SigningKey(private_key=EC), SigningKey(private_key=RSA), SigningKey(private_key=EC_2, signs_from=TOMORROW)]
)
UNKNOWN = ECKey.generate_key("P-384").as_pem(private=True).decode()
SCOPES = [ASKED, "system/PaymentReconciliation.rs", "system/PaymentReconciliation.read"]


@dataclass
class Stranger:
    node: Node

    def tell(self, line: str) -> Any:
        return self.node.tell(line)

    def token_requests(self) -> list[int]:
        return [status for method, path, status in self.tell("seen") if (method, path) == ("POST", "/token")]

    def connection(self, **more: Any) -> Connection:
        agreed: dict[str, Any] = {"client_id": "fhirpay", "private_network": True, "scopes": (ASKED,), **more}
        base_url = f"http://127.0.0.1:{self.node.first}/fhir"
        return Connection(name="stranger", base_url=base_url, auth="backend-services", **agreed)

    def client(self, key: str = EC, behind: timedelta | None = None, **more: Any) -> FhirClient:
        clock: Clock = FrozenClock(datetime.now(UTC) - behind) if behind else SystemClock()
        connection = self.connection(**more)
        return ehr_client(connection, ehr_access(connection, ring(key), clock, RandomIds(clock)))


@contextmanager
def published() -> Iterator[str]:
    """Our keys at a URL of their own, in a thread: the stranger fetches them while a test waits for it."""
    app = FastAPI()
    app.include_router(jwks_router(PUBLISHED))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/smart/jwks.json"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    with published() as url:
        given = json.dumps({"clientId": "fhirpay", "jwksUri": url, "scopes": SCOPES})
        with node("ehr.mjs", given) as process:
            yield Stranger(process)


def posting(subject: str) -> str:
    identifier = {"system": "https://fhirpay.dev/payment", "value": subject}
    amount = '{"value":80.00,"currency":"USD"}'
    return (
        f'{{"resourceType":"{KIND}","id":"{subject}","status":"active","created":"2026-11-20T10:00:00-05:00",'
        f'"identifier":[{json.dumps(identifier)}],"paymentDate":"2026-11-20","paymentAmount":{amount}}}'
    )


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
async def test_a_stranger_gives_a_token_for_our_assertion_and_takes_a_posting(stranger: Stranger, key: str) -> None:
    fhir = stranger.client(key)
    stranger.tell("seen")
    capability = await fhir.capability(KIND)
    assert capability == Capability(
        read=True, create=True, update=True, update_create=True, conditional_create=True, search=True
    )
    assert ways(capability)[0] is Way.PUT
    subject = f"pay{len(key)}"
    made = await fhir.update(KIND, subject, posting(subject))
    again = await fhir.update(KIND, subject, posting(subject))
    assert (made.id, again.id) == (subject, subject)
    found = await fhir.search(KIND, {"identifier": f"https://fhirpay.dev/payment|{subject}"})
    assert [one.id for one in found.found] == [subject]
    assert stranger.token_requests() == [200]
    await fhir.aclose()


async def test_a_conditional_create_is_made_once_there(stranger: Stranger) -> None:
    fhir = stranger.client()
    when = "identifier=https://fhirpay.dev/payment|pay-once"
    body = posting("pay-once").replace('"id":"pay-once",', "")
    first = await fhir.create(KIND, body, if_none_exist=when)
    second = await fhir.create(KIND, body, if_none_exist=when)
    assert (first.new, second.new, first.id == second.id) == (True, False, True)
    await fhir.aclose()


async def test_a_token_that_is_revoked_there_is_replaced(stranger: Stranger) -> None:
    fhir = stranger.client()
    assert await fhir.read(KIND, "nobody") is None
    stranger.tell("revoke")
    stranger.tell("seen")
    assert (await fhir.update(KIND, "pay-revoked", posting("pay-revoked"))).id == "pay-revoked"
    seen = [(method, status) for method, _, status in stranger.tell("seen")]
    assert seen == [("PUT", 401), ("POST", 200), ("PUT", 200)]
    await fhir.aclose()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"client_id": "nobody"}, "invalid_client.*is 'nobody' our client id there"),
        ({"key": UNKNOWN}, "invalid_client.*does it know our key"),
        ({"scopes": ("system/Account.rs",)}, "invalid_scope"),
        ({"scopes": ("system/Unheard.rs",)}, "gave a token without scope"),
        ({"behind": timedelta(hours=1)}, r"its clock is 3[56]\d\d s ahead of ours"),
    ],
    ids=["client", "key", "scope", "scope unheard of", "clock"],
)
async def test_what_a_stranger_refuses_is_said_in_words(stranger: Stranger, more: dict[str, Any], says: str) -> None:
    fhir = stranger.client(**more)
    with pytest.raises(EhrMisconfigured, match=says):
        await fhir.read(KIND, "pay1")
    await fhir.aclose()


async def test_the_next_key_signs_without_the_stranger_fetching_anew(stranger: Stranger) -> None:
    """It has kept our key set since before; the new key was in it."""
    fhir = stranger.client(EC_2)
    assert await fhir.read(KIND, "nobody") is None
    await fhir.aclose()


@pytest.mark.warns("smart.scope_short")
async def test_fewer_scopes_than_asked_are_kept_to(stranger: Stranger) -> None:
    fhir = stranger.client(scopes=("system/PaymentReconciliation.rs",))
    capability = await fhir.capability(KIND)
    assert (capability.search, capability.create, capability.withheld) == (True, False, "cu")
    assert ways(capability) == ()
    with pytest.raises(EhrRefused, match="403"):
        await fhir.create(KIND, posting("pay-no"))
    await fhir.aclose()


async def test_the_check_says_what_a_stranger_can(stranger: Stranger) -> None:
    to, clock = stranger.connection(), SystemClock()
    http, access = ehr_http(to, to.base_url), ehr_access(to, ring(EC), clock, RandomIds(clock))
    stranger.tell("seen")
    report = await check_ehr(to, http, access, clock)
    assert (report.grade, [one.code for one in report.found]) == ("ready", ["not-polled"])
    assert report.granted == (ASKED,)
    assert [way.value for way in report.ways["PaymentReconciliation"]] == ["put", "if-none-exist", "search"]
    assert [(method, path) for method, path, _ in stranger.tell("seen") if method != "GET"] == [("POST", "/token")]
    await access.aclose()
    await http.aclose()
