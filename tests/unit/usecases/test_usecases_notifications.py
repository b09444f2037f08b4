"""An EHR tells us of changes: whatever it says, it is asked at once, and nothing is taken twice or older over newer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from fhirpay import wiring
from fhirpay.config import Connection, Settings, Tenant
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.pages import Page
from fhirpay.inbox.tables import InboxRow
from fhirpay.polling import subscribed
from fhirpay.polling.store import Mark
from fhirpay.simulators.ehr import Ehr, create_app
from fhirpay.simulators.ehr_faults import Fault
from intake_world import tenant
from notifications import Shape, notification
from polling_world import ACCOUNT, BASE, PATIENT, SINCE, Poll, charge, polling

pytestmark = pytest.mark.warns("notification.refused", "subscription.failed")  # this EHR takes no Subscription
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
SECRET = "s" * 32
SHAPES: tuple[Shape, ...] = ("R4", "R4B", "R5")
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what no engine has a part in


@dataclass
class Told:
    """The program as the EHR reaches it; `poll` asks a second after, so that nothing is due but what was told of."""

    poll: Poll
    ehr: Ehr
    http: httpx2.AsyncClient

    async def tell(
        self, body: Any = None, kind: str = "ChargeItem", secret: str = SECRET, method: str = "POST", at: str = ""
    ) -> httpx2.Response:
        content = body if isinstance(body, bytes) else dumps(body).encode() if body is not None else b""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return await self.http.request(method, f"/fhir/notify/ehr/{kind}{at}", content=content, headers=headers)

    async def told(self, *args: Any, **more: Any) -> None:
        answer = await self.tell(*args, **more)
        assert answer.status_code == 200, answer.text
        inbox, *_ = self.poll.system.workers()
        await inbox.drain()

    async def changes(self, amount: str) -> dict[str, Any]:
        """The charge at the EHR, which was read before, gets this amount; as it stands there now."""
        version, _ = self.ehr.store.update(charge(amount=amount), "c1")
        return loads(version.body)

    async def owed(self) -> list[Money]:
        await self.poll.look(SECOND)
        return [one.patient for one in await self.poll.owed()]

    async def turn(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """All that is due in eleven minutes; `meanwhile` happens once the first page of charges is on its way."""
        process = self.poll.process("one")
        page_of, happened = process._page, list[str]()

        async def asked(mark: Mark) -> Page:
            page = await page_of(mark)
            if mark.resource_type == "ChargeItem" and not happened:
                happened.append("once")
                await meanwhile()
            return page

        process._page = asked  # type: ignore[method-assign]
        self.poll.clock.advance(timedelta(minutes=11))
        await process.turn()
        inbox, *_ = self.poll.system.workers()
        await inbox.drain()

    async def kept(self) -> dict[str, Any]:
        found = await self.poll.kept("ChargeItem", "c1")
        assert found is not None
        return found

    async def known(self) -> subscribed.Subscribed:
        (one,) = await self.poll.units.read(subscribed.of, "ehr")
        return one

    async def notified(self) -> list[tuple[str, str, str]]:
        """Notifications that were kept: state, detail, control id."""
        return await self.poll.units.read(_kept)


_inbox = table(InboxRow)


def _kept(tx: Tx) -> list[tuple[str, str, str]]:
    where = (_inbox.c.tenant_id == tx.tenant, _inbox.c.kind == "notification")
    return [
        (one["state"], one["detail"], one["control_id"])
        for one in tx.all(select(_inbox).where(*where).order_by(_inbox.c.message_id))
    ]


@pytest.fixture
async def told(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Told]:
    app = create_app(token="ehr-token", clock=lambda: clock.now() - HOUR)  # its clock is an hour behind ours
    ehr: Ehr = app.state.ehr
    settings: dict[str, Any] = {"poll": ("ChargeItem", "Account"), "subscribe": ("ChargeItem",)}
    settings |= {"subscribe_secrets": (SECRET, "o" * 32)}
    async with polling(database, clock, ids, httpx2.ASGITransport(app=app), **settings) as poll:
        transport = httpx2.ASGITransport(app=poll.system.web)
        async with httpx2.AsyncClient(transport=transport, base_url="http://us", verify=False) as http:
            for one in (PATIENT, ACCOUNT, charge()):
                ehr.seed(one)
            await poll.look()
            yield Told(poll, ehr, http)
    ehr.store.close()


@ON_SQLITE
async def test_without_a_word_nothing_is_asked_before_its_time(told: Told) -> None:
    await told.changes("80.00")
    assert await told.owed() == [Money(10000, "USD")]


async def test_a_ping_has_the_ehr_asked_at_once(told: Told) -> None:
    await told.changes("80.00")
    await told.told()
    assert await told.owed() == [Money(8000, "USD")]
    assert [(state, says) for state, says, _ in await told.notified()] == [
        ("applied", "changes of ChargeItem are asked for")
    ]


@ON_SQLITE
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("focus", ["", f"{BASE}/ChargeItem/c1"])
async def test_an_event_of_a_topic_has_the_ehr_asked_at_once(told: Told, shape: Shape, focus: str) -> None:
    await told.changes("80.00")
    await told.told(notification(numbers=(1,), shape=shape, focus=focus))
    assert await told.owed() == [Money(8000, "USD")]
    assert (await told.known()).last_event == 1


@ON_SQLITE
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_whole_resource_is_taken_without_asking(told: Told, shape: Shape) -> None:
    sent = await told.changes("80.00")
    calls = told.ehr.faults.calls.total()
    await told.told(notification(numbers=(1,), shape=shape, resources=(sent,)))
    assert await told.owed() == [Money(8000, "USD")]
    assert told.ehr.faults.calls.total() == calls
    await told.poll.look()  # what is read later is what was taken
    assert (await told.poll.messages()).count("PUT ChargeItem/c1") == 1
    assert (await told.poll.messages()).count("GET ChargeItem/c1") == 1


@pytest.mark.parametrize(("method", "at"), [("POST", ""), ("PUT", "/ChargeItem/c1")])
async def test_r4_sends_the_resource_itself(told: Told, method: str, at: str) -> None:
    await told.told(await told.changes("80.00"), method=method, at=at)
    assert await told.owed() == [Money(8000, "USD")]


async def test_what_names_something_unread_is_asked_for_and_so_is_what_has_no_moment(told: Told) -> None:
    other = charge("c2", account=[{"reference": "Account/a2"}])
    told.ehr.seed({**ACCOUNT, "id": "a2"})
    version, _ = told.ehr.store.update(other, "c2")
    await told.told(loads(version.body))
    assert await told.poll.kept("ChargeItem", "c2") is None
    await told.poll.look(SECOND)
    assert len(await told.poll.owed("a2")) == 1
    sent = await told.changes("80.00")
    del sent["meta"]
    await told.told(sent)
    assert (await told.kept())["priceOverride"]["value"] == 100
    assert await told.owed() == [Money(8000, "USD")]


async def test_an_older_version_after_a_newer_one_is_no_news(told: Told, clock: FrozenClock) -> None:
    older = await told.changes("80.00")
    clock.advance(SECOND)
    newer = await told.changes("60.00")
    await told.told(newer)
    await told.told(older)
    assert await told.owed() == [Money(6000, "USD")]
    assert (await told.kept())["priceOverride"]["value"] == 60


async def test_what_was_told_while_a_page_was_read_is_not_undone_by_it(told: Told, clock: FrozenClock) -> None:
    """The page has the older version; the newer one comes as a notification before the page is taken."""
    await told.changes("80.00")

    async def meanwhile() -> None:
        clock.advance(SECOND)
        await told.told(await told.changes("60.00"))

    await told.turn(meanwhile)
    assert (await told.kept())["priceOverride"]["value"] == 60
    assert [one.patient for one in await told.poll.owed()] == [Money(6000, "USD")]


async def test_a_change_told_of_while_a_page_is_read_is_asked_for_after_it(told: Told) -> None:
    async def meanwhile() -> None:
        await told.changes("80.00")
        await told.told()

    await told.turn(meanwhile)
    assert [one.patient for one in await told.poll.owed()] == [Money(8000, "USD")]


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_gap_has_the_ehr_asked_though_the_resource_was_sent(told: Told) -> None:
    await told.told(notification("handshake", count=0, status="requested"))
    first = await told.changes("80.00")
    await told.told(notification(numbers=(1,), resources=(first,)))
    told.ehr.store.update(charge("c2", amount="5.00"), "c2")  # its notification, number 2, is lost
    told.poll.clock.advance(SECOND)
    third = await told.changes("60.00")
    await told.told(notification(numbers=(3,), resources=(third,)))
    assert await told.owed() == [Money(6000, "USD"), Money(500, "USD")]
    await told.told(notification(numbers=(2,), resources=(first,)))  # late, and of an older version
    assert await told.owed() == [Money(6000, "USD"), Money(500, "USD")]
    assert (await told.known()).last_event == 3


async def test_a_heartbeat_shows_what_was_lost(told: Told) -> None:
    await told.told(notification("handshake", count=0, status="requested"))
    await told.changes("80.00")
    await told.told(notification("heartbeat", count=0))
    assert await told.owed() == [Money(10000, "USD")]
    await told.told(notification("heartbeat", count=1))
    assert await told.owed() == [Money(8000, "USD")]
    assert await told.notified() == []  # nothing that says nothing is kept as a message


async def test_a_counter_that_begins_anew_is_followed(told: Told) -> None:
    await told.told(notification(numbers=(7,)))
    await told.told(notification("handshake", count=0, status="requested"))
    assert (await told.known()).last_event == 0
    await told.told(notification(numbers=(1,)))
    assert (await told.known()).last_event == 1


async def test_the_same_notification_twice_is_one(told: Told) -> None:
    sent = await told.changes("80.00")
    for _ in range(2):
        await told.told(notification(numbers=(1,), resources=(sent,)))
    assert await told.owed() == [Money(8000, "USD")]
    assert len(await told.notified()) == 1
    for _ in range(2):
        await told.told(sent)  # as R4 sends it, without a number
    assert (await told.poll.messages()).count("PUT ChargeItem/c1") == 1


async def test_the_counter_of_a_subscription_that_is_not_ours_counts_for_nothing(told: Told) -> None:
    await told.told(notification("handshake", count=0))
    await told.poll.units.write(subscribed.change, "ehr", "ChargeItem", remote_id="sub1")
    await told.changes("80.00")
    await told.told(notification(numbers=(9,), subscription="another"))
    assert await told.owed() == [Money(8000, "USD")]  # it is a hint all the same
    assert (await told.known()).last_event == 0


# ── who may, and what is none ─────────────────────────────────────────────────────────────────────────────────────────


@ON_SQLITE
@pytest.mark.parametrize("secret", ["", "x" * 32, SECRET + "x", SECRET[:-1]])
async def test_a_wrong_secret_tells_nothing(told: Told, secret: str) -> None:
    await told.changes("80.00")
    answer = await told.tell(secret=secret)
    assert (answer.status_code, answer.json()["resourceType"]) == (401, "OperationOutcome")
    assert await told.owed() == [Money(10000, "USD")]
    assert await told.notified() == []


@ON_SQLITE
async def test_the_secret_before_is_taken_while_it_stands_there(told: Told) -> None:
    assert (await told.tell(secret="o" * 32)).status_code == 200


@ON_SQLITE
async def test_another_connection_is_told_no_more_than_a_stranger(told: Told) -> None:
    answer = await told.http.post("/fhir/notify/other/ChargeItem", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 401


async def test_another_tenants_secret_is_a_strangers(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    secrets = {"north": "n" * 32, "south": "s" * 32}
    tenants = tuple(_of(name, secret) for name, secret in secrets.items())
    system = wiring.build(Settings(hash_key="k" * 32, tenants=tenants), clock=clock, ids=ids, database=database)
    transport = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(transport=transport, base_url="http://us", verify=False) as http:
        for name in secrets:
            for whose, secret in secrets.items():
                headers = {"Authorization": f"Bearer {secret}"}
                answer = await http.post(f"/tenants/{name}/fhir/notify/ehr/ChargeItem", headers=headers)
                assert answer.status_code == (200 if whose == name else 401)
        assert [len(await system.house(name).units.read(_kept)) for name in secrets] == [1, 1]
    await system.close()


def _of(name: str, secret: str) -> Tenant:
    told: dict[str, Any] = {"poll": ("ChargeItem",), "poll_since": SINCE, "subscribe": ("ChargeItem",)}
    connection = Connection(name="ehr", base_url=BASE, subscribe_secrets=(secret,), **told)
    return tenant().model_copy(update={"name": name, "connections": (connection,), "clients": ()})


async def test_what_cant_be_stored_is_not_answered_as_if_it_were(told: Told, database: Database) -> None:
    await told.changes("80.00")
    await database.stop()
    try:
        assert (await told.tell()).status_code == 503
    finally:
        await database.start()
    assert await told.notified() == []
    await told.told()
    assert await told.owed() == [Money(8000, "USD")]


@ON_SQLITE
@pytest.mark.parametrize("kind", ["Account", "Observation"])
async def test_a_type_that_nobody_subscribed_to_is_refused(told: Told, kind: str) -> None:
    assert (await told.tell(kind=kind)).status_code == 404


@ON_SQLITE
async def test_a_resource_of_another_type_is_not_taken(told: Told) -> None:
    meta = {"versionId": "1", "lastUpdated": "2026-11-20T08:00:00Z"}
    await told.told({"resourceType": "Observation", "id": "o1", "meta": meta, "status": "final"})
    assert [(state, says) for state, says, _ in await told.notified()] == [
        ("ignored", "Observation isn't subscribed to")
    ]
    assert await told.poll.kept("Observation", "o1") is None


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"[]",
        b'{"id": "c1"}',
        {"resourceType": "Bundle", "type": "searchset", "entry": []},
        {"resourceType": "Bundle", "type": "history"},
        {"resourceType": "Bundle", "type": "history", "entry": [{"resource": charge()}]},
        notification("no-such-kind"),
    ],
)
async def test_what_is_no_notification_is_refused_in_fhirs_own_words(told: Told, body: Any) -> None:
    answer = await told.tell(body)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert await told.notified() == []


@ON_SQLITE
@pytest.mark.parametrize(
    "odd",
    [
        {"parameter": "x"},
        {"parameter": [{"name": "type", "valueCode": "event-notification"}, {"name": "notification-event", "part": 3}]},
    ],
)
async def test_odd_parts_of_a_notification_stand_in_no_ones_way(told: Told, odd: dict[str, Any]) -> None:
    await told.changes("80.00")
    entry = {"resource": {"resourceType": "Parameters", **odd}}
    answer = await told.tell({"resourceType": "Bundle", "type": "history", "entry": [entry, {"resource": 7}]})
    assert answer.status_code in (200, 400)


@ON_SQLITE
async def test_a_stranger_is_refused_before_a_body_is_read(told: Told) -> None:
    read: list[int] = []

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            read.append(number)
            yield b" " * 1_000

    headers = {"Authorization": "Bearer of-a-stranger"}
    answer = await told.http.post("/fhir/notify/ehr/ChargeItem", content=parts(), headers=headers)
    assert answer.status_code == 401
    assert read == []


@ON_SQLITE
async def test_more_than_fits_a_unit_is_asked_for_in_pages(told: Told) -> None:
    """Whoever writes meanwhile would wait for all of it."""
    amounts = [charge(f"x{number}") for number in range(5_000)]
    meta = {"versionId": "1", "lastUpdated": "2026-11-20T09:00:00Z"}
    await told.told(notification(numbers=(1,), resources=tuple({**one, "meta": meta} for one in amounts)))
    assert await told.poll.kept("ChargeItem", "x0") is None  # nobody has it: it was asked for
    assert [one[1] for one in await told.notified()] == ["changes of ChargeItem are asked for"]
    await told.changes("70.00")
    assert await told.owed() == [Money(70_00, "USD")]


@ON_SQLITE
async def test_a_body_over_the_limit_is_refused(told: Told) -> None:
    assert (await told.tell(b" " * 10_000_001)).status_code == 413


@ON_SQLITE
async def test_what_cant_be_taken_is_told_on_the_worklist(told: Told) -> None:
    sent = await told.changes("80.00")
    await told.told({**sent, "status": "no such status"})
    assert any("ChargeItem.status" in one for one in await told.poll.told("polled_refused"))


@ON_SQLITE
async def test_a_card_number_in_a_notification_is_not_kept(told: Told) -> None:
    sent = await told.changes("80.00")
    await told.told({**sent, "note": [{"text": "paid by 4111 1111 1111 1111"}]})
    bodies = await told.poll.units.read(_bodies)
    assert len(bodies) == 1
    assert b"4111" not in bodies[0]


def _bodies(tx: Tx) -> list[bytes]:
    where = (_inbox.c.tenant_id == tx.tenant, _inbox.c.kind == "notification")
    return [one["body"] for one in tx.all(select(_inbox.c.body).where(*where))]


@ON_SQLITE
@pytest.mark.warns("poll.page_failed")
async def test_a_busy_ehr_is_left_alone_though_it_tells_of_changes(told: Told) -> None:
    await told.changes("80.00")
    told.ehr.faults.set.append(Fault("busy", times=1, seconds=1800))
    await told.told()
    assert await told.owed() == [Money(10000, "USD")]
    await told.told()
    assert await told.owed() == [Money(10000, "USD")]
    await told.poll.look(timedelta(minutes=31))
    assert [one.patient for one in await told.poll.owed()] == [Money(8000, "USD")]


@ON_SQLITE
async def test_a_deletion_is_a_hint(told: Told) -> None:
    await told.changes("80.00")
    await told.told(b"whatever", method="DELETE", at="/ChargeItem/c1")
    assert await told.owed() == [Money(8000, "USD")]
