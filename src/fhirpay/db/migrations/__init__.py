"""The schema over time, by Alembic. `migrate(url)` is what `fhirpay migrate` calls; it may be called again and again.

One revision a change of schema, in `versions/`, written for both engines. `python -m fhirpay.db.migrations.generate`
prints what the tables of the code would need as explicit operations, to be reviewed and kept. A test compares the
live catalogue after all migrations with what the code declares.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from ...errors import ConfigInvalid

_HERE = Path(__file__).resolve().parent
_LOCK = 0x66_68_69_72  # advisory lock number; any, but always the same


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def head() -> str:
    """The newest revision in this program."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None
    return found


def migrate(url: str) -> str:
    """Bring the database to the newest schema, making a SQLite file (and its folder) where there is none.

    Returns the revision. On PostgreSQL two at once wait for each other; use a URL that bypasses a transaction pooler.
    Raises ConfigInvalid when a running server holds the SQLite file.
    """
    if url.startswith("sqlite:///"):
        return _migrate_sqlite(url)
    return _migrate_postgres(url)


def _migrate_sqlite(url: str) -> str:
    from ..sqlite import FileLock, connect, database_path, on

    path = database_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    lock.take()
    try:
        raw = connect(path)
        # Once, here: on a fresh file two connections that both set it lock each other out at once.
        raw.execute("PRAGMA journal_mode=WAL")
        with on(raw) as connection, connection.begin():
            raw.execute("BEGIN IMMEDIATE")  # so that a failed migration leaves nothing; SQLite's DDL rolls back too
            _upgrade(connection)
    finally:
        lock.release()
    return head()


def _migrate_postgres(url: str) -> str:
    from ..postgres import driver_url

    engine = create_engine(driver_url(url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            _upgrade(connection)
    finally:
        engine.dispose()
    return head()


def migrate_here(connection: Connection, *, to: str = "head") -> None:
    """As `migrate`, on a connection that is open: for databases in memory. `to`: the revision to stop at."""
    with connection.begin():
        _upgrade(connection, to)


def _upgrade(connection: Connection, to: str = "head") -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def require_migrated(connection: Connection) -> None:
    """Raises ConfigInvalid, saying what to run, unless the schema is this program's."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found == head():
        return
    if found is None:
        raise ConfigInvalid("the database has no tables yet; run `fhirpay migrate`")
    known = {revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found in known:
        raise ConfigInvalid(f"the database is at revision {found}, this program at {head()}; run `fhirpay migrate`")
    raise ConfigInvalid(f"the database is at revision {found}, newer than this program; install the newer fhirpay")
