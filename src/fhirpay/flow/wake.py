"""The topics that workers wait for, and how long they sleep when nothing wakes them."""

from __future__ import annotations

from .backoff import fraction


def work_topic(queue: str) -> str:
    """Set after a commit that made an item of the queue claimable."""
    return f"work:{queue}"


def pause_s(poll_s: float, seed: str) -> float:
    """A poll interval between half and all of `poll_s`, so that many workers don't ask at the same moment."""
    return poll_s * (0.5 + 0.5 * fraction(seed))
