"""One database for all cells: each is a tenant of its own, with a receiver of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio

from fhirpay.db.unit import Database, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(databases: Any, clock: FrozenClock) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(databases.url("sqlite"))
        database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
        await database.start()
        stack.push_async_callback(database.stop)
        yield database
