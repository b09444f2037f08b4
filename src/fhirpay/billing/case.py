"""The account on the table while it is judged: its facts, what its charges still hold, and what was found so far.

Used by responsibility.py, which runs bills.py and copays.py over it, the strongest source first. What one source has
drawn from a charge is no longer there for a weaker one: that is why sources never add up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ..config import Facility
from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import Basis, Desired, Note, Says
from .charges import Worth, Worths
from .facts import AccountFacts, Bill, Charge, Hold
from .holds import NOT_LIVE, NOT_THE_PATIENTS, first_guarantor

_LAST_DAY = date(9900, 1, 1)


@dataclass(slots=True)
class Case:
    facts: AccountFacts
    policy: Facility
    at: datetime
    today: date
    holds: tuple[Hold, ...]
    worths: Worths
    abroad: Mapping[str, Worth] = field(default_factory=dict[str, Worth])  # charges of linked accounts
    claimed: dict[str, Bill] = field(default_factory=dict[str, Bill])  # charge → the Invoice that stands for it
    found: list[Desired] = field(default_factory=list[Desired])
    notes: list[Note] = field(default_factory=list[Note])

    def not_the_patients(self, charge: Charge) -> Hold | None:
        """The hold that says that somebody else pays the charge first."""
        return next((hold for hold in self._stops([charge.ref]) if hold.name in NOT_THE_PATIENTS), None)

    def _stops(self, refs: Iterable[str]) -> tuple[Hold, ...]:
        """The holds on what rests on these: on the account, and on the patients whose it is, or may be."""
        whose = self._patients(refs) if any(hold.patient for hold in self.holds) else set[str]()
        return tuple(hold for hold in self.holds if not (hold.patient and whose) or hold.patient in whose)

    def _patients(self, refs: Iterable[str]) -> set[str]:
        """Whose these charges, visits and Invoices are; empty: nobody can tell."""
        refs, facts = set(refs), self.facts
        known = {one.ref: one.patient for one in (*facts.charges, *facts.visits)}
        known |= {bill.ref: bill.subject for bill in facts.invoices}
        found = {known.get(ref, "") for ref in refs}
        return set() if "" in found else found

    def worth(self, charge: str) -> Worth | None:
        """Of a charge of this account, or of one that its Invoices name on another."""
        return self.worths.charges.get(charge) or self.abroad.get(charge)

    @property
    def debtor(self) -> str:
        """Guarantor before patient, when the account names one."""
        guarantor = first_guarantor(self.facts, self.today)
        return guarantor.ref if guarantor else self.facts.patient_ref

    def note(self, kind: str, subject: str, says: str) -> None:
        self.notes.append(Note(kind, subject, says))

    def morning(self, day: date, *, days_later: int = 0) -> datetime:
        """When that day begins at the facility."""
        # Some systems write 9999-12-31 for "no end": that must stay a day one can count on from.
        day = min(day, _LAST_DAY) + timedelta(days=days_later)
        return datetime.combine(day, time(), ZoneInfo(self.policy.zone)).astimezone(UTC)

    def draw(self, minor: int, worths: Iterable[Worth], currency: str) -> dict[str, int]:
        """Take up to `minor` from what these charges still hold, in their order: charge → minor units."""
        drawn: dict[str, int] = {}
        for worth in worths:
            taken = min(minor, worth.left) if worth.currency == currency else 0
            if taken > 0:
                worth.left -= taken
                minor -= taken
                drawn[worth.charge.ref] = taken
        return drawn

    def stop(self, hold: Hold, *, about: Collection[str] | None = None) -> bool:
        """Nothing that was found so far is asked for (`about`: where it rests on, or draws from, one of these) before a
        person has said so. Whether there was anything, on hold already or not."""
        met = False
        for number, desired in enumerate(self.found):
            open_ = desired.state in (ObligationState.COLLECTABLE, ObligationState.ON_HOLD) and desired.patient
            if open_ and (about is None or not {desired.basis_key, *desired.draws}.isdisjoint(about)):
                met = True
                statement = (*desired.statement, Says("hold", hold.says, hold.source))
                name = desired.hold or hold.name
                held = {"state": ObligationState.ON_HOLD, "hold": name, "statement": statement}
                self.found[number] = replace(desired, **held)
        return met

    def _not_live(self, refs: Iterable[str]) -> tuple[Hold, ...]:
        """Of what comes from a feed that has not gone live nothing is asked for yet."""
        feeds = sorted({self.facts.waiting[ref] for ref in refs if ref in self.facts.waiting})
        return tuple(
            Hold(NOT_LIVE, f"the feed '{feed}' has not gone live: nothing is asked for yet", feed) for feed in feeds
        )

    def add(
        self,
        kind: Basis,
        key: str,
        amount: Money,
        state: ObligationState,
        says: Iterable[Says],
        *,
        targets: tuple[str, ...],
        due: datetime | None = None,
        debtor: str | None = None,
        pending: int = 0,
        draws: dict[str, int] | None = None,
        discount: int = 0,
        superseded_by: str = "",
        holds: tuple[Hold, ...] = (),
    ) -> None:
        """One obligation. What could be collected is on hold where the account is, and says so."""
        statement = tuple(says)
        rests_on = (key, *targets, *(draws or ()))
        stops = (*self._stops(rests_on), *holds, *self._not_live(rests_on))
        if stops and state in {ObligationState.COLLECTABLE, ObligationState.PENDING, ObligationState.ON_HOLD}:
            statement += tuple(Says("hold", hold.says, hold.source) for hold in stops)
            if state is ObligationState.COLLECTABLE:
                state = ObligationState.ON_HOLD
        currency = amount.currency
        self.found.append(
            Desired(
                basis_kind=kind,
                basis_key=key,
                currency=currency,
                debtor=self.debtor if debtor is None else debtor,
                pending=Money(pending, currency),
                patient=amount,
                state=state,
                statement=statement,
                targets=targets,
                collectable_from=due,
                superseded_by=superseded_by,
                hold=stops[0].name if stops and state is ObligationState.ON_HOLD else "",
                discount=Money(discount, currency),
                draws=draws or {},
            )
        )
