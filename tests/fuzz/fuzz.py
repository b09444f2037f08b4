"""Broken HL7v2 at the real listener, a million of it and more: `make fuzz`.

    make fuzz N=1000000 SEED=1        goes on where it was interrupted; a run that has come to its end begins anew
    make fuzz CASE=4711 SEED=1        that case alone: how it was made, its bytes, what became of it

Each frame must be stored in the inbox, by its hash, or answered with a reason; after each chunk a good message must be
taken in. What is stored of a part of the cases goes on through mapping and billing: it applies or parks. Prints the
memory of the listener's process after each chunk, and its slope. Ends with status 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fuzz_apply
import fuzz_drive
from fuzz_grammar import case

BUILD = Path(__file__).resolve().parents[2] / "build" / "fuzz"
CHUNK = 10_000
APPLIED = 100  # of each chunk
WARM = 5  # chunks: until caches have their size
MIB = 2**20


class Journal:
    """One line of JSON for each chunk that is done."""

    def __init__(self, seed: int, wanted: int) -> None:
        self.path = BUILD / f"{seed}.jsonl"
        BUILD.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.chunks: list[dict[str, Any]] = [json.loads(line) for line in lines]
        if self.done >= wanted:
            self.path.unlink()
            self.chunks = []

    @property
    def done(self) -> int:
        return self.chunks[-1]["last"] if self.chunks else 0

    def note(self, **chunk: Any) -> None:
        self.chunks.append(chunk)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(chunk) + "\n")


def slope(points: list[tuple[int, int]]) -> float:
    """MiB per 100,000 cases, by least squares, once it is warm."""
    kept = points[WARM:] if len(points) > 2 * WARM else points
    if len(kept) < 2:
        return 0.0
    x, y = ([point[axis] for point in kept] for axis in (0, 1))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((one - mean_x) ** 2 for one in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / over * 100_000 / MIB


async def fuzz(seed: int, wanted: int) -> bool:
    journal = Journal(seed, wanted)
    begun, counts, log = time.monotonic(), Counter[str](), Counter[str]()
    memory: list[tuple[int, int]] = []
    wrong = 0
    folder = BUILD / f"site-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with fuzz_drive.site(folder) as site:
        for first in range(journal.done, wanted, CHUNK):
            last = min(first + CHUNK, wanted)
            accounts = await fuzz_drive.run(site, seed, first, last)
            problems = accounts.problems
            applied, mishaps = await fuzz_apply.run(seed, first, min(first + APPLIED, last))
            accounts.counts.update(applied)
            problems += mishaps
            await site.ask("forget")
            report = await site.ask("report")
            problems += [f"an exception: {error}" for error in report["errors"]]
            memory.append((last, report["memory"]))
            journal.note(first=first, last=last, counts=accounts.counts, memory=report["memory"], problems=problems)
            log = Counter(report["log"])
            held = f"{report['memory'] / MIB:.1f} MiB, {report['objects']} objects"
            say(f"{last}: {held}; {len(problems)} problems")
            for problem in problems:
                say("    " + problem)
            wrong += len(problems)
    for chunk in journal.chunks:
        counts.update(chunk["counts"])
    told = {"seed": seed, **counts, "log": log, "problems": wrong, "mib_per_100000": round(slope(memory), 3)}
    told |= {
        "mib": round(memory[-1][1] / MIB, 1) if memory else 0,
        "seconds_of_this_run": round(time.monotonic() - begun),
    }
    print(json.dumps(told), flush=True)
    return not wrong


async def one(seed: int, number: int) -> bool:
    """A case alone, loudly."""
    made = case(seed, number)
    print(f"how: {', '.join(made.how) or 'whole'}\n{made.data[:4000]!r}")
    folder = BUILD / f"case-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with fuzz_drive.site(folder) as site:
        accounts = await fuzz_drive.run(site, seed, number, number + 1, lines=8)
        report = await site.ask("report")
    applied, mishaps = await fuzz_apply.run(seed, number, number + 1)
    print(json.dumps({**accounts.counts, **applied, "log": report["log"]}))
    print("\n".join([*accounts.problems, *mishaps, *report["errors"]]) or "nothing is wrong")
    return not (accounts.problems or mishaps or report["errors"])


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Broken HL7v2 at the real listener.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, default=-1)
    asked = parser.parse_args()
    good = asyncio.run(one(asked.seed, asked.case) if asked.case >= 0 else fuzz(asked.seed, asked.cases))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
