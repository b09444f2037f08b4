"""What forked test processes say is heard: what failed, what a process died of, and what came after the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CONFTEST = """
from forked import pytest_addoption, pytest_runtestloop
"""
_FIRST = """
import os, sys, pytest

def test_passes(tmp_path): print("heard of nobody")
def test_fails(): print("heard of the one that fails"); assert 1 == 2
def test_dies(): os._exit(3)
def test_comes_after(): assert os.environ["TESTS_PROCESS"] == "2"
@pytest.mark.skip
def test_is_skipped(): ...
"""
_SECOND = """
import time, pytest

@pytest.fixture(scope="session")
def lasting():
    made.append("s")
    yield
    made.append("t")

@pytest.fixture(scope="module")
def shared(lasting):
    yield
    assert not made[1:], "of the module"

made = []
def test_has_it(shared): time.sleep(0.3)
def test_has_it_too(shared): assert made == ["s"]
"""
_AFTER = """
import pytest

@pytest.fixture(scope="session")
def broken():
    yield
    raise RuntimeError("after all tests")

def test_passes(broken): ...
"""


def _run(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(_CONFTEST)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--processes", "2", "-rA", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_each_test_is_told_of_once_though_a_process_died(tmp_path: Path) -> None:
    ended = _run(tmp_path, first=_FIRST, second=_SECOND)
    assert ended.returncode == 1, ended.stderr
    assert "2 failed, 4 passed, 1 skipped" in ended.stdout
    assert "heard of the one that fails" in ended.stdout
    assert "the process ended with 3" in ended.stdout


def test_what_fails_after_the_tests_fails_the_run(tmp_path: Path) -> None:
    ended = _run(tmp_path, second=_SECOND, after=_AFTER)
    assert ended.returncode != 0
    assert "RuntimeError: after all tests" in ended.stderr
