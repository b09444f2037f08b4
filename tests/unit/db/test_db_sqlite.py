"""What SQLite alone promises: one writer, groups, urgent first, clear refusals, nothing lost at a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fhirpay.db.migrations import head, migrate
from fhirpay.db.sqlite import FileLock, Limits, SqliteDatabase
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock, SystemClock
from fhirpay.domain.ids import CountedIds, RandomIds
from fhirpay.errors import ConfigInvalid, InvariantBroken, StorageUnavailable


@pytest.fixture
def url(databases: Any) -> Iterator[str]:
    with databases.url("sqlite") as made:
        yield made


@pytest.fixture
async def database(url: str, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(url, clock=clock, ids=ids)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


def note(tx: Tx, text: str) -> str:
    tx.execute(sa.text("INSERT INTO note VALUES (:text)"), {"text": text})
    return text


def notes(tx: Tx) -> list[str]:
    return [row["text"] for row in tx.all(sa.text("SELECT text FROM note ORDER BY rowid"))]


def make(tx: Tx) -> None:
    tx.execute(sa.text("CREATE TABLE note (text TEXT)"))


async def test_what_waits_is_committed_in_groups_with_urgent_units_first(database: SqliteDatabase) -> None:
    units = database.units("main")
    await units.write(make)
    gate = threading.Event()
    held = asyncio.create_task(units.write(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(units.write(note, f"normal {n}")) for n in range(5)]
    waiting += [asyncio.create_task(units.write(note, f"urgent {n}", urgent=True)) for n in range(5)]
    await asyncio.sleep(0.02)
    gate.set()
    await asyncio.gather(held, *waiting)
    assert await units.read(notes) == [f"urgent {n}" for n in range(5)] + [f"normal {n}" for n in range(5)]


async def test_a_full_queue_is_said_after_a_short_wait(url: str, clock: FrozenClock, ids: CountedIds) -> None:
    database = SqliteDatabase(url, clock=clock, ids=ids, limits=Limits(waiting=3, full_wait_s=0.05))
    await database.start()
    units = database.units("main")
    gate = threading.Event()
    held = asyncio.create_task(units.write(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(units.write(lambda tx: 1)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="too many"):
        await units.write(lambda tx: 1, urgent=True)
    gate.set()
    await asyncio.gather(held, *waiting)
    await database.stop()


async def test_a_locked_file_is_storage_trouble_and_passes(url: str, clock: FrozenClock, ids: CountedIds) -> None:
    database = SqliteDatabase(url, clock=clock, ids=ids, limits=Limits(busy_s=0.05))
    await database.start()
    units = database.units("main")
    await units.write(make)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(*(units.write(note, str(n)) for n in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    other.execute("ROLLBACK")
    other.close()
    assert await units.write(note, "again") == "again"
    assert await units.read(notes) == ["again"]
    await database.stop()


async def test_a_full_disk_is_storage_trouble_and_keeps_what_was_committed(database: SqliteDatabase) -> None:
    units = database.units("main")
    await units.write(make)
    await units.write(note, "before")

    def fill(tx: Tx) -> None:
        pages = tx.scalar(sa.text("PRAGMA page_count"))
        tx.execute(sa.text(f"PRAGMA max_page_count={pages}"))

    await units.write(fill)
    big = "x" * 1_000_000
    outcomes = await asyncio.gather(units.write(note, big), units.write(note, "small"), return_exceptions=True)
    assert isinstance(outcomes[0], StorageUnavailable)
    await units.write(lambda tx: tx.execute(sa.text("PRAGMA max_page_count=1000000")).all())
    assert "before" in await units.read(notes)
    assert await units.write(note, big) == big


async def test_a_failed_commit_fails_every_member(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    units = database.units("main")

    def tables(tx: Tx) -> None:
        tx.execute(sa.text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        tx.execute(sa.text("CREATE TABLE child (p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"))

    def orphan(tx: Tx) -> None:
        tx.execute(sa.text("INSERT INTO child VALUES (1)"))

    await units.write(tables)
    gate = threading.Event()
    held = asyncio.create_task(units.write(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.02)
    group = [asyncio.create_task(units.write(orphan)) for _ in range(3)]
    await asyncio.sleep(0.02)
    gate.set()
    await asyncio.gather(held, return_exceptions=True)
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    assert await units.read(lambda tx: tx.scalar(sa.text("SELECT count(*) FROM child"))) == 0


async def test_a_second_process_is_told_who_writes_and_may_still_read(
    database: SqliteDatabase, url: str, clock: FrozenClock, ids: CountedIds
) -> None:
    second = open_database(url, clock=clock, ids=ids)
    with pytest.raises(ConfigInvalid, match=f"process {os.getpid()}"):
        await second.start()
    await second.stop()
    with pytest.raises(ConfigInvalid, match="serve is running"):
        migrate(url)
    reader = open_database(url, clock=clock, ids=ids, read_only=True)
    await reader.start()
    assert await reader.units("main").read(lambda tx: tx.scalar(sa.text("SELECT 1"))) == 1
    with pytest.raises(InvariantBroken):
        await reader.units("main").write(lambda tx: None)
    await reader.stop()


def test_the_lock_can_be_taken_again_once_it_was_let_go(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "a.db"), FileLock(tmp_path / "a.db")
    one.take()
    one.release()
    two.take()
    two.release()


async def test_a_database_without_tables_says_what_to_run(tmp_path: Path, clock: FrozenClock, ids: CountedIds) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'fhirpay.db'}"
    with pytest.raises(ConfigInvalid, match="fhirpay migrate"):
        await open_database(url, clock=clock, ids=ids).start()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "fhirpay.db").touch()
    with pytest.raises(ConfigInvalid, match="fhirpay migrate"):
        await open_database(url, clock=clock, ids=ids).start()
    assert migrate(url) == migrate(url) == head()
    database = open_database(url, clock=clock, ids=ids)
    await database.start()
    await database.stop()


def test_a_url_of_another_kind_is_refused_without_repeating_it(clock: FrozenClock, ids: CountedIds) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        open_database("mysql://user:secret@host/db", clock=clock, ids=ids)
    assert "secret" not in str(refused.value)


_LOAD = """
import asyncio, sys
import sqlalchemy as sa
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.inbox.store import Incoming, record

async def main(url):
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()
    units = database.units("main")

    async def client(name):
        for n in range(100_000):
            key = f"{name}-{n}"
            await units.write(
                record,
                Incoming("mllp", "feed", "hl7", (key,), b"body", key, lanes=(f"lane:{n % 7}", f"lane:{name}")),
                urgent=True,
            )
            print(key, flush=True)

    await asyncio.gather(*(client(name) for name in "abcdefghijklmnop"))

asyncio.run(main(sys.argv[1]))
"""


def _reported_until_killed(url: str) -> list[str]:
    with subprocess.Popen([sys.executable, "-c", _LOAD, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline().strip() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        return reported + process.stdout.read().split()


async def test_a_kill_in_full_load_loses_nothing_that_was_reported(url: str) -> None:
    reported = _reported_until_killed(url)
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()  # nobody has to clear the dead one's lock

    def kept(tx: Tx) -> tuple[set[str], int, int]:
        keys = {row["control_id"] for row in tx.all(sa.text("SELECT control_id FROM inbox_message"))}
        work = tx.scalar(sa.text("SELECT count(*) FROM work"))
        return keys, work, tx.scalar(sa.text("SELECT count(*) FROM work_place"))

    keys, work, places = await database.units("main").read(kept)
    await database.stop()
    # The last line may be torn by the kill; what can be read of it is then a prefix of a stored key.
    assert set(reported[:-1]) <= keys
    assert len(reported) >= 300
    assert (work, places) == (len(keys), 2 * len(keys))
