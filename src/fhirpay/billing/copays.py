"""Copays: due at the visit, before insurance has answered. Called by responsibility.py after the stronger sources.

One visit has one copay, whoever states it: the sender's line (FT1-6 `CO`), else the first Coverage. It comes out of
the visit's charges, so it is posted when they land; until then it may be asked for and is in no book. A visit that
has to do with several accounts has one copay too, asked for on one of them. An appointment stands for its visit until
that has a number (appointments.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import AT_ONCE, Basis, Says
from .bills import claimed_elsewhere, is_whole, paid_elsewhere, standing
from .case import Case
from .charges import COUNTS, Worth
from .facts import AccountFacts, Charge, CopayDue, Hold, Insurance, Visit
from .holds import LIVE

GUESSED = "appointment_visit"  # on the worklist
CALLED_OFF = "appointment_off"  # on the worklist, and the name of the hold


_OFF = {"entered-in-error": "entered in error", "noshow": "missed"}


@dataclass(frozen=True, slots=True)
class _Copay:
    amount: Money
    says: Says
    key: str  # the visit, or the account where no visit is known
    visit: Visit | None
    day: date | None
    stated: bool  # by the sender, as due
    holds: tuple[Hold, ...] = ()


def add_copays(case: Case, *, staff: str) -> None:
    """`staff` is the staff entry that states the account's share already, if any."""
    for copay in _copays(case):
        _add(case, copay, staff)


def _copays(case: Case) -> Iterator[_Copay]:
    facts = case.facts
    visits = sorted(facts.visits, key=lambda visit: visit.ref)
    stated: dict[str, list[_Copay]] = {}
    for line in sorted(facts.copays, key=_as_stated):
        visit = _visit_of(facts, visits, line)
        says = Says("copay", f"copay of {line.amount} stated as due at the visit", line.source or facts.ref)
        key = visit.ref if visit else line.visit or facts.ref
        holds = () if visit or line.visit else _called_off(case, visits, line)
        stated.setdefault(key, []).append(_Copay(line.amount, says, key, visit, line.day, True, holds))
    for key, lines in sorted(stated.items()):
        if len({line.amount for line in lines}) > 1:
            case.note("copay_stated_twice", key, f"more than one copay is stated for {key}; the highest is asked for")
        yield max(lines, key=_highest)
    if facts.ref in stated:
        return  # a line without a visit may be for any of them: nothing is added to it
    numbered = any(not visit.expected for visit in visits)
    if not numbered and not stated and _uncharged(case) and (copay := _insured(case, facts.ref, None)):
        yield copay
    for visit in visits:
        if facts.copay_visits is not None and visit.ref not in facts.copay_visits:
            continue
        if visit.ref not in stated and (copay := _insured(case, visit.ref, visit)):
            yield copay


def _as_stated(line: CopayDue) -> tuple[str, str, int, str, str]:
    return (line.visit, line.amount.currency, line.amount.minor, str(line.day or ""), line.source)


def _highest(line: _Copay) -> tuple[int, str, str, str]:
    return (line.amount.minor, line.amount.currency, str(line.day or ""), line.says.source)


def _visit_of(facts: AccountFacts, visits: list[Visit], line: CopayDue) -> Visit | None:
    """The visit that a stated copay is for: the one that it names, else the only one that it can be for, or of its
    day. Where all of those are off, so is the copay."""
    if line.visit:
        return next((visit for visit in visits if visit.ref == line.visit), None)
    going = [visit for visit in visits if not visit.cancelled and _may_be_for(line, visit)]
    if going:
        that_day = [visit for visit in going if visit.start == line.day]
        return going[0] if len(going) == 1 else that_day[0] if len(that_day) == 1 else None
    off = [visit for visit in visits if visit.cancelled and _may_be_for(line, visit)]
    return None if not off or _loose(facts) else off[-1]


def _may_be_for(line: CopayDue, visit: Visit) -> bool:
    """Not for an appointment that was booked after the copay was stated, nor for what was off before that day."""
    if line.day is None:
        return True
    if visit.cancelled and visit.start is not None and visit.start < line.day:
        return False
    return visit.booked is None or visit.booked <= line.day


def _loose(facts: AccountFacts) -> bool:
    """Whether there are charges of a visit without a number: one has taken place."""
    return any(not charge.visit and charge.status in COUNTS for charge in facts.charges)


def _called_off(case: Case, visits: list[Visit], line: CopayDue) -> tuple[Hold, ...]:
    """A copay for no visit that we know, where all that it can be for is off, and there are charges: of which visit?"""
    found = [visit for visit in visits if _may_be_for(line, visit)]
    if not found or not all(visit.cancelled for visit in found):
        return ()
    says = f"a copay of {line.amount} names no visit, and {found[-1].ref} is off: is it due for another one?"
    case.note(CALLED_OFF, case.facts.ref, says)
    return (Hold(CALLED_OFF, says, found[-1].ref),)


def _insured(case: Case, key: str, visit: Visit | None) -> _Copay | None:
    """The copay of the first Coverage in force on the day of the visit."""
    day = (visit.start if visit else None) or _first_day(case, key) or case.today
    covers = [one for one in case.facts.coverages if one.status in LIVE and one.kind != "self_pay" and one.spans(day)]
    if visit is not None and visit.patient:  # on a guarantor's account, a mother's plan says nothing of her child
        covers = [one for one in covers if one.beneficiary in ("", visit.patient)]
    first = min(covers, key=lambda one: (one.rank, one.ref), default=None)
    if first is None or not first.copays:
        return None
    if len(set(first.copays)) > 1:
        case.note("copay_ambiguous", first.ref, f"{first.ref} states more than one copay: none is asked for")
        return None
    says = Says("copay", f"copay of {first.copays[0]} by the coverage, due at the visit", first.ref)
    return _Copay(first.copays[0], says, key, visit, None, False)


def _first_coverage(facts: AccountFacts, day: date) -> Insurance | None:
    covers = [one for one in facts.coverages if one.status in LIVE and one.kind != "self_pay" and one.spans(day)]
    return min(covers, key=lambda one: (one.rank, one.ref), default=None)


def _asked_on(case: Case, copay: _Copay) -> str:
    """The account that asks for the visit's copay: where it was paid, else stated, else with its charges."""
    names = {copay.key, *case.facts.known_as.get(copay.key, ())}
    found: list[tuple[bool, bool, bool, str]] = []
    for one in (case.facts, *case.facts.elsewhere):
        visit = next((visit for visit in one.visits if visit.ref == copay.key), None)
        lines = {line.visit if line.visit else _visit_of(one, list(one.visits), line) for line in one.copays}
        stated = not lines.isdisjoint({copay.key, visit, None} if visit else {copay.key})
        cover = _first_coverage(one, visit.start or case.today) if visit else None
        if one is case.facts or stated or (cover is not None and len(set(cover.copays)) == 1):
            paid = any((one.ref, name) in case.facts.paid_copays for name in names)
            charged = any(charge.visit == copay.key and charge.status in COUNTS for charge in one.charges)
            found.append((not paid, not stated, not charged, one.ref))
    return min(found)[-1]


def _abroad(case: Case, key: str) -> list[Worth]:
    """The visit's charges on other accounts."""
    return [one for _, one in sorted(case.abroad.items()) if one.charge.visit == key and not one.whole]


def _charges(case: Case, key: str) -> list[Worth]:
    """The visit's charges, then those that name no visit; of the account, all of them."""
    worths = [worth for worth in case.worths.oldest_first() if not worth.whole]
    if key == case.facts.ref:
        return [one for one in worths if not _awaited(case, one.charge)]
    if day := _expected_on(case, key):  # an appointment of next week is not what was charged before
        return [one for one in worths if not one.charge.visit and one.charge.day in (None, day)]
    return [one for one in worths if one.charge.visit == key] + [one for one in worths if not one.charge.visit]


def _expected_on(case: Case, key: str) -> date | None:
    return next((visit.start for visit in case.facts.visits if visit.expected and visit.ref == key), None)


def _awaited(case: Case, charge: Charge) -> bool:
    """Whether it was made on the day of an appointment whose visit has no number."""
    expected = (visit for visit in case.facts.visits if visit.expected and not visit.cancelled)
    return not charge.visit and any(charge.day == visit.start for visit in expected)


def _uncharged(case: Case) -> bool:
    """Whether there are charges that no visit or appointment is known for."""
    return any(not _awaited(case, charge) for charge in case.facts.charges)


def _first_day(case: Case, key: str) -> date | None:
    days = [worth.charge.day for worth in _charges(case, key) if worth.charge.day]
    return min(days, default=None) or case.facts.start


def _due(case: Case, copay: _Copay) -> datetime | None:
    day = (copay.visit.start if copay.visit else None) or copay.day or _first_day(case, copay.key)
    if day is not None:
        return case.morning(day)
    begun = copay.visit is not None and copay.visit.status in {"arrived", "triaged", "in-progress", "finished"}
    return AT_ONCE if copay.stated or begun else None


def _superseded(case: Case, key: str, staff: str) -> str:
    """The stronger source that states this visit's share already."""
    mine = {worth.charge.ref for worth in _charges(case, key)}
    for bill in standing(case.facts):
        if is_whole(bill) or any(line.charge in mine for line in bill.lines):
            return bill.ref
    elsewhere = claimed_elsewhere(case.facts, case.claimed)
    mine |= {worth.charge.ref for worth in _abroad(case, key)}
    named = [bill for charge, bill in sorted({**case.claimed, **elsewhere}.items()) if charge in mine]
    for other in case.facts.elsewhere:
        if any(charge.visit == key for charge in other.charges):
            named += [bill for bill in standing(other) if is_whole(bill)]
    return next((bill.ref for bill in named), staff)


def _capped(case: Case, copay: _Copay, says: list[Says]) -> int:
    """Never more than the visit's charges, once it is over; nothing when all its charges were taken back."""
    owed, currency = copay.amount.minor, copay.amount.currency
    worths = [one for one in (*_charges(case, copay.key), *_abroad(case, copay.key)) if one.currency == currency]
    net = sum(worth.net for worth in worths)
    over = copay.visit is not None and (copay.visit.status == "finished" or copay.visit.end is not None)
    unpriced = any(charge.amount is None for charge in case.facts.charges)
    if worths and not unpriced and net < owed and (net == 0 or over):
        says.append(Says("copay", f"the visit's charges come to {Money(net, currency)}", copay.key))
        owed = net
    taken = min(owed, case.worths.over.get(currency, 0))
    if taken:
        case.worths.over[currency] -= taken
        says.append(Says("credit", f"less {Money(taken, currency)}, credited to the account", case.facts.ref))
    return owed - taken


def _add(case: Case, copay: _Copay, staff: str) -> None:
    says, currency, zero = [copay.says], copay.amount.currency, Money.zero(copay.amount.currency)
    targets = (copay.key,)
    if copay.visit is not None and copay.visit.cancelled:
        what = "appointment" if copay.visit.expected else "visit"
        says.append(Says("copay", f"the {what} was {_OFF.get(copay.visit.status, 'cancelled')}", copay.key))
        case.add(Basis.COPAY, copay.key, zero, ObligationState.VOID, says, targets=targets)
        return
    if stronger := _superseded(case, copay.key, staff):
        says.append(Says("superseded", f"{stronger} states what is owed", stronger))
        state = ObligationState.SUPERSEDED
        case.add(Basis.COPAY, copay.key, zero, state, says, targets=targets, superseded_by=stronger)
        return
    if (account := _asked_on(case, copay)) != case.facts.ref:
        says.append(Says("superseded", f"the visit's copay is asked for on {account}", account))
        state = ObligationState.SUPERSEDED
        case.add(Basis.COPAY, copay.key, zero, state, says, targets=targets, superseded_by=account)
        return
    owed, due = _capped(case, copay, says), _due(case, copay)
    state = ObligationState.COLLECTABLE if due is not None else ObligationState.PENDING
    if not owed:
        state = ObligationState.VOID
    elif due is None:
        says.append(Says("copay", "the day of the visit is not known", copay.key))
    amount = Money(owed if state is ObligationState.COLLECTABLE else 0, currency)
    worths = [worth for worth in _charges(case, copay.key) if worth.charge.ref not in case.claimed]
    draws = case.draw(amount.minor, worths, currency)
    charges = [worth.charge.ref for worth in _charges(case, copay.key)]
    names = case.facts.known_as.get(copay.key, ())
    holds = (*copay.holds, *paid_elsewhere(case, [*charges, *names], currency, copay.key)) if amount else ()
    if amount and (guessed := case.facts.guessed.get(copay.key)):
        told = "one copay is asked for. Where both take place, the other is asked for once its visit has a number"
        case.note(GUESSED, guessed, f"{guessed} is taken for {copay.key}, which is of another day: {told}")
    case.add(Basis.COPAY, copay.key, amount, state, says, targets=targets, due=due, draws=draws, holds=holds)
