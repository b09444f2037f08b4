"""The fault matrix: a card held to a reader, at the simulated processor. See fault_cells.py."""

from __future__ import annotations

from typing import Any

import pytest
from fault_cells import Row, cells

from processor_sides import SIMULATED

SIDE = SIMULATED


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("row", "column"), cells("terminal start", "terminal paid", "terminal cancel"))
async def test_cell(cell: Any, row: Row, column: str) -> None:
    await cell(row, column)
