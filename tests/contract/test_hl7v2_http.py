"""`POST /hl7v2` as a sender sees it: the wired web application on both engines, spoken to over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.batch import read_batch
from fhirpay.usecases import receive_batch
from intake_world import TOKEN, World, ft1, message, told, verdict, world

pytestmark = pytest.mark.warns("hl7.refused")

CHARGE = ft1(1, "CG", "100.00&USD")
ER7 = "application/hl7-v2"


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids, settings={"body_max_bytes": 200_000}) as made:
        yield made


@pytest.fixture
async def http(w: World) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": ER7}
    transport = httpx2.ASGITransport(app=w.system.web)
    async with httpx2.AsyncClient(transport=transport, base_url="http://fhirpay.example", headers=headers) as client:
        yield client


async def post(http: httpx2.AsyncClient, body: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post("/hl7v2", content=body, headers=named)


async def test_a_message_gets_its_acknowledgement(w: World, http: httpx2.AsyncClient) -> None:
    answer = await post(http, message("M1", CHARGE))
    assert (answer.status_code, answer.headers["content-type"]) == (200, ER7)
    assert told(answer.content) == ("AA", "", "", "")
    await w.work()
    assert await w.askable() == "100.00 USD"
    (kept,) = await w.received("M1")
    assert (kept.source, kept.interface) == ("http", "clinic")


async def test_the_same_message_by_mllp_and_by_http_is_one(w: World, http: httpx2.AsyncClient) -> None:
    (first,) = await w.send(message("M1", CHARGE), source="mllp")
    assert (await post(http, message("M1", CHARGE))).content == first
    assert len(await w.received("M1")) == 1


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
async def test_line_ends_of_all_kinds_are_read(w: World, http: httpx2.AsyncClient, ending: bytes) -> None:
    sent = b"\xef\xbb\xbf" + message("M1", CHARGE).replace(b"\r", ending).rstrip()
    assert verdict((await post(http, sent)).content) == "AA"
    assert await post(http, message("M1", CHARGE))
    assert len(await w.received("M1")) == 1


async def test_a_refused_message_is_a_400_with_its_acknowledgement(w: World, http: httpx2.AsyncClient) -> None:
    answer = await post(http, message("M1", ft1(1, "CG", "12..5&USD")))
    assert answer.status_code == 400
    assert told(answer.content) == ("AE", "FT1[1]-11.1", "102", "'12..5' is not a number")
    test = await post(http, message("M2", CHARGE, header={11: "T"}))
    assert (test.status_code, told(test.content)[:3]) == (400, ("AR", "MSH-11", "202"))
    assert await w.received("M1") == await w.received("M2") == []


async def test_a_sender_that_wants_no_acknowledgement_gets_an_empty_answer(w: World, http: httpx2.AsyncClient) -> None:
    answer = await post(http, message("M1", CHARGE, header={15: "NE", 16: "NE"}))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await w.state("M1") == "received"


async def test_enhanced_mode_gets_both_acknowledgements_as_a_batch(w: World, http: httpx2.AsyncClient) -> None:
    async with w.working():
        answer = await post(http, message("M1", CHARGE, header={15: "AL", 16: "AL"}))
    assert answer.status_code == 200
    assert [verdict(one) for one in read_batch(answer.content).messages] == ["CA", "AA"]


async def test_each_message_of_a_batch_has_its_own_fate(w: World, http: httpx2.AsyncClient) -> None:
    good, bad, last = message("M1", CHARGE), message("M2", CHARGE, account=""), message("M3", ft1(2, "CG", "1&USD"))
    answer = await post(http, b"FHS|^~\\&\rBHS|^~\\&\r" + good + bad + last + b"BTS|3\rFTS|1\r")
    assert answer.status_code == 400
    batch = read_batch(answer.content)
    assert ([verdict(one) for one in batch.messages], batch.warnings) == (["AA", "AE", "AA"], [])
    await w.work()
    assert await w.askable() == "101.00 USD"


async def test_a_batch_of_too_many_is_refused_once(
    w: World, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_batch, "MESSAGES_MAX", 2)
    answer = await post(http, b"BHS|^~\\&\r" + message("M1", CHARGE) * 3)
    assert answer.status_code == 400
    (refusal,) = read_batch(answer.content).messages
    assert told(refusal)[0] == "AE"
    assert await w.received("M1") == []


# ── what never gets to the gate ───────────────────────────────────────────────────────────────────────────────────────


def said(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return answer.status_code, found["code"]


async def test_who_calls_has_to_be_known_and_allowed(w: World, http: httpx2.AsyncClient) -> None:
    body = message("M1", CHARGE)
    nobody = await http.post("/hl7v2", content=body, headers={"Authorization": ""})
    assert said(nobody) == (401, "not-authenticated")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="fhirpay"'
    assert said(await post(http, body, Authorization="Bearer wrong")) == (401, "not-authenticated")
    assert said(await post(http, body, Authorization="Bearer reader")) == (403, "not-permitted")
    assert said(await post(http, body, Authorization="Bearer lost")) == (403, "not-permitted")
    assert await w.received("M1") == []


async def test_other_media_types_and_empty_bodies_are_refused(http: httpx2.AsyncClient) -> None:
    assert said(await post(http, b"{}", Content_Type="application/json")) == (422, "message-unsupported")
    assert said(await post(http, b"")) == (400, "message-invalid")
    assert said(await post(http, b"\r\n \r\n")) == (400, "message-invalid")
    assert (await http.get("/hl7v2")).status_code == 405


async def test_a_body_beyond_the_limit_is_not_read(w: World, http: httpx2.AsyncClient) -> None:
    huge = message("M1", CHARGE, "NTE|1||" + "x" * 200_000)
    assert said(await post(http, huge)) == (413, "too-large")

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 1000):
            yield huge[start : start + 1000]

    answer = await http.post("/hl7v2", content=in_pieces())
    assert said(answer) == (413, "too-large")
    assert await w.received("M1") == []


async def test_when_nothing_can_be_stored_the_sender_is_asked_to_come_again(
    w: World, http: httpx2.AsyncClient, database: Database
) -> None:
    await database.stop()
    answer = await post(http, message("M1", CHARGE))
    assert said(answer) == (503, "storage-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    await database.start()
    assert verdict((await post(http, message("M1", CHARGE))).content) == "AA"
    assert len(await w.received("M1")) == 1
