"""How long to wait before the next try: exponential, capped, with full jitter.

The jitter follows from the seed (the work's id), not from a random source: items that failed together spread out,
and the same run gives the same waits. Called by `lane.retry` and by the worker's poll.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

_LEAST = timedelta(milliseconds=50)


def fraction(seed: str) -> float:
    """A number in [0, 1) that looks random and is the same for the same seed."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=6).digest(), "big") / (1 << 48)


@dataclass(frozen=True, slots=True)
class Backoff:
    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=10)

    def ceiling(self, attempt: int) -> timedelta:
        """The longest wait after this many attempts."""
        return min(self.cap, self.base * 2 ** min(max(attempt - 1, 0), 20))

    def delay(self, attempt: int, seed: str) -> timedelta:
        """A wait between nearly nothing and the ceiling (full jitter)."""
        return max(_LEAST, self.ceiling(attempt) * fraction(f"{seed}:{attempt}"))
