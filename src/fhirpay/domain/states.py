"""How every table of legal moves is written and asked. Used by operation.py, payment.py, payout.py, refund.py …

To add a state machine: a StrEnum of its states and one `Moves` beside it. Nothing else decides what is legal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from ..errors import IllegalMove

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Moves(Generic[S]):
    """The legal moves of one kind of thing. A state that is not listed on the left is an end."""

    of: str
    table: Mapping[S, Iterable[S]]

    def allows(self, current: S, new: S) -> bool:
        return new in self.table.get(current, ())

    def next(self, current: S) -> tuple[S, ...]:
        """Where it may go from here, in the table's order; nothing when it has come to its end."""
        return tuple(self.table.get(current, ()))

    def way(self, starts: Iterable[S], to: S) -> list[S] | None:
        """The shortest legal way that begins with one of `starts` and ends with `to`; None: there is none."""
        waiting = deque([start] for start in starts)
        seen = set[S]()
        while waiting:
            way = waiting.popleft()
            if way[-1] is to:
                return way
            if way[-1] not in seen:
                seen.add(way[-1])
                waiting += [[*way, then] for then in self.next(way[-1])]
        return None

    def move(self, current: S, new: S) -> S:
        """`new`, when the table lists it after `current`. Raises IllegalMove naming both."""
        if not self.allows(current, new):
            legal = ", ".join(self.next(current)) or "nothing"
            raise IllegalMove(f"a {self.of} can't go from {current} to {new}; from {current} it may go to {legal}")
        return new
