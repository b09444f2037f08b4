"""PostgreSQL: units run in a thread pool, each in its own READ COMMITTED transaction, on any number of machines.

Behind a transaction pooler nothing outlives a transaction: timeouts are SET LOCAL, no prepared statements, no session
locks. A deadlock or a lock timeout rolls back and runs the unit again, which is why units are re-runnable. A lost
connection is StorageUnavailable (lost before COMMIT: tried again). Units that somebody waits for with an ACK have
threads of their own. NOTIFY, one a commit, is a hint to other processes; LISTEN has a connection of its own, and
without it everything works by polling.

Made by `unit.open_database`. What may change: the bounds in `Limits`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import InvariantBroken, StorageUnavailable
from ..log import Log
from .migrations import require_migrated
from .types import moment
from .unit import Dialect, TenantUnits, Tx
from .wakeups import Wakeups

log = Log("db")

_CHANNEL = "fhirpay"
_AGAIN = {"40001", "40P01", "55P03"}  # serialization, deadlock, lock_timeout: nothing was kept, run it again
# connection, resources, shutdown, statement_timeout, read-only standby: not now, and not our bug
_UNAVAILABLE = ("08", "53", "57", "58", "25006")

# One round trip at the start of a unit: bounds, the tenant for row-level security, and the database's clock.
_OPEN = (
    "SELECT set_config('lock_timeout', %(lock)s, true), set_config('statement_timeout', %(statement)s, true),"
    " set_config('app.tenant', %(tenant)s, true), (extract(epoch from clock_timestamp()) * 1000000)::bigint"
)


@dataclass(frozen=True, slots=True)
class Limits:
    threads: int = 6
    urgent_threads: int = 4
    waiting: int = 2_000  # units queued; more is a storm, and senders keep what we don't answer
    attempts: int = 5
    lock_ms: int = 4_000
    statement_ms: int = 30_000
    connect_s: int = 5
    relisten_s: float = 2.0


def driver_url(url: str) -> str:
    """The URL with our driver named."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else url


def _state(error: BaseException) -> str | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None)


def _lost(error: BaseException) -> bool:
    """The connection is gone, whoever closed it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = _state(error)
    if state is not None:
        return state.startswith("08") or state in {"57P01", "57P02", "57P03"}
    return isinstance(cause, psycopg.OperationalError)


def storage_error(error: BaseException) -> BaseException:
    """The same error, or StorageUnavailable where the server, the connection or a lock is the reason."""
    state = _state(error)
    if isinstance(error, PoolTimeout) or _lost(error) or state in _AGAIN or (state or "").startswith(_UNAVAILABLE):
        unavailable = StorageUnavailable(f"the database can't be used now (SQLSTATE {state or 'none'})")
        unavailable.__cause__ = error
        return unavailable
    return error


class PostgresDatabase:
    """The executor on one PostgreSQL database."""

    dialect: Dialect = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        ids: Ids,
        read_only: bool = False,
        database_clock: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.wakeups = Wakeups()
        self._url = url
        self._clock = clock
        self._ids = ids
        self._read_only = read_only
        self._database_clock = database_clock
        self._limits = limits or Limits()
        self._engine: Engine | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._urgent: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._listener = _Listener(url, self.wakeups, connect_s=self._limits.connect_s, again_s=self._limits.relisten_s)

    def units(self, tenant: str) -> TenantUnits:
        return TenantUnits(self, tenant, self.dialect)

    async def start(self) -> None:
        """Raises ConfigInvalid when the database isn't migrated, StorageUnavailable when it doesn't answer."""
        limits = self._limits
        self._engine = create_engine(
            driver_url(self._url),
            pool_size=limits.threads + limits.urgent_threads,
            max_overflow=0,
            connect_args={"prepare_threshold": None, "connect_timeout": limits.connect_s},
        )
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="fhirpay-db")
        self._urgent = ThreadPoolExecutor(limits.urgent_threads, thread_name_prefix="fhirpay-db-urgent")
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._check, self._engine)
        except BaseException:
            await self.stop()
            raise
        await self._listener.start()

    def _check(self, engine: Engine) -> None:
        try:
            with engine.connect() as connection:
                require_migrated(connection)
        except DBAPIError as error:
            raise storage_error(error) from None

    async def stop(self) -> None:
        await self._listener.stop()
        threads, self._threads, urgent, self._urgent = self._threads, None, self._urgent, None
        for pool in (threads, urgent):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any:
        if self._read_only:
            raise InvariantBroken("this database was opened to read only")
        pool = self._urgent if urgent else self._threads
        # Shielded: cancelling the wait doesn't cancel the unit, which may well be committed already.
        return await asyncio.shield(self._submit(pool, self._write, tenant, fn, args, kwargs))

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return await self._submit(self._threads, self._read, tenant, fn, args, kwargs)

    def _submit(self, pool: ThreadPoolExecutor | None, *call: Any) -> asyncio.Future[Any]:
        if pool is None:
            raise StorageUnavailable("the database is closed; this process is stopping")
        if self._waiting >= self._limits.waiting:
            raise StorageUnavailable("too many units of work are waiting to be stored; try again")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(pool, *call)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # looked at: where the wait was cancelled nobody else does, and that is no bug

    def _write(self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The unit's value after COMMIT; runs it again where the server says that nothing was kept."""
        for attempt in range(1, self._limits.attempts + 1):
            committing = False
            try:
                with self._connect() as connection:
                    tx = self._open(connection, tenant)
                    value = fn(tx, *args, **kwargs)
                    if tx.topics:
                        payload = "\n".join([self._listener.name, *sorted(tx.topics)])
                        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (_CHANNEL, payload[:7900]))
                    committing = True
                    connection.commit()
            except (DBAPIError, psycopg.Error, PoolTimeout) as error:
                again = _state(error) in _AGAIN or (_lost(error) and not committing)
                if not again or attempt == self._limits.attempts:
                    raise storage_error(error) from None
                time.sleep(0.01 * attempt)
            else:
                for topic in tx.topics:
                    self.wakeups.set(topic)
                return value
        raise InvariantBroken("unreachable: the last attempt returns or raises")

    def _read(self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for attempt in range(1, self._limits.attempts + 1):
            try:
                with self._connect() as connection:
                    # One snapshot for the whole unit; as the first statement, so that it binds this transaction alone.
                    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    return fn(self._open(connection, tenant), *args, **kwargs)
            except (DBAPIError, psycopg.Error, PoolTimeout) as error:
                if not _lost(error) or attempt == self._limits.attempts:
                    raise storage_error(error) from None
        raise InvariantBroken("unreachable: the last attempt returns or raises")

    def _connect(self) -> Connection:
        if self._engine is None:
            raise StorageUnavailable("the database is closed; this process is stopping")
        return self._engine.connect()

    def _open(self, connection: Connection, tenant: str) -> Tx:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        bounds = {"lock": str(self._limits.lock_ms), "statement": str(self._limits.statement_ms), "tenant": tenant}
        stamp: int = connection.exec_driver_sql(_OPEN, bounds).one()[3]
        clock = (lambda: moment(stamp)) if self._database_clock else self._clock.now
        return Tx(connection, raw, tenant=tenant, dialect="postgresql", ids=self._ids, clock=clock)


class _Listener:
    """LISTEN on a connection of its own, read by the event loop without a thread. Reconnects by itself; only a hint."""

    def __init__(self, url: str, wakeups: Wakeups, *, connect_s: int, again_s: float) -> None:
        self.name = f"{os.getpid()}-{id(self):x}"  # so that we don't wake ourselves twice
        self._url = url
        self._wakeups = wakeups
        self._connect_s = connect_s
        self._again_s = again_s
        self._connection: psycopg.Connection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._fd = -1

    async def start(self) -> None:
        """Listen if that can be done at once; otherwise go on trying beside what the program does."""
        self._stopped.clear()
        if not await self._listen():
            self._task = asyncio.create_task(self._try_again())

    async def stop(self) -> None:
        self._stopped.set()
        if self._task is not None:
            await self._task
            self._task = None
        self._close()

    async def _try_again(self) -> None:
        while not self._stopped.is_set() and not await self._listen():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._again_s):
                    await self._stopped.wait()

    async def _listen(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(None, self._connect)
        except psycopg.Error:
            log.warning("db.listen_failed")
            return False
        self._connection = connection
        self._fd = connection.fileno()
        loop.add_reader(self._fd, self._readable)
        return True

    def _connect(self) -> psycopg.Connection[Any]:
        plain = "postgresql://" + self._url.partition("://")[2]
        connection = psycopg.connect(plain, autocommit=True, connect_timeout=self._connect_s, prepare_threshold=None)
        connection.execute(f"LISTEN {_CHANNEL}")
        return connection

    def _readable(self) -> None:
        assert self._connection is not None
        try:
            wire = self._connection.pgconn
            wire.consume_input()
            while (note := wire.notifies()) is not None:
                sender, *topics = note.extra.decode().split("\n")
                if sender != self.name:
                    for topic in topics:
                        self._wakeups.set(topic)
        except psycopg.Error:
            log.warning("db.listen_lost")
            self._close()
            self._task = asyncio.get_running_loop().create_task(self._try_again())

    def _close(self) -> None:
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._connection.close()
            self._connection = None
