"""The executor of simulations keeps the promises of the others, on one connection and without a thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from databases import Databases
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid
from fhirpay.payments import answers


@pytest.fixture
async def inline(databases: Databases, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[InlineDatabase]:
    with databases.url("sqlite") as url:
        made = InlineDatabase(Path(":memory:"), clock=clock, ids=ids)
        migrated = sqlite3.connect(url.removeprefix("sqlite:///"))
        migrated.backup(made.raw)
        migrated.close()
        await made.start()
        yield made
        await made.stop()


def _claim(tx: Tx, key: str) -> None:
    answers.claim(tx, "client", key, "hash")
    tx.wake("claimed")


def _count(tx: Tx) -> int:
    return tx.scalar(text("SELECT count(*) FROM idempotency_key"))


async def test_a_unit_is_stored_before_its_call_returns_and_no_thread_runs(inline: InlineDatabase) -> None:
    units = inline.units("main")
    before = threading.active_count()
    await units.write(_claim, "k1")
    assert await units.read(_count) == 1
    assert not inline.raw.in_transaction
    assert threading.active_count() == before


async def test_a_unit_that_raises_leaves_nothing_and_wakes_nobody(inline: InlineDatabase) -> None:
    def broken(tx: Tx) -> None:
        _claim(tx, "k1")
        raise ValueError("a bug")

    units = inline.units("main")
    with pytest.raises(ValueError, match="a bug"):
        await units.write(broken)
    assert await units.read(_count) == 0
    assert inline.wakeups.count("claimed") == 0
    assert not inline.raw.in_transaction


async def test_topics_are_set_after_the_commit(inline: InlineDatabase) -> None:
    waiting = asyncio.create_task(inline.wakeups.wait("claimed", 60))
    await asyncio.sleep(0)
    await inline.units("main").write(_claim, "k1")
    assert await waiting


async def test_a_reading_unit_can_not_write(inline: InlineDatabase) -> None:
    units = inline.units("main")
    with pytest.raises(Exception, match=r"readonly|store anything"):
        await units.read(_claim, "k1")
    assert await units.read(_count) == 0
    await units.write(_claim, "k1")


async def test_a_database_without_tables_is_refused(clock: FrozenClock, ids: CountedIds) -> None:
    empty = InlineDatabase(Path(":memory:"), clock=clock, ids=ids)
    with pytest.raises(ConfigInvalid, match="run `fhirpay migrate`"):
        await empty.start()
    await empty.stop()
