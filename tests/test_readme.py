"""The README is complete: every setting, error code and command stands in it, and every path it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from fhirpay import config, errors

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def _settings() -> list[str]:
    sections = [
        cls
        for cls in vars(config).values()
        if isinstance(cls, type) and issubclass(cls, BaseModel) and cls.model_fields
    ]
    return sorted({f"`{name}`" for section in sections for name in section.model_fields})


def _codes(cls: type[errors.FhirpayError] = errors.FhirpayError) -> list[str]:
    return sorted({cls.code, *(code for sub in cls.__subclasses__() for code in _codes(sub))} - {"error"})


@pytest.mark.parametrize("setting", _settings())
def test_setting_is_explained(setting: str) -> None:
    assert setting in README


@pytest.mark.parametrize("code", _codes())
def test_error_code_is_explained(code: str) -> None:
    assert f"`{code}`" in README


def test_every_command_is_explained() -> None:
    from typer.main import get_command

    from fhirpay.cli.main import app

    group = get_command(app)
    names = list(group.commands)  # type: ignore[attr-defined]
    assert names
    assert [name for name in names if f"`fhirpay {name}" not in README] == []


def test_no_help_has_what_is_read_as_markup_and_left_out() -> None:
    from typer.main import get_command

    from fhirpay.cli.main import app

    todo = [get_command(app)]
    for command in todo:
        todo += getattr(command, "commands", {}).values()
        says = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
        assert not [one for one in says if re.search(r"\[\S", one)], command.name


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
    needed = [re.split(r"[\[>=<]", line)[0] for line in project["project"]["dependencies"]]
    assert [name for name in needed if f"| {name} |" not in README] == []


def test_the_configuration_that_it_shows_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fhirpay.wiring import build

    shown = README.split("```toml\n")[1].split("```")[0].replace("sqlite:///var/", f"sqlite:///{tmp_path}/")
    for name in re.findall(r"env:(\w+)", shown):
        monkeypatch.setenv(name, "a secret of more than thirty-two characters")
    path = tmp_path / "fhirpay.toml"
    path.write_text(shown, encoding="utf-8")
    system = build(config.load(path))
    assert [listener.name for listener in system.listeners()] == ["lab"]
    assert {"/hl7v2", "/health/ready", "/api/v1/payments"} <= set(system.web.openapi()["paths"])


def test_every_option_that_it_names_exists() -> None:
    from typer.main import get_command

    from fhirpay.cli.main import app

    known = set()
    todo = [get_command(app)]
    for command in todo:
        todo += getattr(command, "commands", {}).values()
        known |= {option for parameter in command.params for option in parameter.opts}
    for line in README.splitlines():
        if line.startswith("| `fhirpay "):
            assert set(re.findall(r"`(--[a-z-]+)", line)) <= known, line
