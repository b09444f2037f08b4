"""An EHR that pages, filters, sorts or answers as it shouldn't: nothing is missed or taken twice, somebody is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import LeaseLost
from fhirpay.polling import store
from fhirpay.usecases.poll_ehr import UNFILTERED, UNREAD
from fhirpay.usecases.take_polled import REFUSED
from polling_world import BASE, SINCE, Odd, Poll, polling

pytestmark = pytest.mark.warns("poll.page_failed")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}

FAILED = {
    "resourceType": "Bundle",
    "type": "searchset",
    "entry": [{"resource": OUTCOME, "search": {"mode": "outcome"}}],
}


@pytest.fixture
async def database(database_url: str, open_it: Any) -> AsyncIterator[Database]:
    opened = open_it(database_url)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, databases: Any) -> Any:
    """What an EHR does wrong has nothing to do with the engine."""
    with databases.url(request.param, again=True) as url:
        yield url


@pytest.fixture
def odd(clock: FrozenClock) -> Odd:
    return Odd(clock.now)


@pytest.fixture
async def poll(database: Database, clock: FrozenClock, ids: CountedIds, odd: Odd) -> AsyncIterator[Poll]:
    async with polling(database, clock, ids, odd) as made:
        made.works = False
        yield made


def many(odd: Odd, count: int) -> list[str]:
    """So many charges, a minute apart, in an order that is not theirs."""
    names = [f"c{number:02}" for number in range(count)]
    for number in reversed(range(count)):
        odd.add(names[number], SINCE + number * MINUTE)
    return [f"GET ChargeItem/{name}" for name in names]


async def test_a_change_while_we_page_pushes_nothing_out_of_sight(poll: Poll, odd: Odd, clock: FrozenClock) -> None:
    names = many(odd, 12)

    def touched(number: int) -> None:
        if number == 1:  # the first page is out: what was on it changes, and all that follows moves up by one
            odd.add("c02", clock.now(), 2, amount="90.00")

    odd.on_page = touched
    await poll.look()
    assert set(await poll.messages()) == set(names)
    assert (await poll.messages()).count("GET ChargeItem/c02") == 2


@pytest.mark.parametrize("sorts", [True, False])
async def test_a_server_that_doesnt_filter_is_read_whole_and_told(poll: Poll, odd: Odd, *, sorts: bool) -> None:
    names = many(odd, 12)
    odd.add("old", SINCE - DAY)  # of before poll_since: nobody asked for it
    odd.filters, odd.sorts = False, sorts
    await poll.look()
    assert sorted(await poll.messages()) == names
    (says,) = await poll.told(UNFILTERED)
    assert "nothing is missed" in says
    odd.filters = True
    await poll.look()
    assert sorted(await poll.messages()) == names
    assert await poll.told(UNFILTERED) == []


async def test_a_server_that_refuses_to_sort_is_read_by_its_links(poll: Poll, odd: Odd) -> None:
    names = many(odd, 12)
    odd.can_sort = odd.sorts = False
    await poll.look()
    assert sorted(await poll.messages()) == names


@pytest.mark.parametrize("page_max", [1, 5])
async def test_a_page_in_order_by_chance_hides_nothing_of_a_server_that_ignores_sort(
    poll: Poll, odd: Odd, page_max: int
) -> None:
    odd.sorts, odd.page_max = False, page_max
    for number in range(5):  # by its id: those that are old, and were changed last
        odd.add(f"a{number}", SINCE + DAY + number * MINUTE)
    for number in range(5):
        odd.add(f"b{number}", SINCE + number * MINUTE)
    await poll.look()
    assert len(set(await poll.messages())) == len(await poll.messages()) == 10


async def test_charges_of_one_moment_are_read_by_its_links(poll: Poll, odd: Odd) -> None:
    for number in range(12):
        odd.add(f"c{number}", SINCE + DAY)
    await poll.look()
    assert len(set(await poll.messages())) == len(await poll.messages()) == 12


@pytest.mark.parametrize("ahead", [timedelta(hours=-1), timedelta(hours=1), None])
async def test_a_clock_that_is_off_hides_nothing(
    poll: Poll, odd: Odd, clock: FrozenClock, ahead: timedelta | None
) -> None:
    """Its Date is an hour off its lastUpdated, or it has none; its lastUpdated is ten minutes off our clock."""
    odd.date = ahead
    for number in range(6):
        odd.add(f"c{number}", clock.now() - 10 * MINUTE)
        await poll.look()
    assert len(await poll.messages()) == 6


async def test_a_moment_in_the_future_doesnt_end_the_watch(poll: Poll, odd: Odd, clock: FrozenClock) -> None:
    odd.add("bogus", clock.now() + 365 * DAY)
    await poll.look()
    odd.add("c1", clock.now())
    await poll.look()
    assert "GET ChargeItem/c1" in await poll.messages()


async def test_what_shows_late_is_found_within_the_overlap(poll: Poll, odd: Odd, clock: FrozenClock) -> None:
    odd.add("c1", clock.now())
    await poll.look()
    odd.add("late", clock.now() - timedelta(minutes=14))  # committed after, with an earlier moment
    await poll.look(timedelta(minutes=2))
    assert "GET ChargeItem/late" in await poll.messages()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: httpx2.Response(200, text="<html>Sign in</html>"), "not FHIR"),
        (lambda _: httpx2.Response(200, json=OUTCOME), "no Bundle"),
        (
            lambda _: httpx2.Response(200, json=FAILED),
            "answered a search by an error",
        ),
        (lambda _: httpx2.Response(401), "doesn't accept our token"),
        (lambda _: httpx2.Response(403, json=OUTCOME), "answered 403"),
        (lambda _: httpx2.Response(503, headers={"retry-after": "1"}), "answered 503"),
    ],
)
async def test_what_is_no_page_is_told_and_read_once_it_is_one(poll: Poll, odd: Odd, answer: Any, says: str) -> None:
    (name,) = many(odd, 1)
    odd.answers = [answer] * 12
    for _ in range(4):
        await poll.look()
    (told,) = await poll.told(UNREAD)
    assert says in told
    odd.answers = []
    await poll.look()
    assert await poll.messages() == [name]
    assert await poll.told(UNREAD) == []


async def test_a_token_that_dies_between_pages_loses_none(poll: Poll, odd: Odd) -> None:
    names = many(odd, 12)
    odd.answers = [lambda _: None, lambda _: httpx2.Response(401), lambda _: None]
    await poll.look()
    assert len(await poll.messages()) == 5  # what was read is kept
    await poll.look()
    assert sorted(await poll.messages()) == names


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("https://elsewhere.example/other/ChargeItem?page=2", "isn't followed"),
        ("https://[elsewhere/ChargeItem?page=2", "isn't followed"),
        (f"{BASE}/Charge\x01Item?page=2", "isn't followed"),
        (f"{BASE}/%2E%2e/ChargeItem?page=2", "isn't followed"),
        (f"{BASE}/ChargeItem?_lastUpdated=ge2026-11-01T00:00:00Z&_count=50&_offset=0", "in a circle"),
    ],
)
async def test_pages_that_lead_nowhere_are_told(poll: Poll, odd: Odd, link: str, says: str) -> None:
    for number in range(12):
        odd.add(f"c{number}", SINCE)  # of one moment: it is the links that count
    odd.next_link = lambda _: link
    await poll.look()
    (told,) = await poll.told(UNREAD)
    assert says in told
    assert len(await poll.messages()) == 5
    assert len(odd.calls) < 8
    odd.next_link = lambda link: link
    await poll.look()
    await poll.look()
    assert len(await poll.messages()) == 12
    assert await poll.told(UNREAD) == []


async def test_a_link_that_has_died_is_begun_anew(poll: Poll, odd: Odd) -> None:
    for number in range(12):
        odd.add(f"c{number}", SINCE)
    odd.answers = [lambda _: None, lambda _: httpx2.Response(410, json=OUTCOME)]
    await poll.look()
    await poll.look()
    assert len(set(await poll.messages())) == len(await poll.messages()) == 12


async def test_a_page_that_is_too_large_is_asked_for_in_parts(poll: Poll, odd: Odd) -> None:
    names = many(odd, 7)
    odd.too_large = lambda count: count > 3
    await poll.look()
    assert await poll.told(UNREAD) == []
    assert await poll.messages() == names


@pytest.mark.parametrize("same_moment", [False, True])
async def test_a_resource_that_is_too_large_is_told_and_the_others_are_taken(
    poll: Poll, odd: Odd, clock: FrozenClock, *, same_moment: bool
) -> None:
    names = many(odd, 12)
    if same_moment:
        for number in range(12):
            odd.add(f"c{number:02}", SINCE)
    odd.large = frozenset({"c02", "c11"})
    await poll.look()
    assert sorted(await poll.messages()) == [one for one in names if one[-3:] not in odd.large]
    told = await poll.told(REFUSED)
    assert sorted(one.partition(" ")[0] for one in told) == ["ChargeItem/c02", "ChargeItem/c11"]
    assert await poll.told(UNREAD) == []
    asked = len(odd.calls)
    await poll.look()  # what is too large is in sight still, and isn't asked for again
    assert not [one for one in odd.calls[asked:] if "_id" in one or "_elements" not in one]
    odd.large = frozenset()
    odd.add("c02", clock.now(), 2)
    await poll.look()
    assert "GET ChargeItem/c02" in await poll.messages()
    assert [one.partition(" ")[0] for one in await poll.told(REFUSED)] == ["ChargeItem/c11"]
    await poll.look(DAY)
    await poll.look(DAY)
    assert "_elements" not in odd.calls[-1]  # it is out of sight


async def test_what_is_on_a_page_and_not_found_by_its_id_is_not_passed_over(poll: Poll, odd: Odd) -> None:
    """Resource by resource, since another one is too large."""
    names = many(odd, 3)
    odd.large, odd.hidden = frozenset({"c00"}), frozenset({"c01"})
    for _ in range(3):
        await poll.look()
    (told,) = await poll.told(UNREAD)
    assert "ChargeItem/c01 is on its page and not found by its id" in told
    odd.hidden = frozenset()
    await poll.look()
    assert sorted(await poll.messages()) == names[1:]
    assert await poll.told(UNREAD) == []


async def test_a_resource_that_is_too_large_where_it_cant_be_named_is_told(poll: Poll, odd: Odd) -> None:
    names = many(odd, 2)
    odd.too_large, odd.elements = lambda count: True, False
    await poll.look()
    (told,) = await poll.told(UNREAD)
    assert "larger than" in told
    odd.too_large = lambda count: False
    await poll.look()
    assert sorted(await poll.messages()) == names
    assert await poll.told(UNREAD) == []


async def test_resources_without_a_moment_are_not_taken(poll: Poll, odd: Odd) -> None:
    odd.answers = [lambda _: httpx2.Response(200, json={"resourceType": "Bundle", "entry": [{"resource": {**CHARGE}}]})]
    await poll.look()
    (told,) = await poll.told(UNREAD)
    assert "no meta.lastUpdated" in told
    assert await poll.messages() == []


CHARGE = {"resourceType": "ChargeItem", "id": "c1", "status": "billable", "code": {"text": "x"}}


async def test_a_crash_between_two_pages_reads_none_twice(poll: Poll, odd: Odd) -> None:
    names = many(odd, 12)

    class Killed(BaseException):
        pass

    def killed(_: httpx2.Request) -> Any:
        raise Killed

    odd.answers = [lambda _: None, killed]
    with pytest.raises(Killed):
        await poll.look()
    await poll.look(owner="two")
    assert (await poll.messages()) == names
    (mark,) = await poll.units.write(store.marks, "ehr", ("ChargeItem",), SINCE)
    assert mark.watermark == SINCE + 11 * MINUTE


async def test_who_has_lost_the_lease_leaves_nothing_behind(poll: Poll, odd: Odd, clock: FrozenClock) -> None:
    names = many(odd, 1)
    odd.gate = asyncio.Event()
    clock.advance(MINUTE)
    slow = asyncio.create_task(poll.process("one").turn())
    while not odd.calls:  # noqa: ASYNC110 (it has asked, and waits for the answer)
        await asyncio.sleep(0.01)
    gate, odd.gate = odd.gate, None
    await poll.look(timedelta(seconds=61), owner="two")
    assert await poll.messages() == names
    (before,) = await poll.units.write(store.marks, "ehr", ("ChargeItem",), SINCE)
    gate.set()
    with pytest.raises(LeaseLost):
        await slow
    assert await poll.units.write(store.marks, "ehr", ("ChargeItem",), SINCE) == [before]


@pytest.mark.warns("poll.failed")
async def test_it_goes_on_asking_whatever_happens_until_it_is_stopped(
    database: Database, clock: FrozenClock, ids: CountedIds, odd: Odd
) -> None:
    names = many(odd, 1)
    odd.answers = [lambda _: RuntimeError("a bug")]
    async with polling(database, clock, ids, odd, poll_every_s=0.01) as poll:
        stop = asyncio.Event()
        asking = asyncio.create_task(poll.process("one").run(stop))
        while await poll.messages() != names:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
        stop.set()
        await asking
    assert len(odd.calls) >= 2
