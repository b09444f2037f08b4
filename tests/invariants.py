"""How every test ends: what is in its database agrees with itself, and its log holds no warning that nobody expects.

`conftest` calls `examined` for each database that a test was given, and `Listener` hears each test's log. A test that
breaks the books on purpose, or fills one store without its neighbours, says so: `@pytest.mark.unsound("why")`. A test
that provokes trouble names the warnings that it expects: `@pytest.mark.warns("work.retry", …)`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from databases import Looking
from fhirpay.db.sqlite import connect, database_path, on
from fhirpay.db.unit import Tx
from fhirpay.domain.ids import CountedIds
from fhirpay.usecases.doctor import examine

_TENANTS = "SELECT tenant_id FROM work UNION SELECT tenant_id FROM payment UNION SELECT tenant_id FROM ledger_head"


def examined(url: str) -> list[str]:
    """What doesn't agree with itself in this database, tenant by tenant. A database without our tables is fine."""
    with _reading(url) as connection:
        raw = connection.connection.dbapi_connection
        dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
        if not _has_tables(connection, dialect):
            return []
        found: list[str] = []
        for (tenant,) in connection.execute(text(_TENANTS)).all():
            now = datetime.now(UTC)
            tx = Tx(connection, raw, tenant=tenant, dialect=dialect, ids=CountedIds(), clock=lambda now=now: now)
            found += [f"{tenant}: {finding}" for finding in examine(tx)]
        return found


def _has_tables(connection: Connection, dialect: str) -> bool:
    catalog = (
        "sqlite_master WHERE name" if dialect == "sqlite" else "pg_tables WHERE schemaname = 'public' AND tablename"
    )
    return connection.execute(text(f"SELECT 1 FROM {catalog} = 'ledger_head'")).first() is not None  # noqa: S608


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    if url.startswith("sqlite"):
        raw = connect(database_path(url), read_only=True)
        try:
            with on(raw) as connection:
                yield connection
        finally:
            raw.close()
        return
    yield Looking.at(url)


class Listener(logging.Handler):
    """Hears our log from warning on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())

    def unexpected(self, expected: frozenset[str]) -> list[str]:
        return sorted(set(self.heard) - expected)
