"""Databases for tests: every store test runs on SQLite and on a real PostgreSQL.

`database` is started and migrated, `units` is its tenant "main", `clock` stands still at 2026-11-20 15:00 UTC until
told, `ids` count. Each test gets its own database (databases.py).
"""

from __future__ import annotations

import gc
import logging
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import settings

import quick_folder
import routes_once
from databases import Databases
from fhirpay.db.unit import Database, Units, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from invariants import Listener, examined
from matrices import pytest_terminal_summary as pytest_terminal_summary  # a hook: it prints them at the end

gc.disable()  # while modules are imported nothing is garbage; see pytest_collection_finish
settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.load_profile("ci")
routes_once.install()
quick_folder.install()

_LONG = ("e2e", "simulation", "month", "matrix", "matrix_writeback", "matrix_dft", "interleavings")
_ON_ONE = ("usecases", "contract")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long files first, so that no process is left with one of them at the end.

    A test with several cases runs the first of them on PostgreSQL too: the others send it the same statements. Tests of
    use cases, and those that speak to them over HTTP, share most of theirs: each is run on one engine, a quarter of
    them on PostgreSQL. FHIRPAY_EVERY_CASE=1 (`make test EVERY=1`) runs all on both.
    """
    items.sort(key=lambda item: item.path.parent.name not in _LONG)
    if not os.environ.get("FHIRPAY_EVERY_CASE"):
        again = set(_further_cases(items))
        config.hook.pytest_deselected(items=[item for item in items if item in again])
        items[:] = [item for item in items if item not in again]


def _further_cases(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    on_sqlite = {item.nodeid: item for item in items if _engine(item) == "sqlite"}
    seen: set[str] = set()
    for item in items:
        if _engine(item) != "postgresql":
            continue
        twin = on_sqlite.get(item.nodeid.replace("postgresql", "sqlite"))
        test = item.nodeid.partition("[")[0]
        if test in seen:
            yield item
        elif twin is not None and item.path.parent.name in _ON_ONE:
            yield item if zlib.crc32(test.encode()) % 4 else twin
        seen.add(test)


def _engine(item: pytest.Item) -> str:
    return str(item.callspec.params.get("database_url", "")) if hasattr(item, "callspec") else ""


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays to the end: a million objects that the collector need not visit."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 5, 20)  # a test that builds an application or a map makes many at once, all alive


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))


@pytest.fixture
def ids() -> CountedIds:
    return CountedIds()


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
    sound = request.node.get_closest_marker("unsound") is None
    with databases.url(request.param, again=sound) as url:
        yield url
        if sound:
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
