"""The simulated EHR goes wrong in the ways that EHRs do, by its own clock, and counts what it holds all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from ehr_running import Running, body, running_ehr
from fhirpay.simulators.ehr_faults import Fault

KIND = "PaymentReconciliation"
QUERY = f"/{KIND}?identifier=urn:pay|pay1"
IF_NONE = {"If-None-Exist": "identifier=urn:pay|pay1"}


def posting(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": KIND,
        "identifier": [{"system": "urn:pay", "value": "pay1"}],
        "status": "active",
        "created": "2026-11-20T14:05:09-05:00",
        "paymentDate": "2026-11-20",
        "paymentAmount": {"value": 25, "currency": "USD"},
        **more,
    }


@pytest.fixture
async def ehr() -> AsyncIterator[Running]:
    async with running_ehr() as running:
        await running.control("clock", {"stop_at": "2026-11-20T15:00:00Z"})
        yield running


async def found(ehr: Running) -> int:
    return body(await ehr.call("GET", QUERY))["total"]


async def count(ehr: Running) -> int:
    return (await ehr.control(f"count?type={KIND}&identifier=urn:pay|pay1"))["count"]


async def test_an_index_is_behind_by_the_ehrs_own_clock(ehr: Running) -> None:
    ehr.fault("index_lag", times=None, seconds=3600)
    await ehr.call("POST", f"/{KIND}", posting(), IF_NONE)
    assert (await found(ehr), await count(ehr)) == (0, 1)
    ehr.fault("lagging_if_none_exist", times=None, seconds=3600)
    assert (await ehr.call("POST", f"/{KIND}", posting(), IF_NONE)).status_code == 201
    ehr.store.delete(KIND, ehr.stored(KIND)[0]["id"])
    assert (await ehr.control("clock", {"advance_s": 3600}))["now"] == "2026-11-20T16:00:00+00:00"
    assert (await ehr.call("POST", f"/{KIND}", posting(), IF_NONE)).status_code == 200
    assert (await found(ehr), await count(ehr)) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "status", "kept"),
    [("down", 503, 0), ("busy", 429, 0), ("unavailable", 503, 0), ("expired", 401, 0), ("silent", 201, 1)],
)
async def test_an_answer_may_say_less_than_it_should(ehr: Running, mode: str, status: int, kept: int) -> None:
    ehr.fault(mode, seconds=7)
    answer = await ehr.call("POST", f"/{KIND}", posting())
    assert (answer.status_code, await count(ehr)) == (status, kept)
    assert answer.headers.get("retry-after") == ("7" if mode in ("down", "busy") else None)
    assert "location" not in answer.headers
    assert not kept or not answer.content


@pytest.mark.parametrize(("mode", "kept"), [("half_answer", 1), ("hang", 0), ("hang_after", 1), ("late", 0)])
async def test_an_answer_may_not_come_whatever_was_done(ehr: Running, mode: str, kept: int) -> None:
    ehr.fault(mode, seconds=0.2 if mode != "late" else 90)
    with pytest.raises(httpx2.HTTPError):
        await ehr.call("POST", f"/{KIND}", posting())
    assert await count(ehr) == kept
    await ehr.control("clock", {"advance_s": 100})
    assert await count(ehr) == (1 if mode == "late" else kept)
    assert (await ehr.control("calls"))["POST"] == 1


async def test_a_server_may_not_understand_the_condition(ehr: Running) -> None:
    for number in (1, 2):
        await ehr.call("PUT", f"/{KIND}/p{number}", posting(id=f"p{number}", identifier=[]))
    ehr.fault("match_all", times=None)
    assert await found(ehr) == 2
    assert (await ehr.call("POST", f"/{KIND}", posting(), IF_NONE)).status_code == 412


async def test_a_server_may_give_another_id_than_was_asked_for(ehr: Running) -> None:
    ehr.fault("other_id")
    answer = await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1"))
    assert (answer.status_code, body(answer)["id"] != "pay1") == (201, True)
    assert (await ehr.call("GET", f"/{KIND}/pay1")).status_code == 404
    assert await count(ehr) == 1


async def test_a_server_may_refuse_ids_in_its_own_words_and_announce_what_it_refuses(ehr: Running) -> None:
    await ehr.control("switches", {"update_create": False, "update_refusal": 404})
    assert (await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1"))).status_code == 404
    shown = body(await ehr.call("GET", "/metadata"))["rest"][0]["resource"][0]
    ehr.fault("boast")
    boasted = body(await ehr.call("GET", "/metadata"))["rest"][0]["resource"][0]
    assert (shown["updateCreate"], boasted["updateCreate"]) == (False, True)


async def test_a_server_may_keep_its_own_identifiers_only(ehr: Running) -> None:
    ehr.fault("rewrite", times=None)
    stored = body(await ehr.call("POST", f"/{KIND}", posting(paymentIdentifier={"value": "ch_1"})))
    assert stored["identifier"][0]["system"] == "urn:ehr:own"
    assert "paymentIdentifier" not in stored
    assert (await found(ehr), await count(ehr)) == (0, 1)


async def test_ours_may_stand_on_the_second_page(ehr: Running) -> None:
    await ehr.control("switches", {"page_max": 2})
    for number in range(5):
        await ehr.call("PUT", f"/{KIND}/p{number}", posting(id=f"p{number}"))
    seen: list[str] = []
    url: str | None = ehr.base_url + f"/{KIND}?_count=50"
    while url:
        page = body(await ehr.http.get(url))
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert seen == ["p0", "p1", "p2", "p3", "p4"]


async def test_what_was_deleted_is_gone_and_may_come_again(ehr: Running) -> None:
    await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1"))
    await ehr.control(f"delete?type={KIND}&id=pay1", {})
    assert (await ehr.call("GET", f"/{KIND}/pay1")).status_code == 410
    assert (await found(ehr), await count(ehr)) == (0, 0)
    assert (await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1"))).status_code == 201
    assert (await found(ehr), await count(ehr)) == (1, 1)


async def test_a_restore_forgets_what_is_younger_than_the_backup(ehr: Running) -> None:
    await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1"))
    await ehr.control("clock", {"advance_s": 3600})
    await ehr.call("PUT", f"/{KIND}/pay1", posting(id="pay1", status="cancelled"))
    await ehr.call("PUT", f"/{KIND}/pay2", posting(id="pay2"))
    await ehr.control("restore?seconds=60", {})
    assert (await ehr.call("GET", f"/{KIND}/pay2")).status_code == 404
    assert body(await ehr.call("GET", f"/{KIND}/pay1"))["status"] == "active"
    assert (await found(ehr), await count(ehr)) == (1, 1)


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there are: down, busy"):
        Fault("gremlins")
