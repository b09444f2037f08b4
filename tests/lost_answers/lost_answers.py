"""A thousand lost answers at each of four kinds of server: `make lost-answers`.

    make lost-answers ANSWERS=1000 SEED=1      prints one line of JSON for each kind

Four kinds of server take payments and refunds (takers.py) behind a proxy that cuts calls (cutting.py), until so many
answers to a write are lost; then the network is sound, people look at what is left for them, and the server's own list
is counted (lost_world.py). Ends with status 1 when anything is there twice, or not at all, or nobody was told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lost_world import LostAnswers, lost_answers
from takers import KINDS, taker

from fhirpay.db.migrations import migrate


def report(kind: str, it: LostAnswers, seconds: float) -> dict[str, Any]:
    counts, cuts = it.counts, it.proxy.cuts
    writes = {cut: sum(n for (method, at), n in cuts.items() if at is cut and method != "GET") for _, cut in cuts}
    return {
        "kind": kind,
        "server": it.taker.software,
        "payments": counts.payments,
        "refunds": counts.refunds,
        "answers_lost": it.lost_answers,
        "writes_cut": {str(cut): number for cut, number in sorted(writes.items())},
        "looks_cut": sum(number for (method, _), number in cuts.items() if method == "GET"),
        "twice": counts.twice,
        "lost": counts.lost,
        "unknown": len(counts.unknown),
        "unknown_rate": round(len(counts.unknown) / counts.facts, 4),
        "looked_at": len(counts.looked_at),
        "looked_at_rate": round(len(counts.looked_at) / counts.facts, 4),
        "was_there": counts.there,
        "was_absent": counts.absent,
        "troubles": counts.troubles[:20],
        "seconds": round(seconds),
    }


async def run(kind: str, wanted: int, seed: int) -> bool:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/lost.db"
        migrate(url)
        async with taker(kind) as server, lost_answers(server, seed, url) as it:
            while it.lost_answers < wanted and not it.counts.troubles:
                await it.round()
                print(f"{kind}: {it.lost_answers} answers lost", file=sys.stderr, flush=True)
            await it.end()
            print(json.dumps(report(kind, it, time.monotonic() - begun)), flush=True)
            return not it.counts.troubles


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    kinds = [given.kind] if given.kind else KINDS
    sound = [asyncio.run(run(kind, given.answers, given.seed)) for kind in kinds]
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
