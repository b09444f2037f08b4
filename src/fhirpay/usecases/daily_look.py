"""A look at everything that is kept, once a day: the loop that daily_check.py and reconcile.py share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from ..errors import StorageUnavailable

EVERY = timedelta(days=1)


async def look_daily(
    stop: asyncio.Event,
    look: Callable[[], Coroutine[Any, Any, Any]],
    *,
    soon: timedelta,
    failed: Callable[[StorageUnavailable], None],
) -> None:
    """Look `soon` after the start and then daily until `stop`; a look in hand is let go, since it may take minutes and
    the next one finds the same. Where the database isn't there, it is told by `failed` and tried again as soon."""
    stopped = asyncio.create_task(stop.wait())
    pause = soon
    while not stop.is_set():
        await asyncio.wait({stopped}, timeout=pause.total_seconds())
        if stop.is_set():
            return
        looking = asyncio.create_task(look())
        await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        (end,) = await asyncio.gather(looking, return_exceptions=True)
        if isinstance(end, StorageUnavailable):
            failed(end)
        elif isinstance(end, Exception):
            raise end
        pause = soon if isinstance(end, StorageUnavailable) else EVERY
