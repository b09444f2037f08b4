"""Which part of a payment goes where, and which part of it a refund takes back. Pure; parts always sum to the whole.

Called by usecases/settle_outcome.py and usecases/refund.py. A new way to split is a function here and a name in the
API; what is asked for in the first place is reserved by billing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.money import Money
from ..errors import InvariantBroken, RuleBroken


@dataclass(frozen=True, slots=True)
class Share:
    """A payment's part for one obligation; `sequence` counts from 1 within the payment."""

    sequence: int
    obligation_id: str
    account_ref: str
    amount: Money


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A refund's part: of allocation `sequence`, or (0) of money that no obligation had claimed."""

    sequence: int
    amount: Money


def in_order(captured: Money, shares: Sequence[Share]) -> tuple[list[Share], Money]:
    """Fill the shares one after the other with what was captured; the parts, and what is left over.

    A partial approval pays the first ones whole, the next in part and the last ones not at all.
    """
    left = captured
    filled: list[Share] = []
    for share in sorted(shares, key=lambda share: share.sequence):
        part = min(left, share.amount, key=lambda amount: amount.minor)
        if part:
            filled.append(Share(share.sequence, share.obligation_id, share.account_ref, part))
            left = left - part
    if left.minor < 0 or sum(part.amount.minor for part in filled) + left.minor != captured.minor:
        raise InvariantBroken("the parts of a payment don't sum to the whole")
    return filled, left


def take_back(amount: Money, *, unclaimed: Money, allocated: Sequence[tuple[int, Money]]) -> list[TakenBack]:
    """What a refund of `amount` takes back: first what nothing has claimed, then the newest allocation first.

    Raises RuleBroken when there is less than that.
    """
    parts: list[TakenBack] = []
    left = amount
    for sequence, available in [(0, unclaimed), *sorted(allocated, reverse=True, key=lambda one: one[0])]:
        part = min(left, available, key=lambda money: money.minor)
        if part.minor > 0:
            parts.append(TakenBack(sequence, part))
            left = left - part
    if left:
        raise RuleBroken(f"there is {amount - left} of this payment left to give back, not {amount}")
    return parts
