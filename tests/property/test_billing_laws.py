"""Laws of what is owed, over accounts that hypothesis makes up: order means nothing, nothing is asked twice, and more
reasons not to ask never make more to ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from fhirpay.billing.assessment import Assessment, Basis
from fhirpay.billing.books import Position, steps
from fhirpay.billing.facts import (
    AccountFacts,
    Bill,
    Charge,
    CopayDue,
    Guarantor,
    Hold,
    Insurance,
    InvoiceLine,
    Person,
    StaffAmount,
    Visit,
    WriteOff,
)
from fhirpay.billing.responsibility import assess
from fhirpay.billing.write_offs import booked
from fhirpay.config import Facility
from fhirpay.domain.money import Money

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = st.dates(date(2026, 3, 1), date(2026, 3, 5))
SOME = st.none() | DAYS
MINOR = st.integers(1, 200)
STATUSES = ["billable", "billable", "billed", "planned", "aborted", "entered-in-error"]
CHARGES, VISITS = ["ChargeItem/c0", "ChargeItem/c1", "ChargeItem/c2"], ["Encounter/v0", "Encounter/v1"]


def usd(minor: int) -> Money:
    return Money(minor, "USD")


@st.composite
def facts(draw: st.DrawFn, **fixed: Any) -> AccountFacts:
    def several(one: Any, key: Any = None) -> tuple[Any, ...]:
        return tuple(draw(st.lists(one, max_size=2, unique_by=key)))

    def named(names: list[str], make: Any) -> tuple[Any, ...]:
        return tuple(make(name) for name in names if draw(st.booleans()))

    def charge(ref: str) -> Charge:
        amount = usd(draw(MINOR)) if draw(st.integers(0, 9)) else None
        visit, status = draw(st.sampled_from(["", *VISITS])), draw(st.sampled_from(STATUSES))
        return Charge(ref, status, amount, draw(SOME), visit)

    def visit(ref: str) -> Visit:
        status = draw(st.sampled_from(["planned", "in-progress", "finished", "cancelled"]))
        return Visit(ref, status, draw(st.booleans()), draw(SOME), draw(SOME))

    def bill(ref: str) -> Bill:
        lines = [
            InvoiceLine(draw(st.sampled_from(["", *CHARGES])), usd(draw(MINOR))) for _ in range(draw(st.integers(0, 2)))
        ]
        total = usd(sum(line.amount.minor for line in lines if line.amount) or draw(MINOR))
        status = draw(st.sampled_from(["issued", "issued", "balanced", "draft", "cancelled"]))
        return Bill(
            ref, status, total, draw(SOME), "Patient/p1", draw(st.sampled_from(["", "Patient/p1"])), tuple(lines)
        )

    made = AccountFacts(
        ref="Account/a1",
        status="active",
        patients=(Person("Patient/p1", date(1980, 1, 1)),),
        patient_ref="Patient/p1",
        charges=named(CHARGES, charge) + tuple(draw(credits(name)) for name in ("d0", "d1") if draw(st.booleans())),
        visits=named(VISITS, visit),
        coverages=several(coverages(), lambda one: one.ref),
        invoices=named(["Invoice/i0", "Invoice/i1"], bill),
        copays=several(st.builds(CopayDue, MINOR.map(usd), st.sampled_from(["", *VISITS]), SOME)),
        self_pay="Account/a1" if draw(st.booleans()) else "",
        end=draw(SOME),
        staff=several(staff(), lambda one: one.entry_id),
    )
    made = replace(made, **fixed)
    bases = [("charge", one.ref) for one in made.charges] + [("invoice", one.ref) for one in made.invoices]
    bases += [("copay", one) for one in VISITS] + [("staff", one.entry_id) for one in made.staff]
    return made if "write_offs" in fixed else replace(made, write_offs=several(write_offs(bases), _entry_id))


def _entry_id(one: WriteOff) -> str:
    return one.entry_id


def write_offs(bases: list[tuple[str, str]]) -> Any:
    kinds, ids = st.sampled_from(["charity", "bad_debt", "small_balance"]), st.sampled_from(["stf7", "stf8"])
    rest = (st.just("obl1"), st.just("why"), st.sampled_from(bases), st.integers(0, 50))
    return st.builds(WriteOff, ids, kinds, MINOR.map(usd), *rest)


@st.composite
def credits(draw: st.DrawFn, name: str) -> Charge:
    original = draw(st.sampled_from([frozenset[str](), *(frozenset({ref}) for ref in CHARGES)]))
    status = draw(st.sampled_from(["billable", "billable", "entered-in-error"]))
    return Charge(f"ChargeItem/{name}", status, usd(-draw(MINOR)), draw(SOME), credit=True, part_of=original)


@st.composite
def coverages(draw: st.DrawFn, copays: bool = True) -> Insurance:
    stated = draw(st.lists(MINOR.map(usd), max_size=1)) if copays else []
    kind, status = draw(st.sampled_from(["insurance", "self_pay"])), draw(st.sampled_from(["active", "cancelled"]))
    ref = f"Coverage/k{draw(st.integers(0, 9))}"
    return Insurance(ref, status, kind, draw(SOME), draw(SOME), draw(st.integers(1, 3)), tuple(stated))


def staff() -> Any:
    entered = st.integers(0, 3).map(lambda days: AT - timedelta(days=days))
    return st.builds(StaffAmount, st.sampled_from(["stf1", "stf2"]), MINOR.map(usd), st.just("by phone"), entered)


@st.composite
def facilities(draw: st.DrawFn) -> Facility:
    percent, days = draw(st.integers(0, 100)), draw(st.integers(0, 9))
    return Facility(name="main", zone="UTC", bill_hold_days=days, self_pay_discount_percent=percent)


def asked(found: Assessment, at: datetime = AT) -> int:
    return sum(one.patient.minor for one in found.obligations if one.askable_at(at))


def positions(found: Assessment) -> list[Position]:
    return [
        Position(
            f"obl{number}",
            one.basis_kind,
            one.basis_key,
            one.currency,
            one.pending.minor,
            one.discount.minor if one.discount else 0,
            one.draws,
            written_off=booked(one.written_off, sum(one.draws.values())),
        )
        for number, one in enumerate(found.obligations)
    ]


@given(known=facts(), facility=facilities(), data=st.data())
def test_the_order_of_facts_means_nothing(known: AccountFacts, facility: Facility, data: st.DataObject) -> None:
    shuffled = {
        name: tuple(data.draw(st.permutations(getattr(known, name))))
        for name in ("charges", "visits", "coverages", "invoices", "copays", "staff")
    }
    assert assess(replace(known, **shuffled), facility, AT) == assess(known, facility, AT)


@given(known=facts(self_pay="", invoices=(), copays=(), staff=(), visits=()), facility=facilities())
def test_absence_of_data_is_never_self_pay(known: AccountFacts, facility: Facility) -> None:
    assume(not any(cover.copays for cover in known.coverages))
    assert asked(assess(known, facility, AT + timedelta(days=999)), AT + timedelta(days=999)) == 0


@given(known=facts(), facility=facilities())
def test_what_a_charge_is_worth_lies_in_one_place_only(known: AccountFacts, facility: Facility) -> None:
    """Pending, discount and what was drawn from a charge are its price less credits, however many sources there are."""
    found = assess(known, facility, AT)
    for charge in known.charges:
        if charge.amount is None or charge.credit:
            continue
        lies = sum(one.draws.get(charge.ref, 0) for one in found.obligations)
        for one in found.obligations:
            if one.basis_key == charge.ref:
                lies += one.pending.minor + (one.discount.minor if one.discount else 0)
        # An Invoice may ask for more than the price (tax, say); then that stands, of one Invoice and not of two.
        assert lies <= max(charge.amount.minor, *(_named(bill, charge.ref) for bill in known.invoices), 0)
    for one in found.obligations:
        before = one.patient.minor + sum(one.written_off.values())
        assert sum(one.draws.values()) <= before
        if one.basis_kind in {Basis.CHARGE, Basis.INVOICE}:
            assert sum(one.draws.values()) == before


def _named(bill: Bill, charge: str) -> int:
    return sum(line.amount.minor for line in bill.lines if line.charge == charge and line.amount)


@given(known=facts(invoices=(), staff=(), copays=()), facility=facilities())
def test_without_an_invoice_nobody_is_asked_for_more_than_the_charges(known: AccountFacts, facility: Facility) -> None:
    assume(not any(cover.copays for cover in known.coverages))
    counted = [one.amount.minor for one in known.charges if one.amount and one.status in {"billable", "billed"}]
    charged = sum(minor for minor in counted if minor > 0)
    credited = -sum(minor for minor in counted if minor < 0)
    found = asked(assess(known, facility, AT))
    assert found <= charged
    insured = any(cover.kind == "insurance" for cover in known.coverages)
    withdrawn = any(one.status not in {"billable", "billed"} for one in known.charges)
    if not insured and not withdrawn:
        assert found <= max(0, charged - credited)


@given(known=facts(), facility=facilities(), name=st.sampled_from(["bankruptcy", "legal", "medicaid", "workers_comp"]))
def test_under_a_hold_nothing_is_asked(known: AccountFacts, facility: Facility, name: str) -> None:
    held = assess(replace(known, holds=(Hold(name, "opened by staff", "hld1"),)), facility, AT)
    assert asked(held) == 0
    assert all(one.state not in {"collectable", "in_flight"} for one in held.obligations)


@given(known=facts(), facility=facilities())
def test_an_employer_as_guarantor_means_that_nobody_is_asked(known: AccountFacts, facility: Facility) -> None:
    assert asked(assess(replace(known, guarantors=(Guarantor("Organization/o1", "Organization"),)), facility, AT)) == 0


@given(known=facts(coverages=()), facility=facilities(), late=coverages(copays=False))
def test_insurance_never_makes_more_to_ask_for(known: AccountFacts, facility: Facility, late: Insurance) -> None:
    assert asked(assess(replace(known, coverages=(late,)), facility, AT)) <= asked(assess(known, facility, AT))


@given(known=facts(), facility=facilities(), name=st.just("d9"), data=st.data())
def test_a_credit_never_makes_more_to_ask_for(
    known: AccountFacts, facility: Facility, name: str, data: st.DataObject
) -> None:
    more = replace(known, charges=(*known.charges, data.draw(credits(name))))
    assert asked(assess(more, facility, AT)) <= asked(assess(known, facility, AT))


@given(known=facts(), facility=facilities())
def test_a_write_off_never_makes_more_to_ask_for(known: AccountFacts, facility: Facility) -> None:
    found, without = assess(known, facility, AT), assess(replace(known, write_offs=()), facility, AT)
    before = {one.key: one for one in without.obligations}
    assert before.keys() == {one.key for one in found.obligations}
    for one in found.obligations:
        given_up = sum(one.written_off.values())
        assert one.patient.minor >= 0
        assert one.patient.minor + given_up == before[one.key].patient.minor
        assert asked(found) <= asked(without)
        if one.written_off:
            assert one.state in {"collectable", "on_hold"}


@given(known=facts(), facility=facilities())
def test_whatever_is_collectable_says_why_and_since_when(known: AccountFacts, facility: Facility) -> None:
    for one in assess(known, facility, AT).obligations:
        assert one.statement
        assert all(says.says and says.source for says in one.statement)
        if one.askable_at(AT):
            assert {says.kind for says in one.statement} & {"invoice", "copay", "staff", "self_pay"}
            assert one.debtor
            assert one.targets


@given(before=facts(), after=facts(), facility=facilities())
def test_any_account_can_become_any_other_in_the_books(
    before: AccountFacts, after: AccountFacts, facility: Facility
) -> None:
    was, now = assess(before, facility, AT), assess(after, facility, AT)
    ids: dict[Any, str] = {}

    def placed(found: Assessment) -> list[Position]:
        return [
            replace(position, obligation_id=ids.setdefault(one.key, f"obl{len(ids)}"))
            for position, one in zip(positions(found), found.obligations, strict=True)
        ]

    books: dict[tuple[str, str], int] = {}
    for step in [*steps([], placed(was)), *steps(placed(was), placed(now))]:
        for leg in step.entry("Account/a1", occurred_at=AT, business_date=AT.date()).postings:
            if leg.account in {"ar_pending", "ar_patient"}:
                sign = 1 if leg.side == "debit" else -1
                key = (leg.account, leg.dims["obligation"])
                books[key] = books.get(key, 0) + sign * leg.amount.minor
    expected = {("ar_pending", one.obligation_id): one.pending for one in placed(now)}
    expected |= {
        ("ar_patient", one.obligation_id): sum(one.draws.values()) - sum(one.written_off.values())
        for one in placed(now)
    }
    assert {key: minor for key, minor in books.items() if minor} == {
        key: minor for key, minor in expected.items() if minor
    }
