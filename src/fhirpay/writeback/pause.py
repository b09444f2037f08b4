"""An EHR that doesn't answer is left alone for a while: one call finds out for all that wait. Kept in memory.

Called by usecases/post_back.py before and after each attempt. A new process asks again; so does each of several.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_FIRST = timedelta(seconds=1)
_LONGEST = timedelta(minutes=10)
_LONGEST_ASKED_FOR = timedelta(hours=1)
_PROBE = timedelta(seconds=5)


@dataclass(slots=True)
class _Trouble:
    until: datetime
    wait: timedelta


class Pauses:
    """By connection: since when and how long it is left alone."""

    def __init__(self) -> None:
        self._troubles: dict[str, _Trouble] = {}

    def left(self, connection: str, now: datetime) -> timedelta:
        """How long to wait; zero lets the caller try, and makes the others wait for what comes of it."""
        trouble = self._troubles.get(connection)
        if trouble is None:
            return timedelta()
        if now < trouble.until:
            return trouble.until - now
        trouble.until = now + _PROBE
        return timedelta()

    def failed(self, connection: str, now: datetime, *, asked_s: int = 0) -> timedelta:
        """No answer, or `not now` for `asked_s`; how long it is left alone: each time twice as long, up to a bound."""
        before = self._troubles.get(connection)
        wait = min(before.wait * 2, _LONGEST) if before else _FIRST
        pause = max(wait, min(timedelta(seconds=asked_s), _LONGEST_ASKED_FOR))
        self._troubles[connection] = _Trouble(now + pause, wait)
        return pause

    def answered(self, connection: str) -> None:
        self._troubles.pop(connection, None)
