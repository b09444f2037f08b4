"""Whoever asked is told of every payment, in order and by number, whatever becomes of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.billing.worklist import list_open
from fhirpay.config import ApiClient
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.json import loads
from fhirpay.fhir.validation import problems
from fhirpay.flow.lane import pending_count
from fhirpay.subscriptions import store
from fhirpay.subscriptions.asked import TOPIC
from fhirpay.usecases.notify import FAILURES_MAX
from subscribers_world import BASE, CLIENTS, HOOK, Subscribers, by_topic, plain, posted, subscribers

pytestmark = pytest.mark.warns("subscription.put_off", "subscription.ended")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Answer = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Subscribers]:
    async with subscribers(database, clock, ids) as made:
        yield made


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


@on_sqlite
@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_a_topic_is_told_by_number_as_much_as_was_asked_for(world: Subscribers, content: str) -> None:
    id = await world.asks(by_topic(content))
    first = await world.pays(1)
    await world.work()
    second = await world.pays(2)
    await world.pays(1, "cancelled")
    await world.work()
    one, more = world.heard()
    assert (one.request.method, one.url, one.request.headers["content-type"]) == (
        "POST",
        HOOK,
        "application/fhir+json",
    )
    assert (one.says.numbers, one.says.count, one.says.status, one.says.subscription) == ((1,), 1, "active", id)
    assert (more.says.numbers, more.says.count) == ((2, 3), 3)
    assert problems(one.bundle) == problems(more.bundle) == []
    status = one.bundle["entry"][0]
    assert status["request"] == {"method": "GET", "url": f"{BASE}/Subscription/{id}/$status"}
    topics = [given["valueCanonical"] for given in status["resource"]["parameter"] if given["name"] == "topic"]
    assert topics == ([] if content == "empty" else [TOPIC])
    assert one.says.named == (frozenset() if content == "empty" else {"PaymentReconciliation"})
    told = [dict(entry["request"]) for entry in more.bundle["entry"][1:]]
    if content != "full-resource":
        assert told == []
        return
    assert told == [{"method": "POST", "url": "PaymentReconciliation"}, {"method": "PUT", "url": first}]
    shown = [entry["resource"] for entry in (*one.bundle["entry"][1:], *more.bundle["entry"][1:])]
    assert [one["status"] for one in shown] == ["active", "active", "cancelled"]  # as it was then
    assert shown[1] == (await world.fhir("GET", second)).json()


@on_sqlite
@pytest.mark.parametrize("payload", ["", "application/fhir+json"])
async def test_r4s_own_is_told_by_an_empty_post_or_a_put_of_the_resource(world: Subscribers, payload: str) -> None:
    await world.asks(plain(payload=payload, endpoint=f"{HOOK}/"))
    assert world.calls == []  # it knows no handshake
    shown = await world.pays(1)
    await world.pays(2)
    await world.work()
    first, _ = world.calls
    if payload:
        assert (first.request.method, first.url) == ("PUT", f"{HOOK}/{shown}")
        assert first.bundle == (await world.fhir("GET", shown)).json()
    else:
        assert (first.request.method, first.url, first.request.content) == ("POST", f"{HOOK}/", b"")


@on_sqlite
async def test_filters_and_scopes_say_of_which_payments(world: Subscribers) -> None:
    every = await world.asks(by_topic())
    cancelled = await world.asks(by_topic("id-only", "PaymentReconciliation?status=cancelled"))
    both = await world.asks(
        by_topic("id-only", "PaymentReconciliation?status=cancelled", "PaymentReconciliation?identifier=urn:pay|1")
    )
    some = await world.asks(by_topic(), client="some")
    for number, status in ((1, "active"), (2, "cancelled"), (1, "cancelled")):
        await world.pays(number, status)
    await world.work()
    told: dict[str, list[int]] = {}
    for one in world.heard():
        told[one.says.subscription] = [*told.get(one.says.subscription, ()), *one.says.numbers]
    assert told == {every: [1, 2, 3], cancelled: [1, 2], both: [1], some: [1]}


@on_sqlite
async def test_so_many_at_once_as_asked_for(world: Subscribers) -> None:
    await world.asks(by_topic(extension=[("max-count", 2)]))
    for number in range(5):
        await world.pays(number)
    await world.work()
    assert [one.says.numbers for one in world.heard()] == [(1, 2), (3, 4), (5,)]


@on_sqlite
async def test_a_silent_one_hears_a_heartbeat_and_no_other(world: Subscribers) -> None:
    beat = timedelta(seconds=60)
    await world.asks(by_topic(extension=[("heartbeat-period", 60)]))
    await world.asks(by_topic())
    await world.later(beat - timedelta(seconds=1))
    assert world.heard("heartbeat") == []
    await world.pays(1)
    await world.work()
    await world.later(timedelta(seconds=2))
    assert world.heard("heartbeat") == []  # it was told something meanwhile
    for number in range(1, 4):
        await world.later(beat)
        assert [one.says.count for one in world.heard("heartbeat")] == [1] * number


# ── whatever becomes of a call ────────────────────────────────────────────────────────────────────────────────────────


def _lost(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("no answer", request=request)


def _nobody(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)


TROUBLE: dict[str, Answer] = {
    "500": lambda _: httpx2.Response(500),
    "404": lambda _: httpx2.Response(404),
    "a redirect": lambda _: httpx2.Response(307, headers={"location": "https://elsewhere.example/"}),
    "no answer": _lost,
    "nobody there": _nobody,
}


@on_sqlite
@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
@pytest.mark.parametrize("trouble", TROUBLE)
async def test_after_trouble_it_is_told_in_order(world: Subscribers, trouble: str, content: str) -> None:
    await world.asks(by_topic(content, extension=[("max-count", 1)]))
    world.answer = TROUBLE[trouble]
    await world.pays(1)
    await world.work()
    await world.pays(2)
    assert await world.work() == 0  # the second waits behind the first
    assert {one.url for one in world.calls} == {HOOK}
    world.answer = lambda _: httpx2.Response(204)
    await world.later()
    assert world.numbers == [1, 1, 2]


@on_sqlite
async def test_it_leaves_alone_who_asks_for_it(world: Subscribers) -> None:
    await world.asks(by_topic())
    world.answer = lambda _: httpx2.Response(503, headers={"retry-after": "1800"})
    await world.pays(1)
    await world.work()
    assert await world.later(timedelta(seconds=1799)) == 0
    assert await world.later(timedelta(seconds=2)) == 1


@on_sqlite
async def test_an_endpoint_that_never_takes_it_is_given_up_and_nothing_is_lost(world: Subscribers) -> None:
    id = await world.asks(by_topic())
    world.answer = lambda _: httpx2.Response(500)
    await world.pays(1)
    for _ in range(FAILURES_MAX):
        await world.later()
    shown = await world.subscription(id)
    assert (shown["status"], shown["error"]) == ("error", "ehr.example answered 500")
    assert len(world.heard()) == FAILURES_MAX
    (line,) = await world.system.house("north").units.read(list_open)
    assert (line.kind, line.subject) == ("subscription_failed", id)
    await world.pays(2)  # counted, and not told
    assert await world.later() == 1
    status = (await world.fhir("GET", f"Subscription/{id}/$status")).json()["entry"][0]["resource"]["parameter"]
    assert {"name": "events-since-subscription-start", "valueString": "2"} in status
    assert status[-1] == {"name": "error", "valueCodeableConcept": {"text": "ehr.example answered 500"}}
    past = (await world.fhir("GET", f"Subscription/{id}/$events?eventsSinceNumber=2")).json()
    assert problems(past) == []
    parts = [one["part"] for one in past["entry"][0]["resource"]["parameter"] if "part" in one]
    assert [part[0]["valueString"] for part in parts] == ["2"]
    # Mended: its client asks anew, and is told all that it wasn't.
    world.answer = lambda _: httpx2.Response(200)
    world.calls.clear()
    await world.fhir("PUT", f"Subscription/{id}", shown | {"status": "requested"})
    await world.pays(3)  # not counted before the handshake is through
    await world.work()
    assert ([one.says.kind for one in world.calls], world.numbers) == (["handshake", "event-notification"], [1, 2])
    assert await world.system.house("north").units.read(list_open) == []
    await world.pays(4)
    await world.work()
    assert world.numbers == [1, 2, 3]


@on_sqlite
async def test_events_are_asked_for_by_range_and_content(world: Subscribers) -> None:
    id = await world.asks(by_topic("empty"))
    refs = [await world.pays(number) for number in range(1, 5)]
    await world.work()

    async def asked(query: str, body: Any = None) -> tuple[list[str], list[str], int]:
        answer = await world.fhir("POST" if body else "GET", f"Subscription/{id}/$events{query}", body)
        bundle = answer.json()
        assert (bundle["type"], problems(bundle)) == ("history", [])
        parts = [one["part"] for one in bundle["entry"][0]["resource"]["parameter"] if "part" in one]
        focus = [part[2]["valueReference"]["reference"].removeprefix(f"{BASE}/") for part in parts if len(part) > 2]
        return [part[0]["valueString"] for part in parts], focus, len(bundle["entry"]) - 1

    assert await asked("") == (["1", "2", "3", "4"], [], 0)
    assert await asked("?eventsSinceNumber=3&content=id-only") == (["3", "4"], refs[2:], 0)
    assert await asked("?eventsSinceNumber=2&eventsUntilNumber=3&content=full-resource") == (["2", "3"], refs[1:3], 2)
    given = [{"name": "eventsUntilNumber", "valueString": "1"}]
    assert await asked("", {"resourceType": "Parameters", "parameter": given}) == (["1"], [], 0)
    for wrong in ("eventsSinceNumber=x", "content=all", "since=1"):
        assert (await world.fhir("GET", f"Subscription/{id}/$events?{wrong}")).status_code == 400, wrong


@on_sqlite
async def test_an_endpoint_that_is_gone_turns_it_off(world: Subscribers) -> None:
    id = await world.asks(by_topic())
    world.answer = lambda _: httpx2.Response(410)
    for number in range(3):
        await world.pays(number)
    await world.work()
    assert (await world.subscription(id))["status"] == "off"
    assert world.numbers == [1, 2, 3]
    assert len(world.heard()) == 1


@on_sqlite
async def test_its_end_turns_it_off(world: Subscribers) -> None:
    id = await world.asks(by_topic() | {"end": "2026-11-20T16:00:00Z"})
    await world.pays(1)
    await world.work()
    await world.pays(2)
    await world.later(timedelta(hours=2))
    assert (world.numbers, (await world.subscription(id))["status"]) == ([1], "off")


@on_sqlite
async def test_each_is_told_for_itself(world: Subscribers) -> None:
    broken = await world.asks(by_topic(endpoint="https://broken.example/hook"))
    fine = await world.asks(by_topic(), client="other")
    south = await world.asks(by_topic(), tenant="south")
    world.answer = lambda request: httpx2.Response(500 if request.url.host == "broken.example" else 200)
    for number in (1, 2):
        await world.pays(number)
        await world.work()
        await world.work(tenant="south")
    told = [(one.says.subscription, one.says.numbers) for one in world.heard() if one.url == HOOK]
    assert told == [(fine, (1,)), (fine, (2,))]
    for id, of in ((broken, {}), (fine, {"client": "other"}), (south, {"tenant": "south"})):
        assert (await world.subscription(id, **of))["status"] == "active"


@on_sqlite
async def test_a_handshake_that_isnt_answered_leaves_it_requested(world: Subscribers) -> None:
    world.answer = lambda _: httpx2.Response(401)
    id = await world.asks(by_topic())
    await world.pays(1)
    assert (await world.subscription(id))["status"] == "requested"
    world.answer = lambda _: httpx2.Response(200)
    await world.later()
    await world.pays(2)
    await world.work()
    assert ((await world.subscription(id))["status"], world.numbers) == ("active", [1])


# ── who may hear it ───────────────────────────────────────────────────────────────────────────────────────────────────

_NARROWED = (*CLIENTS[1:], CLIENTS[0].model_copy(update={"scopes": ("system/Subscription.cruds", "payments")}))
_PARTLY = (*CLIENTS[1:], CLIENTS[0].model_copy(update={"scopes": CLIENTS[3].scopes}))
_WIDER = (*CLIENTS[1:], CLIENTS[0].model_copy(update={"scopes": ("system/*.cruds",)}))


@on_sqlite
@pytest.mark.parametrize(
    ("clients", "state"), [(CLIENTS[1:], "off"), (_NARROWED, "off"), (_PARTLY, "off"), (_WIDER, "active")]
)
async def test_after_a_restart_what_counts_is_what_its_client_may_read_then(
    database: Database, clock: FrozenClock, ids: CountedIds, clients: tuple[ApiClient, ...], state: str
) -> None:
    async with subscribers(database, clock, ids) as before:
        id = await before.asks(by_topic())
        await before.pays(1)  # and the program ends
    async with subscribers(database, clock, ids, clients) as after:
        await after.work()
        assert after.numbers == ([1] if state == "active" else [])
        row = await after.system.house("north").units.read(_state, id)
        assert row == state


def _state(tx: Tx, id: str) -> str:
    one = store.get(tx, id)
    assert one is not None
    return one.state


# ── the number and the fact ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_payment_that_isnt_stored_has_no_number_and_one_that_is_has_its_call(world: Subscribers) -> None:
    await world.asks(by_topic())
    units = world.system.house("north").units

    def crash(tx: Tx) -> None:
        posted(tx, 1)
        raise RuntimeError("it ends here")

    with pytest.raises(RuntimeError):
        await units.write(crash)
    assert await units.read(pending_count, "outbox") == 0
    await world.pays(2)
    assert await units.read(pending_count, "outbox") == 1
    await world.work()
    assert world.numbers == [1]


async def test_two_workers_tell_without_a_gap_and_in_order(world: Subscribers) -> None:
    await world.asks(by_topic(extension=[("max-count", 1)]))
    flaky = iter([200, 500, 200, 500, 500] + [200] * 100)
    world.answer = lambda _: httpx2.Response(next(flaky))
    await asyncio.gather(*(world.pays(number) for number in range(12)))
    for _ in range(6):
        await asyncio.gather(*(world.worker().drain() for _ in range(2)))
        world.clock.advance(timedelta(hours=1))
    assert list(dict.fromkeys(world.numbers)) == list(range(1, 13))
    assert sorted(world.numbers) == world.numbers  # told again at most, never out of turn
    assert len(world.numbers) == 12 + 3


@on_sqlite
async def test_a_crash_after_the_call_tells_it_again_with_its_number(world: Subscribers) -> None:
    await world.asks(by_topic())
    await world.pays(1)

    def taken_then_killed(_: httpx2.Request) -> httpx2.Response:
        raise asyncio.CancelledError

    world.answer = taken_then_killed
    with pytest.raises(asyncio.CancelledError):
        await world.work()
    world.answer = lambda _: httpx2.Response(200)
    await world.later()
    assert world.numbers == [1, 1]


# ── over a real network ───────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP server of a few lines: its address, and what came, as it came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        came.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", came


@on_sqlite
async def test_it_goes_out_by_the_network_and_follows_no_redirect(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with subscribers(database, clock, ids, real=True) as world, listening(b"") as (elsewhere, never):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with (
            listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (fine, heard),
            listening(moved) as (redirects, asked),
        ):
            header = ["Authorization: Bearer key"]
            await world.asks(by_topic(endpoint=f"{fine}/a/hook?of=us", header=header), client="inside")
            id = await world.asks(plain(payload="application/fhir+json", endpoint=redirects), client="inside")
            shown = await world.pays(1)
            await world.work()
            assert (len(heard), len(asked), never) == (2, 1, [])
            head, _, body = heard[1].partition(b"\r\n\r\n")
            assert head.startswith(b"POST /a/hook?of=us HTTP/1.1\r\n")
            assert b"Authorization: Bearer key" in head
            assert loads(body)["type"] == "history"
            assert asked[0].startswith(f"PUT /{shown} HTTP/1.1\r\n".encode())
            assert (await world.subscription(id, client="inside"))["status"] == "active"
