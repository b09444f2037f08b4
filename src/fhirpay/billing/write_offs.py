"""What staff have given up of an obligation: charity, bad debt, a small balance. Pure; called by responsibility.assess.

It lowers what the patient owes, after everything else has had its say, and only what nobody has paid: where the charge
is corrected afterwards, the write-off shrinks before money that was paid turns into credit. Of an obligation that
insurance is found for nothing is given up; once it is the patient's again, the write-off stands again. What something
else asks for by now (an Invoice for the charge, the charge where the Invoice was cancelled, another account) is for a
person, and isn't asked for until then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import Basis, Desired, Says
from .bills import is_whole
from .case import Case
from .facts import AccountFacts, Hold, WriteOff

UNPLACED = "write_off_unplaced"  # on the worklist, and the hold's name
WORDS = {
    "discount": "self-pay discount",
    "charity": "financial assistance",
    "bad_debt": "given up as bad debt",
    "small_balance": "a small balance that is not asked for",
}
_OPEN = (ObligationState.COLLECTABLE, ObligationState.ON_HOLD)


def give_up(case: Case) -> None:
    """Lower the obligations that `case` has found by what staff have written off of them, the first entry first."""
    for one in sorted(case.facts.write_offs, key=lambda one: one.entry_id):
        number = _place(case, one)
        if number is None:
            case.note(UNPLACED, one.entry_id, f"{one.amount} ({one.says}) is of what isn't stated on this account now")
            case.stop(_hold(one), about=_the_same(case, case.facts, one))
            continue
        desired = case.found[number]
        if by := desired.superseded_by:
            case.note(UNPLACED, one.entry_id, f"{one.amount} ({one.says}) was given up, and {by} asks for it now")
            case.stop(_hold(one), about={by})
            continue
        if desired.state is ObligationState.VOID:
            if case.stop(_hold(one), about=_the_same(case, case.facts, one)):
                says = f"{one.amount} ({one.says}) was given up of what is void, and something else asks for it now"
                case.note(UNPLACED, one.entry_id, says)
            continue
        part = min(one.amount.minor, max(0, desired.patient.minor - one.received))
        if part and desired.state in _OPEN:
            case.found[number] = _lowered(desired, one, part)


def hold_what_others_gave_up(case: Case) -> None:
    """What was given up on a linked account and is asked for here by now: moved, or stated here anew."""
    for ref, given_up in sorted(case.facts.given_up.items()):
        there = next(other for other in case.facts.elsewhere if other.ref == ref)
        for one in given_up:
            if case.stop(_hold(one, ref), about=_the_same(case, there, one)):
                says = f"{one.amount} ({one.says}) was given up on {ref}, and {case.facts.ref} asks for it now"
                case.note(UNPLACED, f"{one.entry_id} {case.facts.ref}", says)


def _hold(one: WriteOff, on: str = "") -> Hold:
    where = f"on {on}" if on else "under another statement"
    return Hold(UNPLACED, f"staff have given this up {where}: is it to be asked for?", one.entry_id)


def _the_same(case: Case, there: AccountFacts, one: WriteOff) -> Collection[str] | None:
    """What asks for the same by now where it is stated here, by itself or by drawing from it; None: anything may.

    `there`: the account on which it was given up."""
    kind, key = one.basis
    here = there.ref == case.facts.ref
    once_there = None if here else set(case.facts.asked.get(there.ref, ()))
    match kind:
        case Basis.CHARGE:
            worth = case.worths.charges.get(key)
            return {key, worth.whole} if worth else {key}
        case Basis.INVOICE:
            named, whole = _lines(case.facts, key)
            return once_there if whole else named
        case Basis.COPAY if key.startswith("Encounter/"):
            visits = {key, *case.facts.known_as.get(key, ())}
            charges = {charge.ref for charge in case.facts.charges if charge.visit in {*visits, ""}}
            return visits | (charges if once_there is None else charges & once_there)
        case Basis.OPENING:
            return {key}
        case _:
            return once_there


def _lines(facts: AccountFacts, invoice: str) -> tuple[set[str], bool]:
    """The Invoice and the charges that it names, wherever it is by now; and whether it may be for others too."""
    known = [bill for each in (facts, *facts.elsewhere) for bill in each.invoices if bill.ref == invoice]
    named = {line.charge for bill in known for line in bill.lines if line.charge}
    return {invoice, *named}, not known or any(map(is_whole, known))


def booked(written_off: Mapping[str, int], drawn: int) -> dict[str, int]:
    """What of it is in the ledger: no more than what the charges have put there. A copay may be given up before its
    charge has come in; then it is asked for by nobody, and is in no book."""
    found: dict[str, int] = {}
    for kind, minor in sorted(written_off.items()):
        part = min(minor, drawn)
        drawn -= part
        if part:
            found[kind] = part
    return found


def _place(case: Case, one: WriteOff) -> int | None:
    """The obligation that it is of; of a copay also under the name that it has had until now."""
    kind, key = one.basis
    names = {desired.basis_key: number for number, desired in enumerate(case.found) if _is_like(desired, one)}
    if key in names or kind != Basis.COPAY:
        return names.get(key)
    for name, number in names.items():
        expected = name == case.facts.ref and key.startswith("Appointment/")
        if expected or key in (case.facts.ref, *case.facts.known_as.get(name, ())):
            return number
    return None


def _is_like(desired: Desired, one: WriteOff) -> bool:
    return desired.basis_kind == one.basis[0] and desired.currency == one.amount.currency


def _lowered(desired: Desired, one: WriteOff, part: int) -> Desired:
    amount = Money(part, desired.currency)
    says = Says("write_off", f"less {amount}, {WORDS[one.kind]}: {one.says}", one.entry_id)
    written_off = {**desired.written_off, one.kind: desired.written_off.get(one.kind, 0) + part}
    statement = (*desired.statement, says)
    return replace(desired, patient=desired.patient - amount, written_off=written_off, statement=statement)
