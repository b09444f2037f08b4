"""What is known about one account, in billing's own words. Made by intake.py from FHIR, judged by responsibility.py.

Pure data. Days are days at the facility; an amount that is None was not stated, or can't be read as money.
To let a new fact count, add its field here, fill it in intake.py and say in responsibility.py or holds.py what it does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from ..domain.fhir_urls import CHARGE_SYSTEM
from ..domain.money import Money

CoverageKind = Literal["insurance", "self_pay", "medicaid", "workers_comp", "liability"]
PartyKind = Literal["Patient", "RelatedPerson", "Organization"]


@dataclass(frozen=True, slots=True)
class Person:
    """A patient of the account."""

    ref: str
    birth_date: date | None = None
    deceased: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class Guarantor:
    """Who answers for the account; the order in the account is the order in which they are asked."""

    ref: str
    kind: PartyKind
    on_hold: bool = False
    start: date | None = None
    end: date | None = None  # the last day


@dataclass(frozen=True, slots=True)
class Charge:
    """A ChargeItem: its total price, or (negative) a credit that takes back a price."""

    ref: str
    status: str
    amount: Money | None
    day: date | None = None  # of the service; the last one of a period
    visit: str = ""  # Encounter/…
    patient: str = ""  # whose it is; an account may be of several
    credit: bool = False
    part_of: frozenset[str] = frozenset()  # references, and `system|value` of what it names by identifier
    identifiers: frozenset[str] = frozenset()  # `system|value`
    message: str = ""  # the one it came in, where its sender gave it no number of its own
    content: str = ""  # with `message`: what it says, for comparison; empty: it is said to be no repeat
    feed: str = ""  # the HL7v2 feed that it came from; empty: it came over FHIR

    @property
    def numbers(self) -> frozenset[str]:
        """What its sender calls it, whatever the sender's system is called: FT1-2, or the value of an identifier."""
        split = (name.partition("|") for name in self.identifiers)
        return frozenset(value for system, _, value in split if value and not system.endswith(CHARGE_SYSTEM))

    def names(self, other: Charge) -> bool:
        """Whether this one says that it is part of `other`."""
        return self.ref != other.ref and not self.part_of.isdisjoint({other.ref, *other.identifiers})


class Named:
    """Charges by what others call them: which of them does one name, without asking each. In the order given."""

    def __init__(self, charges: Iterable[Charge]) -> None:
        self._charges = list(charges)
        self._places: dict[str, list[int]] = {}
        for place, charge in enumerate(self._charges):
            for name in {charge.ref, *charge.identifiers}:
                self._places.setdefault(name, []).append(place)

    def by(self, charge: Charge) -> list[Charge]:
        """Those that `charge` names (Charge.names)."""
        places = {place for name in charge.part_of for place in self._places.get(name, ())}
        return [one for one in map(self._charges.__getitem__, sorted(places)) if charge.names(one)]


@dataclass(frozen=True, slots=True)
class Visit:
    """An Encounter, or an Appointment whose visit has no number yet (appointments.py)."""

    ref: str
    status: str
    inpatient: bool = False
    patient: str = ""  # whose it is; an account may be of several
    start: date | None = None
    end: date | None = None
    appointments: tuple[str, ...] = ()  # that it says that it is for
    booked: date | None = None  # of an appointment: no visit of before is it

    @property
    def cancelled(self) -> bool:
        return self.status in {"cancelled", "entered-in-error", "noshow"}

    @property
    def expected(self) -> bool:
        """An appointment, not a visit yet."""
        return self.ref.startswith("Appointment/")


@dataclass(frozen=True, slots=True)
class Appointment:
    """An Appointment, and the visits that it says that it is for."""

    ref: str
    status: str
    patient: str = ""
    start: date | None = None
    booked: date | None = None
    visits: tuple[str, ...] = ()

    @property
    def off(self) -> bool:
        return self.status in {"cancelled", "entered-in-error", "noshow"}


@dataclass(frozen=True, slots=True)
class Insurance:
    """A Coverage. `rank` is its priority on the account; `copays` what it states as due at a visit."""

    ref: str
    status: str
    kind: CoverageKind = "insurance"
    start: date | None = None
    end: date | None = None  # the last day
    rank: int = 1
    copays: tuple[Money, ...] = ()
    beneficiary: str = ""  # the patient that it covers

    def spans(self, day: date) -> bool:
        """Whether its period holds that day; without a period it holds every day."""
        return (self.start is None or self.start <= day) and (self.end is None or day <= self.end)


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    charge: str = ""  # ChargeItem/…; empty where the line names a code
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """An Invoice."""

    ref: str
    status: str
    total: Money | None
    day: date | None = None
    subject: str = ""
    recipient: str = ""
    lines: tuple[InvoiceLine, ...] = ()
    less: Money | None = None  # taken out of `total`: lines for what is before a watermark (watermark.py)


@dataclass(frozen=True, slots=True)
class CopayDue:
    """A copay that the sender states as due (FT1-6 `CO` where the profile says so)."""

    amount: Money
    visit: str = ""
    day: date | None = None
    source: str = ""
    before: bool = False  # of before its feed's watermark


@dataclass(frozen=True, slots=True)
class Opening:
    """What the account owed when it was taken over from another system."""

    opening_id: str
    reference: str
    amount: Money
    feed: str
    imported_by: str
    taken_back: str = ""  # by whom and why; empty: it stands


@dataclass(frozen=True, slots=True)
class Recoverable:
    """A payment that was refunded and whose money came back all the same: its payer has had it twice."""

    recovery_id: str
    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class StaffAmount:
    """The patient's share of the account, entered by staff with a reason. The latest one counts."""

    entry_id: str
    amount: Money
    reason: str
    entered_at: datetime


INSURANCE = "insurance"


@dataclass(frozen=True, slots=True)
class Relief:
    """What somebody else has paid, or nobody is to pay any more: `insurance`, or a kind of write-off."""

    kind: str
    amount: Money
    ref: str  # PaymentReconciliation/…
    key: str  # the same whatever the order of arrival
    day: date
    label: str = ""  # as the sender's staff know it
    charge: str = ""  # that it is for; empty: the account


@dataclass(frozen=True, slots=True)
class WriteOff:
    """What staff have given up of one obligation. When that has ended and comes again, `basis` still names it."""

    entry_id: str
    kind: str
    amount: Money
    obligation_id: str
    says: str
    basis: tuple[str, str] = ("", "")
    received: int = 0  # minor units that were paid of what it is of, or are on their way


@dataclass(frozen=True, slots=True)
class Hold:
    """What stops desk, link, reminder and autopay alike. On an account of several patients what is said of one of them
    stops what is theirs, and what nobody can tell whose it is."""

    name: str
    says: str
    source: str = ""
    patient: str = ""  # empty: the whole account


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """Everything known on one account. The order of the tuples means nothing, but for `guarantors`."""

    ref: str
    status: str = ""  # empty: the account itself has not come in
    patients: tuple[Person, ...] = ()
    patient_ref: str = ""  # the first of them
    guarantors: tuple[Guarantor, ...] = ()
    charges: tuple[Charge, ...] = ()
    visits: tuple[Visit, ...] = ()
    coverages: tuple[Insurance, ...] = ()
    invoices: tuple[Bill, ...] = ()
    copays: tuple[CopayDue, ...] = ()
    relief: tuple[Relief, ...] = ()
    self_pay: str = ""  # the source of the positive statement; empty: nobody said so
    self_pay_confirmed: bool = False  # by staff, knowing of coverages that were withdrawn
    second_charges: frozenset[str] = frozenset()  # ChargeItems that look alike and are no repeats, by staff
    start: date | None = None
    end: date | None = None  # discharge
    bad_debt: bool = False
    accident: bool = False
    job_related: bool = False
    staff: tuple[StaffAmount, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()  # by staff
    holds: tuple[Hold, ...] = ()  # opened by staff
    suspended_by: tuple[str, ...] = ()  # parked messages of this account
    received: Mapping[str, Money] = field(default_factory=dict[str, Money])  # by basis: paid here, or on its way
    paid_charges: frozenset[str] = frozenset()  # those of which money was received here, or is on its way
    elsewhere: tuple[AccountFacts, ...] = ()  # accounts that may ask for the same: reach.others_of
    # of those, amounts in minor units:
    drawn: Mapping[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])
    """(Invoice, charge, currency) → what the Invoice asks for out of the charge."""
    loose: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """(account, currency) → money that is there, or on its way, and pays nothing there."""
    asked: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """account → the charges, visits and Invoices that it has asked for, or has an eye on"""
    paid_copays: Collection[tuple[str, str]] = frozenset()
    """(account, visit), of this account too: money was paid for the visit's copay there, or is on its way"""
    given_up: Mapping[str, tuple[WriteOff, ...]] = field(default_factory=dict[str, tuple[WriteOff, ...]])
    """account → what staff have given up there"""
    # of a feed that was taken over from another system (cutover.py):
    before: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is of before its feed's watermark, such as ChargeItem/…, and why in words"""
    waiting: Mapping[str, str] = field(default_factory=dict[str, str])
    """What comes from a feed that has not gone live, and which one"""
    late: frozenset[str] = frozenset()  # what came first after its feed had gone live
    openings: tuple[Opening, ...] = ()
    recoveries: tuple[Recoverable, ...] = ()
    copay_visits: frozenset[str] | None = None  # the visits whose coverage states a copay here; None: all
    known_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """visit → the appointments, and former numbers, that its copay may have been asked for under (appointments.py)"""
    guessed: Mapping[str, str] = field(default_factory=dict[str, str])
    """visit → the appointment of another day that is taken for its, which nobody has said"""
