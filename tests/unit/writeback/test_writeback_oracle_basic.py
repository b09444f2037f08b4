"""A financial transaction of Oracle Health, against the shapes in tests/golden/writeback and its documentation."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.basic import Basic

from fhirpay.config_writeback import FinancialTransaction
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.validation import problems
from fhirpay.simulators.ehr_transaction import wrong_in_transaction
from fhirpay.writeback.oracle_basic import identifier_of, render
from fhirpay.writeback.posted import REST, PostedPayment, lines_for
from posted_payments import COPAY, REFUND, SPLIT

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
AGREED = FinancialTransaction(payment_alias="0111", refund_alias="0112", location="98920358")
VISIT, BALANCE = {"reference": "Encounter/e1"}, {"reference": "Account/G1"}
CARD = {"expires": "2031-12"}

# what is posted, of which lines, to what. The second payment is over a visit and an account: it is two of them.
CASES: dict[str, tuple[PostedPayment, tuple[int, ...], dict[str, str]]] = {
    "a-copay": (replace(COPAY, **CARD), (1,), VISIT),
    "b-split-visit": (replace(SPLIT, **CARD), (1, 2), VISIT),
    "b-split-rest": (replace(SPLIT, **CARD), (3, REST), BALANCE),
    "c-partial-refund": (replace(REFUND, **CARD), (1,), VISIT),
}


def rendered(posted: PostedPayment, numbers: tuple[int, ...], target: dict[str, str], **agreed: Any) -> dict[str, Any]:
    return render(
        posted,
        AGREED.model_copy(update=agreed),
        identifier=identifier_of(posted.id, min(numbers)),
        lines=lines_for(posted, numbers),
        target=target,
    )


def extension(resource: dict[str, Any], name: str) -> Any:
    found = [one for one in resource["extension"] if one["url"].endswith(f"financial-transaction-{name}")]
    return next((value for one in found for key, value in one.items() if key != "url"), None)


@pytest.mark.parametrize("name", CASES)
def test_golden_shape_element_by_element_and_digit_by_digit(name: str) -> None:
    made = rendered(*CASES[name])
    path = GOLDEN / f"{name}-basic.json"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    expected = loads(path.read_text(encoding="utf-8"))
    assert dumps(made, indent=1, sort_keys=True) == dumps(expected, indent=1, sort_keys=True)


@pytest.mark.parametrize("name", CASES)
def test_it_is_a_basic_and_what_its_documentation_wants(name: str) -> None:
    made = rendered(*CASES[name])
    Basic.model_validate(made)
    assert problems(made) == []
    assert list(wrong_in_transaction(loads(dumps(made)))) == []


def test_the_parts_of_a_payment_sum_to_it() -> None:
    parts = [rendered(*CASES[name]) for name in ("b-split-visit", "b-split-rest")]
    amounts = [extension(one, "amount")["value"] for one in parts]
    assert [str(amount) for amount in amounts] == ["200.00", "100.00"]
    assert sum(amounts) == SPLIT.amount.decimal
    assert len({one["identifier"][0]["value"] for one in parts}) == 2


def test_a_refund_goes_by_its_own_alias_and_has_no_sign() -> None:
    made = rendered(*CASES["c-partial-refund"])
    assert (extension(made, "alias"), str(extension(made, "amount")["value"])) == ("0112", "30.00")


def test_a_refund_that_is_an_adjustment_there_has_no_card() -> None:
    made = rendered(*CASES["c-partial-refund"], refund_alias="3100", refund_type="adjustment")
    assert extension(made, "type")["coding"][0]["code"] == "adjustment"
    assert extension(made, "method") is extension(made, "card-brand") is None
    assert list(wrong_in_transaction(loads(dumps(made)))) == []


def test_a_refund_without_an_alias_is_for_a_person() -> None:
    with pytest.raises(RuleBroken, match="no refund_alias is agreed"):
        rendered(*CASES["c-partial-refund"], refund_alias="")


@pytest.mark.parametrize(
    ("lacks", "says"),
    [({"expires": ""}, "no expiry"), ({"brand": "jcb"}, "no brand"), ({"last4": ""}, "no end of its number")],
)
def test_a_card_that_is_not_known_well_enough_is_for_a_person(lacks: dict[str, str], says: str) -> None:
    posted, numbers, target = CASES["a-copay"]
    with pytest.raises(RuleBroken, match=says):
        rendered(replace(posted, **lacks), numbers, target)


def test_a_site_may_say_what_it_calls_a_brand() -> None:
    posted, numbers, target = CASES["a-copay"]
    made = rendered(replace(posted, brand="diners"), numbers, target, card_brands={"diners": "DISCOVER"})
    assert extension(made, "card-brand") == "DISCOVER"


def test_what_no_line_is_about_any_more_is_not_posted() -> None:
    with pytest.raises(RuleBroken, match="nothing to post"):
        rendered(CASES["a-copay"][0], (7,), VISIT)


def test_no_more_of_a_card_number_than_its_end_leaves_the_house() -> None:
    posted, numbers, target = CASES["a-copay"]
    made = rendered(replace(posted, last4="4242424242424242"), numbers, target)
    assert extension(made, "account-number") == "4242"
    assert "424242" not in dumps(made)


@pytest.mark.parametrize("subject", ["pay-1", "pay_1", "pay.1"])
def test_its_identifier_is_of_letters_and_digits(subject: str) -> None:
    assert identifier_of(subject, 3) == "pay1x3"


def test_an_amount_of_another_currency_keeps_its_digits() -> None:
    posted, numbers, target = CASES["a-copay"]
    yen = replace(posted, amount=Money(2500, "JPY"), lines=[replace(posted.lines[0], amount=Money(2500, "JPY"))])
    made = rendered(yen, numbers, target)
    assert dumps(extension(made, "amount")) == '{"value":2500,"currency":"JPY"}'


@pytest.mark.parametrize("method", ["CASH", "DDPO"])
def test_what_no_card_paid_is_refused_in_words_so_that_it_parks(method: str) -> None:
    with pytest.raises(RuleBroken, match=f"was paid by {method}, which is not posted as a financial transaction"):
        rendered(replace(COPAY, method=method), (1,), VISIT)
