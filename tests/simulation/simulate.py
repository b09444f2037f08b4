"""Seeds, one after the other, until one is red: `make simulate SEEDS=4711` (that one), `SEEDS=1000-2000`, `SEEDS=200x`.

A seed that fails prints the last that happened, what is wrong, and the command that repeats it.
"""

from __future__ import annotations

import hashlib
import sys
import time

from sim_sweep import sweep
from sim_world import World, simulate

from sim_time import seeds_of

_LAST = 60


def check(seed: int) -> World:
    """The world of this seed, at its end. Raises AssertionError with all that is needed to repeat and understand it."""
    world = simulate(seed, sweep)
    assert not world.troubles, report(world)
    return world


def report(world: World) -> str:
    lines = ["", *world.log[-_LAST:], "", *(f"✗ {says}" for says in world.troubles)]
    lines.append(f"seed {world.seed}; again: make simulate SEEDS={world.seed}")
    return "\n".join(lines)


def digest(world: World) -> str:
    """What two runs of a seed must have in common: the log, and our database as it is now (right after the run).

    Of the database its rows, sorted: SQLAlchemy creates the indexes and constraints of a table in any order.
    """
    read = hashlib.sha256("\n".join(world.log).encode())
    for line in sorted(one for one in world.inline.raw.iterdump() if one.startswith("INSERT")):
        read.update(line.encode())
    return read.hexdigest()


def main(arguments: list[str]) -> int:
    seeds = seeds_of(arguments[0] if arguments else "200x")
    began = time.perf_counter()
    for done, seed in enumerate(seeds, start=1):
        try:
            world = check(seed)
        except AssertionError as error:
            print(error)
            return 1
        if len(seeds) == 1:
            print("\n".join(world.log))
            print(digest(world))
        elif done % 50 == 0:
            print(f"{done} seeds, {done / (time.perf_counter() - began):.1f} a second", flush=True)
    print(f"{len(seeds)} seeds are green, {len(seeds) / (time.perf_counter() - began):.1f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
