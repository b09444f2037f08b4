"""What a receiver of DFT^P03 can do to a posting: what is posted × receiver × fault (see dft_cells.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dft_cells import LISTED, ROWS, play

from dft_world import Engine, receiving
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from matrices import Cell

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.warns("posting.put_off", "call.parked", "work.parked", "mllp.late_answer"),
]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("what", ["payment", "adjustment"])
@pytest.mark.parametrize("column", ["dedupes", "doesn't"])
async def test_it_is_there_once_or_somebody_is_told(
    shared: Database, clock: FrozenClock, column: str, what: str, row: str, record_property: Callable[[str, Any], None]
) -> None:
    cell = Cell(record_property, "dft", row=row, column=f"{what}, {column}")
    async with receiving(dedupes=column == "dedupes") as receiver:
        owner, adjusts = f"{what} {column} {row}", what == "adjustment"
        engine = Engine(shared, clock, receiver, tenant=owner, adjusts=adjusts, **dict(ROWS[row].profile))
        try:
            outcome = await play(engine, ROWS[row])
        finally:
            await engine.client.close()
    cell.says(outcome)
    assert outcome.startswith("listed") == (row in LISTED[column]), outcome
