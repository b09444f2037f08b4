"""Do the lines add up? One row is one way to write an invoice; amounts are (type, amount) of each line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.errors import RuleBroken
from fhirpay.fhir.validation import problems, validate

Line = list[tuple[str, str]]


def money(value: str, currency: str = "USD") -> dict[str, Any]:
    return {"value": Decimal(value), "currency": currency}


def parts(line: Line) -> list[dict[str, Any]]:
    return [{"type": kind, "amount": money(value)} for kind, value in line]


def invoice(lines: list[Line], net: str = "", gross: str = "", whole: Line | None = None, **more: Any) -> Any:
    made: dict[str, Any] = {"resourceType": "Invoice", "status": "issued", **more}
    if lines:
        made["lineItem"] = [
            {"chargeItemCodeableConcept": {"text": "x"}, **({"priceComponent": parts(line)} if line else {})}
            for line in lines
        ]
    if whole:
        made["totalPriceComponent"] = parts(whole)
    return made | ({"totalNet": money(net)} if net else {}) | ({"totalGross": money(gross)} if gross else {})


ADDS_UP = [
    invoice([[("base", "100")]], "100", "100"),
    invoice([[("base", "100.00")], [("base", "25.5")]], "125.500", "125.50"),
    invoice([[("base", "100"), ("surcharge", "5"), ("deduction", "10"), ("discount", "15")]], "80"),
    invoice([[("base", "100"), ("discount", "-15")]], "85"),
    invoice([[("base", "100"), ("tax", "8"), ("informational", "999")]], "100", "108"),
    invoice([[("base", "-40"), ("discount", "-4")]], "-36"),
    invoice([[("base", "-40"), ("discount", "4")]], "-36"),
    invoice([[("base", "100")], [("discount", "10")]], "90"),
    invoice([[("base", "100"), ("tax", "8")]], "100", "108", whole=[("base", "100"), ("tax", "8")]),
    invoice([[("base", "100")]], "90", "98", whole=[("discount", "10"), ("tax", "8")]),
    invoice([], "100", "108", whole=[("base", "100"), ("tax", "8")]),
    invoice([], "40", "48"),
    invoice([[]], "7"),  # priced by its ChargeItem
    invoice([[("base", "100")], []], "107"),
    invoice([[("base", "100")]]),
    invoice([[("base", "100")]], "99", status="cancelled"),
    invoice([[("base", "100")]], "99", status="entered-in-error"),
]


@pytest.mark.parametrize("made", ADDS_UP)
def test_it_adds_up(made: dict[str, Any]) -> None:
    assert problems(made) == []


DOES_NOT = [
    (invoice([[("base", "100")]], "100.01"), "Invoice.totalNet"),
    (invoice([[("base", "100")]], "1000", "1000"), "Invoice.totalNet"),
    (invoice([[("base", "100"), ("discount", "10")]], "100"), "Invoice.totalNet"),
    (invoice([[("base", "100"), ("discount", "-10")]], "110"), "Invoice.totalNet"),
    (invoice([[("base", "100"), ("tax", "8")]], "108"), "Invoice.totalNet"),
    (invoice([[("base", "100"), ("tax", "8")]], "100", "100"), "Invoice.totalGross"),
    (invoice([[("base", "100")]], gross="101"), "Invoice.totalGross"),
    (invoice([[("base", "100")]], "100", "105", whole=[("tax", "8")]), "Invoice.totalGross"),
    (invoice([], "99", whole=[("base", "100")]), "Invoice.totalNet"),
    (invoice([[("base", "100")]], "99", status="draft"), "Invoice.totalNet"),
    (
        invoice([[("base", "100")]], totalNet=money("100", "EUR")),
        "Invoice.lineItem[0].priceComponent[0].amount.currency",
    ),
]


@pytest.mark.parametrize(("made", "place"), DOES_NOT)
def test_it_does_not(made: dict[str, Any], place: str) -> None:
    with pytest.raises(RuleBroken) as refused:
        validate(made)
    assert refused.value.location == place


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1, max_size=6),
    st.integers(-3, 3),
)
def test_a_cent_off_is_seen(lines: list[tuple[int, int, int]], off: int) -> None:
    def cents(minor: int) -> str:
        return str(Decimal(minor).scaleb(-2))

    made = [[("base", cents(a)), ("discount", cents(b)), ("tax", cents(c))] for a, b, c in lines]
    net = sum(a - b for a, b, _ in lines) + off
    gross = net + sum(c for *_, c in lines)
    found = problems(invoice(made, cents(net), cents(gross)))  # type: ignore[arg-type]
    assert [problem.location for problem in found] == (["Invoice.totalNet"] if off else [])
