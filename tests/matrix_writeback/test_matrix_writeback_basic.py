"""An EHR that takes payments as Oracle Health does: created, and never looked at again (see writeback_cells.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from writeback_cells import BASIC_ROWS, LISTED, ROWS, play

from matrices import Cell
from writeback_world import TRANSACTIONS, VISIT, Desk

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.warns("posting.put_off", "call.parked", "work.parked"),
]


@pytest.mark.parametrize("row", BASIC_ROWS)
async def test_it_is_there_once_or_somebody_is_told(
    new_desk: Callable[..., Awaitable[Desk]], row: str, record_property: Callable[[str, Any], None]
) -> None:
    cell = Cell(record_property, "writeback", row=row, column="Basic")
    desk = await new_desk(f"basic {row}", **TRANSACTIONS)
    desk.ehr.ehr.chart(VISIT)
    outcome = await play(desk, "BASIC", ROWS[row], known=False)
    cell.says(outcome)
    assert outcome.startswith("listed") == (row in LISTED["BASIC"]), outcome
