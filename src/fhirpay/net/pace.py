"""An agreed rate of calls to one destination: each waits for its turn, evenly spaced. Used by http.py."""

from __future__ import annotations

import asyncio

from .errors import NeverSent


class Pace:
    """At most `per_minute` turns in any minute, in the order of asking; 0 is no limit. For one event loop."""

    def __init__(self, per_minute: int) -> None:
        self._apart_s = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def turn(self, within_s: float) -> None:
        """Raises NeverSent, and takes no turn, when the next one is further off than that."""
        if not self._apart_s:
            return
        now = asyncio.get_running_loop().time()
        wait = max(0.0, self._next - now)
        if wait > within_s:
            raise NeverSent(f"its agreed rate of calls is used up for {round(wait, 1)} s")
        self._next = now + wait + self._apart_s
        await asyncio.sleep(wait)
