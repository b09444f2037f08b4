"""Our client by SMART backend services, as Inferno's client suite looks at it: token requests, tokens kept and used.

Its names: registration (keys), token request verification, token use verification.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay import log
from fhirpay.config import SigningKey
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import EhrMisconfigured, EhrUnavailable
from fhirpay.fhir.client import FhirClient
from fhirpay.smart import backend
from fhirpay.smart.keys import KeyRing
from smart_world import BASE, CLIENT_ID, EC, EC_2, RSA, TOKEN_URL, SmartEhr, oauth_error, ring

POSTING = '{"resourceType":"PaymentReconciliation"}'
STORED = POSTING.replace("}", ',"id":"1"}')


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
async def test_token_requests_are_conformant(key: str, clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(key)
    ehr = SmartEhr(clock, keys.published)
    for _ in range(3):
        await ehr.access(ids, keys).authorization(within_s=5)
    assert ehr.faults == []
    assert (ehr.claims["iss"], ehr.claims["sub"], ehr.claims["aud"]) == (CLIENT_ID, CLIENT_ID, TOKEN_URL)
    assert ehr.header == {"alg": keys.keys[0].algorithm.value, "kid": keys.keys[0].kid, "typ": "JWT"}


async def test_scopes_are_asked_in_the_syntax_that_the_server_takes(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published)
    await ehr.access(ids, keys).authorization(within_s=5)
    ehr.configuration = {"capabilities": ["permission-v1"]}
    await ehr.access(ids, keys).authorization(within_s=5)
    ehr.scope = "system/*.cruds"
    await ehr.access(ids, keys, scopes=("system/*.write", "system/Patient.rs")).authorization(within_s=5)
    assert [one["scope"] for one in ehr.requests] == [
        "system/PaymentReconciliation.crus",
        "system/PaymentReconciliation.read system/PaymentReconciliation.write",
        "system/*.write system/Patient.rs",
    ]


async def test_a_token_is_used_until_shortly_before_it_dies(
    clock: FrozenClock, ids: CountedIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = _loop_clock(monkeypatch)
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, lives_s=300)
    access = ehr.access(ids, keys)
    assert await access.authorization(within_s=5) == "Bearer token-1"
    at(239)
    assert await access.authorization(within_s=5) == "Bearer token-1"
    at(241)
    assert await access.authorization(within_s=5) == "Bearer token-2"
    assert ehr.looked_up == 1


async def test_a_life_that_no_token_has_is_cut_to_an_hour(
    clock: FrozenClock, ids: CountedIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = _loop_clock(monkeypatch)
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, lives_s=10**11)
    access = ehr.access(ids, keys)
    await access.authorization(within_s=5)
    at(3541)
    assert await access.authorization(within_s=5) == "Bearer token-2"


@pytest.mark.warns("smart.not_renewed")
async def test_while_it_can_not_be_renewed_the_old_token_serves_as_long_as_it_lives(
    clock: FrozenClock, ids: CountedIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = _loop_clock(monkeypatch)
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, lives_s=300)
    access = ehr.access(ids, keys)
    await access.authorization(within_s=5)
    ehr.answers = [oauth_error("invalid_client")] * 9
    at(250)
    assert await access.authorization(within_s=5) == "Bearer token-1"
    assert await access.authorization(within_s=5) == "Bearer token-1"
    assert len(ehr.requests) == 2, "the endpoint is left alone for a while"
    at(301)
    with pytest.raises(EhrMisconfigured):
        await access.authorization(within_s=5)


async def test_one_request_serves_all_that_wait(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, delay_s=0.01)
    access = ehr.access(ids, keys)
    got = await asyncio.gather(*(access.authorization(within_s=5) for _ in range(50)))
    assert (set(got), len(ehr.requests)) == ({"Bearer token-1"}, 1)


async def test_who_gives_up_waiting_takes_nothing_from_the_others(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, delay_s=0.05)
    access = ehr.access(ids, keys)
    hasty = asyncio.create_task(access.authorization(within_s=5))
    patient = asyncio.create_task(access.authorization(within_s=5))
    await asyncio.sleep(0.01)
    hasty.cancel()
    assert await patient == "Bearer token-1"


def connected(ehr: SmartEhr, access: backend.BackendServices) -> FhirClient:
    return FhirClient("ehr", ehr.http(BASE), access, retry_wait_s=0)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_token_that_dies_in_use_is_replaced_once(method: str, clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, resources=lambda _: httpx2.Response(201, content=STORED))
    fhir = connected(ehr, ehr.access(ids, keys))

    async def call() -> Any:
        if method == "GET":
            return await fhir.read("PaymentReconciliation", "1")
        if method == "POST":
            return await fhir.create("PaymentReconciliation", POSTING)
        return await fhir.update("PaymentReconciliation", "1", POSTING)

    await call()
    ehr.live.clear()
    ehr.calls.clear()
    assert (await call()).id == "1"
    assert [(how, which) for how, _, which in ehr.calls] == [(method, "Bearer token-1"), (method, "Bearer token-2")]
    assert len(ehr.requests) == 2


async def test_a_second_401_ends_the_call(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, resources=lambda _: httpx2.Response(401))
    fhir = connected(ehr, ehr.access(ids, keys))
    with pytest.raises(EhrMisconfigured, match="401: it doesn't accept our token"):
        await fhir.read("PaymentReconciliation", "1")
    assert (len(ehr.calls), len(ehr.requests)) == (2, 2)


async def test_of_many_calls_that_find_the_token_dead_one_asks(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, resources=lambda _: httpx2.Response(200, text=STORED))
    fhir = connected(ehr, ehr.access(ids, keys))
    await fhir.read("PaymentReconciliation", "1")
    ehr.live.clear()
    await asyncio.gather(*(fhir.read("PaymentReconciliation", "1") for _ in range(20)))
    assert len(ehr.requests) == 2


async def test_no_token_no_byte_of_a_posting_leaves(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, answers=[oauth_error("invalid_client")])
    with pytest.raises(EhrMisconfigured):
        await connected(ehr, ehr.access(ids, keys)).create("PaymentReconciliation", POSTING)
    assert ehr.calls == []


async def test_a_call_takes_no_longer_than_its_limit_whatever_its_token_takes(
    clock: FrozenClock, ids: CountedIds
) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, delay_s=5)
    fhir = FhirClient("ehr", ehr.http(BASE, timeout_s=0.1), ehr.access(ids, keys), retry_wait_s=0)
    started = asyncio.get_running_loop().time()
    with pytest.raises(EhrUnavailable, match=r"within 0\.05 s"):
        await fhir.create("PaymentReconciliation", POSTING)
    assert asyncio.get_running_loop().time() - started < 1


@pytest.mark.warns("smart.scope_short")
async def test_what_is_not_granted_is_not_used(clock: FrozenClock, ids: CountedIds) -> None:
    keys = ring(EC)
    offered = {
        "type": "PaymentReconciliation",
        "updateCreate": True,
        "conditionalCreate": True,
        "interaction": [{"code": code} for code in ("read", "create", "update", "search-type")],
    }
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
    statement |= {"rest": [{"mode": "server", "resource": [offered]}]}
    ehr = SmartEhr(clock, keys.published, resources=lambda _: httpx2.Response(200, json=statement))
    ehr.scope = "system/PaymentReconciliation.cr"
    got = await connected(ehr, ehr.access(ids, keys)).capability("PaymentReconciliation")
    assert (got.create, got.conditional_create, got.read) == (True, True, True)
    assert (got.update_create, got.search, got.withheld) == (False, False, "us")


async def test_the_new_key_signs_from_its_moment_on(clock: FrozenClock, ids: CountedIds) -> None:
    tomorrow = clock.now() + timedelta(days=1)
    keys = KeyRing([SigningKey(private_key=EC), SigningKey(private_key=EC_2, signs_from=tomorrow)])
    known = keys.published()  # what the server fetched before the change
    ehr = SmartEhr(clock, lambda: known)
    await ehr.access(ids, keys).authorization(within_s=5)
    before = ehr.header["kid"]
    clock.advance(timedelta(days=1))
    await ehr.access(ids, keys).authorization(within_s=5)
    assert ehr.faults == []
    assert [before, ehr.header["kid"]] == [one.kid for one in keys.keys]


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    import logging

    lines = io.StringIO()
    root, ours = logging.getLogger(), logging.getLogger("fhirpay")
    before = (root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate)
    log.setup("DEBUG", lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before


async def test_no_token_and_no_assertion_reaches_the_log(
    clock: FrozenClock, ids: CountedIds, heard: io.StringIO
) -> None:
    keys = ring(EC)
    ehr = SmartEhr(clock, keys.published, resources=lambda _: httpx2.Response(200, text=STORED))
    fhir = connected(ehr, ehr.access(ids, keys))
    await fhir.read("PaymentReconciliation", "1")
    ehr.live.clear()
    await fhir.read("PaymentReconciliation", "1")
    said = heard.getvalue()
    assert "smart.token" in said
    for secret in ("token-1", "token-2", *(one["client_assertion"][:40] for one in ehr.requests)):
        assert secret not in said


def _loop_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the clock of the running loop to so many seconds after now."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, [0.0]
    started = real()

    def at(seconds: float) -> None:
        ahead[0] = seconds - (real() - started)

    monkeypatch.setattr(loop, "time", lambda: real() + ahead[0])
    return at
