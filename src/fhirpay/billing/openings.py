"""Opening balances: what the account owed when it was taken over. Called by responsibility.py after staff's entries.

It stands beside what is asked for by charges: those that it holds are of before the watermark, and are not asked for
(watermark.py). Whatever states the account's whole share replaces it, as it replaces anything weaker: staff's entry,
or an Invoice for the account as a whole.
"""

from __future__ import annotations

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import AT_ONCE, Basis, Says
from .bills import is_whole, standing
from .case import Case

REPLACED = "opening_replaced"  # on the worklist


def add_openings(case: Case, *, staff: str) -> None:
    """`staff` is the entry of staff that states the account's share already, if any."""
    facts = case.facts
    stronger = next((bill.ref for bill in standing(facts) if is_whole(bill)), "") or staff
    for one in sorted(facts.openings, key=lambda opening: opening.opening_id):
        says = [Says("opening", f"opening balance of {one.amount}, {one.reference}, taken over at go-live", one.feed)]
        zero, targets = Money.zero(one.amount.currency), (facts.ref,)
        if one.taken_back:
            says.append(Says("opening", f"taken back by {one.taken_back}", one.opening_id))
            case.add(Basis.OPENING, one.opening_id, zero, ObligationState.VOID, says, targets=targets)
        elif stronger:
            says.append(Says("superseded", f"{stronger} states what the account owes", stronger))
            case.note(REPLACED, one.opening_id, f"{one.amount} ({one.reference}) is not asked for beside {stronger}")
            state = ObligationState.SUPERSEDED
            case.add(Basis.OPENING, one.opening_id, zero, state, says, targets=targets, superseded_by=stronger)
        else:
            draws = {one.opening_id: one.amount.minor}
            state = ObligationState.COLLECTABLE
            case.add(Basis.OPENING, one.opening_id, one.amount, state, says, targets=targets, due=AT_ONCE, draws=draws)
