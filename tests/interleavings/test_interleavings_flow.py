"""Claim, enqueue, end, park and release against each other on PostgreSQL, interleaved statement by statement.

The law: each item is in one pair of hands, lanes keep their order, nothing is lost, and what deadlocks is run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow import lane
from fhirpay.flow.aliases import join, part
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim, give_back
from interleaving import Actor, Played, Stage, Write

LEASE = timedelta(seconds=60)


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


def put(tx: Tx, ref: str, lanes: str = "a", **more: Any) -> str:
    return lane.enqueue(tx, queue="q", kind="k", ref=ref, lanes=list(lanes), **more)


def take(tx: Tx, limit: int = 10) -> list[Work]:
    return claim(tx, queue="q", kinds=["k"], owner="t", lease=LEASE, limit=limit)


def one(write: Write) -> Work:
    (work,) = write(take, 1)
    return work


def refs(works: Sequence[Work]) -> list[str]:
    return [work.ref for work in works]


def worked_off(write: Write) -> list[str]:
    """Everything that is left, one after the other: nothing may be stuck."""
    order: list[str] = []
    while works := write(take, 1):
        order += refs(works)
        write(lane.complete, works[0])
    assert write(lane.pending_count, "q") == 0
    return order


def fine(played: Played) -> None:
    for error in played.errors:
        if error is not None:
            raise error


def test_claims_beside_each_other(stage: Stage) -> None:
    def setting() -> list[Actor]:
        for ref, lanes in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")):
            stage.write(put, ref, lanes)

        def work(write: Write) -> list[str]:
            works = write(take, 2)
            write(lane.complete_all, works) if works else None
            return refs(works)

        return [work, work]

    def check(played: Played) -> None:
        fine(played)
        first, second = played.values
        assert isinstance(first, list)
        assert isinstance(second, list)
        done = [*first, *second, *worked_off(stage.write)]
        assert sorted(done) == ["a1", "a2", "b1", "c1"]
        assert not ("a1" in first and "a2" in first)

    stage.explore(setting, check).said("claim | claim")


def test_enqueue_beside_an_end_in_the_same_lane(stage: Stage) -> None:
    """Who comes while the head leaves: at the head then, or behind who was there."""

    def setting() -> list[Actor]:
        stage.write(put, "a1")
        work = stage.write(one_of)
        return [
            lambda write: write(lane.complete, work),
            lambda write: write(put, "a2"),
            lambda write: write(put, "a3", "ab"),
        ]

    def one_of(tx: Tx) -> Work:
        return take(tx, 1)[0]

    def check(played: Played) -> None:
        fine(played)
        assert sorted(worked_off(stage.write)) == ["a2", "a3"]

    stage.explore(setting, check).said("complete | enqueue | enqueue")


def test_what_comes_late_beside_the_merge_of_its_lane(stage: Stage) -> None:
    """Before the merge, or behind all that came in the lane that stands: never in the old lane alone behind it."""

    def merge(tx: Tx) -> None:
        lane.enqueue(tx, queue="q", kind="k", ref="merge", lanes=["a", "b"])
        join(tx, "q", [("a", "b")], "merge")

    def setting() -> list[Actor]:
        stage.write(lambda tx: part(tx, "q", "merge"))
        return [lambda write: write(merge), lambda write: write(put, "late"), lambda write: write(put, "new", "b")]

    def check(played: Played) -> None:
        fine(played)
        stage.write(put, "behind", "b")
        stood: list[list[str]] = []
        while works := stage.write(take):
            stood.append(sorted(refs(works)))
            stage.write(lane.complete_all, works)
        assert {"behind"} == set(stood[-1])
        if "late" not in stood[0]:
            assert all(len(works) == 1 for works in stood), stood

    stage.explore(setting, check, most=12).said("merge | late | enqueue")


def test_two_ends_before_a_barrier(stage: Stage) -> None:
    def setting() -> list[Actor]:
        for ref, lanes in (("a1", "a"), ("b1", "b"), ("merge", "ab"), ("other", "ba"), ("a2", "a")):
            stage.write(put, ref, lanes)
        works = stage.write(take)
        return [lambda write, work=work: write(lane.complete, work) for work in works]

    def check(played: Played) -> None:
        fine(played)
        assert worked_off(stage.write) == ["merge", "other", "a2"]

    stage.explore(setting, check).said("complete | complete, before a merge")


def test_a_batch_of_ends_beside_another_over_shared_barriers(stage: Stage) -> None:
    def setting() -> list[Actor]:
        for key in "abcd":
            stage.write(put, f"{key}1", key)
        for ref, lanes in (("ac", "ac"), ("db", "db"), ("abcd", "abcd")):
            stage.write(put, ref, lanes)
        works = {work.ref: work for work in stage.write(take)}
        mine, theirs = [works["a1"], works["b1"]], [works["c1"], works["d1"]]
        return [
            lambda write: write(lane.complete_all, mine),
            lambda write: write(lane.complete_all, theirs),
        ]

    def check(played: Played) -> None:
        fine(played)
        assert played.values == [[], []]
        order = worked_off(stage.write)
        assert sorted(order[:2]) == ["ac", "db"]
        assert order[2:] == ["abcd"]

    stage.explore(setting, check).said("complete_all | complete_all, before merges")


def test_who_needs_what_is_just_being_released_is_not_forgotten(stage: Stage) -> None:
    """An item parks behind another in the very moment in which that one completes."""

    def setting() -> list[Actor]:
        holder = stage.write(put, "holder", "a", blocks=["t"])
        (work,) = stage.write(take)
        stage.write(lane.park, work, reason="bad")
        stage.write(lane.release, holder)
        (again,) = stage.write(take)
        stage.write(put, "needs it", "b", needs=["t"], blocks=["t"])
        return [
            lambda write: refs(write(take)),
            lambda write: write(lane.complete, again),
        ]

    def check(played: Played) -> None:
        fine(played)
        if played.values[0] == []:
            assert worked_off(stage.write) == ["needs it"]

    stage.explore(setting, check, switches=3, most=32).said("claim of what needs it | complete of the holder")


def test_who_needs_what_is_just_being_discarded_is_not_forgotten(stage: Stage) -> None:
    def setting() -> list[Actor]:
        holder = stage.write(put, "holder", "a", blocks=["t"])
        (work,) = stage.write(take)
        stage.write(lane.park, work, reason="bad")
        stage.write(put, "needs it", "b", needs=["t"])
        return [
            lambda write: refs(write(take)),
            lambda write: write(lane.discard, holder, reason="by mistake"),
        ]

    def check(played: Played) -> None:
        fine(played)
        if played.values[0] == []:
            assert worked_off(stage.write) == ["needs it"]

    stage.explore(setting, check, switches=3, most=32).said("claim of what needs it | discard of the holder")


def test_a_release_beside_enqueue_and_another_release(stage: Stage) -> None:
    def setting() -> list[Actor]:
        bad = stage.write(put, "bad")
        (work,) = stage.write(take)
        stage.write(lane.park, work, reason="bad")
        return [
            lambda write: write(lane.release, bad),
            lambda write: write(lane.release, bad),
            lambda write: write(put, "a2"),
        ]

    def check(played: Played) -> None:
        fine(played)
        assert sorted(map(str, played.values[:2])) == ["False", "True"]
        assert sorted(worked_off(stage.write)) == ["a2", "bad"]

    stage.explore(setting, check).said("release | release | enqueue")


def test_a_worker_that_comes_late_beside_the_one_that_took_over(stage: Stage) -> None:
    """Past its lease: its end, or its giving back, beside the end of who has the item now."""

    def setting() -> list[Actor]:
        stage.write(put, "a1")
        stage.write(put, "a2")
        (late,) = stage.write(take)
        stage.write(give_back, late)  # as expiry does: claimable again, the fence is raised with the next claim
        (now,) = stage.write(take)
        return [
            lambda write: write(lane.complete_all, [late]),
            lambda write: write(give_back, late),
            lambda write: write(lane.complete_all, [now]),
        ]

    def check(played: Played) -> None:
        fine(played)
        (lost,) = played.values[0]  # type: ignore[misc]
        assert lost.ref == "a1"
        assert played.values[2] == []
        assert worked_off(stage.write) == ["a2"]

    stage.explore(setting, check).said("late complete | late give back | complete")


def test_what_may_be_asked_for_once_is_added_once_by_two_at_once(stage: Stage) -> None:
    def setting() -> list[Actor]:
        def ask(write: Write) -> str:
            return write(put, "fact", "ab", once_key="fact")

        return [ask, ask]

    def check(played: Played) -> None:
        fine(played)
        assert played.values[0] == played.values[1]
        assert worked_off(stage.write) == ["fact"]

    stage.explore(setting, check).said("enqueue once | enqueue once")


def test_enqueuers_that_take_lanes_in_opposite_order_deadlock_and_end_well(stage: Stage) -> None:
    def both(tx: Tx, first: str, second: str) -> None:
        put(tx, f"{first}-{second}", first)
        put(tx, f"{second}-{first}", second)

    def setting() -> list[Actor]:
        return [lambda write: write(both, "a", "b"), lambda write: write(both, "b", "a")]

    def check(played: Played) -> None:
        fine(played)
        assert len(worked_off(stage.write)) == 4

    done = stage.explore(setting, check)
    done.said("enqueue a, b | enqueue b, a")
    assert done.reruns > 0
