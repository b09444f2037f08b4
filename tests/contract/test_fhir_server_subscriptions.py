"""A client asks our FHIR endpoint to be told of payments: what is taken, what is refused, what is shown to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirpay.data import data_root
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.json import loads
from fhirpay.subscriptions import store
from fhirpay.subscriptions.asked import TOPIC
from fhirpay.usecases.subscribe import OF_CLIENT_MAX
from subscribers_world import BACKPORT, BASE, HOOK, Subscribers, by_topic, plain, subscribers

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HEADER = "Authorization: Bearer s3cret-of-the-hook"


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Subscribers]:
    async with subscribers(database, clock, ids) as made:
        yield made


async def test_it_is_requested_then_active_once_its_endpoint_answers(world: Subscribers) -> None:
    made = await world.fhir("POST", "Subscription", by_topic())
    assert (made.status_code, made.json()["status"], made.headers["etag"]) == (201, "requested", 'W/"1"')
    assert made.headers["location"] == f"{BASE}/Subscription/{made.json()['id']}"
    await world.work()
    assert [(one.url, one.says.kind, one.says.status, one.says.count) for one in world.calls] == [
        (HOOK, "handshake", "requested", 0)
    ]
    assert (await world.subscription(made.json()["id"]))["status"] == "active"


def _odd(**changes: Any) -> dict[str, Any]:
    return by_topic() | changes


def _channel(**changes: Any) -> dict[str, Any]:
    made = by_topic()
    return made | {"channel": made["channel"] | changes}


REFUSED = {
    "another status": (_odd(status="error"), 400, "Subscription.status"),
    "another type": (_odd(criteria="Invoice?status=issued"), 422, "Subscription.criteria"),
    "another topic": (_odd(criteria="https://ehr.example/topics/x"), 422, "Subscription.criteria"),
    "an unknown parameter": (plain("PaymentReconciliation?colour=red"), 400, "Subscription.criteria"),
    "how it is shown": (plain("PaymentReconciliation?_count=3"), 422, "Subscription.criteria"),
    "a filter of another type": (by_topic("empty", "Invoice?status=issued"), 422, "Subscription.criteria"),
    "another channel": (_channel(type="email"), 422, "Subscription.channel.type"),
    "an own channel": (
        _channel(_type={"extension": [{"url": BACKPORT + "channel-type", "valueCoding": {"code": "zulip"}}]}),
        422,
        "Subscription.channel.type",
    ),
    "no endpoint": (_odd(channel={"type": "rest-hook"}), 400, "Subscription.channel.endpoint"),
    "XML": (_channel(payload="application/fhir+xml"), 422, "Subscription.channel.payload"),
    "no content level": (plain(TOPIC, "application/fhir+json"), 400, "Subscription.channel.payload.extension"),
    "an unknown level": (by_topic("everything"), 400, "Subscription.channel.payload.extension"),
    "a heartbeat each second": (by_topic(extension=[("heartbeat-period", 1)]), 422, "Subscription.channel.extension"),
    "http": (_channel(endpoint="http://ehr.example/hook"), 400, "Subscription.channel.endpoint"),
    "ourselves": (_channel(endpoint="https://localhost/hook"), 400, "Subscription.channel.endpoint"),
    "an inner address": (_channel(endpoint="https://10.0.0.8/hook"), 400, "Subscription.channel.endpoint"),
    "a cloud's secrets": (_channel(endpoint="https://169.254.169.254/latest"), 400, "Subscription.channel.endpoint"),
    "a password in it": (_channel(endpoint="https://a:b@ehr.example/"), 400, "Subscription.channel.endpoint"),
    "no address": (_channel(endpoint="https://[oops/"), 400, "Subscription.channel.endpoint"),
    "a header of ours": (_channel(header=["Host: bank.example"]), 400, "Subscription.channel.header"),
    "a header in two lines": (_channel(header=["A: b\r\nC: d"]), 400, "Subscription.channel.header"),
    "eleven headers": (_channel(header=[f"X-{n}: 1" for n in range(11)]), 400, "Subscription.channel.header"),
    "a header without value": (_channel(header=["X-Key: (kept)"]), 400, "Subscription.channel.header"),
    "a long body": (_odd(reason="x" * 60_000), 413, ""),
    "a card number": (_odd(reason="paid by 4111 1111 1111 1111"), 400, "Subscription.reason"),
    "an extension for criteria": (
        {name: value for name, value in by_topic().items() if name != "criteria"}
        | {"_criteria": {"extension": [{"url": "urn:x", "valueString": "x"}]}},
        422,
        "Subscription.criteria",
    ),
    "an element that there isn't": (_odd(colour="red"), 400, "Subscription.colour"),
}


async def test_what_is_refused_says_where_and_keeps_nothing(world: Subscribers) -> None:
    for name, (resource, status, at) in REFUSED.items():
        answer = await world.fhir("POST", "Subscription", resource)
        issue = answer.json()["issue"][0]
        assert (answer.status_code, *issue.get("expression", [""])) == (status, at), (name, answer.text)
    assert (await world.fhir("GET", "Subscription")).json()["total"] == 0
    assert await world.work() == 0


async def test_a_client_inside_the_hospital_may_be_told_over_http_at_an_inner_address(world: Subscribers) -> None:
    for endpoint in ("http://10.0.0.8/hook", "http://localhost:8080/hook"):
        id = await world.asks(plain(endpoint=endpoint), client="inside")
        assert (await world.subscription(id, client="inside"))["status"] == "active"


async def test_who_may_read_no_payment_is_told_of_none(world: Subscribers) -> None:
    answer = await world.fhir("POST", "Subscription", by_topic(), client="blind")
    assert answer.status_code == 403
    assert "system/PaymentReconciliation.r" in answer.headers["www-authenticate"]
    assert (await world.http.get("/tenants/north/fhir/R4/Subscription")).status_code == 401


async def test_its_secrets_are_kept_sealed_and_sent_and_never_shown(world: Subscribers) -> None:
    id = await world.asks(by_topic(header=[HEADER, "X-Feed: 7"]))
    assert world.calls[0].request.headers["authorization"] == "Bearer s3cret-of-the-hook"
    shown = await world.fhir("GET", f"Subscription/{id}")
    assert shown.json()["channel"]["header"] == ["Authorization: (kept)", "X-Feed: (kept)"]
    row = await world.system.house("north").units.read(store.get, id)
    assert "s3cret" not in repr(row) + shown.text
    # Read, changed and put back: what is kept stays.
    changed = shown.json() | {"status": "requested", "reason": "other"}
    assert (await world.fhir("PUT", f"Subscription/{id}", changed)).json()["status"] == "requested"
    await world.work()
    assert world.calls[-1].request.headers["authorization"] == "Bearer s3cret-of-the-hook"
    changed["channel"]["header"] = [f"{HEADER}-2"]
    await world.fhir("PUT", f"Subscription/{id}", changed)
    await world.work()
    assert world.calls[-1].request.headers["authorization"] == "Bearer s3cret-of-the-hook-2"
    assert "x-feed" not in world.calls[-1].request.headers


async def test_a_client_sees_and_changes_its_own_alone(world: Subscribers) -> None:
    id = await world.asks(by_topic())
    theirs = await world.asks(by_topic(), client="other")
    found = (await world.fhir("GET", f"Subscription?status=active&url={HOOK}")).json()
    assert [one["resource"]["id"] for one in found["entry"]] == [id]
    statuses = (await world.fhir("GET", "Subscription/$status")).json()
    assert [one["resource"]["resourceType"] for one in statuses["entry"]] == ["Parameters"]
    body = by_topic() | {"id": theirs, "status": "off"}
    for method, path, sent in (
        ("GET", "", None),
        ("GET", "/$status", None),
        ("GET", "/$events", None),
        ("PUT", "", body),
        ("DELETE", "", None),
    ):
        assert (await world.fhir(method, f"Subscription/{theirs}{path}", sent)).status_code == 404, (method, path)
    elsewhere = await world.fhir("GET", f"Subscription/{id}", tenant="south")
    assert elsewhere.status_code == 404
    assert (await world.subscription(theirs, client="other"))["status"] == "active"


async def test_it_is_turned_off_and_on_again_and_deleted(world: Subscribers) -> None:
    id = await world.asks(by_topic())
    shown = await world.subscription(id)
    assert (await world.fhir("PUT", f"Subscription/{id}", shown, if_match='W/"2"')).headers["etag"] == 'W/"2"'
    off = await world.fhir("PUT", f"Subscription/{id}", shown | {"status": "off"})
    assert (off.json()["status"], off.headers["etag"]) == ("off", 'W/"3"')
    stale = await world.fhir("PUT", f"Subscription/{id}", shown, if_match='W/"2"')
    assert stale.status_code == 412
    by_itself = await world.fhir("PUT", f"Subscription/{id}", shown | {"status": "active"})
    assert by_itself.json()["issue"][0]["expression"] == ["Subscription.status"]
    await world.fhir("PUT", f"Subscription/{id}", shown | {"status": "requested"})
    await world.work()
    assert (await world.subscription(id))["status"] == "active"
    assert [one.says.kind for one in world.calls] == ["handshake", "handshake"]
    assert (await world.fhir("DELETE", f"Subscription/{id}")).status_code == 204
    assert (await world.fhir("GET", f"Subscription/{id}")).status_code == 404
    assert (await world.fhir("PUT", f"Subscription/{id}", shown)).status_code == 404


async def test_a_client_has_so_many_at_most(world: Subscribers) -> None:
    for _ in range(OF_CLIENT_MAX):
        assert (await world.fhir("POST", "Subscription", plain() | {"status": "off"})).status_code == 201
    one_more = await world.fhir("POST", "Subscription", plain())
    assert one_more.json()["issue"][0]["code"] == "business-rule"
    assert (await world.fhir("POST", "Subscription", plain(), client="other")).status_code == 201


async def test_what_is_declared_of_it_is_so(world: Subscribers) -> None:
    statement = (await world.fhir("GET", "metadata")).json()
    (declared,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "Subscription"]
    assert declared["extension"][0]["valueCanonical"] == TOPIC
    assert {one["code"] for one in declared["interaction"]} == {"read", "update", "delete", "create", "search-type"}
    id = await world.asks(by_topic())
    for param in declared["searchParam"]:
        value = {"status": "active", "url": HOOK}[param["name"]]
        for asked, total in ((value, 1), (f"{value}x", 0)):
            found = (await world.fhir("GET", f"Subscription?{param['name']}={asked}")).json()
            assert found["total"] == total
    for operation in declared["operation"]:
        assert (await world.fhir("GET", f"Subscription/{id}/${operation['name']}")).status_code == 200
    for method, path, status in (
        ("GET", "Subscription?criteria=x", 400),
        ("PATCH", f"Subscription/{id}", 405),
        ("PUT", "Subscription", 405),
        ("GET", f"Subscription/{id}/_history", 404),
        ("POST", f"Subscription/{id}/$resend", 404),
    ):
        answer = await world.fhir(method, path, {} if method in ("PUT", "PATCH", "POST") else None)
        assert answer.status_code == status, (path, answer.text)
    topic = (await world.fhir("GET", "Basic?code=SubscriptionTopic")).json()["entry"][0]["resource"]
    assert topic == loads((data_root("conformance") / "Basic-payment-posted.json").read_bytes())
    assert topic["extension"][0]["valueUri"] == TOPIC
    assert (await world.fhir("GET", "Basic?code=x")).json()["total"] == 0


async def test_status_is_asked_by_id_and_by_state(world: Subscribers) -> None:
    first, second = [await world.asks(by_topic()) for _ in range(2)]
    await world.fhir("PUT", f"Subscription/{second}", by_topic() | {"id": second, "status": "off"})

    async def ids(query: str, body: Any = None) -> list[str]:
        answer = await world.fhir("POST" if body else "GET", f"Subscription/$status{query}", body)
        found = [one["resource"]["parameter"][0]["valueReference"]["reference"] for one in answer.json()["entry"]]
        return [one.removeprefix(f"{BASE}/Subscription/") for one in found]

    assert await ids("") == sorted((first, second))
    assert await ids("?status=off") == [second]
    assert await ids(f"?id={first}&id={second}&status=active") == [first]
    given = [{"name": "id", "valueId": second}, {"name": "status", "valueCode": "off"}]
    assert await ids("", {"resourceType": "Parameters", "parameter": given}) == [second]
