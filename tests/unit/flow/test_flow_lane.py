"""Lanes, leases and topics, on both engines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import LeaseLost, NotFound
from fhirpay.flow import lane
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import _claim_of, claim, give_back, still_ours, take_over_all
from fhirpay.flow.tables import PlaceRow, WorkTopicRow

LEASE = timedelta(seconds=60)


def put(tx: Tx, ref: str, lanes: Sequence[str] = ("a",), **more: Any) -> str:
    return lane.enqueue(tx, queue="inbox", kind="hl7", ref=ref, lanes=lanes, **more)


def take(tx: Tx, limit: int = 10) -> list[Work]:
    return claim(tx, queue="inbox", kinds=["hl7"], owner="test", lease=LEASE, limit=limit)


def refs(works: Sequence[Work]) -> list[str]:
    return [work.ref for work in works]


def leftovers(tx: Tx) -> int:
    return sum(tx.scalar(sa.select(sa.func.count()).select_from(table(t))) for t in (PlaceRow, WorkTopicRow))


async def test_one_lane_is_worked_in_order_and_other_lanes_beside_it(units: Units) -> None:
    for ref, key in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("none", "")):
        await units.write(put, ref, [key] if key else [])
    first = await units.write(take)
    assert sorted(refs(first)) == ["a1", "b1", "none"]
    assert await units.write(take) == []
    for work in first:
        await units.write(lane.complete, work)
    (second,) = await units.write(take)
    assert second.ref == "a2"
    await units.write(lane.complete, second)
    assert await units.read(lane.pending_count, "inbox") == 0
    assert await units.read(leftovers) == 0


async def test_an_item_of_two_lanes_waits_for_both_heads_and_is_a_barrier_on_both(units: Units) -> None:
    for ref, lanes in (("a1", "a"), ("b1", "b"), ("merge", "ba"), ("a2", "a"), ("b2", "b")):
        await units.write(put, ref, list(lanes))
    a1, b1 = await units.write(take)
    await units.write(lane.complete, a1)
    assert await units.write(take) == []
    await units.write(lane.complete, b1)
    (merge,) = await units.write(take)
    assert merge.ref == "merge"
    assert merge.lanes == ("a", "b")
    assert await units.write(take) == []
    await units.write(lane.complete, merge)
    assert sorted(refs(await units.write(take))) == ["a2", "b2"]


async def test_an_item_of_many_lanes_stands_in_each_of_them(units: Units) -> None:
    """More of them than one statement takes, and something before it in two."""
    many = [f"lane{number:02d}" for number in range(20)]
    for ref, lanes in (("first", many[:1]), ("last", many[19:]), ("all", many), *((one, [one]) for one in many)):
        await units.write(put, ref, lanes)
    for work in await units.write(take):
        await units.write(lane.complete, work)
    (work,) = await units.write(take)
    assert (work.ref, work.lanes) == ("all", tuple(many))
    await units.write(lane.complete, work)
    assert sorted(refs(await units.write(take, 30))) == many


async def test_work_waits_for_its_time_and_holds_its_lane_meanwhile(units: Units, clock: FrozenClock) -> None:
    await units.write(put, "later", due=clock.now() + timedelta(minutes=5))
    await units.write(put, "after it")
    assert await units.write(take) == []
    assert await units.read(lane.next_due, "inbox") == clock.now() + timedelta(minutes=5)
    clock.advance(timedelta(minutes=5))
    assert refs(await units.write(take)) == ["later"]


async def test_a_dead_workers_item_is_taken_over_and_the_dead_one_is_refused(units: Units, clock: FrozenClock) -> None:
    await units.write(put, "one")
    (dead,) = await units.write(take)
    assert await units.read(still_ours, dead)
    clock.advance(LEASE - timedelta(microseconds=1))
    assert await units.write(take) == []
    clock.advance(timedelta(microseconds=1))
    assert not await units.read(still_ours, dead)
    (alive,) = await units.write(take)
    assert (alive.ref, alive.attempt) == ("one", 2)
    for end in (
        lambda tx: lane.complete(tx, dead),
        lambda tx: lane.park(tx, dead, reason="x"),
        lambda tx: lane.retry(tx, dead, after=None, error="x"),
    ):
        with pytest.raises(LeaseLost):
            await units.write(end)
    await units.write(give_back, dead)
    assert await units.read(still_ours, alive)
    await units.write(lane.complete, alive)
    with pytest.raises(LeaseLost):
        await units.write(lane.complete, alive)


async def test_what_a_start_takes_over_is_refused_to_who_had_it(units: Units) -> None:
    await units.write(put, "one")
    (dead,) = await units.write(take)
    assert await units.write(take_over_all) == 1
    assert not await units.read(still_ours, dead)
    with pytest.raises(LeaseLost):
        await units.write(lane.complete, dead)
    (alive,) = await units.write(take)
    await units.write(lane.complete, alive)


async def test_a_lost_lease_leaves_nothing_of_its_unit(units: Units, clock: FrozenClock) -> None:
    await units.write(put, "one")
    (dead,) = await units.write(take)
    clock.advance(LEASE)
    await units.write(take)

    def effect(tx: Tx) -> None:
        put(tx, "effect", ["z"])
        lane.complete(tx, dead)

    with pytest.raises(LeaseLost):
        await units.write(effect)
    assert await units.read(lane.pending_count, "inbox") == 1


async def test_a_retry_keeps_its_place_and_waits_longer_each_time(units: Units, clock: FrozenClock) -> None:
    await units.write(put, "one")
    await units.write(put, "two")
    for attempt in range(1, 8):
        (work,) = await units.write(take)
        assert (work.ref, work.attempt) == ("one", attempt)
        await units.write(lane.retry, work, after=None, error="busy")
        due = await units.read(lane.next_due, "inbox")
        assert due is not None
        wait = due - clock.now()
        assert timedelta(0) < wait <= timedelta(seconds=2 ** (attempt - 1))
        assert await units.write(take) == []
        clock.advance(wait)
    (work,) = await units.write(take)
    assert work.error == "busy"


async def test_work_given_back_is_claimable_at_once_and_the_attempt_does_not_count(units: Units) -> None:
    await units.write(put, "one")
    (work,) = await units.write(take)
    await units.write(give_back, work)
    (again,) = await units.write(take)
    assert again.attempt == 1
    with pytest.raises(LeaseLost):
        await units.write(lane.complete, work)


async def test_parked_work_holds_up_what_needs_its_topic_and_nothing_else(units: Units) -> None:
    charge: dict[str, Any] = {"needs": ["charge:1"], "blocks": ["charge:1"], "suspends": ["account:a"]}
    parked_id = await units.write(put, "bad charge", **charge)
    await units.write(put, "its credit", **charge)
    await units.write(put, "other charge", needs=["charge:2"], blocks=["charge:2"])
    (bad,) = await units.write(take)
    await units.write(lane.park, bad, reason="no code")
    assert await units.read(lane.suspended, ["account:a", "account:b"]) == [parked_id]
    assert await units.read(lane.suspended, ["account:b"]) == []

    (other,) = await units.write(take)
    assert other.ref == "other charge"
    await units.write(lane.complete, other)
    bad_row, credit_row = await units.read(lane.parked, "inbox")
    assert (bad_row.ref, bad_row.reason, bad_row.waits_for) == ("bad charge", "no code", None)
    assert (credit_row.ref, credit_row.reason, credit_row.waits_for) == (
        "its credit",
        f"waits for {parked_id}",
        parked_id,
    )
    assert len(await units.read(lane.suspended, ["account:a"])) == 2

    # It parks again: nothing has changed for those who wait.
    assert await units.write(lane.release, parked_id)
    (again,) = await units.write(take)
    await units.write(lane.park, again, reason="still no code")
    waiting = {row.ref: row.waits_for for row in await units.read(lane.parked, "inbox")}
    assert waiting == {"bad charge": None, "its credit": parked_id}

    assert await units.write(lane.release, parked_id)
    (fixed,) = await units.write(take)
    assert (fixed.ref, fixed.attempt) == ("bad charge", 1)
    await units.write(lane.complete, fixed)
    (credit,) = await units.write(take)
    assert credit.ref == "its credit"
    await units.write(lane.complete, credit)
    assert await units.read(lane.suspended, ["account:a"]) == []
    assert await units.read(lane.parked, "inbox") == []
    assert await units.read(leftovers) == 0


async def test_two_that_block_each_other_do_not_wait_for_each_other(units: Units) -> None:
    both: dict[str, Any] = {"needs": ["t"], "blocks": ["t"]}
    for ref in ("one", "two"):
        await units.write(put, ref, [ref], **both)
    works = await units.write(take)
    for work in works:
        await units.write(lane.park, work, reason="bad")
    for work in works:
        await units.write(lane.release, work.work_id)
    done = []
    while claimed := await units.write(take, 1):
        await units.write(lane.complete, claimed[0])
        done.append(claimed[0].ref)
    assert sorted(done) == ["one", "two"]
    assert await units.read(leftovers) == 0


async def test_discarding_a_parked_item_lets_go_of_those_who_wait(units: Units) -> None:
    first = await units.write(put, "first", blocks=["t"])
    await units.write(put, "second", needs=["t"])
    (work,) = await units.write(take)
    await units.write(lane.park, work, reason="bad")
    assert await units.write(take) == []
    await units.write(lane.discard, first, reason="sent by mistake")
    (second,) = await units.write(take)
    assert second.ref == "second"
    with pytest.raises(NotFound):
        await units.write(lane.discard, first, reason="again")


async def test_done_work_may_be_replayed_and_ready_work_is_left_alone(units: Units) -> None:
    work_id = await units.write(put, "one")
    assert not await units.write(lane.release, work_id)
    (work,) = await units.write(take)
    await units.write(lane.complete, work)
    await units.write(put, "two")
    assert await units.write(lane.release, work_id)
    (two,) = await units.write(take)
    assert two.ref == "two"
    await units.write(lane.complete, two)
    assert refs(await units.write(take)) == ["one"]
    with pytest.raises(NotFound):
        await units.write(lane.release, "wrk-unknown")


async def test_what_may_be_asked_for_once_is_added_once(units: Units) -> None:
    first = await units.write(put, "one", once_key="posting:1")
    assert await units.write(put, "again", once_key="posting:1") == first
    other = await units.write(put, "other", once_key="posting:2")
    assert other != first
    (work,) = await units.write(take)
    await units.write(lane.complete, work)
    assert await units.write(put, "once more", once_key="posting:1") == first
    assert refs(await units.write(take)) == ["other"]
    assert await units.read(lane.pending_count, "inbox") == 1


async def test_many_are_ended_at_once_and_those_that_were_lost_are_named(units: Units, clock: FrozenClock) -> None:
    for ref, lanes in (("a1", "a"), ("b1", "b"), ("c1", "c"), ("merge", "ab"), ("c2", "c")):
        await units.write(put, ref, list(lanes))
    works = {work.ref: work for work in await units.write(take)}
    assert sorted(works) == ["a1", "b1", "c1"]
    await units.write(give_back, works["c1"])
    assert await units.write(lane.complete_all, list(works.values())) == [works["c1"]]
    assert sorted(refs(await units.write(take))) == ["c1", "merge"]


def test_the_next_items_are_found_in_the_order_of_an_index(databases: Any) -> None:
    """However many are pending, and however many came at one moment: nothing is sorted, nothing else is looked at."""
    given = {"tenant": "main", "q": "inbox", "o": "me", "now": 1, "until": 2, "most": 10}
    text, bind = _claim_of(("fhir", "hl7")).compiled("postgresql")
    with databases.url("postgresql") as url, psycopg.connect(url) as raw:
        raw.execute("SET enable_seqscan = off")
        raw.execute("SET enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in raw.execute(f"EXPLAIN {text}", bind(given)))
    assert "Index Scan using ix_work_claim" in plan
    assert "Sort" not in plan
