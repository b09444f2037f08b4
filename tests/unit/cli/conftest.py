"""Commands as an operator types them, with nothing running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhirpay.cli.main import app


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The module's own `CONFIG`, in a folder of the test's."""
    path = tmp_path / "fhirpay.toml"
    path.write_text(request.module.CONFIG.format(folder=tmp_path))
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    yield path
    logger.handlers, logger.level, logger.propagate = before[0], before[1], before[2]


@pytest.fixture
def run(config: Path) -> Callable[..., tuple[int, list[str]]]:
    """A command as typed: its status, and what it says line by line."""

    def command(*words: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(app, [*words, "--config", str(config)])
        return done.exit_code, done.output.splitlines()

    return command
