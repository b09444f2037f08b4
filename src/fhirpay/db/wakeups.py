"""Wake-ups: who waits for a topic hears of it after the commit. A hint for speed; polling is the truth.

Called by the executors (set) and by workers (wait). Counting instead of flags, so that a topic set between
"I found nothing" and "now I wait" isn't missed: take `count(topic)` before looking, hand it to `wait`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict

_REMEMBERED = 10_000  # topics, newest first; some are about one message, and a forgotten one is only a missed hint


class Wakeups:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}  # who came first wakes first

    def count(self, topic: str) -> int:
        """How often the topic has been set so far."""
        return self._counts.get(topic, 0)

    def set(self, topic: str) -> None:
        """Wake everyone who waits for the topic. May be called from any thread."""
        with self._lock:
            self._counts[topic] = self._counts.pop(topic, 0) + 1
            if len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)
            woken = self._waiting.pop(topic, ())
        for future in woken:
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)

    async def wait(self, topic: str, timeout: float, *, since: int | None = None) -> bool:
        """True when the topic was set (after the count `since`, where given), False after `timeout` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if since is not None and self.count(topic) != since:
                return True
            self._waiting.setdefault(topic, {})[future] = None
        try:
            async with asyncio.timeout(timeout):
                await future
            return True
        except TimeoutError:
            return False
        finally:
            with self._lock:
                others = self._waiting.get(topic, {})
                others.pop(future, None)
                if not others:
                    self._waiting.pop(topic, None)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
