"""Money: exact at the edges, integers inside, and parts that always sum to the whole."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from fhirpay.domain.money import EXPONENTS, Money, allocate, exponent, parse_decimal
from fhirpay.errors import CodeInvalid, ValueInvalid
from strategies import any_currency, money


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("125.00", "USD", 125_00),
        ("125", "USD", 125_00),
        ("125.", "USD", 125_00),
        (".5", "USD", 50),
        ("-12.50", "USD", -12_50),
        ("+12.50", "USD", 12_50),
        ("12.500", "USD", 12_50),  # a zero is no information
        ("125", "JPY", 125),
        ("125.0", "JPY", 125),
        ("1.234", "KWD", 1_234),
        ("0", "USD", 0),
        ("9999999999999999.99", "USD", 10**18 - 1),
        ("1." + "0" * 60, "USD", 1_00),
    ],
)
def test_amounts_are_read_exactly(text: str, currency: str, minor: int) -> None:
    assert Money.of(text, currency) == Money(minor, currency)
    assert Money.of(Decimal(text), currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "text", ["", "12..5", "1e3", "1,50", "$5", "five", " 5", "5 ", "--5", ".", "NaN", "0x10", "١٢"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueInvalid, match="not a number"):
        parse_decimal(text)
    with pytest.raises(ValueInvalid, match="not a number"):
        Money.of(text, "USD")


@pytest.mark.parametrize(
    ("text", "currency"), [("12.505", "USD"), ("0.1", "JPY"), ("1.2345", "KWD"), ("1." + "0" * 40 + "1", "USD")]
)
def test_more_decimals_than_the_currency_has_are_refused_not_rounded(text: str, currency: str) -> None:
    with pytest.raises(ValueInvalid, match="more decimals"):
        Money.of(text, currency)


@pytest.mark.parametrize(
    "value",
    [
        "1" * 40,
        "10000000000000000",
        "1." + "0" * 5000,
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        Decimal("NaN"),
        Decimal("-Infinity"),
    ],
)
def test_what_could_not_be_kept_is_refused_at_the_edge(value: Decimal | str) -> None:
    with pytest.raises(ValueInvalid, match="can be kept"):
        Money.of(value, "USD")


@pytest.mark.parametrize("currency", ["XXX", "usd", "", "US", "BTC", "XAU"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(CodeInvalid, match="ISO 4217"):
        Money(1, currency)


def test_exponents_are_those_of_iso_4217() -> None:
    assert (exponent("USD"), exponent("JPY"), exponent("KWD")) == (2, 0, 3)
    assert set(EXPONENTS.values()) == {0, 2, 3}


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Money(125_00, "USD"), "125.00 USD"),
        (Money(5, "USD"), "0.05 USD"),
        (Money(-5, "KWD"), "-0.005 KWD"),
        (Money(125, "JPY"), "125 JPY"),
    ],
)
def test_amounts_are_shown_with_the_currencys_own_decimals(amount: Money, shown: str) -> None:
    assert str(amount) == shown
    assert amount.decimal == Decimal(shown.split()[0])


@given(money(currency=any_currency, least=-(10**15), most=10**15))
def test_what_is_shown_can_be_read_back(amount: Money) -> None:
    digits, currency = str(amount).split()
    assert Money.of(digits, currency) == amount
    assert Money.of(amount.decimal, currency) == amount


def test_two_currencies_are_never_combined_or_compared() -> None:
    dollar, euro = Money(1, "USD"), Money(1, "EUR")
    for combine in (
        lambda: dollar + euro,
        lambda: dollar - euro,
        lambda: dollar < euro,
        lambda: dollar <= euro,
        lambda: dollar > euro,
        lambda: dollar >= euro,
    ):
        with pytest.raises(ValueInvalid, match="combined"):
            combine()
    assert dollar != euro


def test_amounts_of_one_currency_add_and_compare() -> None:
    five, two = Money(5, "USD"), Money(2, "USD")
    assert five + two == Money(7, "USD")
    assert two - five == -Money(3, "USD")
    assert abs(two - five) == Money(3, "USD")
    assert two < five <= five
    assert five > two >= two
    assert not Money.zero("USD")
    assert five


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (100, [2, 1], [67, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (1, [1, 1], [1, 0]),
        (0, [3, 5], [0, 0]),
        (10, [0, 1, 0], [0, 10, 0]),
    ],
)
def test_splits_go_by_largest_remainder(total: int, weights: list[int], parts: list[int]) -> None:
    assert [part.minor for part in allocate(Money(total, "USD"), weights)] == parts


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [2, -1]])
def test_nothing_can_be_split_by_such_weights(weights: list[int]) -> None:
    with pytest.raises(ValueInvalid, match="weights"):
        allocate(Money(100, "USD"), weights)
