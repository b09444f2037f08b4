"""`fhirpay conformance check`: what an EHR can do for us, whatever it answers; nothing is written."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from ehr_running import TOKEN, running_ehr
from fhirpay.cli.main import app
from fhirpay.config import Connection
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.access import Access, FixedToken
from fhirpay.net.http import HttpClient, client
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.usecases.check_ehr import Report, as_json, as_text, check_ehr
from smart_world import BASE, CLIENT_ID, EC, SmartEhr, oauth_error, ring

Answer = Callable[[httpx2.Request], httpx2.Response]
HTML = httpx2.Response(200, text="<html>", headers={"content-type": "text/html"})
BUNDLE = {"resourceType": "Bundle", "type": "searchset", "total": 0}


def statement(version: str = "4.0.1", **other: Any) -> dict[str, Any]:
    codes = ("read", "create", "update", "search-type")
    offered = {"type": "PaymentReconciliation", "updateCreate": True, "conditionalCreate": True, **other}
    offered.setdefault("interaction", [{"code": code} for code in codes])
    account = {"type": "Account", "interaction": [{"code": "read"}, {"code": "search-type"}]}
    said = {"resourceType": "CapabilityStatement", "fhirVersion": version, "software": {"name": "An EHR"}}
    return said | {"rest": [{"mode": "server", "resource": [offered, account]}]}


def answering(metadata: Any = None, search: Any = None, read: httpx2.Response | None = None, **more: Any) -> Answer:
    """An EHR that has nothing. A dictionary is answered as JSON."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.method == "GET", "nothing is ever written"
        path = request.url.path.removeprefix("/fhir")
        if path.startswith("/.well-known"):
            return httpx2.Response(404)
        if path == "/metadata":
            return _as_response(statement() if metadata is None else metadata, **more)
        if path.count("/") == 2:
            return read or httpx2.Response(404)
        return _as_response(BUNDLE if search is None else search)

    return answer


def _as_response(given: Any, **headers: str) -> httpx2.Response:
    return httpx2.Response(200, json=given, headers=headers) if isinstance(given, dict) else given


async def checked(answer: Answer, clock: FrozenClock, **agreed: Any) -> Report:
    connection = Connection(name="ehr", base_url=BASE, token="t", **agreed)
    http = client(BASE, transport=httpx2.MockTransport(answer), timeout_s=2)
    return await check_ehr(connection, http, FixedToken("t"), clock)


def codes(report: Report) -> list[str]:
    return [one.code for one in report.found if one.code not in ("no-smart", "not-polled")]


async def test_an_ehr_that_can_all_is_ready_and_says_by_which_way(clock: FrozenClock) -> None:
    report = await checked(answering(), clock)
    assert (report.grade, codes(report)) == ("ready", [])
    assert [way.value for way in report.ways["PaymentReconciliation"]] == ["put", "if-none-exist", "search"]
    assert as_json(report)["offers"] == {
        "PaymentReconciliation": ["read", "search", "create", "update_create", "conditional_create"],
        "Account": ["read", "search"],
        "ChargeItem": [],
        "Invoice": [],
        "Patient": [],
        "Encounter": [],
    }
    text = "\n".join(as_text(report))
    assert "FHIR 4.0.1 (R4), An EHR" in text
    assert "posted by put: each posting is put at an id that follows from ours" in text
    assert json.loads(json.dumps(as_json(report)))["grade"] == "ready"


@pytest.mark.parametrize("stated", ["4.0.1", "4.3.0", "5.0.0"])
async def test_every_version_that_we_write_is_ready_and_another_than_was_agreed_is_not(
    stated: str, clock: FrozenClock
) -> None:
    assert (await checked(answering(statement(stated)), clock)).grade == "ready"
    agreed = "R4" if stated == "5.0.0" else "R5"
    other = await checked(answering(statement(stated)), clock, fhir_version=agreed)
    assert (other.grade, codes(other)) == ("not ready", ["version"])


LADDER = {
    "if-none-exist": {"updateCreate": False},
    "search": {"updateCreate": False, "conditionalCreate": False},
    "blind": {"updateCreate": False, "conditionalCreate": False, "interaction": [{"code": "create"}]},
}


@pytest.mark.parametrize("way", LADDER)
async def test_it_says_by_which_way_postings_get_there(way: str, clock: FrozenClock) -> None:
    report = await checked(answering(statement(**LADDER[way])), clock)
    assert report.ways["PaymentReconciliation"][0].value == way
    assert report.grade == ("questions" if way == "blind" else "ready")


# what /metadata, a search or a read is answered by → grade, code, words
FAULTS: dict[str, tuple[Answer, str, str, str]] = {
    "a page": (answering(HTML), "not ready", "no-metadata", "is no CapabilityStatement but a page"),
    "no metadata": (answering(httpx2.Response(404)), "not ready", "no-metadata", "answered by 404 with"),
    "an outcome": (
        answering({"resourceType": "OperationOutcome", "issue": []}),
        "not ready",
        "no-metadata",
        "a CapabilityStatement is expected, not OperationOutcome",
    ),
    "a loop": (
        answering(httpx2.Response(302, headers={"location": f"{BASE}/metadata"})),
        "not ready",
        "redirect",
        "leads to ehr.example (302)",
    ),
    "a redirect to nowhere": (
        answering(httpx2.Response(302, headers={"location": "http://[1/metadata"})),
        "not ready",
        "redirect",
        "leads to elsewhere (302)",
    ),
    "R6": (answering(statement("6.0.0-ballot3")), "not ready", "version", "speaks FHIR 6.0.0-ballot3 (R6)"),
    "STU3": (answering(statement("3.0.2")), "not ready", "version", "speaks FHIR 3.0.2 (STU3)"),
    "no version": (answering(statement("")), "not ready", "version", "speaks FHIR no version"),
    "11 MB": (
        answering(httpx2.Response(200, content=b" " * 11_000_000)),
        "not ready",
        "no-answer",
        "larger than 10000000",
    ),
    "an hour ahead": (
        answering(date="Fri, 20 Nov 2026 16:00:00 GMT"),
        "questions",
        "clock",
        "its clock is 3600 s ahead of ours",
    ),
    "no postings": (answering(statement(type="Basic")), "not ready", "no-postings", "it takes none"),
    "search without a Bundle": (
        answering(search={"resourceType": "OperationOutcome"}),
        "not ready",
        "no-bundle",
        "with a status of success",
    ),
    "search finds a number": (
        answering(search=BUNDLE | {"entry": 5}),
        "not ready",
        "no-bundle",
        "by what is no Bundle",
    ),
    "search is a page": (answering(search=HTML), "not ready", "no-bundle", "a page"),
    "search matches all": (
        answering(search=BUNDLE | {"entry": [{"resource": {"resourceType": "PaymentReconciliation"}}]}),
        "questions",
        "search-matches-all",
        "may not know the parameter",
    ),
    "search refused": (answering(search=httpx2.Response(403)), "not ready", "refused", "403, though it is offered"),
    "token refused": (answering(search=httpx2.Response(401)), "not ready", "token", "doesn't accept our token"),
    "finds what there isn't": (
        answering(read=httpx2.Response(200, json={})),
        "not ready",
        "finds-nobody",
        "which there isn't",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_it_answers_is_said(name: str, clock: FrozenClock) -> None:
    answer, grade, code, says = FAULTS[name]
    report = await checked(answer, clock)
    assert report.grade == grade
    assert code in codes(report)
    assert any(says in line for line in as_text(report)), list(as_text(report))
    json.dumps(as_json(report))


@pytest.mark.parametrize("error", [httpx2.ConnectError("x"), httpx2.ReadTimeout("x"), httpx2.RemoteProtocolError("x")])
async def test_one_that_does_not_answer_is_said_to_be_so(error: Exception, clock: FrozenClock) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        raise error

    report = await checked(answer, clock)
    assert (report.grade, set(codes(report))) == ("not ready", {"no-answer"})


async def test_a_version_that_was_agreed_is_compared(clock: FrozenClock) -> None:
    report = await checked(answering(statement("4.3.0")), clock, fhir_version="R4")
    assert report.grade == "not ready"
    assert (await checked(answering(statement("")), clock, fhir_version="R4")).grade == "ready"


async def smart_check(ehr: SmartEhr, ids: CountedIds, clock: FrozenClock) -> Report:
    ehr.resources = answering()
    keys = ring(EC)
    access: Access = ehr.access(ids, keys)
    connection = Connection(name="ehr", base_url=BASE, auth="backend-services", client_id=CLIENT_ID)
    http: HttpClient = ehr.http(BASE)
    return await check_ehr(connection, http, access, clock)


@pytest.mark.warns("smart.scope_short")
async def test_a_backend_service_sees_its_scopes(clock: FrozenClock, ids: CountedIds) -> None:
    ehr = SmartEhr(clock, ring(EC).published)
    report = await smart_check(ehr, ids, clock)
    assert report.grade == "ready"
    assert as_json(report)["granted"] == ["system/PaymentReconciliation.crus"]
    ehr.scope = "system/PaymentReconciliation.rs"
    report = await smart_check(ehr, ids, clock)
    assert (report.grade, codes(report)) == ("not ready", ["scope-short", "no-postings"])
    assert any("our scopes don't let us write it" in line for line in as_text(report))
    assert "token-" not in json.dumps(as_json(report))


async def test_without_a_token_it_says_why_and_tries_no_more(clock: FrozenClock, ids: CountedIds) -> None:
    ehr = SmartEhr(clock, ring(EC).published, answers=[oauth_error("invalid_client")])
    report = await smart_check(ehr, ids, clock)
    assert (report.grade, codes(report), ehr.calls) == ("not ready", ["no-token"], [])


async def test_the_command_says_what_the_simulated_ehr_can(clock: FrozenClock) -> None:
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    async with running_ehr(switches=Switches(update_create=False)) as ehr:
        run = asyncio.to_thread
        asked = ["conformance", "check", ehr.base_url, "--json"]
        refused = await run(CliRunner().invoke, app, asked)
        said = await run(CliRunner().invoke, app, [*asked, "--private-network"])
        assert ehr.ehr.faults.calls.keys() == {"GET"}
    logger.handlers, logger.level, logger.propagate = before
    assert refused.exit_code == 2
    report = json.loads(said.output)
    assert said.exit_code == 1, "it wants a token"
    assert {one["code"] for one in report["found"]} == {"no-smart", "not-polled", "token"}
    assert report["writeBack"][0]["way"] == "if-none-exist"
    assert TOKEN not in said.output


async def test_it_says_whether_changes_can_be_picked_up(clock: FrozenClock) -> None:
    off = await checked(answering(), clock)
    assert "not-polled" in [one.code for one in off.found]
    since = datetime(2026, 11, 1, tzinfo=UTC)
    report = await checked(answering(), clock, poll=("Account", "Coverage"), poll_since=since)
    assert (report.grade, codes(report)) == ("not ready", ["no-changes"])
    assert "changes of Coverage can't be picked up: it offers no search" in [one.says for one in report.found]
    stated = statement()
    of_account = next(one for one in stated["rest"][0]["resource"] if one["type"] == "Account")
    of_account["searchParam"] = [{"name": "identifier", "type": "token"}]
    report = await checked(answering(stated), clock, poll=("Account",), poll_since=since)
    assert (report.grade, codes(report)) == ("questions", ["changes-unfiltered"])
    by_visit = {**stated, "rest": [{"mode": "server", "resource": [_found_by_context()]}]}
    report = await checked(answering(by_visit), clock, poll=("ChargeItem",), poll_since=since)
    assert "changes-by-context" in codes(report)
    driven = {"poll": ("ChargeItem",), "poll_since": since, "poll_by": {"ChargeItem": "encounter"}}
    report = await checked(answering(by_visit), clock, **driven)
    assert not {"changes-by-context", "no-context"} & set(codes(report))
    driven["poll_by"] = {"ChargeItem": "patient"}
    assert "no-context" in codes(await checked(answering(by_visit), clock, **driven))


async def test_it_says_whether_a_bulk_export_is_offered(clock: FrozenClock) -> None:
    since = datetime(2026, 11, 1, tzinfo=UTC)
    bulk = {"poll": ("Account",), "poll_since": since, "bulk": "nightly"}
    assert "no-export" in codes(await checked(answering(), clock, **bulk))
    stated = statement()
    stated["rest"][0]["operation"] = [{"name": "export", "definition": "http://example.org/export"}]
    assert "no-export" not in codes(await checked(answering(stated), clock, **bulk))


def _found_by_context() -> dict[str, Any]:
    codes = [{"code": "read"}, {"code": "search-type"}]
    return {"type": "ChargeItem", "interaction": codes, "searchParam": [{"name": "context"}, {"name": "_id"}]}


# ── launched by it ────────────────────────────────────────────────────────────────────────────────────────────────────

LAUNCHES = {
    "issuer": "https://login.ehr.example",
    "jwks_uri": "https://login.ehr.example/jwks",
    "authorization_endpoint": "https://login.ehr.example/authorize",
    "token_endpoint": "https://login.ehr.example/token",
    "grant_types_supported": ["authorization_code"],
    "code_challenge_methods_supported": ["S256"],
    "capabilities": ["launch-ehr", "sso-openid-connect", "context-ehr-patient", "client-public", "permission-v2"],
}


async def of_a_launch(clock: FrozenClock, configuration: dict[str, Any], **agreed: Any) -> tuple[Report, list[str]]:
    """What is found of launching us."""
    answer = answering()

    def with_smart(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/smart-configuration"):
            return httpx2.Response(200, json={name: one for name, one in configuration.items() if one is not None})
        return answer(request)

    report = await checked(with_smart, clock, **agreed)
    return report, [one for one in codes(report) if "launch" in one]


AS_AN_APP = {"launch_client_id": "c", "launch_auth": "public"}


async def test_an_ehr_that_can_launch_us_is_ready_and_says_where_people_sign_in(clock: FrozenClock) -> None:
    report, found = await of_a_launch(clock, LAUNCHES, **AS_AN_APP)
    assert (report.grade, found) == ("ready", [])
    assert "people sign in at https://login.ehr.example/authorize" in "\n".join(as_text(report))
    assert as_json(report)["launch"]["issuer"] == "https://login.ehr.example"  # type: ignore[index]


async def test_an_ehr_that_could_launch_us_is_named(clock: FrozenClock) -> None:
    report, found = await of_a_launch(clock, LAUNCHES)
    assert (report.grade, found) == ("ready", ["not-launched"])


@pytest.mark.parametrize(
    ("without", "agreed", "grade", "expected"),
    [
        ({"issuer": None}, {}, "not ready", ["no-launch"]),
        ({"code_challenge_methods_supported": ["plain"]}, {}, "not ready", ["no-launch"]),
        ({"capabilities": ["launch-ehr"]}, {}, "questions", ["launch-doubt"] * 3),
        ({}, {"launch_title": "City"}, "questions", ["launch-doubt"] * 2),
        ({}, {"token_endpoint": "https://as.example/token"}, "not ready", ["no-launch"]),
    ],
    ids=str,
)
async def test_what_stands_in_the_way_of_a_launch_is_said(
    clock: FrozenClock, without: dict[str, Any], agreed: dict[str, str], grade: str, expected: list[str]
) -> None:
    report, found = await of_a_launch(clock, LAUNCHES | without, **AS_AN_APP, **agreed)
    assert (report.grade, found) == (grade, expected)


async def test_it_says_how_the_ehr_can_tell_of_changes(clock: FrozenClock) -> None:
    polls: dict[str, Any] = {"poll": ("Account",), "poll_since": datetime(2026, 11, 1, tzinfo=UTC)}
    topic = "https://ehr.example/topics/accounts"
    told = {**polls, "subscribe": ("Account",), "subscribe_secrets": ("s" * 32,)}
    report = await checked(answering(), clock, **told)
    assert (report.grade, codes(report)) == ("questions", ["not-told"])
    report = await checked(answering(_subscribing()), clock, **polls)
    says = "it takes Subscriptions by search: with `subscribe` it tells of changes at once"
    assert any(says in line for line in as_text(report))
    assert codes(await checked(answering(_subscribing()), clock, **told)) == []
    told["subscribe_topics"] = {"Account": topic}
    assert codes(await checked(answering(_subscribing()), clock, **told)) == ["no-topic"]
    assert codes(await checked(answering(_subscribing(topic)), clock, **told)) == []
    report = await checked(answering(_subscribing(topic + "-of-others")), clock, **told)
    assert [one.says for one in report.found if one.code == "no-topic"] == [
        f"it doesn't say that it has the topic of Account; it lists {topic}-of-others"
    ]


def _subscribing(*topics: str) -> dict[str, Any]:
    """An EHR that takes Subscriptions, to these topics where it has any."""
    url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    offered: dict[str, Any] = {"type": "Subscription", "interaction": [{"code": "read"}, {"code": "create"}]}
    if topics:
        offered["supportedProfile"] = [url + "backport-subscription|1.1.0"]
        named = url + "capabilitystatement-subscriptiontopic-canonical"
        offered["extension"] = [{"url": named, "valueCanonical": one} for one in topics]
    stated = statement()
    stated["rest"][0]["resource"].append(offered)
    return stated
