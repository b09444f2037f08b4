"""Real traffic checked by itself: bounded, counted once, told once for each new kind, and nothing of a message kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing import worklist
from fhirpay.config import Facility, Interface, Merchant, Tenant
from fhirpay.conformance import counts
from fhirpay.conformance.checker import Feed
from fhirpay.conformance.departures import Departure
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import first_id
from fhirpay.inbox.store import Incoming, record
from fhirpay.usecases.check_traffic import DEPARTS, LINES_MAX, TrafficWatch

SSN, TABLE = Departure(True, "PID-19", "unwanted"), Departure(False, "PID-8", "not-in-table")


class World:
    """A feed whose messages depart in what they say they do."""

    def __init__(self, units: Units, clock: FrozenClock, wanted: str = "all", **more: str) -> None:
        feeds = {"lab": wanted, **more}
        interfaces = [Interface(name=name, account_key="PID-18", conformance_check=how) for name, how in feeds.items()]
        merchant = Merchant(name="main", processor="simulated", secret_key="k")
        facilities = (Facility(name="main", zone="UTC"),)
        self.tenant = Tenant(facilities=facilities, merchants=(merchant,), interfaces=tuple(interfaces))
        self.units, self.clock = units, clock
        self.says: dict[bytes, set[Departure]] = {}
        self.asked: list[bytes] = []
        self.watch = self.process()
        self.number = 0

    def process(self) -> TrafficWatch:
        return TrafficWatch(self.units, self.tenant, self.clock, self._check, lambda: None)

    async def _check(self, feed: Feed, body: bytes) -> set[Departure]:
        self.asked.append(body)
        return self.says.get(body, set())

    async def send(self, body: bytes, *found: Departure, label: str = "DFT^P03", interface: str = "lab") -> None:
        self.number += 1
        self.says[body] = set(found)
        message_id = first_id("msg", self.clock.now()) + f"{self.number:016}"
        key = (interface, message_id)
        sent = Incoming("mllp", interface, "hl7", key, body, "hash", label=label, message_id=message_id)

        def stored(tx: Tx) -> None:
            record(tx, sent)

        await self.units.write(stored)

    async def look(self, watch: TrafficWatch | None = None) -> list[bytes]:
        """A minute later; what was checked."""
        self.clock.advance(timedelta(minutes=1))
        self.asked.clear()
        await (watch or self.watch).look()
        return list(self.asked)

    async def found(self) -> list[tuple[Departure, int]]:
        return [(one.departure, one.messages) for one in await self.units.read(counts.found, "lab")]

    async def lines(self) -> list[str]:
        return [one.says for one in await self.units.read(worklist.list_open, kind=DEPARTS)]


async def test_what_came_in_is_counted_and_a_new_kind_is_told_once(units: Units, clock: FrozenClock) -> None:
    world = World(units, clock)
    assert await world.look() == []
    await world.send(b"1", SSN, TABLE)
    await world.send(b"2", SSN)
    assert await world.look() == [b"1", b"2"]
    assert await world.found() == [(SSN, 2), (TABLE, 1)]
    (line,) = await world.lines()
    assert line.startswith("lab: PID-19 is filled, and it was agreed to leave it out; first in msg")
    await world.send(b"3", SSN)
    assert await world.look() == [b"3"]
    assert await world.found() == [(SSN, 3), (TABLE, 1)]
    assert await world.lines() == [line]
    (item,) = await units.read(worklist.list_open, kind=DEPARTS)
    await units.write(worklist.done, item.item_id, by="jdoe", why="asked")
    await world.send(b"4", SSN)
    await world.look()
    assert await world.lines() == []  # it was told: a fifth message says nothing new
    (feed,) = await units.read(counts.checked)
    assert (feed.interface, feed.checked, feed.shed) == ("lab", 4, 0)


async def test_a_sample_is_the_newest_of_each_type(units: Units, clock: FrozenClock) -> None:
    world = World(units, clock, "sample", front="off", back="sample")
    await world.look()
    for body in (b"1", b"2", b"3"):
        await world.send(body)
    await world.send(b"merge", label="ADT^A40")
    await world.send(b"4")
    await world.send(b"front", interface="front")
    await world.send(b"back", interface="back")
    assert await world.look() == [b"merge", b"4", b"back"]
    assert await world.look() == []


async def test_what_comes_too_fast_is_left_out_and_counted_so(
    units: Units, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "AT_MOST", 3)
    world = World(units, clock, other="sample")
    await world.look()
    for number in range(5):
        await world.send(b"%d" % number)
        await world.send(b"other", interface="other")
    await world.send(b"5")
    assert await world.look() == [b"4", b"other", b"5"]
    (feed, other) = await units.read(counts.checked)
    assert (feed.checked, feed.shed, other.shed) == (2, 4, 0)
    assert await world.look() == []


async def test_two_processes_count_a_message_once(units: Units, clock: FrozenClock) -> None:
    world = World(units, clock)
    await world.look()
    await world.send(b"1", SSN)
    clock.advance(timedelta(minutes=1))
    until = clock.now()
    look = await units.read(counts.unseen, ["lab"], until)
    await world.look(world.process())
    assert not await units.write(counts.claim, look)
    assert await world.found() == [(SSN, 1)]


async def test_a_storm_of_kinds_stays_bounded(
    units: Units, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "KINDS_MAX", 30)
    world = World(units, clock)
    await world.look()
    await world.send(b"1", *(Departure(True, f"PID-{number}", "repeats") for number in range(1, 41)))
    await world.look()
    found = await world.found()
    assert len(found) == 31
    assert dict(found)[Departure(False, "MSH", "more")] == 10
    assert len(await world.lines()) == LINES_MAX


async def test_nothing_of_a_message_stands_in_what_is_kept(units: Units, clock: FrozenClock) -> None:
    world = World(units, clock)
    await world.look()
    await world.send(b"PID|Quorra", SSN)
    await world.look()
    kept: Any = [await units.read(counts.found, "lab"), await units.read(counts.checked), await world.lines()]
    assert "Quorra" not in repr(kept)
    assert "msg" in repr(kept)
