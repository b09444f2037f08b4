"""Each planted bug turns a simulation red, within a few seeds. See planted.py for the list."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import DIRECT, PLANTED, Planted
from sim_chaos import THEMES
from sim_sweep import sweep
from sim_world import World, simulate

SEEDS = 20  # at most, of the theme of the bug


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_turns_a_simulation_red(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    red = next(filter(None, map(_red, _seeds(planted))), None)
    assert red is not None, f"no seed of {list(_seeds(planted))} is red without '{planted.name}'"
    print(f"{planted.name}: seed {red.seed}, {red.troubles[0]}")


@pytest.mark.parametrize("guard", DIRECT)
def test_what_a_world_hardly_shows_has_a_test_of_its_own(guard: str) -> None:
    path, _, name = DIRECT[guard].partition("::")
    assert f"def {name}(" in (Path(__file__).parent.parent / path).read_text(encoding="utf-8")


def _seeds(planted: Planted) -> range:
    if not planted.theme:
        return range(1, 1 + SEEDS)
    first = THEMES.index(planted.theme) or len(THEMES)
    return range(first, first + SEEDS * len(THEMES), len(THEMES))


def _red(seed: int) -> World | None:
    world = simulate(seed, sweep)
    return world if world.troubles else None
