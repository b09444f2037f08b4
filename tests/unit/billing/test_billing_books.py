from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.billing.books import Position, Step, steps
from fhirpay.errors import InvariantBroken
from fhirpay.ledger.chart import Side

WHEN = datetime(2026, 3, 2, 12, tzinfo=UTC)


def position(name: str, kind: str, key: str, pending: int = 0, discount: int = 0, **draws: int) -> Position:
    return Position(name, kind, key, "USD", pending, discount, draws)


def told(before: list[Position], after: list[Position]) -> list[tuple[str, str, int, str]]:
    return [(step.rule, step.obligation, step.minor, step.other) for step in steps(before, after)]


def charge(pending: int = 0, discount: int = 0, **draws: int) -> Position:
    return position("obl1", "charge", "c1", pending, discount, **draws)


def copay(**draws: int) -> Position:
    return position("obl2", "copay", "v1", **draws)


def invoice(**draws: int) -> Position:
    return position("obl3", "invoice", "i1", **draws)


def test_a_charge_that_insurance_may_pay() -> None:
    assert told([], [charge(125)]) == [("charge_pending", "obl1", 125, "")]


def test_a_self_pay_charge_goes_to_the_patient_at_once_less_the_discount() -> None:
    assert told([], [charge(discount=25, c1=100)]) == [
        ("charge_self_pay", "obl1", 125, ""),
        ("discount", "obl1", 25, ""),
    ]


def test_a_copay_is_carved_out_of_its_charge() -> None:
    assert told([charge(125)], [charge(100), copay(c1=25)]) == [("share_known", "obl2", 25, "obl1")]
    assert told([copay()], [charge(100), copay(c1=25)]) == [
        ("charge_pending", "obl1", 125, ""),
        ("share_known", "obl2", 25, "obl1"),
    ]


def test_an_invoice_takes_over_from_the_copay() -> None:
    assert told([charge(100), copay(c1=25)], [charge(65), copay(), invoice(c1=60)]) == [
        ("share_withdrawn", "obl2", 25, "obl1"),
        ("share_known", "obl3", 60, "obl1"),
    ]


def test_insurance_found_takes_the_discount_back_first() -> None:
    assert told([charge(discount=25, c1=100)], [charge(125)]) == [
        ("discount_withdrawn", "obl1", 25, ""),
        ("share_withdrawn", "obl1", 125, "obl1"),
    ]


def test_a_credit_comes_off_where_the_charge_now_stands() -> None:
    assert told([charge(125)], [charge(75)]) == [("credited_pending", "obl1", 50, "")]
    assert told([charge(c1=125)], [charge(c1=75)]) == [("credited_patient", "obl1", 50, "")]


def test_an_invoice_before_its_charge_and_the_charge_then_posts_nothing() -> None:
    assert told([], [invoice(c1=125)]) == [("invoice_unseen", "obl3", 125, "")]
    assert told([invoice(c1=125)], [invoice(c1=125), charge()]) == []
    assert told([invoice(c1=125)], [invoice(c1=125), charge(75)]) == [("charge_pending", "obl1", 75, "")]
    assert told([invoice(c1=125)], [invoice()]) == [("invoice_unseen_cancelled", "obl3", 125, "")]


def test_one_invoice_in_the_place_of_another_on_a_charge_not_seen() -> None:
    other = position("obl4", "invoice", "i2", c1=100)
    assert told([invoice(c1=125)], [other]) == [
        ("invoice_unseen_cancelled", "obl3", 25, ""),
        ("share_withdrawn", "obl3", 100, "obl3"),
        ("share_known", "obl4", 100, "obl3"),
    ]


def test_two_currencies_are_two_buckets() -> None:
    euro = Position("obl9", "charge", "c1", "EUR", 125)
    assert told([charge(125)], [euro]) == [("charge_pending", "obl9", 125, ""), ("credited_pending", "obl1", 125, "")]


def test_a_step_becomes_an_entry_of_its_rule() -> None:
    entry = Step("share_known", "obl2", 25, "USD", "ChargeItem/c1", "obl1").entry(
        "Account/a1", occurred_at=WHEN, business_date=date(2026, 3, 2)
    )
    assert [(leg.account, leg.side, leg.amount.minor, leg.dims["obligation"]) for leg in entry.postings] == [
        ("ar_patient", Side.DEBIT, 25, "obl2"),
        ("ar_pending", Side.CREDIT, 25, "obl1"),
    ]
    with pytest.raises(InvariantBroken):
        Step("guess", "obl2", 25, "USD", "c1").entry("Account/a1", occurred_at=WHEN, business_date=date(2026, 3, 2))


MINOR = st.integers(0, 300)


@st.composite
def accounts(draw: st.DrawFn) -> list[Position]:
    """Two charges that may be there, a copay and two invoices that draw on them, or on what isn't there."""
    found: list[Position] = []
    for name, key in (("obl1", "c1"), ("obl2", "c2")):
        if draw(st.booleans()):
            own = {key: minor} if (minor := draw(MINOR)) else {}
            discount = draw(MINOR) if own else 0
            found.append(Position(name, "charge", key, "USD", draw(MINOR), discount, own))
    for name, kind, key in (("obl3", "copay", "v1"), ("obl4", "invoice", "i1"), ("obl5", "invoice", "i2")):
        drawn = draw(st.dictionaries(st.sampled_from(["c1", "c2", "i1"]), st.integers(1, 300)))
        found.append(Position(name, kind, key, "USD", draws=drawn))
    return found


def balances(positions: list[Position]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in positions:
        found["ar_pending", one.obligation_id] += one.pending
        found["ar_patient", one.obligation_id] += sum(one.draws.values())
    return found


@given(before=accounts(), after=accounts())
def test_the_entries_lead_from_the_one_to_the_other(before: list[Position], after: list[Position]) -> None:
    books = balances(before)
    for step in steps(before, after):
        for leg in step.entry("Account/a1", occurred_at=WHEN, business_date=date(2026, 3, 2)).postings:
            sign = 1 if leg.side is Side.DEBIT else -1
            if leg.account in {"ar_pending", "ar_patient"}:
                books[leg.account, leg.dims["obligation"]] += sign * leg.amount.minor
    assert +books == +balances(after)
    assert min(books.values(), default=0) >= 0
    assert steps(after, after) == []


def test_relief_of_what_waits_and_of_what_the_patient_owes() -> None:
    whole, paid = charge(100), Position("obl1", "charge", "c1", "USD", 40, relief={"pending/insurance": 60})
    assert told([whole], [paid]) == [("relief", "obl1", 60, "")]
    assert told([paid], [whole]) == [("relief_withdrawn", "obl1", 60, "")]
    patient = Position("obl1", "charge", "c1", "USD", draws={"c1": 70}, relief={"patient/charity": 30})
    assert told([charge(c1=100)], [patient]) == [("relief", "obl1", 30, "")]
    assert told([paid], [patient]) == [
        ("relief_withdrawn", "obl1", 60, ""),
        ("share_known", "obl1", 100, "obl1"),
        ("relief", "obl1", 30, ""),
    ]
