"""Laws of the mapping, for whatever a sender may write."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_messages import FACILITY, ft1, interface, mapped, message, segment

from fhirpay.domain.money import exponent
from fhirpay.errors import FhirpayError
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.validation import problems
from fhirpay.hl7.reader import Message
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.mapped import Mapped

numbers = st.from_regex(r"[+-]?([0-9]{1,15}(\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True)
currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD", ""])
ANY_SIGN = {"negative_charge": "credit", "credit_sign": "signed"}


def _exact(price: str, count: str) -> Decimal:
    with localcontext() as context:
        context.prec = 100
        return Decimal(price) * Decimal(count)


def _owable(value: Decimal, currency: str) -> bool:
    """Whole minor units that 64 bits hold."""
    with localcontext() as context:
        context.prec = 100
        minor = abs(value).scaleb(exponent(currency))
        return minor == minor.to_integral_value() and minor < 10**18 and len(value.as_tuple().digits) <= 18


def _price(found: Mapped) -> tuple[Decimal, str] | None:
    items = found.resources("ChargeItem")
    return (items[0]["priceOverride"]["value"], items[0]["priceOverride"]["currency"]) if items else None


@settings(max_examples=300)
@given(text=numbers, currency=currencies)
def test_an_extended_amount_arrives_digit_by_digit_or_parks(text: str, currency: str) -> None:
    found = mapped(ft1(_11=f"{text}&{currency}"), settings=ANY_SIGN)
    value, used = Decimal(text), currency or "USD"
    if not _owable(value, used):
        assert len(found.parked) == 1
        return
    price = _price(found)
    assert price == (value, used)
    # … and as written: 125.50 stays 125.50, in the JSON too
    assert f"{price[0]:f}" == f"{value if value else abs(value):f}"
    assert loads(dumps(found.resources("ChargeItem")[0]))["priceOverride"]["value"] == value


@settings(max_examples=300)
@given(unit=numbers, count=numbers, currency=currencies)
def test_a_unit_price_times_quantity_is_decimal_arithmetic(unit: str, count: str, currency: str) -> None:
    found = mapped(ft1(_12=f"{unit}&{currency}", _10=count), settings=ANY_SIGN)
    total, used = _exact(unit, count), currency or "USD"
    short = all(len(Decimal(text).as_tuple().digits) <= 18 for text in (unit, count))
    if short and _owable(total, used):
        # Any negative sign makes it a credit, whose magnitude is the product's.
        negative = Decimal(unit) < 0 or Decimal(count) < 0
        assert _price(found) == (-abs(total) if negative else total, used)
    else:
        assert len(found.parked) == 1


@settings(max_examples=200)
@given(text=numbers)
def test_a_credit_is_never_positive_and_a_charge_never_negative_unless_the_interface_says_so(text: str) -> None:
    for kind, sign in (("CG", 1), ("CD", -1), ("CO", 1)):
        for item in mapped(ft1(kind, _11=text)).resources("ChargeItem"):
            assert item["priceOverride"]["value"] * sign >= 0


words = st.text(alphabet=st.sampled_from("AZaz09 .-+^&~\\|\"'é€Yy\x00\x1f\ud7ff"), max_size=12)
fields = st.dictionaries(st.integers(1, 55), words, min_size=1, max_size=12)
segments = st.builds(segment, st.sampled_from("PID PV1 IN1 GT1 ACC FT1 NTE IN2 ZZZ".split()), fields)


@settings(max_examples=400)
@given(
    lines=st.lists(segments, max_size=8),
    label=st.sampled_from(["DFT^P03", "ADT^A01", "ADT^A04", "ADT^A08"]),
    account_key=st.sampled_from(["PID-18", "PID-18", "PID-18", "PV1-19", "PV1-50", "GT1-2"]),
)
def test_whatever_the_fields_hold_only_our_errors_leave_and_the_bundle_is_sound(
    lines: list[str], label: str, account_key: str
) -> None:
    try:
        found = map_message(message(*lines, label=label), interface(account_key=account_key), FACILITY)
    except FhirpayError:
        return
    assert loads(dumps(found.bundle))["type"] == "transaction"
    assert [problem for resource in found.resources() for problem in problems(resource)] == []
    urls = [entry["fullUrl"] for entry in found.bundle["entry"]]
    assert len(urls) == len(set(urls))
    text = dumps(found.bundle)
    assert all(f'"reference":"{url}' not in text or url in urls for url in urls)


@settings(max_examples=150)
@given(data=st.text(max_size=300))
def test_a_message_of_any_text_raises_only_our_errors(data: str) -> None:
    try:
        read = Message.parse("MSH|^~\\&|A|B|||20260302||DFT^P03|1|P|2.5\r" + data)
        map_message(read, interface(), FACILITY)
    except FhirpayError:
        pass


@settings(max_examples=50)
@given(amounts=st.lists(numbers, min_size=1, max_size=5))
def test_mapping_again_gives_the_same_bytes(amounts: list[str]) -> None:
    lines = [ft1(_1=str(n), _2=f"T-{n}", _11=text) for n, text in enumerate(amounts)]
    assert dumps(mapped(*lines).bundle) == dumps(mapped(*lines).bundle)
