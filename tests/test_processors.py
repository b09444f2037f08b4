"""What every processor of the registry has, beside its adapter: a missing one is named (docs/processors.md)."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from fhirpay.payments import registry
from processor_sides import sides

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MATRIX = ("taking", "following", "asking")
NAMES = sorted(registry._MAKES)


def _bases(path: Path) -> set[str]:
    """The classes that the file's classes are made of."""
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    classes = [node for node in found if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    return {base.id for one in classes for base in one.bases if isinstance(base, ast.Name)}


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(name: str) -> None:
    path = TESTS / "contract" / f"test_processor_{name}.py"
    assert path.is_file(), f"{path.name} is missing: a world, and a subclass of ProcessorContract"
    assert "ProcessorContract" in _bases(path), f"{path.name} has no class Test…(ProcessorContract)"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_run_in_the_fault_matrix(name: str) -> None:
    side = sides().get(name)
    assert side is not None, f"tests/processor_sides.py has no Side named {name}"
    assert {"approve", "decline", "funds"} <= side.tokens.keys()
    for part in MATRIX:
        path = TESTS / "matrix" / f"test_matrix_{name}_{part}.py"
        assert path.is_file(), f"{path.name} is missing: a copy of another side's, with this one's name"
        assert f"SIDE = {name.upper()}\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("can", "file"), [("disputes", "test_processor_disputes.py"), ("bank_debits", "test_processor_banks.py")]
)
def test_what_it_says_that_it_can_do_keeps_a_contract_of_its_own(name: str, can: str, file: str) -> None:
    adapter = import_module(f"fhirpay.payments.adapters.{name}")
    kept = f"side = {name.upper()}\n" in (TESTS / "contract" / file).read_text(encoding="utf-8")
    assert kept == getattr(adapter.CAPABILITIES, can), f"{file}: a class for {name}, where its capabilities say {can}"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_described(name: str) -> None:
    """A column of the README's table, or a chapter with its settings."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| \|(.*)\|\n\|---", readme.partition("\n## Processors\n")[2], re.MULTILINE)
    assert table is not None
    described = (ROOT / "docs" / "processors.md").read_text(encoding="utf-8")
    assert f"`{name}`" in table[1] or f'processor = "{name}"' in described, (
        f"neither README's table of processors nor docs/processors.md tells of {name}"
    )


def test_no_use_case_asks_for_a_processor_by_name() -> None:
    """What one can't do is a capability."""
    names = "|".join(NAMES)
    asked = re.compile(rf"processor\S* *(==|!=|in) *\(?[\"'](?:{names})[\"']")
    for path in sorted((ROOT / "src" / "fhirpay").rglob("*.py")):
        if "adapters" not in path.parts:
            assert not asked.search(path.read_text(encoding="utf-8")), path
