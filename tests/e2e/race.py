"""A thousand races for one effect: `make race`.

    make race ROUNDS=1000 ENGINE=sqlite|postgresql|both SEED=1      prints one line of JSON for each engine

What happens in a round stands in race_world.py. Ends with status 1 when anything was paid, captured, given back or
posted twice, or not at all, or when the books differ in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from race_world import race, said
from soak import database

FOLDER = Path("build/race")
AT_ONCE = 50  # rounds between two looks at how far it is


async def run(engine: str, rounds: int, seed: int, minutes: float) -> bool:
    folder = (FOLDER / f"{engine}-{seed}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.monotonic()
    with database(engine, seed, folder) as url:
        async with race(folder, database=url, seed=seed) as it:
            for first in range(1, rounds + 1, AT_ONCE):
                if time.monotonic() - begun > 60 * minutes:
                    break
                await it.rounds(first, min(AT_ONCE, rounds + 1 - first))
                print(f"{engine}: {it.counts}", file=sys.stderr, flush=True)
            verdict = await it.verdict()
    print(said(engine, seed, verdict, time.monotonic() - begun), flush=True)
    return not verdict["wrong"] and verdict["posted_twice"] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Everybody at once, one effect.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600, help="no new rounds after so long, of each engine")
    asked = parser.parse_args()
    engines = ("sqlite", "postgresql") if asked.engine == "both" else (asked.engine,)
    sound = [asyncio.run(run(engine, asked.rounds, asked.seed, asked.minutes)) for engine in engines]
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
