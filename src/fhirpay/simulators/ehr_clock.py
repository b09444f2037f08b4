"""The simulated EHR's own time: the one that it is given until it is set or moved, then as told.

Used by `ehr_store.py` for what it stamps and by `ehr_faults.py` for what lags or comes late; `/control/clock` moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Runs with `given` until `stop_at`; `advance` moves it either way."""

    def __init__(self, given: Callable[[], datetime] = utc_now) -> None:
        self._given = given
        self._stopped: datetime | None = None
        self._ahead = timedelta()

    def now(self) -> datetime:
        return (self._stopped or self._given()) + self._ahead

    def stop_at(self, at: datetime) -> None:
        """It stands still there; `at` is aware."""
        self._stopped, self._ahead = at.astimezone(UTC), timedelta()

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
