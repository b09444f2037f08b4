"""Units of work: all database work is a plain function `fn(tx, …) -> value`, run by `await units.write(fn, …)`.

A plain function can't await, so no transaction spans a network call, by construction. A unit is short (about 5 ms),
returns plain values, does no I/O of its own and is *re-runnable*: the executor may roll it back and run it again
(a neighbour in the same group failed, a deadlock on PostgreSQL). Cancelling the wait doesn't cancel the unit.

Called by use cases, workers and web handlers, which own their units; stores take the `tx` they are given.
The executors are `sqlite.py` (one writer thread), `postgres.py` (a thread pool) and, for simulations, `inline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import itemgetter
from types import CoroutineType
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, RowMapping
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase

from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import ConfigInvalid
from .constant import Constant, constant
from .wakeups import Wakeups

P = ParamSpec("P")
T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

_Bind = Callable[[Mapping[str, Any]], Any]
_DIALECTS = {"sqlite": SQLiteDialect_pysqlite(paramstyle="qmark"), "postgresql": PGDialect_psycopg()}


class Prepared:
    """A statement compiled once per engine, for the few that stand on the path of an ACK.

    It skips type conversion as well as compilation: moments are handed over as `types.micros(…)`, and rows come back
    as tuples of stored values. Anywhere else `tx.execute` is right.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
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
    """One open transaction of one tenant. Lives as long as the unit; never kept."""

    __slots__ = ("_clock", "_connection", "_now", "_raw", "dialect", "ids", "tenant", "topics")

    def __init__(
        self,
        connection: Connection,
        raw: Any,
        *,
        tenant: str,
        dialect: Dialect,
        ids: Ids,
        clock: Callable[[], datetime],
    ) -> None:
        self.tenant = tenant
        self.dialect: Dialect = dialect
        self.ids = ids
        self.topics: set[str] = set()
        self._connection = connection
        self._raw = raw
        self._clock = clock
        self._now: datetime | None = None

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
        return self._connection.execute(statement, parameters)  # type: ignore[arg-type,return-value]

    # A statement built once, as a constant with `bindparam("tenant")` and more, costs a tenth of one built anew each
    # time: the store functions that every message and payment passes through hand their values over as `given`.

    def one(self, statement: Executable, **given: Any) -> RowMapping | None:
        """The first row, or None."""
        if (ready := self._constant(statement, given)) is None:
            return self.execute(statement, self._bound(given)).mappings().first()
        stored = self._first(ready, given)
        return None if stored is None else ready.row(stored)

    def all(self, statement: Executable, **given: Any) -> list[RowMapping]:
        if (ready := self._constant(statement, given)) is None:
            return list(self.execute(statement, self._bound(given)).mappings())
        cursor = self._raw.execute(*ready.call({"tenant": self.tenant, **given}))
        return [ready.row(stored) for stored in cursor.fetchall()]

    def scalar(self, statement: Executable, **given: Any) -> Any:
        """The first column of the first row, or None."""
        if (ready := self._constant(statement, given)) is None:
            row = self.execute(statement, self._bound(given)).first()
            return None if row is None else row[0]
        stored = self._first(ready, given)
        return None if stored is None else ready.values(stored)[0]

    def put(self, statement: UpdateBase, *rows: Mapping[str, Any]) -> int:
        """Run a constant INSERT or UPDATE for each of these, all with the same names; how many rows it changed."""
        if not rows:
            return 0
        ready = constant(statement, _DIALECTS[self.dialect], tuple(rows[0]))
        assert ready is not None
        calls = [ready.call(row) for row in rows]
        cursor = self._raw.cursor()
        if len(calls) == 1:
            cursor.execute(*calls[0])
        else:
            cursor.executemany(calls[0][0], [parameters for _, parameters in calls])
        return cursor.rowcount

    def _constant(self, statement: Executable, given: dict[str, Any]) -> Constant | None:
        return constant(statement, _DIALECTS[self.dialect]) if given else None

    def _first(self, ready: Constant, given: dict[str, Any]) -> tuple[Any, ...] | None:
        cursor = self._raw.execute(*ready.call({"tenant": self.tenant, **given}))
        stored = cursor.fetchone()
        cursor.close()
        return stored

    def _bound(self, given: dict[str, Any]) -> dict[str, Any] | None:
        return {"tenant": self.tenant, **given} if given else None

    def run(self, prepared: Prepared, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a prepared statement; the rows it returns, as tuples of stored values."""
        text, bind = prepared.compiled(self.dialect)
        cursor = self._raw.execute(text, bind(parameters))
        return cursor.fetchall() if cursor.description else []

    def change(self, prepared: Prepared, parameters: Mapping[str, Any]) -> int:
        """Run a prepared statement that changes rows; how many. Cheaper than RETURNING where the count says it all."""
        text, bind = prepared.compiled(self.dialect)
        return self._raw.execute(text, bind(parameters)).rowcount

    def wake(self, topic: str) -> None:
        """Set the topic once this unit has been committed."""
        self.topics.add(topic)


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
