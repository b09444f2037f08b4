"""What the benches share: interleaved timing, and one JSON object a line on stdout and in build/bench.jsonl.

A machine's speed drifts within seconds, so contenders are measured in turn (A-B-A) and a ratio is the median of the
ratios of neighbours, not a quotient of two medians taken minutes apart.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

ROUNDS = 5
BOOK = Path(__file__).resolve().parents[2] / "build" / "bench.jsonl"


def row(name: str, value: float, unit: str, against: str, ratio: float) -> None:
    """Say one result."""
    line = json.dumps(
        {"name": name, "value": round(value, 3), "unit": unit, "against": against, "ratio": round(ratio, 3)}
    )
    print(line, flush=True)
    BOOK.parent.mkdir(exist_ok=True)
    with BOOK.open("a", encoding="utf-8") as book:
        book.write(line + "\n")


def a_b_a(a: Callable[[], float], b: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Run A, B, A, B, … A; the medians of A and B, and the median of B over the mean of the As around it.

    Each runs once before that, uncounted: files have grown to their size, caches are warm.
    """
    a()
    b()
    before = a()
    lefts, rights, ratios = [before], [], []
    for _ in range(rounds):
        right = b()
        after = a()
        rights.append(right)
        lefts.append(after)
        ratios.append(right / ((before + after) / 2))
        before = after
    return statistics.median(lefts), statistics.median(rights), statistics.median(ratios)
