"""Our FHIR client against a server that was written without it, and against answers that no server should give."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from ehr_running import TOKEN, Running, running_ehr
from fhirpay.errors import EhrMisconfigured, EhrUnavailable
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import EhrRefused, FhirClient
from fhirpay.fhir.statement import Capability, FhirVersion
from fhirpay.net.http import Uncertain, client
from fhirpay.simulators.ehr_faults import Fault

POSTING = (
    '{"resourceType":"PaymentReconciliation","status":"active","created":"2026-11-20T14:05:09-05:00",'
    '"identifier":[{"system":"urn:pay","value":"pay1"}],"paymentDate":"2026-11-20",'
    '"paymentAmount":{"value":25.00,"currency":"USD"}}'
)
WITH_ID = POSTING.replace("{", '{"id":"pay1",', 1)
KIND = "PaymentReconciliation"


def connect(base_url: str, token: str = TOKEN, **more: Any) -> FhirClient:
    http = client(base_url, allow_private=True, timeout_s=2, **more)
    return FhirClient("ehr", http, FixedToken(token), retry_wait_s=0)


@pytest.fixture
async def ehr() -> AsyncIterator[Running]:
    async with running_ehr() as running:
        yield running


@pytest.fixture
async def fhir(ehr: Running) -> AsyncIterator[FhirClient]:
    connected = connect(ehr.base_url)
    yield connected
    await connected.aclose()


async def test_capability_is_read_once_until_forgotten(ehr: Running, fhir: FhirClient) -> None:
    everything = Capability(
        read=True,
        create=True,
        update=True,
        update_create=True,
        conditional_create=True,
        search=True,
        versioned=True,
    )
    assert await fhir.capability(KIND) == everything
    ehr.ehr.switches.update_create = False
    assert await fhir.capability(KIND) == everything
    fhir.forget()
    assert not (await fhir.capability(KIND)).update_create
    assert await fhir.capability("Observation") == Capability()


async def test_what_is_sent_is_stored_to_the_digit(ehr: Running, fhir: FhirClient) -> None:
    made = await fhir.update(KIND, "pay1", WITH_ID)
    assert (made.id, made.version) == ("pay1", "1")
    assert (await fhir.update(KIND, "pay1", WITH_ID, if_match="1")).version == "2"
    read = await fhir.read(KIND, "pay1")
    assert read is not None
    assert str(read.resource["paymentAmount"]["value"]) == "25.00"
    assert isinstance(read.resource["paymentAmount"]["value"], Decimal)
    assert await fhir.read(KIND, "pay2") is None


async def test_conditional_create_and_search(fhir: FhirClient) -> None:
    first = await fhir.create(KIND, POSTING, if_none_exist="identifier=urn:pay|pay1")
    again = await fhir.create(KIND, POSTING, if_none_exist="identifier=urn:pay|pay1")
    assert first.id == again.id
    matches = await fhir.search(KIND, {"identifier": "urn:pay|pay1"})
    assert [(one.id, one.version) for one in matches.found] == [(first.id, "1")]
    assert matches.complete


async def test_a_refusal_holds_the_words_of_the_ehr(fhir: FhirClient) -> None:
    with pytest.raises(EhrRefused, match=r"PaymentReconciliation.status: 'done' is not one of") as caught:
        await fhir.create(KIND, POSTING.replace("active", "done"))
    assert caught.value.status == 400


async def test_a_wrong_token_is_not_the_messages_fault(ehr: Running) -> None:
    stranger = connect(ehr.base_url, token="other")
    with pytest.raises(EhrUnavailable, match="token"):
        await stranger.create(KIND, POSTING)
    await stranger.aclose()


async def test_refused_unprocessed_is_told_from_uncertain(ehr: Running, fhir: FhirClient) -> None:
    for mode, error, stored in (
        ("down", EhrUnavailable, 0),
        ("error", Uncertain, 0),
        ("cut", Uncertain, 0),
        ("lost_answer", Uncertain, 1),
        ("error_after", Uncertain, 2),
    ):
        ehr.ehr.faults.set.append(Fault(mode, times=1))
        with pytest.raises(error):
            await fhir.create(KIND, POSTING)
        assert len(ehr.stored(KIND)) == stored


async def test_reads_are_tried_again_and_writes_are_not(ehr: Running, fhir: FhirClient) -> None:
    ehr.ehr.faults.set.append(Fault("error", times=2, methods=["GET"]))
    assert await fhir.read(KIND, "pay1") is None
    ehr.ehr.faults.set.append(Fault("error", times=2, methods=["POST"]))
    with pytest.raises(Uncertain):
        await fhir.create(KIND, POSTING)
    assert ehr.ehr.faults.set[0].times == 1


async def test_a_server_that_is_not_there_was_never_reached() -> None:
    nobody = connect("http://127.0.0.1:9")
    with pytest.raises(EhrUnavailable, match="could not be reached"):
        await nobody.create(KIND, POSTING)
    await nobody.aclose()


@pytest.mark.parametrize(
    ("answer", "id", "version"),
    [
        (httpx2.Response(201, headers={"location": "http://ehr/fhir/PaymentReconciliation/77/_history/3"}), "77", "3"),
        (httpx2.Response(201, headers={"location": "PaymentReconciliation/77", "etag": 'W/"4"'}), "77", "4"),
        (httpx2.Response(200, json={"resourceType": "OperationOutcome"}, headers={"location": "/X/5"}), "5", ""),
        (httpx2.Response(201), "", ""),
    ],
    ids=["location", "location and etag", "outcome as body", "nothing"],
)
async def test_an_answer_without_the_resource_still_says_who_it_is(
    answer: httpx2.Response, id: str, version: str
) -> None:
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: answer))
    made = await fhir.create(KIND, POSTING)
    assert (made.id, made.version) == (id, version)
    await fhir.aclose()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(200), Uncertain),
        (httpx2.Response(201, text="<html>"), Uncertain),
        (httpx2.Response(200, text="<html>"), Uncertain),
        (httpx2.Response(302, headers={"location": "http://elsewhere"}), Uncertain),
        (httpx2.Response(408), Uncertain),
        (httpx2.Response(503), Uncertain),
        (httpx2.Response(429), EhrUnavailable),
        (httpx2.Response(422, text="no"), EhrRefused),
    ],
    ids=[
        "200 without body",
        "201 not FHIR",
        "not FHIR",
        "redirect",
        "408",
        "503 without Retry-After",
        "429",
        "refused",
    ],
)
async def test_every_other_answer_has_its_class(answer: httpx2.Response, error: type[Exception]) -> None:
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: answer))
    with pytest.raises(error):
        await fhir.create(KIND, POSTING)
    await fhir.aclose()


async def test_what_was_deleted_is_told_from_what_never_was(ehr: Running, fhir: FhirClient) -> None:
    await fhir.update(KIND, "pay1", POSTING.replace('"status"', '"id": "pay1", "status"', 1))
    ehr.store.delete(KIND, "pay1")
    with pytest.raises(EhrRefused, match="deleted") as caught:
        await fhir.read(KIND, "pay1")
    assert caught.value.status == 410
    assert await fhir.read(KIND, "pay2") is None


async def test_a_search_sees_every_page_up_to_a_bound(ehr: Running, fhir: FhirClient) -> None:
    ehr.ehr.switches.page_max = 2
    for _ in range(5):
        await fhir.create(KIND, POSTING)
    matches = await fhir.search(KIND, {"identifier": "urn:pay|pay1"})
    assert (len({one.id for one in matches.found}), matches.complete) == (5, True)
    matches = await fhir.search(KIND, {"identifier": "urn:pay|pay1"}, pages_max=2)
    assert (len(matches.found), matches.complete) == (4, False)


@pytest.mark.parametrize(
    ("link", "asked", "complete"),
    [
        ("http://inside:8080/fhir/PaymentReconciliation?page=2", ["/fhir/PaymentReconciliation?page=2"], True),
        ("http://169.254.169.254/latest", [], False),
    ],
)
async def test_a_next_page_is_asked_of_our_own_ehr_only(link: str, asked: list[str], complete: bool) -> None:
    calls: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        more = {"link": [{"relation": "next", "url": link}]} if len(calls) == 1 else {}
        return httpx2.Response(200, json={"resourceType": "Bundle", **more})

    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(answer))
    assert (await fhir.search(KIND, {"identifier": "x"})).complete is complete
    assert {call.url.host for call in calls} == {"ehr.example"}
    assert [call.url.raw_path.decode() for call in calls[1:]] == asked
    await fhir.aclose()


async def test_pages_that_go_round_in_a_circle_end() -> None:
    calls: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(str(request.url))
        page = "2" if "page=1" in calls[-1] else "1"
        link = {"relation": "next", "url": f"http://ehr.example/fhir/{KIND}?page={page}"}
        return httpx2.Response(200, json={"resourceType": "Bundle", "link": [link]})

    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(answer))
    assert (await fhir.search(KIND, {"identifier": "x"})).complete is False
    assert len(calls) == 3
    await fhir.aclose()


def _says(status: int = 200, **other: object) -> httpx2.MockTransport:
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", **other}
    return httpx2.MockTransport(lambda _: httpx2.Response(status, json=statement))


@pytest.mark.parametrize("agreed", [None, FhirVersion.R4])
async def test_a_version_that_was_agreed_has_to_be_the_one_that_is_spoken(agreed: FhirVersion | None) -> None:
    for stated, goes in (("4.0.1", True), ("4.3.0", agreed is None), ("6.0.0", False), ("", agreed is not None)):
        http = client("http://ehr.example/fhir", transport=_says(fhirVersion=stated))
        fhir = FhirClient("ehr", http, version=agreed, retry_wait_s=0)
        if goes:
            assert await fhir.capability(KIND) == Capability()
        else:
            with pytest.raises(EhrMisconfigured, match="speaks FHIR"):
                await fhir.capability(KIND)
        await fhir.aclose()


async def test_an_outcome_in_place_of_a_statement_offers_nothing() -> None:
    fhir = connect("http://ehr.example/fhir", transport=_says(resourceType="OperationOutcome"))
    with pytest.raises(Uncertain, match="a CapabilityStatement is expected, not OperationOutcome"):
        await fhir.capability(KIND)
    await fhir.aclose()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("Fri, 20 Nov 2026 15:00:00 GMT", 3_600),
        ("Thu, 19 Nov 2026 15:00:00 GMT", 0),
        ("Fri, 20 Nov 2099 15:00:00 GMT", 86_400),
        ("soon", 0),
        ("9" * 30, 86_400),
        ("9" * 4_500, 86_400),
    ],
)
async def test_how_long_the_ehr_wants_to_be_left_alone(header: str, seconds: int) -> None:
    answer = httpx2.Response(503, headers={"retry-after": header, "date": "Fri, 20 Nov 2026 14:00:00 GMT"})
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: answer))
    with pytest.raises(EhrUnavailable) as caught:
        await fhir.create(KIND, POSTING)
    assert caught.value.retry_after_s == seconds
    await fhir.aclose()


FAILED = {"severity": "error", "code": "exception", "diagnostics": "the index is down"}
OUTCOME: dict[str, Any] = {"resourceType": "OperationOutcome", "issue": [FAILED]}
WARNED = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}


def _bundle(*resources: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


@pytest.mark.parametrize("body", [OUTCOME, _bundle(OUTCOME), {"resourceType": "Patient"}, {}])
async def test_a_search_that_failed_by_a_200_has_not_found_nothing(body: dict[str, Any]) -> None:
    """Who believes it would make a second one."""
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=body)))
    with pytest.raises(Uncertain):
        await fhir.search(KIND, {"identifier": "x"})
    with pytest.raises(Uncertain):
        await fhir.page(KIND, {})
    await fhir.aclose()


async def test_a_search_that_warns_has_found_what_it_shows() -> None:
    body = _bundle(WARNED, {"resourceType": KIND, "id": "pay1"})
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=body)))
    assert [one.id for one in (await fhir.search(KIND, {})).found] == ["pay1"]
    assert len((await fhir.page(KIND, {})).resources) == 1
    await fhir.aclose()


async def test_what_is_answered_by_an_outcome_of_errors_is_neither_read_nor_done() -> None:
    fhir = connect(
        "http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=OUTCOME))
    )
    with pytest.raises(Uncertain, match="the index is down"):
        await fhir.read(KIND, "pay1")
    with pytest.raises(Uncertain, match="the index is down"):
        await fhir.update(KIND, "pay1", WITH_ID)
    with pytest.raises(Uncertain, match="the index is down"):
        await fhir.create(KIND, POSTING)
    await fhir.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {"entry": None},
        {"entry": [None, {"resource": None}, {"resource": []}]},
        _bundle({"resourceType": KIND, "id": {}, "meta": []}, {"resourceType": KIND, "id": "../../Patient"}),
        {"link": "next"},
        {"link": [{"relation": "next", "url": "http://["}]},
        {"link": [{"relation": "next", "url": "http://ehr.example/fhir/\u0001"}]},
        {"link": [{"relation": "next", "url": "http://ehr.example/fhir/%2e%2e/admin"}]},
    ],
)
async def test_whatever_a_bundle_holds_ends_in_nothing_that_is_named(body: dict[str, Any]) -> None:
    answer = {"resourceType": "Bundle", **body}
    calls: list[str] = []

    def answered(request: httpx2.Request) -> httpx2.Response:
        calls.append(str(request.url))
        return httpx2.Response(200, json=answer)

    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(answered))
    assert {one.id for one in (await fhir.search(KIND, {})).found} <= {""}
    await fhir.page(KIND, {})
    assert len(calls) == 2
    await fhir.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {"issue": None},
        {"issue": ["x"]},
        {"issue": [{"details": "x", "expression": 1, "diagnostics": 2}]},
        {"issue": {}},
    ],
)
async def test_a_refusal_in_whatever_words_is_one(body: dict[str, Any]) -> None:
    fhir = connect("http://ehr.example/fhir", transport=httpx2.MockTransport(lambda _: httpx2.Response(422, json=body)))
    with pytest.raises(EhrRefused):
        await fhir.read(KIND, "pay1")
    await fhir.aclose()
