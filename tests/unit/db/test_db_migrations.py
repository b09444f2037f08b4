"""All migrations together make exactly the tables that the code declares, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from fhirpay.db.metadata import import_tables, metadata
from fhirpay.db.migrations import migrate
from fhirpay.db.migrations.generate import operations
from fhirpay.db.postgres import driver_url


def _options(found: Any) -> list[str]:
    return sorted(f"{name}={value}" for name, value in found.items())


def catalogue(connection: sa.Connection) -> dict[str, Any]:
    """What the live database says of itself: columns, keys, indexes, checks, triggers, policies."""
    look = sa.inspect(connection)
    found: dict[str, Any] = {}
    for name in look.get_table_names():
        if name == "alembic_version":
            continue
        found[name] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(name)],
            "primary": look.get_pk_constraint(name),
            "unique": sorted((str(u["name"]), u["column_names"]) for u in look.get_unique_constraints(name)),
            "foreign": sorted(map(repr, look.get_foreign_keys(name))),
            "checks": sorted((str(c["name"]), c["sqltext"]) for c in look.get_check_constraints(name)),
            "indexes": sorted(
                (str(i["name"]), i["column_names"], i["unique"], _options(i.get("dialect_options", {})))
                for i in look.get_indexes(name)
            ),
        }
    if connection.dialect.name == "sqlite":
        extra = (
            "SELECT type, name, tbl_name, sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE name NOT LIKE '%alembic%'"
        )
    else:
        extra = (
            "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
            " UNION ALL SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy"
        )
    found["and"] = sorted(map(tuple, connection.execute(sa.text(extra))))
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def two_empty(request: pytest.FixtureRequest, databases: Any, tmp_path: Path) -> Iterator[tuple[str, str]]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'one.db'}", f"sqlite:///{tmp_path / 'two.db'}"
        return
    urls = databases.server.empty(), databases.server.empty()
    yield urls
    for url in urls:
        databases.server.drop(url)


def test_all_migrations_make_what_the_code_declares(two_empty: tuple[str, str]) -> None:
    migrated, declared = two_empty
    migrate(migrated)
    import_tables()
    found = []
    for url in (migrated, declared):
        engine = sa.create_engine(driver_url(url))
        with engine.begin() as connection:
            if url == declared:
                metadata.create_all(connection)
            found.append(catalogue(connection))
        engine.dispose()
    by_migration, by_code = found
    assert set(by_migration) == set(by_code)
    for name in by_code:
        assert by_migration[name] == by_code[name], name


def test_the_generated_operations_make_what_the_code_declares(two_empty: tuple[str, str]) -> None:
    generated, declared = two_empty
    import_tables()
    found = []
    for url in (generated, declared):
        engine = sa.create_engine(driver_url(url))
        with engine.begin() as connection:
            if url == declared:
                metadata.create_all(connection)
            else:
                body = operations(connection)
                op = Operations(MigrationContext.configure(connection))
                exec("if True:\n    " + body, {"op": op, "sa": sa})  # our own text
            found.append(catalogue(connection))
        engine.dispose()
    assert found[0] == found[1]


def test_wal_is_set_once_by_the_migration(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'wal.db'}"
    migrate(url)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
    engine.dispose()
