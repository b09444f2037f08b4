"""When time alone will change what an account owes, without any message: for the row that has it assessed again then.

Called by responsibility.py. The end of a bill hold needs no such day: what may be asked is read with its date. To let
another fact depend on the calendar, add its day here, with a test that nothing changes before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from .facts import AccountFacts, Hold
from .holds import LIVE, comes_of_age

_NO_END = 9000  # some systems write the year 9999 for "no end"


def next_change(facts: AccountFacts, holds: tuple[Hold, ...], today: date) -> date | None:
    """The first day after `today` on which the same facts may be judged otherwise; None: never by themselves."""
    return min((day for day in _days(facts, holds) if day > today), default=None)


def _days(facts: AccountFacts, holds: tuple[Hold, ...]) -> Iterator[date]:
    minors = {hold.source for hold in holds if hold.name == "minor"}
    for patient in facts.patients:
        if patient.ref in minors and patient.birth_date:
            yield comes_of_age(patient.birth_date)
    for guarantor in facts.guarantors:
        yield from _turns(guarantor.start, guarantor.end)
    # Coverages are judged by the days of the services; by today's where those are not known.
    days = [charge.day for charge in facts.charges] + [facts.start]
    if not any(days) or any(visit.start is None for visit in facts.visits):
        for cover in facts.coverages:
            if cover.status in LIVE:
                yield from _turns(cover.start, cover.end)


def _turns(start: date | None, last: date | None) -> Iterator[date]:
    """The first day, and the day after the last one."""
    if start is not None:
        yield start
    if last is not None and last.year < _NO_END:
        yield last + timedelta(days=1)
