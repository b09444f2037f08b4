"""SIGKILL wherever something comes in and is answered, and at random, on SQLite: what was acknowledged is there, once.

One world dies again and again, right after each COMMIT; `make soak` dies right before it too. The senders send on, and
at the end they are asked what they were told.
"""

from __future__ import annotations

import random
from pathlib import Path

from crash_points import ANSWERS, GROUPS, INTAKE_UNITS, around
from crash_world import world

RANDOM_KILLS = 5


async def test_killed_where_messages_come_in_and_are_answered(tmp_path: Path) -> None:
    chance = random.Random(1)
    async with world(tmp_path / "world") as w:
        for point in [*around(INTAKE_UNITS, ("committed",)), *GROUPS, *ANSWERS]:
            await w.dies_at(point)
        await w.start()
        for _ in range(RANDOM_KILLS):
            await w.dies_by_chance(chance)
        await w.check()
        await w.same_answers(chance)
