"""What PostgreSQL alone promises: deadlocks run again, lost connections pass, other processes are woken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from fhirpay.db.migrations import migrate
from fhirpay.db.postgres import Limits, PostgresDatabase
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid, StorageUnavailable

pytestmark = pytest.mark.warns("db.listen_lost")


@pytest.fixture
def url(databases: Any) -> Iterator[str]:
    with databases.url("postgresql") as made:
        yield made


@pytest.fixture
async def database(url: str, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(url, clock=clock, ids=ids)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


async def test_a_deadlock_runs_the_unit_again(database: PostgresDatabase) -> None:
    units = database.units("main")

    def make(tx: Tx) -> None:
        tx.execute(sa.text("CREATE TABLE pair (name TEXT PRIMARY KEY, n INTEGER)"))
        tx.execute(sa.text("INSERT INTO pair VALUES ('a', 0), ('b', 0)"))

    await units.write(make)
    both = threading.Barrier(2, timeout=5)
    runs: list[str] = []

    def cross(tx: Tx, first: str, second: str) -> None:
        again = first in runs
        runs.append(first)
        bump = sa.text("UPDATE pair SET n = n + 1 WHERE name = :name")
        tx.execute(bump, {"name": first})
        if not again:
            both.wait()
        tx.execute(bump, {"name": second})

    await asyncio.gather(units.write(cross, "a", "b"), units.write(cross, "b", "a"))
    assert len(runs) == 3
    assert await units.read(lambda tx: tx.scalar(sa.text("SELECT sum(n) FROM pair"))) == 4


@pytest.mark.warns("db.listen_failed")  # the second cut may come while it listens anew
async def test_connections_that_were_cut_are_replaced(database: PostgresDatabase, url: str) -> None:
    units = database.units("main")
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await units.write(lambda tx: tx.scalar(sa.text("SELECT 1")))
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(cut)
        assert await units.write(lambda tx: tx.scalar(sa.text("SELECT 2"))) == 2
        admin.execute(cut)
        assert await units.read(lambda tx: tx.scalar(sa.text("SELECT 3"))) == 3


async def test_a_server_that_does_not_answer_is_storage_trouble(clock: FrozenClock, ids: CountedIds) -> None:
    nowhere = PostgresDatabase("postgresql://nobody@127.0.0.1:1/none", clock=clock, ids=ids)
    with pytest.raises(StorageUnavailable):
        await nowhere.start()


async def test_a_lock_that_is_held_too_long_is_storage_trouble(url: str, clock: FrozenClock, ids: CountedIds) -> None:
    database = PostgresDatabase(url, clock=clock, ids=ids, limits=Limits(lock_ms=30, attempts=2))
    await database.start()
    units = database.units("main")
    lock = sa.text("SELECT pg_advisory_xact_lock(42)")
    with psycopg.connect(url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(42)")
        with pytest.raises(StorageUnavailable, match="55P03"):
            await units.write(lambda tx: tx.scalar(lock))
    await units.write(lambda tx: tx.scalar(lock))
    await database.stop()


async def test_a_bug_stays_itself(database: PostgresDatabase) -> None:
    with pytest.raises(sa.exc.ProgrammingError):  # type: ignore[attr-defined]
        await database.units("main").write(lambda tx: tx.scalar(sa.text("SELECT nothing FROM nowhere")))


async def test_a_commit_wakes_another_process(
    database: PostgresDatabase, url: str, clock: FrozenClock, ids: CountedIds
) -> None:
    other = PostgresDatabase(url, clock=clock, ids=ids)
    await other.start()
    waiting = asyncio.create_task(other.wakeups.wait("work:inbox", 5))
    await asyncio.sleep(0)
    await database.units("main").write(lambda tx: tx.wake("work:inbox"))
    assert await waiting
    await asyncio.sleep(0.05)
    assert database.wakeups.count("work:inbox") == 1
    await other.stop()


async def test_the_moment_of_a_unit_is_the_databases(database: PostgresDatabase, clock: FrozenClock) -> None:
    units = database.units("main")
    first = await units.write(lambda tx: (tx.now, tx.now))
    assert first[0] == first[1] != clock.now()
    assert first[0].utcoffset() is not None
    assert (await units.read(lambda tx: tx.now)) > first[0]


async def test_the_tenant_is_known_to_the_server(database: PostgresDatabase) -> None:
    setting = sa.text("SELECT current_setting('app.tenant')")
    assert await database.units("north").read(lambda tx: tx.scalar(setting)) == "north"


async def test_a_database_without_tables_says_what_to_run(databases: Any, clock: FrozenClock, ids: CountedIds) -> None:
    url = databases.server.empty()
    with pytest.raises(ConfigInvalid, match="fhirpay migrate"):
        await PostgresDatabase(url, clock=clock, ids=ids).start()
    assert migrate(url) == migrate(url)
    database = PostgresDatabase(url, clock=clock, ids=ids)
    await database.start()
    await database.stop()
    databases.server.drop(url)
