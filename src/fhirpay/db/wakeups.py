"""Wake-ups: who waits for a topic hears of it after the commit. A hint for speed; polling is the truth.

Called by the executors (set) and by workers (wait). Counting instead of flags, so that a topic set between
"I found nothing" and "now I wait" isn't missed: take `count(topic)` before looking, hand it to `wait`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict


class Wakeups:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)

    def count(self, topic: str) -> int:
        """How often the topic has been set so far."""
        return self._counts[topic]

    def set(self, topic: str) -> None:
        """Wake everyone who waits for the topic. May be called from any thread."""
        with self._lock:
            self._counts[topic] += 1
            woken = self._waiting.pop(topic, [])
        for future in woken:
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)

    async def wait(self, topic: str, timeout: float, *, since: int | None = None) -> bool:
        """True when the topic was set (after the count `since`, where given), False after `timeout` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if since is not None and self._counts[topic] != since:
                return True
            self._waiting[topic].append(future)
        try:
            async with asyncio.timeout(timeout):
                await future
            return True
        except TimeoutError:
            return False
        finally:
            with self._lock:
                if future in self._waiting.get(topic, ()):
                    self._waiting[topic].remove(future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
