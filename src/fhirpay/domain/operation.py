"""Operation: one network call to a processor. At most one is open per payment.

Called by payments/ and usecases/ before each state change. *Not knowing* is a state of its own (`unknown`): only a
lookup, an event or a person leads out of it; a resend (`unknown` → `sent`) carries the same key and bytes, and only
while the processor still honours that key.
"""

from __future__ import annotations

from enum import StrEnum

from .states import Moves


class OperationState(StrEnum):
    PREPARED = "prepared"  # recorded with its key; nothing has left the house
    SENT = "sent"  # bytes may have left
    APPROVED = "approved"
    PARTLY_APPROVED = "partly_approved"  # less than asked: HSA and prepaid cards
    DECLINED = "declined"
    ACTION_NEEDED = "action_needed"  # the payer has to do something, then the processor tells us by an event
    PENDING = "pending"  # accepted, its result comes later by an event or a lookup
    IN_REVIEW = "in_review"
    NOT_SENT = "not_sent"  # proven: no byte left
    UNKNOWN = "unknown"
    PROVEN_ABSENT = "proven_absent"  # looked up after the rail's horizon: the processor never had it
    BY_HAND = "by_hand"  # a person found out, with a reason
    CANCELLED = "cancelled"  # given up before it was sent


_S = OperationState
RESULTS = (_S.APPROVED, _S.PARTLY_APPROVED, _S.DECLINED, _S.ACTION_NEEDED, _S.PENDING, _S.IN_REVIEW)

MOVES: Moves[OperationState] = Moves(
    "processor operation",
    {
        _S.PREPARED: (_S.SENT, _S.CANCELLED),
        _S.SENT: (*RESULTS, _S.NOT_SENT, _S.UNKNOWN),
        _S.UNKNOWN: (*RESULTS, _S.PROVEN_ABSENT, _S.BY_HAND, _S.SENT),
        _S.PENDING: (_S.APPROVED, _S.PARTLY_APPROVED, _S.DECLINED),
        _S.NOT_SENT: (_S.PREPARED,),  # with a new attempt number
        _S.PROVEN_ABSENT: (_S.PREPARED,),  # the same
    },
)
OPEN = frozenset({_S.PREPARED, _S.SENT, _S.UNKNOWN})  # it may still have an effect that we have not seen
move = MOVES.move
