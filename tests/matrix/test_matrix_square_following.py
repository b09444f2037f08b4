"""The fault matrix: what follows on a payment, at Square (the look-alike). See fault_cells.py."""

from __future__ import annotations

from typing import Any

import pytest
from bank_cells import bank_cells
from fault_cells import Row, cells

from processor_sides import SQUARE

SIDE = SQUARE


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("row", "column"), [*cells("capture", "void, held", "void, taken", "refund"), *bank_cells()])
async def test_cell(cell: Any, row: Row, column: str) -> None:
    await cell(row, column)
