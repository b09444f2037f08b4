"""Mandate: a payer's authorization to debit a bank account, and what a return does to it.

Called by payments/mandates.py and usecases/bank_codes.py before each change. `suspended` waits for a person (who puts
right what a notice of change says, or agrees anew with the payer), `revoked` and `invalid` are the end of it. A
suspended one may still be revoked, or turn out to be invalid: returns come late.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from .states import Moves


class MandateState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"  # by the payer, or the account's holder
    INVALID = "invalid"  # there is no account that could be debited


_S = MandateState
MOVES: Moves[MandateState] = Moves(
    "mandate",
    {
        _S.ACTIVE: (_S.SUSPENDED, _S.REVOKED, _S.INVALID),
        _S.SUSPENDED: (_S.ACTIVE, _S.REVOKED, _S.INVALID),
    },
)
ENDS = frozenset({_S.REVOKED, _S.INVALID})
move = MOVES.move

# NACHA's return code → the mandate by which the entry was made. Not here: R01 and R09 (they may be tried again), and
# any code that isn't known suspends it.
AFTER: Mapping[str, MandateState] = {
    "R02": _S.INVALID,
    "R03": _S.INVALID,
    "R04": _S.INVALID,
    "R16": _S.INVALID,
    "R20": _S.INVALID,
    "R05": _S.REVOKED,
    "R07": _S.REVOKED,
    "R10": _S.REVOKED,
    "R29": _S.REVOKED,
    "R08": _S.SUSPENDED,  # this payment was stopped: the payer has to instruct anew
    "R11": _S.SUSPENDED,  # to be put right first, then within 60 days
}
