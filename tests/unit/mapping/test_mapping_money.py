"""What one FT1 comes to: exact amounts, currencies, and the sign rules that an interface states."""

from __future__ import annotations

from decimal import Decimal

import pytest
from mapping_messages import extension, ft1, mapped, only

from fhirpay.domain import fhir_urls as urls

PARKS = "parks"


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({"_11": "125.50&USD"}, "125.50 USD"),
        ({"_11": "125.50"}, "125.50 USD"),
        ({"_11": "125.50^USD"}, "125.50 USD"),
        ({"_11": "125.50&EUR^USD"}, "125.50 EUR"),
        ({"_11": "125.50^UP"}, "125.50 USD"),  # table 0205: a price type, as it should be
        ({"_11": "0"}, "0 USD"),
        ({"_11": "+7.10"}, "7.10 USD"),
        ({"_11": "1234567890123.45"}, "1234567890123.45 USD"),
        ({"_11": "1500&JPY"}, "1500 JPY"),
        ({"_12": "0.0125", "_10": "8"}, "0.1000 USD"),
        ({"_12": "33.33", "_10": "3"}, "99.99 USD"),
        ({"_12": "10.10", "_10": ""}, "10.10 USD"),
        ({"_11": "30.00", "_12": "10.10", "_10": "3"}, "30.00 USD"),
        ({"_12": "0.0125", "_10": "3"}, PARKS),  # 0.0375 is no amount of dollars
        ({"_11": "1.999"}, PARKS),
        ({"_11": "1.5&JPY"}, PARKS),
        ({"_11": "12..5"}, PARKS),
        ({"_11": "1e3"}, PARKS),
        ({"_11": "$5"}, PARKS),
        ({"_11": "1,000.00"}, PARKS),
        ({"_11": "5&XXX"}, PARKS),
        ({"_11": "9" * 19}, PARKS),
        ({"_11": "5", "_10": "many"}, PARKS),
        ({"_11": "5&USD", "_12": "5&EUR"}, PARKS),
        ({"_11": '""'}, PARKS),
        ({}, PARKS),
    ],
)
def test_a_charge_comes_to_exactly_this_or_parks(fields: dict[str, str], amount: str) -> None:
    found = mapped(ft1(**fields))
    if amount == PARKS:
        (parked,) = found.parked
        assert parked.location.startswith("FT1[1]-1")
        assert found.resources("ChargeItem") == []
        assert found.resources("Account")  # the rest of the message applies
    else:
        assert found.parked == ()
        price = only(found, "ChargeItem")["priceOverride"]
        assert f"{price['value']:f} {price['currency']}" == amount


@pytest.mark.parametrize(
    ("kind", "fields", "settings", "amount"),
    [
        # CD: three habits of senders × what the interface says
        ("CD", {"_11": "5"}, {"credit_sign": "unsigned"}, "-5"),
        ("CD", {"_11": "-5"}, {"credit_sign": "unsigned"}, PARKS),
        ("CD", {"_11": "5", "_10": "-1"}, {"credit_sign": "unsigned"}, PARKS),
        ("CD", {"_11": "5"}, {"credit_sign": "signed"}, PARKS),
        ("CD", {"_11": "-5"}, {"credit_sign": "signed"}, "-5"),
        ("CD", {"_12": "5", "_10": "-2"}, {"credit_sign": "signed"}, "-10"),
        ("CD", {"_12": "-5", "_10": "-2"}, {"credit_sign": "signed"}, "-10"),
        ("CD", {"_11": "5"}, {}, "-5"),
        ("CD", {"_11": "-5"}, {}, PARKS),
        ("CD", {"_11": "0"}, {"credit_sign": "signed"}, "0"),
        # CG: a negative one is a credit only where the interface says so
        ("CG", {"_11": "-5"}, {}, PARKS),
        ("CG", {"_11": "5", "_10": "-1"}, {}, PARKS),
        ("CG", {"_11": "-5"}, {"negative_charge": "credit"}, "-5"),
        ("CG", {"_12": "5", "_10": "-1"}, {"negative_charge": "credit"}, "-5"),
        # CO: never negative
        ("CO", {"_11": "-5"}, {}, PARKS),
    ],
)
def test_direction_comes_from_the_type_and_a_sign_that_disagrees_parks(
    kind: str, fields: dict[str, str], settings: dict[str, str], amount: str
) -> None:
    found = mapped(ft1(kind, **fields), settings=settings)
    if amount == PARKS:
        (parked,) = found.parked
        assert parked.code == "rule-broken"
    else:
        item = only(found, "ChargeItem")
        assert item["priceOverride"]["value"] == Decimal(amount)
        assert extension(item, urls.DIRECTION) == "credit"
        assert item["identifier"][0]["value"].endswith("|CD")
        assert item["quantity"]["value"] >= 0


@pytest.mark.parametrize(
    ("co_means", "code"),
    [("due", None), ("received", None), ("park", "copay-meaning-open")],
)
def test_a_copay_line_means_what_the_interface_says(co_means: str, code: str | None) -> None:
    found = mapped(ft1("CO", _11="25.00"), settings={"co_means": co_means})
    assert [one.code for one in found.parked] == ([code] if code else [])
    copay = extension(only(found, "Account"), urls.COPAY_DUE)
    assert (copay is not None) == (co_means == "due")
    assert len(found.resources("PaymentReconciliation")) == (co_means == "received")


def test_the_difference_between_the_extended_and_the_unit_amount_is_said() -> None:
    found = mapped(ft1(_11="30.00", _12="10.10", _10="3"))
    assert any("FT1-12 × FT1-10" in text for text in found.warnings)
    assert mapped(ft1(_11="30.30", _12="10.10", _10="3")).warnings == ()


def test_a_parked_line_takes_its_own_warnings_with_it() -> None:
    found = mapped(ft1(_11="5^USD", _4=""))
    assert len(found.parked) == 1
    assert found.warnings == ()


def test_insurance_amount_is_kept_and_never_subtracted() -> None:
    item = only(mapped(ft1(_11="100.00", _15="80.00")), "ChargeItem")
    assert item["priceOverride"]["value"] == Decimal("100.00")
    assert extension(item, urls.INSURANCE_AMOUNT) == {"value": Decimal("80.00"), "currency": "USD"}
