"""`fhirpay keys`: a key is made into a file of its own, and only its public half is ever shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhirpay.cli.main import app
from smart_world import EC_2

Run = Callable[..., Result]


@pytest.fixture
def run() -> Iterator[Run]:
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    yield lambda *arguments: CliRunner().invoke(app, ["keys", *arguments])
    logger.handlers, logger.level, logger.propagate = before


def test_a_key_is_made_listed_and_shown_by_its_public_half(run: Run, tmp_path: Path) -> None:
    file, toml = tmp_path / "key.pem", tmp_path / "fhirpay.toml"
    made = run("new", str(file), "--algorithm", "ES384")
    assert made.exit_code == 0, made.output
    assert (file.stat().st_mode & 0o777) == 0o600
    toml.write_text(f'[[tenants]]\nname = "main"\n[[tenants.keys]]\nprivate_key = "{file}"\n', encoding="utf-8")
    (listed,) = (json.loads(line) for line in run("list", "--json", "--config", str(toml)).output.splitlines())
    (shown,) = json.loads(run("jwks", "--config", str(toml)).output)["keys"]
    assert (listed["state"], listed["algorithm"]) == ("signs", "ES384")
    assert listed["kid"] == shown["kid"]
    assert listed["kid"] in made.output
    assert "d" not in shown
    secret = file.read_text(encoding="utf-8").splitlines()[1]
    assert secret not in made.output
    again = run("new", str(file))
    assert again.exit_code == 2
    assert "is there already" in again.output
    assert file.read_text(encoding="utf-8").splitlines()[1] == secret


def test_what_new_prints_can_be_written_below_the_tenant(run: Run, tmp_path: Path) -> None:
    file, toml = tmp_path / "key.pem", tmp_path / "fhirpay.toml"
    printed = run("new", str(file), "--algorithm", "RS384").output
    first = f"[[tenants.keys]]\nprivate_key = '''{EC_2}'''\n"
    toml.write_text(f'[[tenants]]\nname = "main"\n{first}{printed[printed.index("[[") :]}', encoding="utf-8")
    lines = run("list", "--config", str(toml)).output.splitlines()
    assert lines[0].endswith("signs")
    assert "published; signs from" in lines[1]
    assert lines[-1] == "2 published at http://127.0.0.1:8080/smart/jwks.json"
