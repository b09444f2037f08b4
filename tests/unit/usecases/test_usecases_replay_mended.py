"""A type or class without a line in a code table parks its message; it is tried again once the line is released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.mapping.release import release
from fhirpay.usecases import replay_mended
from fhirpay.usecases.apply_message import PARKED
from intake_world import FEED, World, ft1, message, world

CLINIC = FEED.model_copy(update={"mapping": "clinic"})
HOUSE_CHARGE = ft1(1, "HC", "100.00&USD")


class Site:
    """The site's own mappings, and who puts them in force."""

    def __init__(self, own: Path, clock: FrozenClock) -> None:
        self.own, self.clock = own, clock

    def says(self, *rows: str, table: str = "transaction-type") -> None:
        path = self.own / "clinic" / "codes" / f"{table}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["v2,code,display,system", *rows]) + "\n", encoding="utf-8")
        release(self.own, by="ann", at=self.clock.now())


@asynccontextmanager
async def clinic(database: Database, clock: FrozenClock, ids: Ids, own: Path) -> AsyncIterator[tuple[World, Site]]:
    site = Site(own, clock)
    site.says("ADJ,AJ,,")
    async with world(database, clock, ids, feed=CLINIC, settings={"mappings": str(own)}) as here:
        yield here, site
        await here.check_books()


@pytest.mark.warns("message.parked")
async def test_messages_that_a_new_line_lets_map_are_queued_once_in_their_order_and_the_others_wait_on(
    database: Database, clock: FrozenClock, ids: Ids, tmp_path: Path
) -> None:
    async with clinic(database, clock, ids, tmp_path) as (here, site):
        await here.send(message("M1", ft1(2, "CG", "40.00&USD", {7: "X77^House^L"}), HOUSE_CHARGE))
        await here.send(message("M2", ft1(3, "HC", "5.00&USD"), pv1={2: "TELE"}))  # lacks two
        await here.send(message("M3", ft1(4, "PY", "5.00&USD"), account="A200"))  # waits for something else
        await here.send(message("M4", ft1(5, "HC", "7.00&USD"), ft1(6, "CD", "7.00&USD", {7: "99213"}), account="A300"))
        await here.work()
        assert await here.askable() == "0"  # a charge code that nobody knows goes on, but not while a line waits
        says = (await here.list_of(PARKED))[0]
        assert "FT1[2]-6: 'HC' has no line in codes/transaction-type.csv of clinic: add HC,…" in says
        assert await here.house.mended.look() == []
        site.says("ADJ,AJ,,", "HC,CG,House charge,")
        (first,), (fourth,) = await here.received("M1"), await here.received("M4")
        assert await here.house.mended.look() == [first.message_id, fourth.message_id]
        assert await here.house.mended.look() == []  # queued once, whoever looks again
        (again,) = await here.received("M1")
        assert again.state == "received"
        assert again.detail.startswith("replayed by mappings ")
        assert again.detail.endswith("released by ann: the code tables have a line for it now")
        await here.work()
        assert [await here.state(one) for one in ("M1", "M2", "M3", "M4")] == ["applied", "parked", "parked", "applied"]
        site.says("TELE,VR,virtual,http://terminology.hl7.org/CodeSystem/v3-ActCode", table="patient-class")
        assert len(await here.house.mended.look()) == 1
        await here.work()
        assert await here.state("M2") == "applied"
        assert await here.askable() == "145.00 USD"
        assert len(await here.list_of(PARKED)) == 1


@pytest.mark.warns("message.parked")
async def test_a_line_that_no_rule_takes_is_tried_once_and_what_it_says_is_told(
    database: Database, clock: FrozenClock, ids: Ids, tmp_path: Path
) -> None:
    async with clinic(database, clock, ids, tmp_path) as (here, site):
        await here.send(message("M1", HOUSE_CHARGE))
        await here.work()
        site.says("HC,HG,House charge,")
        assert len(await here.house.mended.look()) == 1
        await here.work()
        assert await here.house.mended.look() == []
        (says,) = await here.list_of(PARKED)
        assert "codes/transaction-type.csv of clinic says that 'HC' is 'HG'" in says
        site.says("HC,CG,House charge,")  # it doesn't wait for a line any more: for a person
        assert await here.house.mended.look() == []


@pytest.mark.warns("message.parked")
async def test_a_running_server_does_it_by_itself_a_few_at_a_time(
    database: Database, clock: FrozenClock, ids: Ids, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_mended, "LOOK_S", 0.01)
    monkeypatch.setattr(replay_mended, "AT_ONCE", 2)
    monkeypatch.setattr(replay_mended, "AT_MOST", 4)
    async with clinic(database, clock, ids, tmp_path) as (here, site):
        for number in range(7):
            await here.send(message(f"M{number}", HOUSE_CHARGE, account=f"A{number}"))
        await here.work()
        site.says("HC,CG,House charge,")
        assert len(await here.house.mended.look()) == 4
        stop = asyncio.Event()
        running = asyncio.create_task(here.house.mended.run(stop))
        async with here.working():
            async with asyncio.timeout(60):
                while {await here.state(f"M{number}") for number in range(7)} != {"applied"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        stop.set()
        await running
        assert not await here.list_of(PARKED)
