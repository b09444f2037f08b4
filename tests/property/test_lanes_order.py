"""Lanes under any sequence of enqueue, claim, complete, retry, park, release and takeover: order kept, nothing lost."""

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fhirpay.db.metadata import table
from fhirpay.db.migrations import migrate
from fhirpay.db.sqlite import Limits, Writing
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import LeaseLost
from fhirpay.flow import lane
from fhirpay.flow.aliases import join, part
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim, give_back
from fhirpay.flow.tables import PlaceRow, WorkRow, WorkTopicRow

LEASE = timedelta(seconds=30)
LANES = "abc"
TOPICS = "xy"

_lanes = st.sets(st.sampled_from(LANES), max_size=3)
_topics = st.sets(st.sampled_from(TOPICS), max_size=2)
_number = st.integers(0, 50)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), _lanes, _topics, _topics),
        st.tuples(st.just("claim"), st.integers(1, 3)),
        st.tuples(st.just("merge"), st.sampled_from(LANES), st.sampled_from(LANES)),
        st.tuples(st.just("unmerge")),
        st.tuples(st.sampled_from(["complete", "complete", "retry", "park", "give_back", "late"]), _number),
        st.tuples(st.sampled_from(["release", "discard"]), _number),
        st.tuples(st.just("wait"), st.sampled_from([1, 31, 700])),
    ),
    min_size=5,
    max_size=60,
)


class Model:
    """What must be true, kept beside the database in the plainest way: a list for each lane."""

    def __init__(self, path: Path) -> None:
        self.clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
        self.ids = CountedIds()
        self.writing = Writing(path, clock=self.clock, ids=self.ids, limits=Limits())
        self.writing.raw.execute("PRAGMA synchronous=OFF")
        self.lanes: dict[str, list[str]] = defaultdict(list)
        self.of: dict[str, set[str]] = {}
        self.state: dict[str, str] = {}
        self.also: dict[str, str] = {}  # lanes that are one with another
        self.hands: list[Work] = []  # what workers believe to hold
        self.old: list[Work] = []  # what they held once

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        tx = Tx(
            self.writing.connection,
            self.writing.raw,
            tenant="main",
            dialect="sqlite",
            ids=self.ids,
            clock=self.clock.now,
        )
        self.writing.begin()
        try:
            value = fn(tx, *args, **kwargs)
        except BaseException:
            self.writing.rollback()
            raise
        self.writing.commit()
        return value

    # ── the steps ──

    def enqueue(self, lanes: set[str], needs: set[str], blocks: set[str]) -> None:
        work_id = self.run(
            lane.enqueue,
            queue="inbox",
            kind="hl7",
            ref="r",
            lanes=sorted(lanes),
            needs=sorted(needs),
            blocks=sorted(blocks),
        )
        self.of[work_id] = lanes
        self._stand(work_id)

    def merge(self, old: str, new: str) -> None:
        def merged(tx: Tx) -> str:
            work_id = lane.enqueue(tx, queue="inbox", kind="hl7", ref="r", lanes=[old, new])
            join(tx, "inbox", [(old, new)], "m")
            return work_id

        work_id = self.run(merged)
        self.of[work_id] = {old, new}
        self._stand(work_id)
        self.also |= {old: new} if old != new else {}

    def unmerge(self) -> None:
        self.run(part, "inbox", "m")
        self.also = {}

    def _stand(self, work_id: str) -> None:
        self.state[work_id] = "ready"
        while more := {self.also[key] for key in self.of[work_id] if key in self.also} - self.of[work_id]:
            self.of[work_id] = self.of[work_id] | more
        for key in self.of[work_id]:
            self.lanes[key].append(work_id)

    def _step_out(self, work_id: str, state: str) -> None:
        for key in self.of[work_id]:
            assert self.lanes[key][0] == work_id, "something left its lane that wasn't first"
            self.lanes[key].pop(0)
        self.state[work_id] = state

    def claim(self, limit: int) -> None:
        parked: list[str] = []
        works = self.run(
            claim,
            queue="inbox",
            kinds=["hl7"],
            owner="t",
            lease=LEASE,
            limit=limit,
            on_parked=lambda tx, work, reason: parked.append(work.work_id),
        )
        for work_id in parked:  # what it needs is suspended
            self._step_out(work_id, "parked")
            self._taken_over(work_id)
        for work in works:
            for key in self.of[work.work_id]:
                assert self.lanes[key][0] == work.work_id, "claimed although not first"
            self._taken_over(work.work_id)
            self.hands.append(work)

    def _taken_over(self, work_id: str) -> None:
        self.old += [held for held in self.hands if held.work_id == work_id]
        self.hands = [held for held in self.hands if held.work_id != work_id]

    def end(self, how: str, number: int) -> None:
        source = self.old if how == "late" else self.hands
        if not source:
            return
        work = source[number % len(source)]
        if how == "late":
            with pytest.raises(LeaseLost):
                self.run(lane.complete, work)
            return
        self.hands.remove(work)
        self.old.append(work)
        if how == "complete":
            self.run(lane.complete, work)
            self._step_out(work.work_id, "done")
            self._follow()
        elif how == "park":
            self.run(lane.park, work, reason="bad")
            self._step_out(work.work_id, "parked")
        elif how == "retry":
            self.run(lane.retry, work, after=None, error="busy")
        else:
            self.run(give_back, work)

    def release(self, how: str, number: int) -> None:
        parked = sorted(work_id for work_id, state in self.state.items() if state == "parked")
        if not parked:
            return
        work_id = parked[number % len(parked)]
        if how == "release":
            assert self.run(lane.release, work_id)
            self._stand(work_id)
        else:
            self.run(lane.discard, work_id, reason="no")
            self.state[work_id] = "done"
            self._follow()

    def _follow(self) -> None:
        """Those who waited for what has just ended are released, in the order in which they came."""
        rows = self.run(lambda tx: tx.all(select(_work).where(_work.c.state == "ready").order_by(_work.c.work_id)))
        for row in rows:
            if self.state[row["work_id"]] == "parked":
                self._stand(row["work_id"])

    # ── what must hold after each ──

    def check(self) -> None:
        works, places = self.run(lambda tx: (tx.all(select(_work)), tx.all(select(_place).order_by(_place.c.place))))
        stored: dict[str, list[str]] = defaultdict(list)
        for row in places:
            stored[row["lane_key"]].append(row["work_id"])
        assert {key: items for key, items in self.lanes.items() if items} == dict(stored)
        for row in works:
            work_id = row["work_id"]
            assert row["state"] == self.state[work_id]
            if row["state"] != "ready":
                assert row["claim_at"] is None
                continue
            before = sum(self.lanes[key][0] != work_id for key in self.of[work_id])
            assert row["waits"] == before
            assert (row["claim_at"] is not None) == (before == 0)
        assert len(works) == len(self.state)

    def finish(self) -> None:
        """From any state, working on and replaying what is parked ends with everything done and nothing left over."""
        for turn in range(400):
            self.clock.advance(timedelta(minutes=15))
            self.claim(1)
            if self.hands:
                self.end("complete", 0)
            else:
                self.release("release", turn)  # each in turn: one that needs another parks again
            if set(self.state.values()) <= {"done"}:
                break
        assert set(self.state.values()) <= {"done"}
        assert self.run(lambda tx: tx.all(select(_place)) + tx.all(select(_topic))) == []


_work = table(WorkRow)
_place = table(PlaceRow)
_topic = table(WorkTopicRow)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lanes")
    migrate(f"sqlite:///{folder / 'template.db'}")
    return folder / "template.db"


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=steps)
def test_lanes_keep_order_and_lose_nothing(template: Path, plan: list[Any]) -> None:
    path = template.with_name("run.db")
    for leftover in template.parent.glob("run.db*"):
        leftover.unlink()
    shutil.copyfile(template, path)
    model = Model(path)
    try:
        for step, *args in plan:
            match step:
                case "enqueue":
                    model.enqueue(*args)
                case "merge" | "unmerge":
                    getattr(model, step)(*args)
                case "claim":
                    model.claim(*args)
                case "release" | "discard":
                    model.release(step, *args)
                case "wait":
                    model.clock.advance(timedelta(seconds=args[0]))
                case _:
                    model.end(step, *args)
            model.check()
        model.finish()
    finally:
        model.writing.close()
