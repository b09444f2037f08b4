"""Lines that belong together: what was listed as taken, and what another line takes back of it again.

A processor may list a capture whole and what wasn't taken of it, or was voided, as a line of its own, and a refund
beside its failure. Called by usecases/book_settlement.py before a line is taken for a proof that money moved.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..db.unit import Tx
from ..domain.money import Money
from ..domain.settlement import LineKind
from . import store
from .store import Line, LineState

_TAKEN_BACK = frozenset({LineKind.CAPTURE_RELEASE, LineKind.RETURN, LineKind.RETURN_REVERSAL})


def kept(tx: Tx, line: Line, payment_id: str) -> Money:
    """What of a payment's line is left by others of the same payment, in its payout or settled before."""
    back = [one.taken for one in _beside(tx, line, payment_id) if one.kind in _TAKEN_BACK]
    return sum((one for one in back if one.currency == line.taken.currency), line.taken)


def came_back(tx: Tx, line: Line) -> bool:
    """Whether a refund's line has that of its failure beside it."""
    return any(one.kind is LineKind.REFUND_FAILURE and one.of_ref == line.of_ref for one in _same_payout(tx, line))


def listed_before(tx: Tx, line: Line, payment_id: str) -> bool:
    """Whether a settled line of another id is of the same capture or refund, its amount and fee the same: one thing is
    listed twice. Where the processor names neither capture nor refund, that can't be said."""
    if line.kind not in (LineKind.PAYMENT, LineKind.REFUND) or not line.of_ref:
        return False
    alike = (line.merchant, line.kind, line.of_ref, line.gross, line.fee)
    return any(
        (one.merchant, one.kind, one.of_ref, one.gross, one.fee) == alike
        for one in store.lines_of_payment(tx, payment_id)
        if one.line_ref != line.line_ref and one.state is not LineState.WAITING
    )


def _beside(tx: Tx, line: Line, payment_id: str) -> Iterable[Line]:
    settled = {one.line_ref: one for one in store.lines_of_payment(tx, payment_id) if one.merchant == line.merchant}
    return ({one.line_ref: one for one in _same_payout(tx, line)} | settled).values()


def _same_payout(tx: Tx, line: Line) -> list[Line]:
    if line.payment_ref:
        return store.lines_about(tx, line, payment_ref=line.payment_ref)
    return store.lines_about(tx, line, of_ref=line.of_ref)
