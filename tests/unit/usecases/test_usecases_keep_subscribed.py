"""Our Subscription at an EHR is made once, stays alive, and is turned off; whatever it does, polling goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir.client import EhrRefused, FhirClient
from fhirpay.polling import subscribed
from fhirpay.simulators.ehr import Ehr, create_app
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_faults import Fault
from fhirpay.simulators.ehr_store import Version
from fhirpay.usecases.keep_subscribed import UNTOLD, note_left
from fhirpay.usecases.receive_notification import SILENT
from fhirpay.usecases.standing_warnings import standing
from polling_world import ACCOUNT, PATIENT, Poll, charge, polling

pytestmark = [
    pytest.mark.warns("subscription.failed", "subscription.woken", "subscription.silent", "poll.page_failed"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),  # the other one: tests/e2e/test_e2e_told.py
]
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SECRET, OTHER = "s" * 32, "n" * 32
TOPIC = {"ChargeItem": "https://ehr.example/topics/charge-changed"}
ENDPOINT = "http://127.0.0.1:8080/fhir/notify/ehr/ChargeItem"


@dataclass
class Us(httpx2.AsyncBaseTransport):
    """Where the EHR reaches us, once we are there."""

    web: httpx2.ASGITransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.web is None:
            raise httpx2.ConnectError("nobody is there")
        return await self.web.handle_async_request(request)


@dataclass
class Told:
    poll: Poll
    ehr: Ehr

    @property
    def there(self) -> list[Version]:
        return self.ehr.subscriptions.live

    @property
    def statuses(self) -> list[str]:
        return [one.resource["status"] for one in self.there]

    async def row(self) -> subscribed.Subscribed:
        (one,) = await self.poll.units.read(subscribed.of, "ehr")
        return one

    async def changes(self, amount: str) -> None:
        """At the EHR's own screens; whoever subscribed is told."""
        self.ehr.store.update(charge(amount=amount), "c1")
        await self.ehr.subscriptions.deliver()

    async def owed(self) -> list[Money]:
        """A second later, when nothing is due but what was told of."""
        await self.poll.look(SECOND)
        return [one.patient for one in await self.poll.owed()]

    def set(self, status: str) -> None:
        (one,) = self.there
        self.ehr.store.update(one.resource | {"status": status}, one.id)


Open = Callable[..., AbstractAsyncContextManager[Told]]


@pytest.fixture
async def opened(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Open]:
    us = Us()
    switches = Switches(subscriptions="criteria")
    app = create_app(token="ehr-token", clock=clock.now, notify=us, switches=switches)
    ehr: Ehr = app.state.ehr
    for one in (PATIENT, ACCOUNT, charge()):
        ehr.seed(one)

    @asynccontextmanager
    async def told(**more: Any) -> AsyncIterator[Told]:
        settings = {"subscribe": ("ChargeItem",), "subscribe_secrets": (SECRET,)} | more
        async with polling(database, clock, ids, httpx2.ASGITransport(app=app), **settings) as poll:
            us.web = httpx2.ASGITransport(app=poll.system.web)
            yield Told(poll, ehr)
        us.web = None

    told.ehr = ehr  # type: ignore[attr-defined]
    yield told
    ehr.store.close()


def _ehr(opened: Open) -> Ehr:
    return opened.ehr  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("content", ["empty", "full-resource"])
@pytest.mark.parametrize("topics", [False, True])
async def test_a_subscription_is_made_and_what_changes_is_owed_at_once(
    opened: Open, topics: bool, content: str
) -> None:
    if topics:
        _ehr(opened).switches.subscriptions = "topics"
    async with opened(subscribe_content=content, subscribe_topics=TOPIC if topics else {}) as told:
        await told.poll.look(SECOND)
        assert told.statuses == ["active"]
        await told.poll.look(MINUTE)
        row = await told.row()
        assert (row.state, row.by_topic, row.remote_id) == ("active", topics, told.there[0].id)
        assert told.there[0].resource["criteria"] == (TOPIC["ChargeItem"] if topics else "ChargeItem?")
        await told.changes("80.00")
        assert await told.owed() == [Money(8000, "USD")]
        assert await told.poll.told(UNTOLD) == []
        for _ in range(4):
            await told.poll.look()
        assert [(one.version > 0, one.resource["channel"]["endpoint"]) for one in told.there] == [(True, ENDPOINT)]


async def test_a_topic_that_the_ehr_doesnt_have_leaves_the_criteria(opened: Open) -> None:
    async with opened(subscribe_topics=TOPIC) as told:
        await told.poll.look(SECOND)
        assert told.there[0].resource["criteria"] == "ChargeItem?"
        assert not (await told.row()).by_topic


@pytest.mark.parametrize("fault", ["error_after", "error"])
@pytest.mark.parametrize(
    "can",
    [
        {"update_create": True},
        {"update_create": False, "conditional_create": True},
        {"update_create": False, "conditional_create": False},
    ],
)
async def test_a_lost_answer_never_makes_a_second_one(opened: Open, fault: str, can: dict[str, bool]) -> None:
    ehr = _ehr(opened)
    for name, value in can.items():
        setattr(ehr.switches, name, value)
    async with opened(index_settles_s=120) as told:
        ehr.faults.set.append(Fault(fault, times=1, methods=["POST", "PUT"]))
        await told.poll.look(SECOND)
        ehr.faults.set.append(Fault("index_lag", seconds=90))  # for a while nothing young is found
        for _ in range(3):
            await told.poll.look(timedelta(seconds=35))
            assert len(told.there) <= 1
        ehr.faults.set.clear()
        for _ in range(4):
            await told.poll.look()
        assert told.statuses == ["active"]
        assert (await told.row()).remote_id == told.there[0].id
        await told.changes("80.00")
        assert await told.owed() == [Money(8000, "USD")]


async def test_where_nothing_can_be_looked_up_a_lost_answer_is_for_a_person(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.switches.update_create = ehr.switches.conditional_create = ehr.switches.search = False
    async with opened() as told:
        ehr.faults.set.append(Fault("error_after", times=1, methods=["POST"]))
        for _ in range(8):
            await told.poll.look()
        assert told.statuses == ["active"]
        assert any("none can be looked for" in one for one in await told.poll.told(UNTOLD))


async def test_one_that_is_refused_is_told_until_it_is_taken_and_polling_goes_on(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.faults.set.append(Fault("refuse_subscription"))
    async with opened() as told:
        await told.poll.look()
        (says,) = await told.poll.told(UNTOLD)
        assert "this criteria isn't watched here" in says
        assert "asked every 60 s" in says
        assert [one.code for one in await told.poll.units.read(standing)] == ["ehr-untold"]
        await told.changes("80.00")
        await told.poll.look()
        assert [one.patient for one in await told.poll.owed()] == [Money(8000, "USD")]
        ehr.faults.set.clear()
        for _ in range(8):
            await told.poll.look()
        assert (told.statuses, await told.poll.told(UNTOLD)) == (["active"], [])


async def test_the_secret_is_not_told_though_the_ehr_repeats_it(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise EhrRefused(f"channel.header: 'Authorization: Bearer {SECRET}' isn't allowed", status=422)

    monkeypatch.setattr(FhirClient, "create", refused)
    monkeypatch.setattr(FhirClient, "update", refused)
    async with opened() as told:
        await told.poll.look()
        (line,) = await told.poll.told(UNTOLD)
        assert "isn't allowed" in line
        assert SECRET not in line


async def test_one_that_was_refused_was_not_made_though_nothing_can_be_looked_up(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.switches.update_create = ehr.switches.conditional_create = ehr.switches.search = False
    ehr.faults.set.append(Fault("refuse_subscription", times=1))
    async with opened() as told:
        for _ in range(8):
            await told.poll.look()
        assert told.statuses == ["active"]


async def test_an_ehr_without_subscriptions_is_polled_and_that_is_told(opened: Open) -> None:
    _ehr(opened).switches.subscriptions = ""
    async with opened() as told:
        await told.poll.look()
        (says,) = await told.poll.told(UNTOLD)
        assert "no Subscription can be made: it takes none" in says
        assert len(await told.poll.owed()) == 1


@pytest.mark.parametrize("status", ["error", "off"])
async def test_one_that_fell_asleep_is_woken_and_what_it_missed_is_asked_for(opened: Open, status: str) -> None:
    async with opened(poll_every_s=86_400) as told:
        await told.poll.look(SECOND)
        await told.poll.look(MINUTE)
        told.set(status)
        told.ehr.faults.set.append(Fault("lost_notification", times=1))  # nobody tells of it afterwards
        await told.changes("80.00")
        await told.poll.look()
        assert told.statuses == ["active"]
        assert [one.patient for one in await told.poll.owed()] == [Money(8000, "USD")]
        await told.poll.look(MINUTE)
        assert ((await told.row()).state, (await told.row()).failures) == ("active", 0)


async def test_one_that_doesnt_stay_awake_is_told(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        for _ in range(5):
            await told.poll.look(timedelta(minutes=31))
            told.set("error")
        assert any("doesn't stay active" in one for one in await told.poll.told(UNTOLD))


async def test_one_that_changed_while_it_was_looked_at_is_looked_at_again(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        told.set("off")
        asked = told.ehr.update

        def update(*given: Any) -> Any:
            told.ehr.update = asked  # type: ignore[method-assign]
            told.set("off")  # between our read and our write
            return asked(*given)

        told.ehr.update = update  # type: ignore[method-assign]
        await told.poll.look()
        assert told.statuses == ["off"]
        await told.poll.look()
        assert told.statuses == ["active"]
        assert await told.poll.told(UNTOLD) == []


async def test_one_that_nobody_activates_is_asked_for_as_active(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.faults.set.append(Fault("no_handshake"))
    async with opened() as told:
        await told.poll.look(SECOND)
        await told.poll.look(MINUTE)
        assert told.statuses == ["requested"]
        await told.poll.look()
        await told.poll.look()
        assert told.statuses == ["active"]


async def test_one_that_is_gone_is_made_anew(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        told.ehr.store.delete("Subscription", told.there[0].id)
        await told.poll.look()
        assert told.statuses == ["active"]


async def test_it_is_renewed_before_it_ends(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        first = datetime.fromisoformat(told.there[0].resource["end"])
        await told.poll.look(timedelta(days=20))
        assert datetime.fromisoformat(told.there[0].resource["end"]) == first
        await told.poll.look(timedelta(days=9, hours=18))
        assert datetime.fromisoformat(told.there[0].resource["end"]) > first + timedelta(days=29)
        assert told.statuses == ["active"]


async def test_another_secret_is_put_there_and_the_one_before_is_good_meanwhile(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
    async with opened(subscribe_secrets=(OTHER, SECRET)) as told:
        await told.changes("80.00")
        assert await told.owed() == [Money(8000, "USD")]
        await told.poll.look()
        assert [one.resource["channel"]["header"] for one in told.there] == [[f"Authorization: Bearer {OTHER}"]]
        await told.changes("60.00")
        assert await told.owed() == [Money(6000, "USD")]


async def test_what_isnt_subscribed_to_any_more_is_turned_off(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        await told.poll.look(MINUTE)
    async with opened(subscribe=()) as told:
        await told.poll.look()
        assert told.statuses == ["off"]
        assert await told.poll.units.read(subscribed.of, "ehr") == []


async def test_one_at_an_ehr_that_is_not_polled_any_more_is_for_a_person(opened: Open) -> None:
    async with opened() as told:
        await told.poll.look(SECOND)
        alone = told.poll.system.house("main").tenant.model_copy(update={"connections": ()})
        await told.poll.units.write(note_left, alone)
        (says,) = await told.poll.told(UNTOLD)
        assert told.there[0].id in says
        assert await told.poll.units.read(subscribed.of, "ehr") == []


async def test_one_that_was_there_is_taken_over_and_a_second_one_turned_off(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.switches.update_create = False
    channel = {"type": "rest-hook", "endpoint": ENDPOINT}
    for status in ("off", "active", "active"):
        made = {"resourceType": "Subscription", "status": status, "reason": "by hand", "criteria": "ChargeItem?"}
        ehr.store.create(made | {"channel": channel})
    ehr.store.create(made | {"channel": channel | {"endpoint": ENDPOINT.replace("ehr", "other")}})
    async with opened() as told:
        await told.poll.look(SECOND)
        of_ours = [one.resource for one in told.there if one.resource["channel"]["endpoint"] == ENDPOINT]
        assert sorted(one["status"] for one in of_ours) == ["active", "off", "off"]
        assert len(told.there) == 4
        (live,) = [one for one in of_ours if one["status"] == "active"]
        assert live["channel"]["header"] == [f"Authorization: Bearer {SECRET}"]


# ── signs of life ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_topic_that_shows_no_life_is_told_and_asked_for_until_it_does(opened: Open) -> None:
    _ehr(opened).switches.subscriptions = "topics"
    async with opened(subscribe_topics=TOPIC, subscribe_heartbeat_s=900) as told:
        await told.poll.look(SECOND)
        for _ in range(4):
            await told.poll.look(timedelta(minutes=14))
            await told.ehr.subscriptions.heartbeat()
        assert await told.poll.told(SILENT) == []
        await told.poll.look(timedelta(minutes=31))
        (says,) = await told.poll.told(SILENT)
        assert "every 900 s" in says
        assert "ehr-untold" in [one.code for one in await told.poll.units.read(standing)]
        await told.ehr.subscriptions.heartbeat()
        assert await told.poll.told(SILENT) == []


async def test_an_event_that_got_lost_is_found_by_the_next_sign_of_life(opened: Open) -> None:
    ehr = _ehr(opened)
    ehr.switches.subscriptions = "topics"
    async with opened(subscribe_topics=TOPIC) as told:
        await told.poll.look(SECOND)
        await told.poll.look(MINUTE)
        ehr.faults.set.append(Fault("lost_notification", times=1))
        await told.changes("80.00")
        assert await told.owed() == [Money(10000, "USD")]
        await ehr.subscriptions.heartbeat()
        assert await told.owed() == [Money(8000, "USD")]
