"""A program of tests/npm under node: started, told one line, heard one line of JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NPM = ROOT / ".venv" / "npm"  # where `make dev` installs what tests/npm names
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm isn't there")


@dataclass
class Node:
    """`first` is what it printed when it was ready."""

    process: subprocess.Popen[str]
    first: Any

    def tell(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._heard()

    def _heard(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def node(script: str, *arguments: str) -> Iterator[Node]:
    """It ends when its stdin does."""
    for file in (ROOT / "tests" / "npm").glob("*.mjs"):
        shutil.copy(file, NPM)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["node", script, *arguments], cwd=NPM, text=True, **pipes)
    try:
        made = Node(process, None)
        made.first = made._heard()
        yield made
    finally:
        process.communicate()
