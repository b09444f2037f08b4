"""A posting reaches the EHR once, whatever happens on the way there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from ehr_running import TOKEN, Running, running_ehr
from fhirpay.billing.worklist import Item, list_open
from fhirpay.config import Connection, Tenant
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow.lane import Work, parked, pending_count, release
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.simulators.ehr_store import Store
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack, by_hand, enqueue
from fhirpay.writeback import store
from fhirpay.writeback.payment_reconciliation import PAYMENT_SYSTEM, Line, PostedPayment, allocation_id
from fhirpay.writeback.store import Posting

pytestmark = pytest.mark.warns("call.parked", "work.parked", "work.retry")

PAYMENT, REFUND = "pay1", "ref1"
KIND = "PaymentReconciliation"


def facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    amount = Money(3000 if posting.is_refund else 8000, "USD")
    visit = {"type": "Encounter", "identifier": {"system": "urn:visit", "value": "1"}}
    takes_back = allocation_id(PAYMENT, 1) if posting.is_refund else ""
    return PostedPayment(
        id=posting.subject,
        amount=amount,
        at=tx.now,
        zone="America/New_York",
        processor="sim",
        reference="re_1" if posting.is_refund else "ch_1",
        lines=[Line(1, amount, visit, takes_back=takes_back)],
        refund_of=PAYMENT if posting.is_refund else "",
    )


class Desk:
    """One tenant with one EHR; `work()` does what is due, `later()` what would be due in an hour."""

    def __init__(self, database: Database, units: Units, clock: FrozenClock, ehr: Running) -> None:
        self.units, self.ehr = units, ehr
        self._clock = clock
        self.database = database
        connection = Connection(name="ehr", base_url=ehr.base_url, token=TOKEN, organization="clinic")
        self.tenant = Tenant(name="main", connections=(connection,))
        http = client(ehr.base_url, allow_private=True, timeout_s=2)
        self.fhir = FhirClient("ehr", http, token=TOKEN, retry_wait_s=0)
        self._start()

    def _start(self) -> None:
        post_back = PostBack(self.units, self.tenant, {"ehr": self.fhir}, facts=facts)
        handlers = {"writeback": post_back.run}
        self._worker = Worker(self.database, self.units, queue="outbox", handlers=handlers, on_parked=note_parked_call)

    async def settle(self, refund: bool = False, payment_id: str = PAYMENT) -> str:
        (posting_id,) = await self.units.write(
            enqueue, payment_id=payment_id, refund_id=REFUND if refund else None, tenant=self.tenant
        )
        return posting_id

    async def work(self) -> int:
        return await self._worker.drain()

    async def later(self, by: timedelta = timedelta(hours=1)) -> int:
        self._clock.advance(by)
        return await self._worker.drain()

    async def posting(self, posting_id: str) -> Posting:
        return await self.units.read(store.get, posting_id)

    async def open_items(self) -> list[Item]:
        return await self.units.read(list_open)

    def fault(self, mode: str, times: int | None = 1, **more: Any) -> None:
        self.ehr.fault(mode, times, **more)

    @property
    def store(self) -> Store:
        return self.ehr.store

    async def another(self, payment_id: str = "pay-later") -> None:
        """The EHR takes a later payment, and its index has settled."""
        await self.settle(payment_id=payment_id)
        await self.work()
        await self.later()

    def can(self, **switches: bool) -> None:
        for name, value in switches.items():
            setattr(self.ehr.ehr.switches, name, value)

    def there(self, payment_id: str = "") -> list[dict[str, Any]]:
        """Every version that the EHR has, of one payment or of all."""
        return [one for one in self.ehr.stored(KIND) if payment_id in ("", one["identifier"][0]["value"])]


@pytest.fixture
async def desk(database: Database, units: Units, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        ehr = await stack.enter_async_context(running_ehr())
        made = Desk(database, units, clock, ehr)
        stack.push_async_callback(made.fhir.aclose)
        yield made


WAYS = {
    "put": {},
    "if-none-exist": {"update_create": False},
    "search": {"update_create": False, "conditional_create": False},
    "blind": {"update_create": False, "conditional_create": False, "search": False},
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_payment_is_posted_once_by_every_way(desk: Desk, way: str) -> None:
    desk.can(**WAYS[way])
    posting_id = await desk.settle()
    assert await desk.settle() == posting_id
    assert await desk.work() == 1
    (there,) = desk.there()
    posting = await desk.posting(posting_id)
    assert (posting.state, posting.remote_id, posting.remote_version) == ("posted", there["id"], "1")
    assert (there["id"] == PAYMENT) == (way == "put")
    assert str(there["paymentAmount"]["value"]) == "80.00"
    assert await desk.later() == 0


async def test_it_is_tried_until_the_ehr_takes_it(desk: Desk) -> None:
    desk.fault("down", times=None)
    posting_id = await desk.settle()
    for _ in range(12):
        await desk.later()
    desk.ehr.ehr.faults.set.clear()
    await desk.later()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there()) == 1


async def test_an_index_that_lags_doesnt_make_it_twice(desk: Desk) -> None:
    desk.can(**WAYS["search"])
    desk.fault("lost_answer", methods=["POST"])
    desk.fault("index_lag", times=None, seconds=3600)
    posting_id = await desk.settle()
    await desk.work()
    assert await desk.later(timedelta(seconds=30)) == 1  # looks, finds nothing, and knows that this proves nothing
    assert len(desk.there()) == 1
    desk.ehr.ehr.faults.set.clear()
    await desk.later()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there()) == 1


@pytest.mark.parametrize("way", ["if-none-exist", "search"])
async def test_not_found_is_believed_once_the_search_shows_what_came_later(desk: Desk, way: str) -> None:
    desk.can(**WAYS[way])
    desk.fault("cut", methods=["POST"])
    posting_id = await desk.settle()
    await desk.work()
    await desk.later(timedelta(seconds=30))
    assert desk.there() == []
    await desk.later(timedelta(minutes=3))
    assert (await desk.posting(posting_id)).state == "unknown"  # the search may be broken, for all that we know
    assert len(await desk.open_items()) == 1
    await desk.another()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there(PAYMENT)) == 1
    assert await desk.open_items() == []


async def test_a_search_that_never_shows_what_came_later_leaves_it_to_a_person(desk: Desk) -> None:
    desk.can(**WAYS["search"])
    desk.fault("lost_answer", methods=["POST"])
    desk.fault("rewrite", times=None)
    posting_id = await desk.settle()
    for number in range(3):
        await desk.another(f"pay-later-{number}")
    for _ in range(40):
        await desk.later()
    posting = await desk.posting(posting_id)
    assert (posting.state, len(desk.store.live(KIND, PAYMENT_SYSTEM, PAYMENT))) == ("unknown", 1)
    assert "its search doesn't show what it has taken" in str(posting.reason)
    assert [item.subject for item in await desk.open_items()] == [posting.work_id]


async def test_a_server_that_forgets_if_none_exist_still_gets_it_once(desk: Desk) -> None:
    desk.can(**WAYS["if-none-exist"])
    desk.fault("forget_if_none_exist", times=None)
    desk.fault("lost_answer", methods=["POST"])
    await desk.settle()
    await desk.work()
    await desk.later()
    assert len(desk.there()) == 1


async def test_a_server_that_announces_too_much_gets_it_by_the_next_way(desk: Desk) -> None:
    await desk.fhir.capability(KIND)
    desk.can(update_create=False)
    posting_id = await desk.settle()
    await desk.work()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there()) == 1


async def test_where_nobody_can_look_a_lost_answer_is_for_a_person(desk: Desk) -> None:
    desk.can(**WAYS["blind"])
    desk.fault("lost_answer", methods=["POST"])
    posting_id = await desk.settle()
    await desk.work()
    await desk.later()
    posting = await desk.posting(posting_id)
    assert posting.state == "unknown"
    assert "lets nobody look" in str(posting.reason)
    assert len(await desk.units.read(parked, "outbox")) == 1
    assert [item.subject for item in await desk.open_items()] == [posting.work_id]
    await desk.units.write(by_hand, posting_id, remote_id=desk.there()[0]["id"])
    await desk.later()
    posting = await desk.posting(posting_id)
    assert (posting.state, posting.remote_id) == ("posted", desk.there()[0]["id"])
    assert await desk.open_items() == []
    with pytest.raises(RuleBroken, match="nothing to decide"):
        await desk.units.write(by_hand, posting_id, remote_id=None)
    assert len(desk.there()) == 1


async def test_a_person_may_find_that_it_isnt_there(desk: Desk) -> None:
    desk.can(**WAYS["blind"])
    desk.fault("cut", methods=["POST"])
    posting_id = await desk.settle()
    await desk.work()
    await desk.units.write(by_hand, posting_id, remote_id=None)
    await desk.later()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there()) == 1


async def test_a_refusal_parks_with_the_words_of_the_ehr_and_a_replay_posts_it(desk: Desk) -> None:
    organization = desk.ehr.ehr.store.read("Organization", "clinic")
    assert organization is not None
    desk.ehr.ehr.store._db.execute("delete from version where type = 'Organization'")
    posting_id = await desk.settle()
    await desk.work()
    posting = await desk.posting(posting_id)
    assert (posting.state, posting.body) == ("parked", None)
    assert "Organization/clinic leads nowhere here" in str(posting.reason)
    assert [item.subject for item in await desk.open_items()] == [posting.work_id]
    desk.ehr.ehr.seed({"resourceType": "Organization", "id": "clinic"})
    await desk.units.write(release, posting.work_id)
    await desk.work()
    assert (await desk.posting(posting_id)).state == "posted"
    assert await desk.open_items() == []


async def test_a_refund_is_a_new_negative_that_names_what_it_takes_back(desk: Desk) -> None:
    await desk.settle()
    await desk.settle(refund=True)
    assert await desk.work() == 2
    first, second = desk.there()
    assert first["paymentAmount"]["value"] == 80
    assert str(second["paymentAmount"]["value"]) == "-30.00"
    assert second["detail"][0]["predecessor"] == first["detail"][0]["identifier"]
    assert second["disposition"] == "Partial refund of pay1"


async def test_a_refund_waits_for_its_payment(desk: Desk) -> None:
    desk.can(**WAYS["blind"])
    desk.fault("cut", methods=["POST"])
    payment = await desk.settle()
    await desk.settle(refund=True)
    await desk.later()
    assert desk.there() == []
    await desk.units.write(by_hand, payment, remote_id=None)
    await desk.later()
    await desk.later()
    assert [str(item["paymentAmount"]["value"]) for item in desk.there()] == ["80.00", "-30.00"]
    assert await desk.units.read(pending_count, "outbox") == 0


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("way", ["put", "if-none-exist", "search"])
async def test_a_crash_at_any_step_then_a_restart_ends_the_same(desk: Desk, way: str) -> None:
    desk.can(**WAYS[way])
    crashes: list[int] = []
    for at in range(1, 20):
        posting_id = await desk.settle(payment_id=f"pay{at}")
        post_back = PostBack(_Crashing(desk.units, at), desk.tenant, {"ehr": desk.fhir}, facts=facts)

        async def handle(work: Work, at: int = at, post_back: PostBack = post_back) -> None:
            try:
                await post_back.run(work)
            except Crash:
                crashes.append(at)

        await Worker(desk.database, desk.units, queue="outbox", handlers={"writeback": handle}).drain()
        await desk.later()
        await desk.another(f"later{at}")
        assert (await desk.posting(posting_id)).state == "posted"
        assert len(desk.there()) == 2 * at
        if at not in crashes:
            break
    assert crashes == [1, 2, 3, 4, 5, 6]  # before and after the commit of each unit
    assert {item["meta"]["versionId"] for item in desk.there()} == {"1"}


class _Crashing:
    """Units that end the process at the n-th boundary: before the unit, or right after its commit."""

    def __init__(self, units: Units, at: int) -> None:
        self._units, self._left = units, at
        self.tenant, self.dialect = units.tenant, units.dialect

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash

    async def _around(self, run: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        self._step()
        value = await run(*args, **kwargs)
        self._step()
        return value

    async def write(self, fn: Any, *args: Any, urgent: bool = False, **kwargs: Any) -> Any:
        return await self._around(self._units.write, fn, *args, urgent=urgent, **kwargs)

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._around(self._units.read, fn, *args, **kwargs)
