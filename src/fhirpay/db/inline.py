"""SQLite without threads: a unit runs where it is called and is committed before the call returns. For simulations.

Under a virtual clock a thread is a gap in time: the clock would jump while it works. The transactions are those of
`sqlite.py`, one unit each; nothing waits for its turn, so nothing is urgent. There is one connection, so `:memory:`
will do, and it may be filled through `raw` before the start (`sqlite3.Connection.backup`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from ..domain.clock import Clock
from ..domain.ids import Ids
from .migrations import require_migrated
from .sqlite import Job, Limits, Writing, storage_error
from .unit import Dialect, TenantUnits
from .wakeups import Wakeups


class InlineDatabase:
    """The executor on one connection of one event loop's thread."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, clock: Clock, ids: Ids) -> None:
        self.wakeups = Wakeups()
        self._writing = Writing(path, clock=clock, ids=ids, limits=Limits())
        self.raw = self._writing.raw
        self.connection = self._writing.connection

    def units(self, tenant: str) -> TenantUnits:
        return TenantUnits(self, tenant, self.dialect)

    async def start(self) -> None:
        """Raises ConfigInvalid when it isn't migrated."""
        require_migrated(self._writing.connection)

    async def stop(self) -> None:
        self.close()

    def close(self) -> None:
        self._writing.close()

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any:
        job = Job(tenant, fn, args, kwargs, None)
        topics: set[str] = set()
        self._writing.alone(job, topics)
        if job.error is not None:
            raise job.error
        for topic in sorted(topics):
            self.wakeups.set(topic)
        return job.value

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        job = Job(tenant, fn, args, kwargs, None)
        self.raw.execute("PRAGMA query_only=ON")
        try:
            self.raw.execute("BEGIN")
            self._writing.run(job, set())
        except (sqlite3.Error, DBAPIError) as error:
            raise storage_error(error) from None
        finally:
            self._writing.rollback()
            self.raw.execute("PRAGMA query_only=OFF")
        return job.value
