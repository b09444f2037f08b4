"""Units of work: all database work is a plain function `fn(tx, …) -> value`, run by `await units.write(fn, …)`.

A plain function can't await, so no transaction spans a network call, by construction. A unit is short (about 5 ms),
returns plain values, does no I/O of its own and is *re-runnable*: the executor may roll it back and run it again
(a neighbour in the same group failed, a deadlock on PostgreSQL). Cancelling the wait doesn't cancel the unit.

Called by use cases, workers and web handlers, which own their units; stores take the `tx` they are given.
The executors are `sqlite.py` (one writer thread), `postgres.py` (a thread pool) and, for simulations, `inline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from types import CoroutineType
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, RowMapping, Select, Table
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase

from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import ConfigInvalid
from .constant import Constant, changed_by, constant
from .wakeups import Wakeups

P = ParamSpec("P")
T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

_SEEN_MAX = 500  # reads that a unit remembers
_Bind = Callable[[Mapping[str, Any]], Any]
_DIALECTS = {"sqlite": SQLiteDialect_pysqlite(paramstyle="qmark"), "postgresql": PGDialect_psycopg()}


class Prepared:
    """A statement compiled once per engine, for the few that stand on the path of an ACK.

    It skips type conversion as well as compilation: moments are handed over as `types.micros(…)`, and rows come back
    as tuples of stored values. Anywhere else `tx.execute` is right.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self.changes = changed_by(statement)
        self._compiled: dict[str, tuple[str, _Bind]] = {}

    def compiled(self, dialect: Dialect) -> tuple[str, _Bind]:
        """The SQL text, and what turns parameters by name into what the driver takes."""
        found = self._compiled.get(dialect)
        if found is None:
            text = self._statement.compile(dialect=_DIALECTS[dialect])
            fixed = {name: value for name, value in (text.params or {}).items() if value is not None}
            order: list[str] | None = getattr(text, "positiontup", None)
            found = self._compiled[dialect] = (str(text), _bind(fixed, order))
        return found


def _bind(fixed: dict[str, Any], order: list[str] | None) -> _Bind:
    """`fixed` are the values in the statement itself; `order` is where the driver wants each, or None for by name."""
    if order is None:
        return lambda given: {**fixed, **given}
    pick = itemgetter(*order) if len(order) > 1 else lambda given: tuple(given[name] for name in order)
    if not fixed:
        return pick
    return lambda given: pick({**fixed, **given})


class Tx:
    """One open transaction of one tenant. Lives as long as the unit; never kept.

    `alone`: nobody else can change what it reads, so what it has read and not changed since is not read again.
    """

    __slots__ = (
        "_alone",
        "_changed",
        "_clock",
        "_connection",
        "_now",
        "_raw",
        "_seen",
        "dialect",
        "ids",
        "tenant",
        "topics",
    )

    def __init__(
        self,
        connection: Connection,
        raw: Any,
        *,
        tenant: str,
        dialect: Dialect,
        ids: Ids,
        clock: Callable[[], datetime],
        alone: bool = False,
    ) -> None:
        self.tenant = tenant
        self.dialect: Dialect = dialect
        self.ids = ids
        self.topics: set[str] = set()
        self._connection = connection
        self._raw = raw
        self._clock = clock
        self._now: datetime | None = None
        self._alone = alone
        self._seen: dict[tuple[Any, ...], tuple[int, Any]] = {}  # by text and values; with the changes seen by it
        self._changed: dict[str, int] = {}  # how often, by table

    @property
    def now(self) -> datetime:
        """This unit's moment, aware UTC, the same for the whole unit. The database's clock on PostgreSQL."""
        if self._now is None:
            self._now = self._clock()
        return self._now

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | list[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a Core statement. Every statement names the tenant: `tx.tenant` in its WHERE or its values."""
        if not isinstance(statement, Select):
            self._seen.clear()
        return self._connection.execute(statement, parameters)  # type: ignore[arg-type,return-value]

    # A statement built once, as a constant with `bindparam("tenant")` and more, costs a tenth of one built anew each
    # time: the store functions that every message and payment passes through hand their values over as `given`.

    def one(self, statement: Executable, **given: Any) -> RowMapping | None:
        """The first row, or None."""
        if (ready := self._constant(statement, given)) is None:
            return self.execute(statement, self._bound(given)).mappings().first()
        return self._read(ready, given, _first_row)

    def all(self, statement: Executable, **given: Any) -> list[RowMapping]:
        if (ready := self._constant(statement, given)) is None:
            return list(self.execute(statement, self._bound(given)).mappings())
        return list(self._read(ready, given, _all_rows))

    def scalar(self, statement: Executable, **given: Any) -> Any:
        """The first column of the first row, or None."""
        if (ready := self._constant(statement, given)) is None:
            row = self.execute(statement, self._bound(given)).first()
            return None if row is None else row[0]
        return self._read(ready, given, _first_value)

    def put(self, statement: UpdateBase, *rows: Mapping[str, Any]) -> int:
        """Run a constant INSERT or UPDATE for each of these, all with the same names; how many rows it changed."""
        if not rows:
            return 0
        ready = constant(statement, _DIALECTS[self.dialect], tuple(rows[0]))
        assert ready is not None
        self._note_change(ready.changes)
        calls = [ready.call(row) for row in rows]
        cursor = self._raw.cursor()
        if len(calls) == 1:
            cursor.execute(*calls[0])
        else:
            cursor.executemany(calls[0][0], [parameters for _, parameters in calls])
        return cursor.rowcount

    def add(self, into: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert many rows of stored values, each in the order of the columns, and leave out those whose key is taken;
        how many are new. For sets: nothing is done for each row but to hand it over."""
        if not rows:
            return 0
        self._note_change(into.name)
        mark = "?" if self.dialect == "sqlite" else "%s"
        names, marks = ", ".join(columns), ", ".join(mark for _ in columns)
        cursor = self._raw.cursor()
        text = f"INSERT INTO {into.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 (ours)
        cursor.executemany(text, rows)
        return cursor.rowcount

    def _constant(self, statement: Executable, given: dict[str, Any]) -> Constant | None:
        return constant(statement, _DIALECTS[self.dialect]) if given else None

    def _read(self, ready: Constant, given: dict[str, Any], fetched: Callable[[Constant, Any], Any]) -> Any:
        text, parameters = ready.call({"tenant": self.tenant, **given})
        if not self._alone or ready.changes:
            self._note_change(ready.changes)
            return fetched(ready, self._raw.execute(text, parameters))
        changes = 0
        for table in ready.tables:
            changes += self._changed.get(table, 0)
        key = (fetched, text, *parameters)
        seen = self._seen.get(key)
        if seen is not None and seen[0] == changes:
            return seen[1]
        found = fetched(ready, self._raw.execute(text, parameters))
        if len(self._seen) >= _SEEN_MAX:
            self._seen.clear()
        self._seen[key] = (changes, found)
        return found

    def _note_change(self, table: str) -> None:
        if table and self._alone:
            self._changed[table] = self._changed.get(table, 0) + 1

    def _bound(self, given: dict[str, Any]) -> dict[str, Any] | None:
        return {"tenant": self.tenant, **given} if given else None

    def run(self, prepared: Prepared, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a prepared statement; the rows it returns, as tuples of stored values."""
        self._note_change(prepared.changes)
        text, bind = prepared.compiled(self.dialect)
        cursor = self._raw.execute(text, bind(parameters))
        return cursor.fetchall() if cursor.description else []

    def change(self, prepared: Prepared, parameters: Mapping[str, Any]) -> int:
        """Run a prepared statement that changes rows; how many. Cheaper than RETURNING where the count says it all."""
        self._note_change(prepared.changes)
        text, bind = prepared.compiled(self.dialect)
        return self._raw.execute(text, bind(parameters)).rowcount

    def wake(self, topic: str) -> None:
        """Set the topic once this unit has been committed."""
        self.topics.add(topic)


def _first_row(ready: Constant, cursor: Any) -> RowMapping | None:
    stored = cursor.fetchone()
    cursor.close()
    return None if stored is None else ready.row(stored)


def _all_rows(ready: Constant, cursor: Any) -> list[RowMapping]:
    return [ready.row(stored) for stored in cursor.fetchall()]


def _first_value(ready: Constant, cursor: Any) -> Any:
    stored = cursor.fetchone()
    cursor.close()
    return None if stored is None else ready.values(stored)[0]


class Units(Protocol):
    """A tenant's database."""

    @property
    def tenant(self) -> str: ...
    @property
    def dialect(self) -> Dialect: ...

    async def write(self, fn: Callable[Concatenate[Tx, ...], T], *args: Any, urgent: bool = False, **kwargs: Any) -> T:
        """Run `fn(tx, …)` and commit; its value, once durable. `urgent` goes first: somebody waits for an ACK.

        Raises what `fn` raised (nothing is kept then), or StorageUnavailable (nothing can be said to be kept).
        """
        ...

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(tx, …)` on one consistent snapshot, without writing."""
        ...


class Database(Protocol):
    """The executor of one database. Started once a process, by `wiring`."""

    @property
    def dialect(self) -> Dialect: ...
    @property
    def wakeups(self) -> Wakeups: ...

    def units(self, tenant: str) -> Units: ...

    async def start(self) -> None:
        """Open it. Raises ConfigInvalid when it isn't migrated, or when another process writes the SQLite file."""
        ...

    async def stop(self) -> None:
        """Finish the units in hand, then close."""
        ...


class Runs(Protocol):
    """What an executor offers to the `TenantUnits` it hands out."""

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any: ...

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...


class TenantUnits:
    """`Units` of one tenant on any executor."""

    __slots__ = ("_executor", "dialect", "tenant")

    def __init__(self, executor: Runs, tenant: str, dialect: Dialect) -> None:
        self._executor = executor
        self.tenant = tenant
        self.dialect: Dialect = dialect

    def write(
        self, fn: Callable[Concatenate[Tx, ...], T], *args: Any, urgent: bool = False, **kwargs: Any
    ) -> CoroutineType[Any, Any, T]:
        return self._executor.write_unit(self.tenant, fn, args, kwargs, urgent)

    def read(
        self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> CoroutineType[Any, Any, T]:
        return self._executor.read_unit(self.tenant, fn, args, kwargs)


def open_database(
    url: str, *, clock: Clock, ids: Ids, read_only: bool = False, database_clock: bool = True
) -> Database:
    """The database behind `sqlite:///PATH` or `postgresql://…`, not yet started.

    `read_only` lets a command look beside a running server on SQLite. `database_clock=False` takes `tx.now` from
    `clock` on PostgreSQL too: for tests and stories that name their days.
    """
    if url.startswith("sqlite:///"):
        from .sqlite import SqliteDatabase

        return SqliteDatabase(url, clock=clock, ids=ids, read_only=read_only)
    if url.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
        from .postgres import PostgresDatabase

        return PostgresDatabase(url, clock=clock, ids=ids, read_only=read_only, database_clock=database_clock)
    scheme = url.partition(":")[0]  # the rest may hold a password
    raise ConfigInvalid(
        f"a database is sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; '{scheme}:…' is neither"
    )
