"""The fault matrix: pages and questions, at Adyen (the stand-in). See fault_cells.py."""

from __future__ import annotations

from typing import Any

import pytest
from fault_cells import Row, cells

from processor_sides import ADYEN

SIDE = ADYEN


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("row", "column"),
    cells(
        "page opened",
        "page paid",
        "page paid, expired",
        "setup page",
        "lookup",
        "list",
        "terminal start",
        "terminal paid",
        "terminal cancel",
    ),
)
async def test_cell(cell: Any, row: Row, column: str) -> None:
    await cell(row, column)
