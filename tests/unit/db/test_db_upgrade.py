"""A database that an earlier release left, with all that is in it, becomes this program's: no row lost, books whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fhirpay.db.migrations import migrate, migrate_here
from fhirpay.db.postgres import driver_url
from fhirpay.db.unit import Dialect, Tx
from fhirpay.domain.ids import CountedIds
from fhirpay.ledger.check import Report
from fhirpay.ledger.verify import verify
from invariants import examined
from kept_databases import KEPT, fill

pytestmark = pytest.mark.unsound("examined here")
RELEASES = sorted(path.stem for path in KEPT.glob("*.jsonl"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, databases: Any, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'kept.db'}"
        return
    url = databases.server.empty()
    yield url
    databases.server.drop(url)


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_left_is_taken_over_whole(empty_url: str, release: str) -> None:
    engine = sa.create_engine(driver_url(empty_url))
    with engine.connect() as connection:
        migrate_here(connection, to=release)
        with connection.begin():
            kept = fill(connection, release)
    assert {"payment", "refund", "posting", "ledger_entry"} <= set(kept)

    migrate(empty_url)

    assert examined(empty_url) == []
    there = sa.MetaData()
    with engine.connect() as connection:
        there.reflect(connection)
        for table, rows in kept.items():
            left = connection.execute(sa.select(sa.func.count()).select_from(there.tables[table])).scalar_one()
            assert left >= rows, f"of {table} {rows - left} rows are gone"
        report = verified(connection)
    engine.dispose()
    assert report.problems == ()
    assert report.entries == kept["ledger_entry"]


def verified(connection: sa.Connection) -> Report:
    tenant = connection.execute(sa.text("SELECT tenant_id FROM ledger_head")).scalar_one()
    dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
    raw = connection.connection.dbapi_connection
    return verify(
        Tx(connection, raw, tenant=tenant, dialect=dialect, ids=CountedIds(), clock=lambda: datetime.now(UTC))
    )
