"""The same seed is the same world, to the last line of its log and the last row of its database, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulate import check, digest, main, seeds_of

SEEDS = (2, 9)
HERE = Path(__file__).parent


def test_a_seed_runs_twice_to_the_same_log() -> None:
    first = {seed: digest(check(seed)) for seed in SEEDS}
    assert {seed: digest(check(seed)) for seed in reversed(SEEDS)} == first
    assert len(set(first.values())) == len(SEEDS)


def test_another_process_with_other_hashes_runs_to_the_same_log() -> None:
    environ = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE)))}
    command = [sys.executable, str(HERE / "simulate.py"), str(SEEDS[0])]
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300).stdout
    world = check(SEEDS[0])
    assert digest(world) in shown.splitlines()
    assert world.log == shown.splitlines()[: len(world.log)]


def test_seeds_are_named_as_the_makefile_says() -> None:
    assert list(seeds_of("4711")) == [4711]
    assert seeds_of("1000-2000") == range(1000, 2001)
    assert seeds_of("200x") == range(1, 201)


def test_the_first_red_seed_is_shown_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ledger_is_whole(_: object) -> list[str]:
        return ["it isn't"]

    monkeypatch.setattr("sim_sweep.Sweep.ledger_is_whole", ledger_is_whole)
    assert main(["7-9"]) == 1
    shown = capsys.readouterr().out
    assert "✗ ledger_is_whole: it isn't" in shown
    assert "again: make simulate SEEDS=7" in shown
    assert "SEEDS=8" not in shown
