"""Refund: money on its way back. Called by payments/ and usecases/refund.py before each state change.

A refund that the processor reported as done can still fail days later (a closed card account): `succeeded` → `failed`.
"""

from __future__ import annotations

from enum import StrEnum

from .states import Moves


class RefundState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    WAITING_SETTLEMENT = "waiting_settlement"  # this rail refunds only what it has settled
    SUBMITTED = "submitted"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REPLACED = "replaced"  # paid back by check or another tender, with its own approval


_S = RefundState

MOVES: Moves[RefundState] = Moves(
    "refund",
    {
        _S.REQUESTED: (_S.APPROVED, _S.REJECTED),
        _S.APPROVED: (_S.WAITING_SETTLEMENT, _S.SUBMITTED, _S.CANCELED),
        _S.WAITING_SETTLEMENT: (_S.SUBMITTED, _S.CANCELED),
        _S.SUBMITTED: (_S.PENDING, _S.SUCCEEDED, _S.FAILED, _S.CANCELED),
        _S.PENDING: (_S.REQUIRES_ACTION, _S.SUCCEEDED, _S.FAILED, _S.CANCELED),
        _S.REQUIRES_ACTION: (_S.SUCCEEDED, _S.FAILED, _S.CANCELED),
        _S.SUCCEEDED: (_S.FAILED,),  # late
        _S.FAILED: (_S.REPLACED, _S.SUCCEEDED),  # late: said to have failed, and the money went out all the same
        _S.CANCELED: (_S.SUCCEEDED,),  # the same
    },
)
# Counted against what may still be refunded: whatever has gone out or may yet go out.
CLAIMS = frozenset(_S) - {_S.REJECTED, _S.FAILED, _S.CANCELED}
move = MOVES.move
