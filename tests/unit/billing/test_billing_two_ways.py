"""Charges of a site that come by its HL7v2 feed and over FHIR as well: each is asked for once."""

from __future__ import annotations

from datetime import date
from itertools import permutations

import pytest

from fhirpay.billing.facts import Charge
from fhirpay.billing.look_alikes import by_two_ways
from fhirpay.domain.money import Money

DAY = date(2026, 11, 10)


def charge(name: str, minor: int = 1000, *, feed: str = "", number: str = "", day: date | None = DAY) -> Charge:
    called = frozenset({f"urn:{feed or 'ehr'}|{number}"} if number else ())
    return Charge(f"ChargeItem/{name}", "billable", Money(minor, "USD"), day, identifiers=called, feed=feed)


def found(*charges: Charge, billed: tuple[str, ...] = (), paid: tuple[str, ...] = ()) -> dict[str, str]:
    """Which waits for which, the same in every order."""
    refs = [{f"ChargeItem/{one}" for one in some} for some in (billed, paid)]
    all_ = {
        tuple(sorted((ref[11:], other.ref[11:]) for ref, other in by_two_ways(some, *refs).items()))
        for some in permutations(charges)
    }
    (one,) = all_
    return dict(one)


V2 = charge("v1", feed="clinic", number="77")


def test_the_one_over_fhir_waits_whatever_its_number() -> None:
    assert found(V2, charge("f1", number="1077")) == {"f1": "v1"}


def test_the_same_number_is_enough() -> None:
    assert found(V2, charge("f1", 900, number="77", day=None)) == {"f1": "v1"}


@pytest.mark.parametrize(
    "other", [charge("f1", 999), charge("f1", day=date(2026, 11, 11)), charge("f1", -1000), charge("f1", day=None)]
)
def test_another_amount_day_or_direction_is_another_charge(other: Charge) -> None:
    assert found(V2, other) == {}


def test_two_of_one_way_are_two_and_each_explains_one_of_the_other() -> None:
    second = charge("v2", feed="clinic", number="78")
    assert found(V2, second) == {}
    assert found(V2, second, charge("f1")) == {"f1": "v1"}
    assert found(V2, second, charge("f1"), charge("f2"), charge("f3")) == {"f1": "v1", "f2": "v2"}


def test_what_was_paid_counts_and_the_other_waits() -> None:
    assert found(V2, charge("f1"), paid=("f1",)) == {"v1": "f1"}
    assert found(V2, charge("f1"), paid=("f1", "v1")) == {}


def test_what_an_invoice_names_counts_and_the_other_waits() -> None:
    assert found(V2, charge("f1"), billed=("f1",)) == {"v1": "f1"}
    assert found(V2, charge("f1"), billed=("f1", "v1")) == {}
