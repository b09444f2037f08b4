"""The kinds of line that a processor's settlement is made of: a closed list, whatever each processor calls them.

Read by the adapters, which map their own words to it (the raw word is kept beside it), and by
usecases/book_settlement.py, which says what each kind means for the books. To add a kind: a member here, a rule there.
"""

from __future__ import annotations

from enum import StrEnum


class LineKind(StrEnum):
    PAYMENT = "payment"
    CAPTURE_RELEASE = "capture_release"  # the part of an authorization that was not captured, listed as taken back
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"  # it came back
    RETURN = "return"  # a payment came back: ACH, or a capture that failed late
    RETURN_REVERSAL = "return_reversal"
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
    FEE = "fee"  # of no single payment; above zero: given back
    RESERVE_HELD = "reserve_held"
    RESERVE_RELEASED = "reserve_released"
    ADJUSTMENT = "adjustment"
    CONVERSION = "conversion"  # a currency sold (below zero) or bought
    CARRIED = "carried"  # a balance that goes on to the next batch, or comes from the one before
    PAYOUT = "payout"  # the payout's own line
    PAYOUT_FAILURE = "payout_failure"  # an earlier payout came back, and is paid out anew
    PAYOUT_RETURNED = "payout_returned"  # the same, and no state of that payout will ever tell
    OTHER = "other"  # nothing that we know: for a person

    @property
    def of_no_payment(self) -> bool:
        """Whether it stands by itself, in the books too."""
        return self in _BY_ITSELF


_K = LineKind
_BY_ITSELF = frozenset(
    {_K.FEE, _K.RESERVE_HELD, _K.RESERVE_RELEASED, _K.CONVERSION, _K.CARRIED, _K.PAYOUT, _K.PAYOUT_FAILURE}
    | {_K.PAYOUT_RETURNED, _K.ADJUSTMENT, _K.OTHER}
)
