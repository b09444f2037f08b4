"""What an insurance paid and what was written off at the EHR: it lowers what waits for insurance, then what patients
pay themselves. Pure; called by responsibility.assess, after every source has drawn.

A copay, an Invoice and an amount by staff are the patient's share as it was stated: nothing here lowers them. What
finds nothing to lower is for a person; of a write-off nobody asks for anything meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import Basis, Desired, Says
from .case import Case
from .facts import INSURANCE, Hold, Relief

UNPLACED = "relief_unplaced"  # on the worklist, and the hold's name
PENDING, PATIENT = "pending", "patient"  # where it was taken from: the first part of a key of `Desired.relief`
_OPEN = (ObligationState.COLLECTABLE, ObligationState.ON_HOLD)
_SAYS = {
    INSURANCE: "paid by an insurance",
    "contractual": "a contractual allowance",
    "charity": "financial assistance",
    "bad_debt": "given up as bad debt",
    "small_balance": "a small balance that is not asked for",
    "discount": "a discount",
}


def relieve(case: Case) -> None:
    """Lower the charges that `case` has found by what its facts say, named ones first, then the oldest."""
    order = {worth.charge.ref: place for place, worth in enumerate(case.worths.oldest_first())}
    unplaced: list[Relief] = []
    for one in sorted(case.facts.relief, key=lambda one: (one.kind != INSURANCE, one.day, one.key)):
        left = one.amount.minor
        for where in (PENDING, PATIENT):
            for number, desired in _charges(case, one, order):
                part = min(left, _takes(desired, where))
                if part:
                    case.found[number] = _lowered(desired, where, one, part)
                    left -= part
        if left > 0:
            unplaced.append(one)
            rest = Money(left, one.amount.currency)
            case.note(UNPLACED, one.ref, f"{rest} of {one.label}, {_SAYS[one.kind]}, finds no charge to lower")
    if (first := next((one for one in unplaced if one.kind != INSURANCE), None)) is not None:
        says = "a write-off finds no charge to lower: what is still owed is for a person to say"
        case.stop(Hold(UNPLACED, says, first.ref))


def _charges(case: Case, one: Relief, order: dict[str, int]) -> Sequence[tuple[int, Desired]]:
    found = [
        (number, desired)
        for number, desired in enumerate(case.found)
        if desired.basis_kind == Basis.CHARGE and desired.currency == one.amount.currency
    ]
    return sorted(found, key=lambda each: (each[1].basis_key != one.charge, order.get(each[1].basis_key, 0)))


def _takes(desired: Desired, where: str) -> int:
    if where == PENDING:
        return desired.pending.minor
    own = desired.draws.get(desired.basis_key, 0)
    return own if desired.state in _OPEN else 0


def _lowered(desired: Desired, where: str, one: Relief, part: int) -> Desired:
    amount = Money(part, desired.currency)
    key = f"{where}/{one.kind}"
    relief = {**desired.relief, key: desired.relief.get(key, 0) + part}
    statement = (*desired.statement, Says("relief", f"less {amount}, {_SAYS[one.kind]}", one.ref))
    if where == PENDING:
        return replace(desired, pending=desired.pending - amount, relief=relief, statement=statement)
    own = desired.draws[desired.basis_key] - part
    draws = {charge: minor for charge, minor in {**desired.draws, desired.basis_key: own}.items() if minor}
    return replace(desired, patient=desired.patient - amount, draws=draws, relief=relief, statement=statement)
