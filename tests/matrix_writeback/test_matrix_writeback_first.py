"""An EHR that has never had anything from us: way × fault, in R4 and in R5 (see writeback_cells.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from writeback_cells import CELLS, LISTED, ROWS, play

from matrices import Cell
from writeback_world import R4, Desk

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.warns("posting.put_off", "call.parked", "work.parked"),
]


@pytest.mark.parametrize(("version", "way", "row"), CELLS)
async def test_it_is_there_once_or_somebody_is_told(
    new_desk: Callable[[str], Awaitable[Desk]],
    version: str,
    way: str,
    row: str,
    record_property: Callable[[str, Any], None],
) -> None:
    cell = Cell(record_property, "writeback", row=row, column=way if version == R4 else f"{way}, R5")
    desk = await new_desk(f"{way} {version} {row}")
    outcome = await play(desk, way, ROWS[row], known=False, version=version)
    cell.says(outcome)
    assert outcome.startswith("listed") == (row in LISTED[way]), outcome
