"""The world that the cells of a file share: one database, one processor, one clock that goes on from cell to cell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from fault_cells import Bench, Row, bench_of

from fhirpay.db.unit import open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from invariants import examined
from matrices import Cell
from payments_world import payments_world
from processor_sides import SIMULATED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(request: pytest.FixtureRequest, databases: object) -> AsyncIterator[Bench]:
    """Of the module's `SIDE`, on its `ENGINE`."""
    side = getattr(request.module, "SIDE", SIMULATED)
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url(getattr(request.module, "ENGINE", "sqlite")) as url:  # type: ignore[attr-defined]
        database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
        await database.start()
        try:
            async with (
                payments_world(database, clock, side=side, timeout_s=10) as world,
                bench_of(world) as made,
            ):
                yield made
        finally:
            await database.stop()
        problems = examined(url)
        assert not problems, "\n".join(problems)


@pytest.fixture
def cell(bench: Bench, record_property: Callable[[str, object], None]) -> Callable[[Row, str], object]:
    """Run a cell, and note what it says for the printed matrix."""

    async def run(row: Row, column: str) -> None:
        noted = Cell(record_property, f"faults-{bench.world.side.name}", row=row.name, column=column)
        why = bench.not_here(row, column)
        noted.says(f"– {why}" if why else await bench.run(row, column))

    return run
