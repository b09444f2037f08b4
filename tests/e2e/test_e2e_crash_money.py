"""SIGKILL wherever money moves or is posted, on SQLite: each business fact moves it once, by the others' own books.
Right after each COMMIT here; `make soak` dies right before it too.

In our units, and in the middle of a call: before the processor or the EHR has done anything, and when all is done and
stored there and no answer has left.
"""

from __future__ import annotations

from pathlib import Path

from crash_points import MONEY_UNITS, OTHERS, around
from crash_world import world


async def test_killed_where_money_moves_and_is_posted(tmp_path: Path) -> None:
    async with world(tmp_path / "world") as w:
        for point in [*around(MONEY_UNITS, ("committed",)), *OTHERS]:
            await w.dies_at(point)
        await w.start()
        await w.check()
