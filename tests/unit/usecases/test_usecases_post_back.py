"""A posting reaches the EHR once, whatever happens on the way there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from ehr_running import running_ehr
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.flow.lane import Work, parked, pending_count, release
from fhirpay.flow.worker import Worker
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.postings import by_hand
from writeback_world import KIND, PAYMENT, R4, R5, WAYS, Desk, amount, desk_of, facts

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked")


@pytest.fixture
async def desk(database: Database, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with running_ehr() as ehr, desk_of(database, clock, ehr=ehr) as made:
        yield made


@pytest.mark.parametrize("version", [R4, R5])
@pytest.mark.parametrize("way", WAYS)
async def test_a_payment_is_posted_once_by_every_way(desk: Desk, way: str, version: str) -> None:
    desk.can(**WAYS[way], fhir_version=version)
    posting_id = await desk.settle()
    assert await desk.settle() == posting_id
    assert await desk.work() == 1
    (there,) = desk.there()
    posting = await desk.posting(posting_id)
    assert (posting.state, posting.remote_id, posting.remote_version) == ("posted", there["id"], "1")
    assert (there["id"] == PAYMENT) == (way == "PUT")
    assert amount(there) == "80.00"
    assert ("allocation" in there) == (version == R5)
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
    desk.can(**WAYS["SEARCH"])
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


@pytest.mark.parametrize("way", ["IF_NONE_EXIST", "SEARCH"])
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
    desk.can(**WAYS["SEARCH"])
    desk.fault("lost_answer", methods=["POST"])
    desk.fault("rewrite", times=None)
    posting_id = await desk.settle()
    for number in range(3):
        await desk.another(f"pay-later-{number}")
    for _ in range(40):
        await desk.later()
    posting = await desk.posting(posting_id)
    assert (posting.state, desk.count()) == ("unknown", 1)
    assert "its search doesn't show what it has taken" in str(posting.reason)
    assert [item.subject for item in await desk.open_items()] == [posting.work_id]


async def test_a_server_that_forgets_if_none_exist_still_gets_it_once(desk: Desk) -> None:
    desk.can(**WAYS["IF_NONE_EXIST"])
    desk.fault("forget_if_none_exist", times=None)
    desk.fault("lost_answer", methods=["POST"])
    await desk.settle()
    await desk.work()
    await desk.later()
    assert len(desk.there()) == 1


async def test_a_server_that_announces_too_much_gets_it_by_the_next_way(desk: Desk) -> None:
    await desk.clients["ehr"].capability(KIND)
    desk.can(update_create=False)
    posting_id = await desk.settle()
    await desk.work()
    assert (await desk.posting(posting_id)).state == "posted"
    assert len(desk.there()) == 1


async def test_where_nobody_can_look_a_lost_answer_is_for_a_person(desk: Desk) -> None:
    desk.can(**WAYS["BLIND"])
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
    desk.can(**WAYS["BLIND"])
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


@pytest.mark.parametrize(("version", "lines"), [(R4, "detail"), (R5, "allocation")])
async def test_a_refund_is_a_new_negative_that_names_what_it_takes_back(desk: Desk, version: str, lines: str) -> None:
    desk.can(fhir_version=version)
    await desk.settle()
    await desk.settle(refund=True)
    assert await desk.work() == 2
    first, second = desk.there()
    assert (amount(first), amount(second)) == ("80.00", "-30.00")
    assert second[lines][0]["predecessor"] == first[lines][0]["identifier"]
    assert second["disposition"] == "Partial refund of pay1"


async def test_a_refund_waits_for_its_payment(desk: Desk) -> None:
    desk.can(**WAYS["BLIND"])
    desk.fault("cut", methods=["POST"])
    payment = await desk.settle()
    await desk.settle(refund=True)
    await desk.later()
    assert desk.there() == []
    await desk.units.write(by_hand, payment, remote_id=None)
    await desk.later()
    await desk.later()
    assert [amount(item) for item in desk.there()] == ["80.00", "-30.00"]
    assert await desk.units.read(pending_count, "outbox") == 0


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("way", ["PUT", "IF_NONE_EXIST", "SEARCH"])
async def test_a_crash_at_any_step_then_a_restart_ends_the_same(desk: Desk, way: str) -> None:
    desk.can(**WAYS[way])
    crashes: list[int] = []
    for at in range(1, 20):
        posting_id = await desk.settle(f"pay{at}")
        post_back = PostBack(_Crashing(desk.units, at), desk.tenant, desk.clients, facts=facts)

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
