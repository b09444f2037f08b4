"""An item of work as a worker holds it. Made by `lease.claim`, ended by `lane.py`."""

from __future__ import annotations

from dataclasses import dataclass

from .topics import NO_TOPICS, Topics


@dataclass(frozen=True, slots=True)
class Work:
    """An item in the hands of a worker. `fence` proves that the hands are still ours."""

    work_id: str
    tenant: str
    queue: str
    kind: str
    ref: str
    attempt: int  # this one; the first is 1
    fence: int
    places: tuple[tuple[str, int], ...]  # lane key and number in it, by key
    topics: Topics = NO_TOPICS
    held: bool = False  # has been parked before
    error: str | None = None  # of the attempt before

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self.places)
