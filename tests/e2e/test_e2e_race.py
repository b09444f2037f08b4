"""A few rounds of the race for one effect on each engine; `make race` has a thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from race_world import race

ROUNDS = 4


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_everybody_at_once_has_one_effect(engine: str, tmp_path: Path, databases: Any) -> None:
    url = databases.server.create() if engine == "postgresql" else ""
    async with race(tmp_path / "race", database=url) as it:
        await it.rounds(1, ROUNDS)
        found = await it.verdict()
    assert found["wrong"] == []
    assert (found["effects"], found["doubles"], found["lost"], found["posted_twice"]) == (ROUNDS, 0, 0, 0)
    assert found["refused"] >= ROUNDS  # else nobody was in anybody's way
