"""An EHR that has taken a payment before, by PUT: the way that asks what it did then (see writeback_cells.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from writeback_cells import LISTED, ROWS, play

from matrices import Cell
from writeback_world import Desk

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.warns("posting.put_off", "call.parked", "work.parked"),
]


@pytest.mark.parametrize("row", ROWS)
async def test_it_is_there_once_or_somebody_is_told(
    new_desk: Callable[[str], Awaitable[Desk]], row: str, record_property: Callable[[str, Any], None]
) -> None:
    cell = Cell(record_property, "writeback", row=row, column="PUT, known")
    desk = await new_desk(row)
    outcome = await play(desk, "PUT", ROWS[row], known=True)
    cell.says(outcome)
    assert outcome.startswith("listed") == (row in LISTED["PUT"]), outcome
