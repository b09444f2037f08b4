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


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
    needed = [re.split(r"[\[>=<]", line)[0] for line in project["project"]["dependencies"]]
    assert [name for name in needed if f"| {name} |" not in README] == []
