"""Who owes what on an account, and when may it be asked for. Pure: facts in, the obligations that should be out.

Called by store.reassess for every change on an account, and by the stories in tests/. It judges all that is known at
once, so the order in which messages came can't matter. Its one law: absence of data is never self-pay. An obligation
becomes collectable only by a positive statement, which is kept with it as sentences.

The sources, strongest first, each taking its part of the charges: Invoice (bills.py), staff entry, copay (copays.py),
self-pay class. What is left of a charge is pending insurance. An opening balance (openings.py) and what a payer
has had twice (recoveries.py) stand beside them. To
add a source: a `Basis`, a module like copays.py, and its place in `assess`; then stories, before and after every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from ..config import Facility
from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import AT_ONCE, Assessment, Basis, Says
from .bills import add_bills, claimed_elsewhere, claims_of, paid_elsewhere, standing
from .case import Case
from .charges import COUNTS, WITHDRAWN, Worth, is_credit, worths_of
from .copays import add_copays
from .facts import AccountFacts, Bill, Charge, Hold, Insurance
from .holds import LIVE, holds_of
from .look_alikes import LOOK_ALIKE, by_two_ways, look_alikes, question
from .openings import add_openings
from .recoveries import add_recoveries
from .relief import relieve
from .waits import next_change
from .watermark import beside, halves
from .write_offs import give_up, hold_what_others_gave_up

_MAY_STILL_PAY = LIVE | {"cancelled"}


def assess(facts: AccountFacts, policy: Facility, at: datetime) -> Assessment:
    """The obligations that this account should have as of `at`, each with its statement.

    What is of before a feed's watermark is assessed by itself, as if nothing else were there, and only shown.
    """
    asked, shown = halves(facts)
    found = _assess(asked, policy, at)
    return found if shown is None else beside(found, _assess(shown, policy, at), shown)


def _assess(facts: AccountFacts, policy: Facility, at: datetime) -> Assessment:
    today = at.astimezone(ZoneInfo(policy.zone)).date()
    claimed = claims_of(facts)
    doubtful = _doubtful(facts)
    facts = replace(facts, charges=tuple(one for one in facts.charges if one.ref not in doubtful))
    worths = worths_of(facts.charges, _exposed(facts, claimed))
    for ref, bill in claimed_elsewhere(facts, claimed).items():
        if (worth := worths.charges.get(ref)) is not None:
            worth.left = max(0, worth.left - facts.drawn.get((bill.ref, ref, worth.currency), 0))
    abroad = [worths_of(other.charges, _exposed(other, claimed)).charges for other in facts.elsewhere]
    case = Case(
        facts=facts,
        policy=policy,
        at=at,
        today=today,
        holds=(*holds_of(facts, today), *_doubtful_credits(doubtful)),
        worths=worths,
        abroad={ref: worth for worths in abroad for ref, worth in worths.items()},
        claimed=claimed,
    )
    add_bills(case)
    staff = _add_staff(case)
    add_openings(case, staff=staff)
    add_recoveries(case)
    add_copays(case, staff=staff)
    for charge in sorted(facts.charges, key=lambda one: one.ref):
        _add_charge(case, charge, staff)
    for charge, first in doubtful.values():
        _add_doubtful(case, charge, first)
    relieve(case)
    give_up(case)
    hold_what_others_gave_up(case)
    notes = {(note.kind, note.subject): note for note in (*case.worths.notes, *case.notes)}
    turns = next_change(facts, case.holds, today)
    return Assessment(
        obligations=tuple(sorted(case.found, key=lambda one: one.key)),
        holds=case.holds,
        notes=tuple(note for _, note in sorted(notes.items())),
        stands_until=None if turns is None else case.morning(turns),
    )


def _exposed(facts: AccountFacts, claimed: Mapping[str, Bill]) -> Callable[[Charge], int]:
    """Which charges a credit that names none lowers first: what could be asked for now."""

    def exposed(charge: Charge) -> int:
        if charge.ref in claimed:
            return 1
        return 2 if _insurer(facts, charge) or not facts.self_pay else 0

    return exposed


def _doubtful(facts: AccountFacts) -> dict[str, tuple[Charge, Charge]]:
    """Those that may be repeats, each with the first. One that an Invoice names was meant."""
    billed = {line.charge for one in (facts, *facts.elsewhere) for bill in standing(one) for line in bill.lines}
    alike = look_alikes(facts.charges, facts.second_charges | billed)
    left = [one for one in facts.charges if one.ref not in facts.second_charges | alike.keys()]
    alike |= by_two_ways(left, billed, facts.paid_charges)
    return {one.ref: (one, alike[one.ref]) for one in facts.charges if one.ref in alike}


def _doubtful_credits(doubtful: dict[str, tuple[Charge, Charge]]) -> Iterator[Hold]:
    """A credit that may count twice, or once: until somebody says, too much might be asked for."""
    for charge, first in doubtful.values():
        if is_credit(charge) and not any(charge.names(other) for other, _ in doubtful.values()):
            yield Hold(LOOK_ALIKE, f"a credit that may be {first.ref} come again: is it to count?", charge.ref)


def _add_doubtful(case: Case, charge: Charge, first: Charge) -> None:
    """Kept apart from all that counts: nothing draws on it, and it is not asked for."""
    case.note(LOOK_ALIKE, charge.ref, question(charge, first))
    if charge.amount is None or is_credit(charge):
        return
    says = [
        Says("charge", f"charge of {charge.amount}", charge.ref),
        Says("hold", f"it may be {first.ref} come again: a person decides", first.ref),
    ]
    zero, pending = Money.zero(charge.amount.currency), charge.amount.minor
    case.add(Basis.CHARGE, charge.ref, zero, ObligationState.PENDING, says, targets=(charge.ref,), pending=pending)


def _add_staff(case: Case) -> str:
    """The latest amount that staff entered, unless an Invoice states what is owed. Its id when it counts."""
    entries = sorted(case.facts.staff, key=lambda entry: (entry.entered_at, entry.entry_id))
    elsewhere = claimed_elsewhere(case.facts, case.claimed)
    invoice = next((bill.ref for bill in (*standing(case.facts), *elsewhere.values())), "")
    counts = ""
    for entry in reversed(entries):
        stronger = invoice or counts
        says = [Says("staff", f"{entry.amount} entered by staff: {entry.reason}", entry.entry_id)]
        currency, targets = entry.amount.currency, (case.facts.ref,)
        if stronger:
            says.append(Says("superseded", f"{stronger} states what is owed", stronger))
            zero, state = Money.zero(currency), ObligationState.SUPERSEDED
            case.add(Basis.STAFF, entry.entry_id, zero, state, says, targets=targets, superseded_by=stronger)
            continue
        counts = entry.entry_id
        draws = case.draw(entry.amount.minor, case.worths.oldest_first(), currency)
        state = ObligationState.COLLECTABLE if entry.amount.minor else ObligationState.VOID
        due = AT_ONCE if entry.amount.minor else None
        charges = [charge.ref for charge in case.facts.charges]
        holds = paid_elsewhere(case, charges, currency, counts) if entry.amount else ()
        case.add(Basis.STAFF, counts, entry.amount, state, says, targets=targets, due=due, draws=draws, holds=holds)
    return counts


def _add_charge(case: Case, charge: Charge, staff: str) -> None:
    worth = case.worths.charges.get(charge.ref)
    if worth is None:
        if charge.amount is None and not charge.credit:
            case.note("amount_unknown", charge.ref, f"{charge.ref} states no price")
        return
    says = [Says("charge", f"charge of {Money(worth.gross, worth.currency)}", charge.ref), *worth.says]
    zero, drawn = Money.zero(worth.currency), worth.net - worth.left
    if not worth.net:
        if worth.whole:
            says.append(Says("charge", f"its price is part of {worth.whole}", worth.whole))
        elif not worth.gross:
            if charge.status not in COUNTS | WITHDRAWN | {"planned"}:
                case.note("charge_status", charge.ref, f"the status of {charge.ref} is {charge.status or 'missing'}")
            says = [Says("charge", f"the charge is {charge.status}: nothing is owed for it", charge.ref)]
        case.add(Basis.CHARGE, charge.ref, zero, ObligationState.VOID, says, targets=(charge.ref,))
        return
    bill = case.claimed.get(charge.ref)
    stronger = bill.ref if bill else staff
    if not stronger and drawn and not worth.left:
        stronger = _drew(case, charge)
    if stronger:
        says.append(Says("superseded", f"{stronger} states what the patient owes of it", stronger))
        state = ObligationState.PENDING if worth.left else ObligationState.SUPERSEDED
        _pending(case, worth, state, says, superseded_by=stronger)
        return
    if drawn:
        says.append(Says("copay", f"{Money(drawn, worth.currency)} of it is the copay", _drew(case, charge)))
    _by_class(case, worth, says)


def _drew(case: Case, charge: Charge) -> str:
    return next((one.basis_key for one in case.found if charge.ref in one.draws), "")


def _pending(case: Case, worth: Worth, state: ObligationState, says: list[Says], superseded_by: str = "") -> None:
    case.add(
        Basis.CHARGE,
        worth.charge.ref,
        Money.zero(worth.currency),
        state,
        says,
        targets=(worth.charge.ref,),
        pending=worth.left,
        superseded_by=superseded_by,
    )


def _by_class(case: Case, worth: Worth, says: list[Says]) -> None:
    """Self-pay where that was said and nothing speaks against it; else pending insurance."""
    charge, facts = worth.charge, case.facts
    insurer, pending = _insurer(facts, charge), ObligationState.PENDING
    visit = next((one for one in facts.visits if one.ref == charge.visit), None)
    if visit is not None and visit.cancelled:
        says_so = f"its visit was {visit.status.replace('-', ' ')}: a credit should follow"
        case.note("charge_of_cancelled_visit", charge.ref, f"{charge.ref} is not asked for: {says_so}")
        says.append(Says("visit", f"pending: {says_so}", visit.ref))
    elif insurer is not None:
        if insurer.status == "cancelled" and facts.self_pay:
            says_so = f"{insurer.ref} was withdrawn and the account is stated as self-pay: confirm who pays"
            case.note("coverage_withdrawn", insurer.ref, says_so)
        says.append(Says("coverage", f"pending insurance: {_why(insurer)}", insurer.ref))
    elif (hold := case.not_the_patients(charge)) is not None:
        says.append(Says("hold", f"pending: {hold.says}", hold.source))
    elif not facts.self_pay:
        says.append(Says("unknown", "pending insurance: nobody has stated that the patient pays", facts.ref))
    else:
        says.append(Says("self_pay", "the account is stated as self-pay", facts.self_pay))
        due, why = _due(case, charge)
        says.append(why)
        if due is not None:
            _self_pay(case, worth, due, says)
            return
    _pending(case, worth, pending, says)


def _self_pay(case: Case, worth: Worth, due: datetime, says: list[Says]) -> None:
    percent = case.policy.self_pay_discount_percent
    discounted = worth.net - -(-worth.net * percent // 100)  # a rest of a cent is the patient's
    patient = max(0, discounted - (worth.net - worth.left))
    if percent:
        says.append(Says("discount", f"less {percent} % for self-pay", case.policy.name))
    case.add(
        Basis.CHARGE,
        worth.charge.ref,
        Money(patient, worth.currency),
        ObligationState.COLLECTABLE,
        says,
        targets=(worth.charge.ref,),
        due=due,
        draws={worth.charge.ref: patient} if patient else {},
        discount=worth.left - patient,
        holds=paid_elsewhere(case, [worth.charge.ref], worth.currency, worth.charge.ref) if patient else (),
    )


def _insurer(facts: AccountFacts, charge: Charge) -> Insurance | None:
    """A Coverage that may pay for this charge. One that was withdrawn does not make a patient self-pay."""
    counts = LIVE if facts.self_pay_confirmed else _MAY_STILL_PAY
    covers = [one for one in facts.coverages if one.kind != "self_pay" and one.status in counts]
    if charge.day is not None:
        covers = [one for one in covers if one.spans(charge.day)]
    return min(covers, key=lambda one: (one.status == "cancelled", one.rank, one.ref), default=None)


def _why(insurer: Insurance) -> str:
    if insurer.status == "cancelled":
        return "a coverage of that day was withdrawn, which is not a statement that the patient pays"
    return "covered on the day of the service"


def _due(case: Case, charge: Charge) -> tuple[datetime | None, Says]:
    """The end of the bill hold, counted from discharge, else from the service."""
    days = case.policy.bill_hold_days
    visit = next((one for one in case.facts.visits if one.ref == charge.visit), None)
    ends = [day for day in (visit.end if visit else None, case.facts.end) if day is not None]
    inpatient = visit.inpatient if visit else any(one.inpatient for one in case.facts.visits)
    if inpatient and not ends:
        return None, Says("bill_hold", "not before the patient is discharged", charge.visit or case.facts.ref)
    known = [*ends, *([charge.day] if charge.day else [])]
    if not known:
        return None, Says("bill_hold", "the day of the service is not known", charge.ref)
    since = max(known)
    due = case.morning(since, days_later=days)
    named = "discharge" if ends and since in ends else "the service"
    return due, Says("bill_hold", f"{_days(days)} after {named} on {since}", case.policy.name)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
