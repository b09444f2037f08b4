"""Which money of a dispute a line of a payout is: by its name, else by what it comes to, and each money of one line.

Called by book_settlement.py. A processor's line may name no dispute, and two of one payment may be of one amount: lines
take their money in the order in which they were settled, the one that was told with their own fee first. So the fees of
two such disputes are what their events and their lines say, whichever line comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..db.unit import Tx
from ..domain.dispute import DisputeFact, MoneyKind
from ..domain.settlement import LineKind
from ..payments import disputes
from ..settlement import store as settlement
from ..settlement.store import Line


def told_of(tx: Tx, line: Line, payment_id: str) -> DisputeFact | None:
    """The money that the line is of, as it was told. None: no event has told of it yet."""
    named = disputes.by_processor_ref(tx, line.merchant, line.of_ref)
    those = [named] if named else disputes.of_payment(tx, payment_id)
    facts = [fact for one in those for fact in disputes.facts_of(tx, one.dispute_id)]
    if (itself := next((one for one in facts if one.reference == line.line_ref), None)) is not None:
        return itself
    kind = MoneyKind.WITHDRAWN if line.kind is LineKind.DISPUTE else MoneyKind.REINSTATED
    others = [one for one in settlement.settled_of_payment(tx, payment_id) if one.line_ref != line.line_ref]
    by_name = {one.line_ref for one in others}
    left = [one for one in facts if (one.kind, one.amount) == (kind, abs(line.taken)) and one.reference not in by_name]
    references = {one.reference for one in facts}
    for other in others:
        alike = (other.kind, other.taken) == (line.kind, line.taken)
        whose = disputes.by_processor_ref(tx, other.merchant, other.of_ref) if alike else None
        same = (whose and whose.dispute_id) == (named and named.dispute_id)
        if alike and same and other.line_ref not in references and (taken := _nearest(left, other)):
            left.remove(taken)
    return _nearest(left, line)


def _nearest(facts: Sequence[DisputeFact], line: Line) -> DisputeFact | None:
    return next((one for one in facts if one.fee == line.fee), facts[0] if facts else None)
