"""Units of work on both engines."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from fhirpay.db.types import DecimalText, UtcDateTime, micros, moment
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken, StorageUnavailable

pytestmark = pytest.mark.unsound("a table of its own")

notes = sa.Table(
    "notes_of_test",
    sa.MetaData(),
    sa.Column("tenant_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", UtcDateTime),
    sa.Column("size", DecimalText),
)


def make(tx: Tx) -> None:
    tx.execute(sa.schema.CreateTable(notes))


def add(tx: Tx, name: str, *, fail: bool = False) -> str:
    tx.execute(notes.insert().values(tenant_id=tx.tenant, name=name, at=tx.now, size=Decimal("1.50")))
    if fail:
        raise RuleBroken(f"not {name}")
    tx.wake("notes")
    return name


def names(tx: Tx) -> list[str]:
    return [row["name"] for row in tx.all(sa.select(notes.c.name).where(notes.c.tenant_id == tx.tenant))]


@pytest.fixture
async def kept(units: Units) -> Units:
    await units.write(make)
    return units


async def test_a_unit_gives_its_value_and_keeps_its_rows(kept: Units, clock: FrozenClock) -> None:
    assert await kept.write(add, "one") == "one"
    row = await kept.read(lambda tx: tx.one(sa.select(notes)))
    assert row is not None
    assert row["at"] == clock.now()
    assert str(row["size"]) == "1.50"


async def test_a_unit_that_raises_leaves_nothing(kept: Units) -> None:
    with pytest.raises(RuleBroken):
        await kept.write(add, "one", fail=True)
    assert await kept.read(names) == []


async def test_one_failing_unit_takes_none_of_its_group_with_it(kept: Units) -> None:
    outcomes = await asyncio.gather(
        *(kept.write(add, f"n{n}", fail=n % 5 == 0) for n in range(40)), return_exceptions=True
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "RuleBroken" if n % 5 == 0 else "str" for n in range(40)
    ]
    assert sorted(await kept.read(names)) == sorted(f"n{n}" for n in range(40) if n % 5)


async def test_a_cancelled_wait_still_commits(kept: Units) -> None:
    waiting = [asyncio.create_task(kept.write(add, f"n{n}")) for n in range(20)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for _ in range(1000):
        if len(await kept.read(names)) == 20:
            return
        await asyncio.sleep(0.01)
    pytest.fail("a cancelled unit was lost")


async def test_a_unit_that_raises_after_its_wait_was_cancelled_is_no_bug_of_the_loop(kept: Units) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    begun, go_on = threading.Event(), threading.Event()

    def late(tx: Tx) -> None:
        begun.set()
        go_on.wait(10)
        raise RuleBroken("another worker has taken it over")

    waiting = asyncio.create_task(kept.write(late))
    await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go_on.set()
    await kept.write(add, "after")  # on SQLite behind it; on PostgreSQL beside it
    await asyncio.sleep(0.1)
    gc.collect()
    assert complaints == []


async def test_two_tenants_see_their_own(kept: Units, database: Database) -> None:
    await kept.write(add, "one")
    assert await database.units("other").read(names) == []


async def test_a_topic_is_set_after_the_commit_and_never_for_a_rollback(kept: Units, database: Database) -> None:
    wakeups = database.wakeups
    before = wakeups.count("notes")
    with pytest.raises(RuleBroken):
        await kept.write(add, "one", fail=True)
    assert wakeups.count("notes") == before
    waiting = asyncio.create_task(wakeups.wait("notes", 5))
    await asyncio.sleep(0)
    await kept.write(add, "two")
    assert await waiting
    assert await wakeups.wait("notes", 5, since=before)
    assert not await wakeups.wait("notes", 0.01, since=wakeups.count("notes"))


async def test_reading_can_not_write(kept: Units) -> None:
    with pytest.raises((StorageUnavailable, DBAPIError)):
        await kept.read(add, "one")
    assert await kept.read(names) == []


async def test_after_stop_nothing_is_taken(kept: Units, database: Database) -> None:
    await database.stop()
    with pytest.raises(StorageUnavailable):
        await kept.write(add, "late")


def test_moments_are_exact_and_need_a_zone() -> None:
    at = datetime(2026, 11, 20, 15, 0, 0, 123457, tzinfo=UTC)
    assert moment(micros(at)) == at
    assert moment(micros(at + timedelta(days=40_000))) == at + timedelta(days=40_000)
    with pytest.raises(ValueError, match="zone"):
        micros(at.replace(tzinfo=None))
