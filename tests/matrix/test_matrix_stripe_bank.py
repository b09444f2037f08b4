"""The fault matrix: bank debits and a dispute given up, at Stripe (the look-alike). See bank_cells.py."""

from __future__ import annotations

from typing import Any

import pytest
from bank_cells import bank_cells
from fault_cells import Row

from processor_sides import STRIPE

SIDE = STRIPE


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("row", "column"), bank_cells())
async def test_cell(cell: Any, row: Row, column: str) -> None:
    await cell(row, column)
