"""SQLite: one writer thread for the whole process, group commit, a few reading connections.

SQLite has one writer at a time, so ours is a thread that owns the only writing connection. It takes what waits
(urgent units first), runs it in one BEGIN IMMEDIATE … COMMIT with `synchronous=FULL`, and then tells the event loops
in one call each. Sixty clients so share one fsync. If a member raises, the group is rolled back and its members run
again one by one, each in a transaction of its own: no SAVEPOINT each, they cost three times as much.
A failed COMMIT fails every member. A lock file beside the database keeps a second writing process out.

Made by `unit.open_database`. What may change: the bounds in `Limits`, each with its reason.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import ConfigInvalid, InvariantBroken, StorageUnavailable
from ..log import Log
from .migrations import require_migrated
from .unit import Dialect, TenantUnits, Tx
from .wakeups import Wakeups

log = Log("db")

# Primary result codes that say "not now" or "not on this disk"; any other is a bug of ours and stays itself.
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}


@dataclass(frozen=True, slots=True)
class Limits:
    waiting: int = 2_000  # units queued; more is a storm, and senders keep what we don't answer
    full_wait_s: float = 2.0  # how long a unit waits for room in the queue
    group: int = 256  # members of one COMMIT
    group_s: float = 0.02  # no member is begun later than this after BEGIN: what the first one waits at most
    readers: int = 4
    busy_s: float = 5.0  # other processes: a backup, a shell


class Job:
    """A unit that waits for its turn, then for its loop to hear of it."""

    __slots__ = ("args", "error", "fn", "future", "kwargs", "tenant", "value")

    def __init__(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], future: Any
    ) -> None:
        self.tenant = tenant
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.future: asyncio.Future[Any] = future
        self.value: Any = None
        self.error: BaseException | None = None


def storage_error(error: BaseException) -> BaseException:
    """The same error, or StorageUnavailable where the disk or a lock is the reason."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error) and (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _UNAVAILABLE:
        unavailable = StorageUnavailable(f"the database can't store anything now: {cause}")
        unavailable.__cause__ = error
        return unavailable
    return error


def database_path(url: str) -> Path:
    """The file that a `sqlite:///PATH` names."""
    return Path(url.removeprefix("sqlite:///"))


class FileLock:
    """Held by the one process that writes this database. Let go by the system when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raises ConfigInvalid, naming the process that holds it."""
        file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise ConfigInvalid(
                f"serve is running (process {holder}) and holds {self._path}; stop it, or use its API", pid=holder
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def connect(path: Path, *, read_only: bool = False, busy_s: float = 5.0) -> sqlite3.Connection:
    """A connection whose transactions are ours to begin. WAL is set once, by `migrate`."""
    raw = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False, cached_statements=512)
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute("PRAGMA cache_size=-32000")
    raw.execute("PRAGMA wal_autocheckpoint=4000")  # 16 MB: a page that is written often is copied back less often
    if read_only:
        raw.execute("PRAGMA query_only=ON")
    return raw


_opening = threading.local()


@cache
def _engine() -> Engine:
    return create_engine("sqlite://", creator=lambda: _opening.raw, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def on(raw: sqlite3.Connection) -> Connection:
    """SQLAlchemy on a connection that is already open. A statement compiled for one of them is compiled for all."""
    _opening.raw = raw
    try:
        return _engine().connect()
    finally:
        del _opening.raw


class Writing:
    """The writing connection and the transactions on it. Used by one thread at a time."""

    def __init__(self, path: Path, *, clock: Clock, ids: Ids, limits: Limits) -> None:
        self.raw = connect(path, busy_s=limits.busy_s)
        self.connection = on(self.raw)
        self._clock = clock
        self._ids = ids

    def run(self, job: Job, topics: set[str]) -> None:
        """Run one unit inside the open transaction."""
        tx = Tx(
            self.connection,
            self.raw,
            tenant=job.tenant,
            dialect="sqlite",
            ids=self._ids,
            clock=self._clock.now,
            alone=True,
        )
        job.value = job.fn(tx, *job.args, **job.kwargs)
        topics |= tx.topics

    def begin(self) -> None:
        self.raw.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.raw.execute("COMMIT")

    def rollback(self) -> None:
        # SQLite has already rolled back by itself after a full disk or an I/O error.
        try:
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
        except sqlite3.Error:  # the next BEGIN says what is wrong, to a unit that can be told
            log.error("db.rollback_failed", exc=True)

    def alone(self, job: Job, topics: set[str]) -> None:
        """Run one unit in a transaction of its own; its value or its error is on the job afterwards."""
        own: set[str] = set()
        try:
            self.begin()
            self.run(job, own)
            self.commit()
        except BaseException as error:
            self.rollback()
            job.value, job.error = None, storage_error(error)
        else:
            job.error = None
            topics |= own

    def close(self) -> None:
        self.connection.close()
        self.raw.close()


class SqliteDatabase:
    """The executor on one SQLite file."""

    dialect: Dialect = "sqlite"

    def __init__(
        self, url: str, *, clock: Clock, ids: Ids, read_only: bool = False, limits: Limits | None = None
    ) -> None:
        self.path = database_path(url)
        self.wakeups = Wakeups()
        self._clock = clock
        self._ids = ids
        self._read_only = read_only
        self._limits = limits or Limits()
        self._lock = FileLock(self.path)
        self._urgent: deque[Job] = deque()
        self._normal: deque[Job] = deque()
        self._mutex = threading.Lock()
        self._arrived = threading.Condition(self._mutex)
        self._asleep = False
        self._open = False
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reads = 0
        self._local = threading.local()
        self._reading: list[tuple[Connection, sqlite3.Connection]] = []

    def units(self, tenant: str) -> TenantUnits:
        return TenantUnits(self, tenant, self.dialect)

    async def start(self) -> None:
        """Raises ConfigInvalid when the file isn't migrated, or when another process writes it."""
        if not self.path.exists():
            raise ConfigInvalid(f"there is no database {self.path}; run `fhirpay migrate`")
        with on(connect(self.path, read_only=True)) as connection:
            require_migrated(connection)
        self._readers = ThreadPoolExecutor(self._limits.readers, thread_name_prefix="fhirpay-read")
        if not self._read_only:
            self._lock.take()
            writing = Writing(self.path, clock=self._clock, ids=self._ids, limits=self._limits)
            self._open = True
            self._writer = threading.Thread(target=self._write_all, args=(writing,), name="fhirpay-write", daemon=True)
            self._writer.start()

    async def stop(self) -> None:
        with self._mutex:
            self._open = False
            self._arrived.notify()
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
            self._readers = None
        for connection, raw in self._reading:
            connection.close()
            raw.close()
        self._reading.clear()
        self._lock.release()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any:
        if self._read_only:
            raise InvariantBroken("this database was opened to read only")
        job = Job(tenant, fn, args, kwargs, asyncio.get_running_loop().create_future())
        if not self._offer(job, urgent):
            await self._offer_later(job, urgent)
        # Cancelling this wait cancels the future alone: the unit runs, and may well be committed already.
        return await job.future

    async def _offer_later(self, job: Job, urgent: bool) -> None:
        give_up = time.monotonic() + self._limits.full_wait_s
        while not self._offer(job, urgent):
            if time.monotonic() > give_up:
                raise StorageUnavailable("too many units of work are waiting to be stored; try again")
            await asyncio.sleep(0.005)

    def _offer(self, job: Job, urgent: bool) -> bool:
        with self._mutex:
            if not self._open:
                raise StorageUnavailable("the database is closed; this process is stopping")
            if len(self._urgent) + len(self._normal) >= self._limits.waiting:
                return False
            (self._urgent if urgent else self._normal).append(job)
            if self._asleep:
                self._asleep = False
                self._arrived.notify()
        return True

    def _take(self) -> Job | None:
        """The next unit without waiting. Only the writer thread takes, and deque.popleft needs no lock."""
        if self._urgent:
            return self._urgent.popleft()
        return self._normal.popleft() if self._normal else None

    def _wait(self) -> Job | None:
        """The next unit; None when the database is closed and nothing is left."""
        with self._mutex:
            while True:
                if (job := self._take()) is not None:
                    return job
                if not self._open:
                    return None
                self._asleep = True
                self._arrived.wait()

    def _write_all(self, writing: Writing) -> None:
        while (first := self._wait()) is not None:
            topics: set[str] = set()
            self._tell(self._write_group(writing, first, topics), topics)
        writing.close()

    def _write_group(self, writing: Writing, first: Job, topics: set[str]) -> list[Job]:
        """Run what waits in one transaction. Every job of the returned list has its value or its error."""
        members = [first]
        woken: set[str] = set()
        latest = time.monotonic() + self._limits.group_s
        try:
            writing.begin()
            writing.run(first, woken)
            while len(members) < self._limits.group and time.monotonic() < latest:
                job = self._take()
                if job is None:
                    break
                members.append(job)
                writing.run(job, woken)
        except BaseException as error:
            writing.rollback()
            if len(members) == 1:
                first.value, first.error = None, storage_error(error)
            else:
                for job in members:
                    writing.alone(job, topics)
            return members
        try:
            writing.commit()
        except sqlite3.Error as error:
            writing.rollback()
            for job in members:
                job.value, job.error = None, StorageUnavailable(f"the commit failed, nothing was stored: {error}")
        else:
            topics |= woken
        return members

    def _tell(self, members: list[Job], topics: set[str]) -> None:
        """One call into each event loop that waits, then the topics."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in members:
            by_loop.setdefault(job.future.get_loop(), []).append(job)
        for loop, jobs in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, jobs)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                log.warning("db.nobody_waits", count=len(jobs))
        for topic in topics:
            self.wakeups.set(topic)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._readers is None:
            raise StorageUnavailable("the database is closed; this process is stopping")
        if self._reads >= self._limits.waiting:
            raise StorageUnavailable("too many units of work are waiting to read; try again")
        self._reads += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._read, tenant, fn, args, kwargs)
        finally:
            self._reads -= 1

    def _read(self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            connection, raw = self._reader()
            raw.execute("BEGIN")
            try:
                tx = Tx(connection, raw, tenant=tenant, dialect="sqlite", ids=self._ids, clock=self._clock.now)
                return fn(tx, *args, **kwargs)
            finally:
                raw.execute("ROLLBACK")
        except (sqlite3.Error, DBAPIError) as error:
            raise storage_error(error) from None

    def _reader(self) -> tuple[Connection, sqlite3.Connection]:
        """This thread's reading connection."""
        found: tuple[Connection, sqlite3.Connection] | None = getattr(self._local, "reader", None)
        if found is None:
            raw = connect(self.path, read_only=True, busy_s=self._limits.busy_s)
            found = self._local.reader = (on(raw), raw)
            self._reading.append(found)
        return found


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future.done():  # the wait was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)
