"""What reviewers would say twice, said by a test instead."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "fhirpay"
MODULES = sorted(SOURCE.rglob("*.py"))


@cache
def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


OURS = [path for path in MODULES if not _name(path).startswith("simulators/")]

# library → the only places that may import it, with the reason beside it
ONE_DOOR = {
    "httpx2": {"net/http.py"},  # one place to class what was sent and what was not
    "httpx": set(),
    "asyncssh": {"net/sftp.py"},  # optional: nothing else may need it to start
    "aiohttp": set(),  # it reports a POST that the server has read as ConnectTimeout
    "fhir.resources": {"fhir/models.py"},
    "hl7apy": {"hl7/standard.py", "hl7/strict.py", "hl7/writer.py"},
    "random": {"flow/backoff.py", "wiring.py"},
    "secrets": {"domain/ids.py"},
    "uuid": set(),
}


@pytest.mark.parametrize("library", ONE_DOOR)
def test_library_comes_in_by_its_one_door(library: str) -> None:
    users = {_name(path) for path in OURS if any(f"{name}.".startswith(f"{library}.") for name in _imports(path))}
    assert users <= ONE_DOOR[library], f"{library} is imported outside its door"


def test_retries_by_tenacity_stand_only_around_idempotent_steps() -> None:
    allowed = {"fhir/client.py", "db/postgres.py"}
    users = {_name(path) for path in OURS if any(name.startswith("tenacity") for name in _imports(path))}
    assert users
    assert all(user in allowed or user.startswith(("smart/", "payments/adapters/")) for user in users)


def test_time_is_an_argument() -> None:
    call = re.compile(r"datetime\.(now|utcnow|today)\(|date\.today\(|time\.time\(")
    users = {_name(path) for path in OURS if call.search(path.read_text(encoding="utf-8"))}
    assert users == {"domain/clock.py"}


def test_money_never_becomes_a_float() -> None:
    assert {_name(path) for path in OURS if re.search(r"\bfloat\(", path.read_text(encoding="utf-8"))} == set()


def test_no_column_loses_digits_or_zones() -> None:
    banned = {"Numeric", "DateTime", "JSON", "JSONB", "Float"}
    for path in SOURCE.rglob("tables.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & banned, path


def test_every_table_leads_with_the_tenant() -> None:
    from fhirpay.db.metadata import import_tables, metadata

    import_tables()
    assert metadata.tables
    for table in metadata.tables.values():
        assert next(iter(table.columns)).name == "tenant_id", table.name
        assert "tenant_id" in {column.name for column in table.primary_key}, table.name


def test_migrations_are_one_row_by_the_numbers_of_their_files() -> None:
    said = re.compile(r'^revision = "(\d+)"$.*?^down_revision = (?:"(\d+)"|None)$', re.M | re.S)
    files = sorted((SOURCE / "db" / "migrations" / "versions").glob("0*.py"))
    for before, path in zip(("", *(one.name[:4] for one in files)), files, strict=False):
        found = said.search(path.read_text(encoding="utf-8"))
        assert found is not None, path
        assert (found[1], found[2] or "") == (path.name[:4], before), path


def test_broad_except_stands_in_the_loops_only() -> None:
    places = {"hl7/mllp_connection.py", "flow/worker.py", "web/problem.py", "db/sqlite.py", "usecases/take_files.py"}
    places |= {"usecases/poll_ehr.py"}
    found: set[str] = set()
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            cleans_up = isinstance(node, ast.ExceptHandler) and isinstance(node.body[-1], ast.Raise)
            if isinstance(node, ast.ExceptHandler) and not cleans_up:
                names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"Exception"}
                if names & {"Exception", "BaseException"}:
                    found.add(_name(path))
    assert found <= places, found - places


def test_every_module_says_what_it_is() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8").strip()
        if text:
            assert ast.get_docstring(ast.parse(text)), path


def test_nothing_names_a_machine_or_a_registry() -> None:
    banned = re.compile(r"(^|[^A-Za-z0-9_.])/(work|root|home)/|pythonhosted\.org|npmjs\.org|/simple/")
    for folder in ("src", "mappings", "conformance", "docker", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in {".pyc", ".hl7"} and path.name != "test_architecture.py":
                match = banned.search(path.read_text(encoding="utf-8", errors="ignore"))
                assert match is None, f"{path}: {match.group(0) if match else ''}"
