"""Payout: what a processor sends to the practice's bank. Its state is a fold over what was seen of it, by rank.

Called by settlement/store.py. What a processor shows of a payout is a sample: what lies between two samples is walked
by the shortest legal path, so the same samples in any order, with any repeats, give the same state and the same money.
A batch of a rail that pays no payouts (`BATCH`) goes by the same table on a way of its own, and moves no money here:
what of it reaches the bank only a bank says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvariantBroken
from .states import Moves


class PayoutState(StrEnum):
    """The order of this list is the rank."""

    OPEN = "open"
    CLOSED = "closed"  # its lines are fixed, and its money is no longer in our balance there
    IN_TRANSIT = "in_transit"  # the bank has it
    PAID = "paid"  # says the processor
    BATCH_OPEN = "batch_open"
    BATCH_SETTLED = "batch_settled"
    DEPOSIT_EXPECTED = "deposit_expected"
    BANK_MATCHED = "bank_matched"
    POSTED = "posted"
    CANCELED = "canceled"
    FAILED = "failed"  # also after it was paid, says the processor
    REISSUED = "reissued"  # as a payout of its own


_S = PayoutState
_RANK = {state: rank for rank, state in enumerate(PayoutState)}

MOVES: Moves[PayoutState] = Moves(
    "payout",
    {
        _S.OPEN: (_S.CLOSED,),
        _S.CLOSED: (_S.IN_TRANSIT, _S.CANCELED),
        _S.IN_TRANSIT: (_S.PAID, _S.FAILED, _S.CANCELED),
        _S.PAID: (_S.BANK_MATCHED, _S.FAILED),
        _S.BATCH_OPEN: (_S.BATCH_SETTLED,),
        _S.BATCH_SETTLED: (_S.DEPOSIT_EXPECTED,),
        _S.DEPOSIT_EXPECTED: (_S.BANK_MATCHED,),
        _S.BANK_MATCHED: (_S.POSTED, _S.FAILED),
        _S.POSTED: (_S.FAILED,),
        _S.FAILED: (_S.REISSUED,),
    },
)
BEGINS = (_S.OPEN, _S.BATCH_OPEN)
BATCH = frozenset({_S.BATCH_OPEN, _S.BATCH_SETTLED, _S.DEPOSIT_EXPECTED})
CAME_BACK = frozenset({_S.CANCELED, _S.FAILED, _S.REISSUED})  # its money is in our balance at the processor again
AT_BANK = frozenset({_S.BANK_MATCHED, _S.POSTED})  # its line is there
ENDS = CAME_BACK | {_S.POSTED}


@dataclass(frozen=True, slots=True)
class Folded:
    """What the states that were seen amount to. `unexplained` are those that no legal path leads to."""

    state: PayoutState
    path: tuple[PayoutState, ...]
    unexplained: tuple[PayoutState, ...]

    @property
    def left(self) -> bool:
        """Whether its money has left our balance at the processor, be it that it came back later."""
        return _S.CLOSED in self.path

    @property
    def came_back(self) -> bool:
        return self.left and bool(CAME_BACK & set(self.path))


def fold(seen: Iterable[PayoutState]) -> Folded:
    """A pure function of the *set* of states in which it was seen, one at least."""
    states = sorted(set(seen), key=_RANK.__getitem__)
    if not states:
        raise InvariantBroken("a payout of which no state was ever seen")
    path: list[PayoutState] = []
    unexplained: list[PayoutState] = []
    for state in states:
        way = MOVES.way(MOVES.next(path[-1]) if path else BEGINS, state)
        if way is None:
            unexplained.append(state)
        else:
            path += way
    return Folded(path[-1], tuple(path), tuple(unexplained))
