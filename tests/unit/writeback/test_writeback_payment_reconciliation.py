"""What an EHR is given, against the shapes in tests/golden/writeback."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.paymentreconciliation import PaymentReconciliation
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken
from fhirpay.fhir.json import dumps, loads
from fhirpay.writeback.payment_reconciliation import render
from fhirpay.writeback.posted import Line, PostedPayment, allocation_id

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def ref(reference: str) -> dict[str, Any]:
    return {"reference": reference}


ACCOUNT, VISIT = ref("Account/a1"), ref("Encounter/e1")
COPAY = PostedPayment(
    id="pay01",
    amount=usd("25.00"),
    at=datetime(2026, 11, 20, 19, 5, 9, 730, tzinfo=UTC),
    zone="America/New_York",
    processor="sim",
    reference="ch_1",
    lines=[Line(1, usd("25.00"), VISIT, account=ACCOUNT, encounter=VISIT)],
    account=ACCOUNT,
    brand="visa",
    last4="4242",
    authorization="A1B2C3",
)
SPLIT = replace(
    COPAY,
    id="pay02",
    amount=usd("300.00"),
    at=datetime(2026, 11, 20, 20, 0, tzinfo=UTC),
    reference="ch_2",
    lines=[
        Line(1, usd("120.00"), ref("ChargeItem/c1"), account=ACCOUNT, encounter=VISIT),
        Line(2, usd("80.00"), ref("ChargeItem/c2"), account=ACCOUNT, encounter=VISIT),
        Line(3, usd("60.00"), ref("Invoice/i1"), account=ACCOUNT),
    ],
    channel="online",
    brand="mastercard",
    last4="4444",
    authorization="D4E5F6",
)
REFUND = replace(
    SPLIT,
    id="ref01",
    amount=usd("30.00"),
    at=datetime(2026, 11, 25, 15, 0, tzinfo=UTC),
    reference="re_1",
    lines=[
        Line(
            1,
            usd("30.00"),
            ref("ChargeItem/c2"),
            account=ACCOUNT,
            encounter=VISIT,
            takes_back=allocation_id("pay02", 2),
        )
    ],
    refund_of="pay02",
    channel="",
    authorization="",
)
CASES = {"a-copay": COPAY, "b-split-with-rest": SPLIT, "c-partial-refund": REFUND}


@pytest.mark.parametrize("name", CASES)
def test_golden_shape_element_by_element_and_digit_by_digit(name: str) -> None:
    rendered = render(CASES[name], organization="clinic")
    path = GOLDEN / f"{name}.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(rendered, indent=2) + "\n", encoding="utf-8")
    expected = loads(path.read_text(encoding="utf-8"))
    assert dumps(rendered, indent=1, sort_keys=True) == dumps(expected, indent=1, sort_keys=True)


@pytest.mark.parametrize("name", CASES)
def test_it_is_a_payment_reconciliation_by_its_definition(name: str) -> None:
    PaymentReconciliation.model_validate(render(CASES[name], organization="clinic"))


def test_the_date_is_that_of_the_facilitys_till() -> None:
    late = replace(COPAY, at=datetime(2026, 11, 21, 3, 30, tzinfo=UTC))
    rendered = render(late, organization="clinic")
    assert (rendered["paymentDate"], rendered["created"]) == ("2026-11-20", "2026-11-20T22:30:00-05:00")


def test_without_an_organization_there_is_no_payee() -> None:
    rendered = render(COPAY, organization="")
    assert "requestor" not in rendered
    assert "payee" not in rendered["detail"][0]


def test_money_for_nothing_known_is_one_advance_on_the_account() -> None:
    rendered = render(replace(COPAY, lines=[]), organization="clinic")
    (line,) = rendered["detail"]
    assert line["type"]["coding"][0]["code"] == "advance"
    assert line["request"] == {"reference": "Account/a1"}
    assert line["amount"] == rendered["paymentAmount"]


def test_lines_that_claim_more_than_the_payment_are_refused() -> None:
    with pytest.raises(InvariantBroken, match=r"1\.00 USD more"):
        render(replace(COPAY, amount=usd("24.00")), organization="clinic")


def test_a_refund_of_everything_says_so() -> None:
    assert render(replace(REFUND, whole=True), organization="clinic")["disposition"] == "Refund of pay02"


@given(
    parts=st.lists(st.integers(1, 10**9), max_size=5),
    rest=st.integers(0, 10**9),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    refund=st.booleans(),
)
def test_lines_always_sum_to_the_total(parts: list[int], rest: int, currency: str, refund: bool) -> None:
    total = Money(sum(parts) + rest, currency)
    lines = [Line(n, Money(part, currency), VISIT) for n, part in enumerate(parts, 1)]
    posted = replace(COPAY, amount=total, lines=lines, refund_of="pay9" if refund else "")
    rendered = render(posted, organization="clinic")
    summed = sum((line["amount"]["value"] for line in rendered.get("detail", [])), Decimal(0))
    assert summed == rendered["paymentAmount"]["value"] == (-total if refund else total).decimal
    assert rendered["paymentAmount"]["value"].as_tuple().exponent == total.decimal.as_tuple().exponent
