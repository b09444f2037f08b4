"""One database and one EHR for a file of cells: each cell is a tenant of its own, and the EHR is emptied before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio

from ehr_running import running_ehr
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from writeback_world import Desk, emptied

NewDesk = Callable[..., Awaitable[Desk]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def new_desk(databases: Any) -> AsyncIterator[NewDesk]:
    """A desk for the cell of that name; the one before is closed."""
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    async with AsyncExitStack() as stack:
        url = stack.enter_context(databases.url("sqlite"))
        database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
        await database.start()
        stack.push_async_callback(database.stop)
        ehr = await stack.enter_async_context(running_ehr())
        desks: list[Desk] = []

        async def new(name: str, **more: Any) -> Desk:
            for desk in desks:
                await desk.aclose()
            desks[:] = [Desk(database, clock, {"ehr": emptied(ehr, clock.now())}, tenant=name, **more)]
            return desks[0]

        stack.push_async_callback(lambda: desks[0].aclose())
        yield new
