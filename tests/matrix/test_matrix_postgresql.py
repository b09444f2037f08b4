"""The fault matrix on PostgreSQL: a diagonal sample, since what goes wrong out there is the same on both engines."""

from __future__ import annotations

from typing import Any

import pytest
from fault_cells import COLUMNS, ROWS, TROUBLE

ENGINE = "postgresql"
MONEY = [row for row in ROWS if row.name in ("sale", "authorize", "capture", "void, held", "void, taken", "refund")]


@TROUBLE
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(len(COLUMNS)))
async def test_diagonal_cell(bench: Any, number: int) -> None:
    await bench.run(MONEY[number % len(MONEY)], COLUMNS[number])
