"""What stops collection on a whole account, whatever its obligations say. Called by responsibility.py.

To add a hold: a line in `holds_of` with a stable name and a sentence for the person at the desk. A name in
`NOT_THE_PATIENTS` also turns charges back to pending: somebody else is to pay them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from .facts import AccountFacts, Guarantor, Hold, Insurance

NOT_THE_PATIENTS = frozenset({"workers_comp", "accident", "medicaid", "employer"})
NOT_LIVE = "not_live"  # of what comes from a feed that is still backfilled
ADULT_YEARS = 18
# names that staff may open by hand; the sentence is theirs
BY_HAND = frozenset(
    """bankruptcy financial_assistance medicaid workers_comp accident legal dispute estimate_dispute identity bad_debt
    deceased minor other""".split()
)
_ACCOUNT_STATUS = {
    "on-hold": ("account_on_hold", "the account is on hold"),
    "inactive": ("account_inactive", "the account is inactive"),
    "entered-in-error": ("account_in_error", "the account was entered in error"),
    "unknown": ("account_unknown", "the account's status is unknown"),
}
LIVE = frozenset({"active", "draft", ""})  # a Coverage that may pay


def first_guarantor(facts: AccountFacts, today: date) -> Guarantor | None:
    """The first one in force, in the account's own order; on hold or not."""
    return next(iter(guarantors_on(facts, today)), None)


def guarantors_on(facts: AccountFacts, today: date) -> list[Guarantor]:
    return [
        one
        for one in facts.guarantors
        if (one.start is None or one.start <= today) and (one.end is None or today <= one.end)
    ]


def holds_of(facts: AccountFacts, today: date) -> tuple[Hold, ...]:
    """Every hold on the account as of today, by name."""
    return tuple(sorted(set(_holds(facts, today)), key=lambda hold: (hold.name, hold.source, hold.says)))


def _holds(facts: AccountFacts, today: date) -> Iterator[Hold]:
    if facts.status in _ACCOUNT_STATUS:
        name, says = _ACCOUNT_STATUS[facts.status]
        yield Hold(name, says, facts.ref)
    if facts.bad_debt:
        yield Hold("bad_debt", "placed with an agency as bad debt", facts.ref)
    if facts.accident:
        yield Hold("accident", "from an accident: a liability insurer pays first", facts.ref)
    if facts.job_related:
        yield Hold("workers_comp", "job related: workers' compensation pays first", facts.ref)
    for cover in _in_force(facts, today):
        whose = cover.beneficiary if len(facts.patients) > 1 else ""
        if cover.kind == "medicaid":
            yield Hold("medicaid", "covered by Medicaid: the patient may not be billed", cover.ref, whose)
        elif cover.kind == "workers_comp":
            yield Hold("workers_comp", "covered by workers' compensation", cover.ref, whose)
        elif cover.kind == "liability":
            yield Hold("accident", "covered by a liability insurer", cover.ref, whose)
    yield from _people(facts, today)
    currencies = sorted(_currencies(facts))
    if len(currencies) > 1:
        yield Hold("currency", f"amounts in {' and '.join(currencies)} on one account", facts.ref)
    for work in facts.suspended_by:
        yield Hold("parked_message", "a message of this account is parked: amounts may be incomplete", work)
    yield from facts.holds


def _people(facts: AccountFacts, today: date) -> Iterator[Hold]:
    guarantor = first_guarantor(facts, today)
    if guarantor is not None and guarantor.on_hold:
        yield Hold("guarantor_on_hold", "the guarantor is on hold", guarantor.ref)
    if guarantor is not None and guarantor.kind == "Organization":
        yield Hold("employer", "an organization is the guarantor: it pays, not the patient", guarantor.ref)
    for patient in facts.patients:
        whose = patient.ref if len(facts.patients) > 1 else ""
        if patient.deceased:
            # One who answers for the others as well is not asked for them either.
            answers = guarantor is None or guarantor.ref == patient.ref
            yield Hold("deceased", "the patient has died", patient.ref, "" if answers else whose)
        if not patient.active:
            yield Hold("identity", "the patient's record is not active", patient.ref, whose)
        others = [one for one in guarantors_on(facts, today) if one.ref != patient.ref]
        if patient.birth_date is not None and today < comes_of_age(patient.birth_date) and not others:
            yield Hold("minor", "the patient is a minor and nobody is named as responsible", patient.ref, whose)


def comes_of_age(born: date) -> date:
    """The day; for who was born on 29 February the first of March."""
    year = min(born.year + ADULT_YEARS, 9999)
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _in_force(facts: AccountFacts, today: date) -> list[Insurance]:
    """Coverages in force on any day of the account's services; today where there is no such day yet."""
    days = {charge.day for charge in facts.charges} | {visit.start for visit in facts.visits} | {facts.start}
    known = [day for day in days if day is not None] or [today]
    return [one for one in facts.coverages if one.status in LIVE and any(map(one.spans, known))]


def _currencies(facts: AccountFacts) -> set[str]:
    amounts = [charge.amount for charge in facts.charges if charge.status in {"billable", "billed"}]
    amounts += [bill.total for bill in facts.invoices if bill.status in {"issued", "balanced"}]
    amounts += [copay.amount for copay in facts.copays] + [entry.amount for entry in facts.staff]
    amounts += [one.amount for one in facts.openings if not one.taken_back]
    return {amount.currency for amount in amounts if amount is not None}
