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

_UNDONE_BY = {LineKind.PAYMENT: LineKind.CAPTURE_RELEASE, LineKind.REFUND: LineKind.REFUND_FAILURE}
_TAKEN_BACK = frozenset({LineKind.CAPTURE_RELEASE, LineKind.RETURN, LineKind.RETURN_REVERSAL})


def kept(tx: Tx, line: Line, payment_id: str) -> Money:
    """What of a payment's line is left by others of the same payment, in its payout or settled before."""
    back = [one.taken for one in _beside(tx, line, payment_id) if one.kind in _TAKEN_BACK]
    return sum((one for one in back if one.currency == line.taken.currency), line.taken)


def came_back(tx: Tx, line: Line) -> bool:
    """Whether a refund's line has that of its failure beside it."""
    return any(one.kind is LineKind.REFUND_FAILURE and one.of_ref == line.of_ref for one in _same_payout(tx, line))


def listed_before(tx: Tx, line: Line, payment_id: str) -> bool:
    """Whether a settled line of another id is of the same capture or refund, its amount and fee the same, and no other
    line has taken it back: one thing is listed twice. Where the processor names neither, that can't be said."""
    if line.kind not in _UNDONE_BY or not line.of_ref:
        return False
    settled = _settled(tx, line, payment_id)
    undone = [one for one in settled if _undoes(one, line)]
    return len([one for one in settled if _alike(one, line)]) > len(undone)


def listed_again(tx: Tx, line: Line, payment_id: str) -> Line | None:
    """What this line takes back, where it was listed twice and nothing of it is booked for that."""
    settled = _settled(tx, line, payment_id)
    for one in settled:
        if _undoes(line, one) and one.of_ref and one.state is LineState.NOTED:
            others = [other for other in settled if other.line_ref != one.line_ref and _alike(other, one)]
            if any(other.state is LineState.BOOKED for other in others):
                return one
    return None


def _undoes(one: Line, other: Line) -> bool:
    """Whether it takes back what the other may be of: a failure names its refund, a release no capture."""
    back = _UNDONE_BY.get(other.kind) is one.kind and one.taken == -other.taken
    return back and (other.kind is LineKind.PAYMENT or one.of_ref == other.of_ref)


def _alike(one: Line, line: Line) -> bool:
    return (one.kind, one.of_ref, one.gross, one.fee) == (line.kind, line.of_ref, line.gross, line.fee)


def _settled(tx: Tx, line: Line, payment_id: str) -> list[Line]:
    """The other lines of its payment that are settled."""
    mine = [one for one in store.lines_of_payment(tx, payment_id) if one.merchant == line.merchant]
    return [one for one in mine if one.line_ref != line.line_ref and one.state is not LineState.WAITING]


def _beside(tx: Tx, line: Line, payment_id: str) -> Iterable[Line]:
    settled = {one.line_ref: one for one in store.lines_of_payment(tx, payment_id) if one.merchant == line.merchant}
    return ({one.line_ref: one for one in _same_payout(tx, line)} | settled).values()


def _same_payout(tx: Tx, line: Line) -> list[Line]:
    if line.payment_ref:
        return store.lines_about(tx, line, payment_ref=line.payment_ref)
    return store.lines_about(tx, line, of_ref=line.of_ref)
