"""What the listener would store goes on through mapping and billing: each message applies or parks, and books balance.

In this process, on a database in memory for each portion, so that a million cases leave no million charges behind.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fuzz_account import frames_in
from fuzz_grammar import case
from fuzz_site import FEEDS, Heard, settings
from sqlalchemy import func, select

from fhirpay import wiring
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.metadata import table
from fhirpay.db.migrations import migrate_here
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.batch import is_batch, read_batch
from fhirpay.inbox.tables import InboxRow
from fhirpay.usecases.doctor import examine

PORTION = 250
SLOW_S = 10.0
_inbox = table(InboxRow)


def _outcomes(tx: Tx) -> list[tuple[str, str, int]]:
    """State, whether the words name a bug, how many."""
    bug = _inbox.c.detail.like("bug:%").label("bug")
    rows = tx.all(select(_inbox.c.state, bug, func.count().label("count")).group_by(_inbox.c.state, bug))
    return [(row["state"], "bug" if row["bug"] else "", row["count"]) for row in rows]


async def _portion(seed: int, first: int, last: int, counts: Counter[str]) -> list[str]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, tzinfo=UTC))
    ids = CountedIds()
    database = InlineDatabase(Path(":memory:"), clock=clock, ids=ids)
    migrate_here(database.connection)
    await database.start()
    system = wiring.build(settings("sqlite:///unused.db"), clock=clock, ids=ids, database=database)
    house = system.house("main")
    inbox, *_ = system.workers()
    problems: list[str] = []
    heard = Heard()
    logger = logging.getLogger("fhirpay")
    logger.addHandler(heard)
    try:
        for number in range(first, last):
            intake = house.intakes[FEEDS[number % len(FEEDS)].name]
            begun = time.monotonic()
            for frame in frames_in(case(seed, number).data):
                for data in read_batch(frame).messages if is_batch(frame) else [frame]:
                    await intake.receive(data, source="mllp")
            while await inbox.drain():
                clock.advance(timedelta(hours=1))
            if (took := time.monotonic() - begun) > SLOW_S:
                problems.append(f"case {number}: {took:.1f} s to apply")
            if heard.errors:
                problems.append(f"case {number}: {heard.errors.pop()}")
        for state, bug, count in await house.units.read(_outcomes):
            counts[state] += count
            if state not in ("applied", "parked") or bug:
                problems.append(f"cases {first} to {last}: {count} messages are {state} {bug}")
        problems += [f"cases {first} to {last}: {says}" for says in await house.units.read(examine)]
    finally:
        logger.removeHandler(heard)
        await system.close()
        await database.stop()
    return problems


async def run(seed: int, first: int, last: int) -> tuple[Counter[str], list[str]]:
    """How many of what is stored of these cases are applied and parked, and what is wrong."""
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for begin in range(first, last, PORTION):
        problems += await _portion(seed, begin, min(begin + PORTION, last), counts)
    return counts, problems
