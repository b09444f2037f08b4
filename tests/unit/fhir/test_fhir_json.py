"""Every digit survives, and what two parsers could read differently is refused with its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.errors import MessageInvalid, ValueInvalid
from fhirpay.fhir.json import DEPTH_MAX, dumps, loads

NUMBERS = [
    "0",
    "-0",
    "1",
    "125",
    "125.00",
    "125.000",
    "-1.10",
    "0.00",
    "-0.00",
    "0.1",
    "99999999999999999999.99",
    "1.0",
]


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_is_written_as_it_was_read(written: str) -> None:
    text = f'{{"value":{written}}}'
    assert dumps(loads(text)) == text


@pytest.mark.parametrize(("written", "kept"), [("1E2", "100"), ("1.50e1", "15.0"), ("1e-3", "0.001"), ("0E-2", "0.00")])
def test_an_exponent_is_written_out(written: str, kept: str) -> None:
    assert dumps(loads(f'{{"value":{written}}}')) == f'{{"value":{kept}}}'


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6))
def test_decimals_go_round_exactly(number: Decimal) -> None:
    back = loads(dumps({"value": number}))["value"]
    assert (back, str(back)) == (number, f"{number:f}")


_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_text, _values, max_size=5))
def test_it_reads_and_writes_what_the_standard_library_does(content: dict[str, Any]) -> None:
    assert loads(dumps(content)) == content == json.loads(dumps(content))
    assert dumps(content, indent=2) == json.dumps(content, indent=2, ensure_ascii=False)
    assert dumps(content, sort_keys=True) == json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


REFUSED = [
    ("", "line 1 column 1"),
    ("{'a': 1}", "line 1 column 2"),
    ('{"a": 01}', "line 1 column 8"),
    ('{"a": .5}', "line 1 column 7"),
    ('{"a": 12..5}', "line 1 column 9"),
    ('{"a": "\n"}', "line 1 column 8"),
    ('{"a": NaN}', None),
    ('{"a": -Infinity}', None),
    ('{"a": 1e41}', None),
    ('{"a": 1e-99999}', None),
    ('{"a": ' + "1" * 101 + "}", None),
    ('{"a": 0.' + "1" * 101 + "}", None),
    ("[1]", None),
    ('"text"', None),
    ("[" * 100_000, None),
    ('{"resourceType": "Patient", "active": true, "active": false}', "Patient.active"),
    ('{"resourceType": "Patient", "name": [{}, {"use": "a", "use": "a"}]}', "Patient.name[1].use"),
    ('{"resourceType": "Patient", "id": "\\u0000"}', "Patient.id"),
    ('{"resourceType": "Patient", "id": "\\udc00"}', "Patient.id"),
    ('{"resourceType": "Patient", "\\ud800": 1}', "Patient"),
]


@pytest.mark.parametrize(("text", "place"), REFUSED)
def test_what_is_refused_says_where(text: str, place: str | None) -> None:
    with pytest.raises(MessageInvalid) as refused:
        loads(text)
    assert refused.value.location == place


def test_nesting_has_a_bound() -> None:
    inside = DEPTH_MAX - 1
    assert loads('{"a":' + "[" * inside + "]" * inside + "}")
    with pytest.raises(MessageInvalid, match="64 levels"):
        loads('{"a":' + "[" * (inside + 1) + "]" * (inside + 1) + "}")


def test_bytes_are_utf8_with_or_without_a_mark() -> None:
    assert loads('{"a":"ü"}'.encode()) == loads(b"\xef\xbb\xbf" + '{"a":"ü"}'.encode()) == {"a": "ü"}
    assert loads('{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    with pytest.raises(MessageInvalid) as refused:
        loads('{"a":"ü"}'.encode("latin-1"))
    assert refused.value.location == "byte 7"


def test_a_number_too_long_is_a_value_error() -> None:
    with pytest.raises(ValueInvalid):
        loads('{"a": ' + "1" * 5000 + "}")


@pytest.mark.parametrize("value", [1.5, float("nan"), Decimal("NaN"), Decimal("Infinity"), object(), b"x", {1, 2}])
def test_what_has_no_exact_form_is_not_written(value: Any) -> None:
    with pytest.raises(TypeError):
        dumps({"value": value})
