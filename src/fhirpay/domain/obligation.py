"""Obligation: what one party owes on one account for one basis. Called by billing/ before each state change.

*Collectable* needs a stored positive statement; the absence of insurance data is never one.
"""

from __future__ import annotations

from enum import StrEnum

from .states import Moves


class ObligationState(StrEnum):
    PENDING = "pending"  # insurance may yet pay: visible, never asked for
    COLLECTABLE = "collectable"
    IN_FLIGHT = "in_flight"  # a payment over it is under way
    PAID = "paid"
    ON_HOLD = "on_hold"
    ON_PLAN = "on_plan"
    SUPERSEDED = "superseded"  # a stronger source states it now
    WRITTEN_OFF = "written_off"
    VOID = "void"


_S = ObligationState

MOVES: Moves[ObligationState] = Moves(
    "obligation",
    {
        _S.PENDING: (_S.COLLECTABLE, _S.SUPERSEDED, _S.VOID),
        _S.COLLECTABLE: (
            _S.IN_FLIGHT,
            _S.PAID,
            _S.ON_HOLD,
            _S.ON_PLAN,
            _S.PENDING,  # insurance found
            _S.SUPERSEDED,
            _S.WRITTEN_OFF,
            _S.VOID,
        ),
        _S.IN_FLIGHT: (_S.PAID, _S.COLLECTABLE, _S.ON_HOLD, _S.PENDING, _S.SUPERSEDED),
        _S.ON_PLAN: (_S.PAID, _S.COLLECTABLE, _S.ON_HOLD),
        _S.ON_HOLD: (_S.COLLECTABLE, _S.PENDING, _S.SUPERSEDED, _S.WRITTEN_OFF, _S.VOID),
        _S.PAID: (_S.COLLECTABLE,),  # return, lost dispute, refund
        _S.WRITTEN_OFF: (_S.COLLECTABLE,),  # recovery
    },
)
move = MOVES.move
