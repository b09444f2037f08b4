"""Card numbers are found where people write them, and left alone where they are identifiers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.fhir.json import dumps, loads
from fhirpay.hl7.reader import Message
from fhirpay.security.pan import screen_hl7, screen_json, screen_text

# The card brands' published test numbers.
CARDS = [
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
]


def wide(text: str) -> str:
    """In full-width digits."""
    return text.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "around", ["{}", "card {} exp 12/27", "x{}y", "a,{};b", "1 {}", "{} 123", "(1234) {}.", "{}=2712"]
)
def test_card_number_is_masked(card: str, around: str) -> None:
    masked = "X" * (len(card) - 4) + card[-4:]
    assert screen_text(around.format(card)) == (around.format(masked), 1)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111 1111 1111 1111", "XXXX XXXX XXXX 1111"),
        ("4111-1111-1111-1111", "XXXX-XXXX-XXXX-1111"),
        ("4111 - 1111 - 1111 - 1111", "XXXX - XXXX - XXXX - 1111"),
        ("3782 822463 10005", "XXXX XXXXXX X0005"),
        ("4222 2222 2222 2", "XXXX XXXX X222 2"),
        ("12 4111 1111 1111 1111 12/27", "12 XXXX XXXX XXXX 1111 12/27"),
        ("94111 4111111111111111", "94111 XXXXXXXXXXXX1111"),
        ("4111\u00a01111\u20131111\u00a01111", "XXXX\u00a0XXXX\u2013XXXX\u00a01111"),
        ("4111\u20091111\u202f1111\u30001111", "XXXX\u2009XXXX\u202fXXXX\u30001111"),
        ("4111\u22121111\u20151111\uff0d1111", "XXXX\u2212XXXX\u2015XXXX\uff0d1111"),
        ("4111\u200b1111\u20601111\u00ad1111", "XXXX\u200bXXXX\u2060XXXX\u00ad1111"),
        (wide("4111 1111 1111 1111"), "XXXX XXXX XXXX " + wide("1111")),
        (wide("5555555555554444"), "XXXXXXXXXXXX" + wide("4444")),
        ("4111.1111.1111.1111", "XXXX.XXXX.XXXX.1111"),
        ("paid 4111/1111/1111/1111.", "paid XXXX/XXXX/XXXX/1111."),
        ("4111 / 1111 / 1111 / 1111 12/27", "XXXX / XXXX / XXXX / 1111 12/27"),
        (wide("4111") + "\uff0e1111.1111.1111", "XXXX\uff0eXXXX.XXXX.1111"),
        ("3782.822463.10005", "XXXX.XXXXXX.X0005"),
        ("3056/930902/5904", "XXXX/XXXXXX/5904"),
        ("4222.2222.2222.2", "XXXX.XXXX.X222.2"),
    ],
)
def test_groups_are_read_together(text: str, masked: str) -> None:
    assert screen_text(text) == (masked, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",  # check digit
        "94111111111111111",  # part of a longer number
        "41111111111111110000",
        "808401234567893",  # an NPI with its prefix: no issuer's range
        "1234567893",
        "20261120150000",
        "2026-11-20 15:00:00 4111",
        "4111111111111111".replace("1", "١"),  # digits of another script
        "+1 555 010 0199 4000 1234",
        "4111    1111    1111    1111",
        "5555 55 5555 55 4444",
        "2.999.4111.1111.1111.1111",  # an OID
        "4111.1111.1111.1111.2",
        "4111.1111/1111.1111",
        "4111.111111.111111",
        "41111111.11111111",
        "411111111111111.1",
        "41111111-1111-1111-8111-111111111111",
        "4.111111111111111E15",  # in a text it is no card number of anybody's
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert screen_text(text) == (text, 0)


def test_two_in_one_text() -> None:
    assert screen_text("4111111111111111, 5555 5555 5555 4444") == ("XXXXXXXXXXXX1111, XXXX XXXX XXXX 4444", 2)


CARD_LIKE = st.sampled_from(["4111", "1111", "4222", "2222", "5555", "4444", "3782", "822463", "10005", "2", "0"])
OIDS = st.builds(
    lambda root, arcs: ".".join([root, *arcs]),
    st.sampled_from(["1.2.840.113619", "2.16.840.1.113883", "2.999", "0.4"]),
    st.lists(CARD_LIKE | st.integers(0, 10**8).map(str), min_size=1, max_size=8),
)
AMOUNTS = st.decimals(min_value=0, max_value=10**12 - 1, places=2).flatmap(
    lambda amount: st.sampled_from([f"{amount}", f"{amount:,}", f"${amount:,}", f"{amount:,}".replace(",", ".")])
)
WHENS = st.datetimes().flatmap(
    lambda at: st.sampled_from([at.isoformat(), *(at.strftime(shape) for shape in _SHAPES), f"{at.isoformat()}+02:00"])
)
_SHAPES = ("%Y.%m.%d", "%d.%m.%Y %H.%M.%S", "%Y/%m/%d", "%m/%d/%Y %H:%M", "%Y.%m.%d.%H.%M.%S", "%H:%M:%S.%f")
PHONES = st.from_regex(r"(\+1[ .-])?[2-9][0-9]{2}[ ./-][0-9]{3}[ ./-][0-9]{4}", fullmatch=True)
UUIDS = st.uuids().map(str) | st.from_regex("[0-9]{8}-[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{12}", fullmatch=True)


@given(st.one_of(OIDS, AMOUNTS, WHENS, PHONES, UUIDS), st.sampled_from(["{}", "at {}.", "x={},", "({})", "urn:{}/"]))
def test_oids_amounts_moments_phone_numbers_and_uuids_are_left_alone(text: str, around: str) -> None:
    said = around.format(text)
    assert screen_text(said) == (said, 0)


@given(
    st.sampled_from([card for card in CARDS if len(card) == 16]),
    st.sampled_from(["", " ", "-", ".", "/", " / ", "\u00a0", "\u2009", "\u202f", "\u2007", "\u2013", "\u2212"]),
    st.booleans(),
    st.text(st.sampled_from("abc ,;:é\n"), max_size=5),
)
def test_card_number_is_found_however_it_is_written(card: str, between: str, full_width: bool, around: str) -> None:
    written = between.join(card[at : at + 4] for at in range(0, 16, 4))
    clean, count = screen_text(f"{around}{wide(written) if full_width else written}{around}")
    assert count == 1
    assert sum(one.isdigit() for one in clean) == 4


@given(st.text(st.sampled_from("0123456789 -x4./\u2009\uff14"), max_size=60))
def test_screen_is_stable_and_keeps_length(text: str) -> None:
    clean, count = screen_text(text)
    assert len(clean) == len(text)
    assert (clean == text) is (count == 0)
    assert screen_text(clean)[0] == clean


CARD = "4111111111111111"
HEAD = "MSH|^~\\&|A|B|C|D|||DFT^P03|1|P|2.5.1\r"


@pytest.mark.parametrize(
    ("line", "clean", "places"),
    [
        (f"NTE|1||{CARD}", "NTE|1||XXXXXXXXXXXX1111", ["NTE[1]-3"]),
        (f"NTE|1||a~b {CARD}", "NTE|1||a~b XXXXXXXXXXXX1111", ["NTE[1]-3[2]"]),
        (f"PID|1||1||{CARD}^PAT", "PID|1||1||XXXXXXXXXXXX1111^PAT", ["PID-5.1"]),
        (f"FT1|1|||||PY|{CARD}^{CARD}", f"FT1|1|||||PY|{CARD}^XXXXXXXXXXXX1111", ["FT1[1]-7.2"]),
        (f"ZPY|a&{CARD}", "ZPY|a&XXXXXXXXXXXX1111", ["ZPY[1]-1"]),
        (
            "NTE|1||4111\\X20\\1111\\X2E20\\ 4111\\X2E\\1111\\X2E\\1111\\X2E\\1111",
            "NTE|1||4111 1111.  XXXX.XXXX.XXXX.1111",
            ["NTE[1]-3"],
        ),
        (f"NTE|1||{wide(CARD)}", f"NTE|1||XXXXXXXXXXXX{wide('1111')}", ["NTE[1]-3"]),
        ("NTE|1||a\\T\\b 4111\\X31\\11111111111", "NTE|1||a\\T\\b XXXXXXXXXXXX1111", ["NTE[1]-3"]),
    ],
)
def test_hl7_text_is_screened(line: str, clean: str, places: list[str]) -> None:
    message = Message.parse(HEAD + line)
    assert screen_hl7(message) == ((HEAD + clean + "\r").encode(), places)


@pytest.mark.parametrize(
    "line",
    [
        f"PID|1|{CARD}|{CARD}^^^H~{CARD}|{CARD}||||||||||||||{CARD}|{CARD}",
        "PV1|1||||||4111111111111111^A|4111111111111111^B|4111111111111111^C",
        f"FT1|1|{CARD}|{CARD}|||||||||||||||||{CARD}^SMITH|{CARD}^JONES||{CARD}|{CARD}||||||{CARD}",
        f"GT1|1|{CARD}",
        f"IN1|1|{CARD}|{CARD}|Payer^^^^^^^^^{CARD}",
        f"MRG|{CARD}",
    ],
)
def test_identifier_fields_are_exempt_by_position(line: str) -> None:
    data = (HEAD + line).encode()
    assert screen_hl7(Message.parse(data), data) == (data, [])


def test_header_is_never_changed() -> None:
    data = HEAD.replace("|1|P", f"|{CARD}|P").encode()
    assert screen_hl7(Message.parse(data), data) == (data, [])


def test_other_bytes_stay_in_their_charset() -> None:
    data = (HEAD + f"NTE|1||é {CARD}\r").encode("windows-1252")
    assert screen_hl7(Message.parse(data), data)[0] == data.replace(CARD.encode(), b"XXXXXXXXXXXX1111")


def test_fhir_texts_are_screened_and_identifiers_are_not() -> None:
    resource: dict[str, Any] = {
        "resourceType": "ChargeItem",
        "id": CARD,
        "identifier": [{"system": "s", "value": CARD}],
        "subject": {"reference": f"Patient/{CARD}", "display": f"card {CARD}"},
        "note": [{"text": "none"}, {"text": f"{CARD} on file"}],
        "priceOverride": {"value": 12, "currency": "USD"},
    }
    clean, places = screen_json(resource)
    assert places == ["ChargeItem.subject.display", "ChargeItem.note[1].text"]
    assert clean["note"][1]["text"] == "XXXXXXXXXXXX1111 on file"
    assert clean["subject"] == {"reference": f"Patient/{CARD}", "display": "card XXXXXXXXXXXX1111"}
    assert (clean["id"], clean["identifier"]) == (CARD, resource["identifier"])
    assert resource["note"][1]["text"].startswith(CARD)  # the argument is left as it was
    assert screen_json({"resourceType": "Patient", "id": "1"}) == ({"resourceType": "Patient", "id": "1"}, [])


@pytest.mark.parametrize("written", [CARD, f"{CARD}.00", "4.111111111111111E15", "411111111111111.1E1"])
def test_json_number_that_is_a_card_number_is_no_number_any_more(written: str) -> None:
    text = f'{{"resourceType": "ChargeItem", "quantity": {{"value": {written}}}}}'
    clean, places = screen_json(loads(text), text)
    assert (clean["quantity"], places) == ({"value": "XXXXXXXXXXXX1111"}, ["ChargeItem.quantity.value"])


@pytest.mark.parametrize(
    "written", ["411111111111.1111", "4111111111111112", "41111111111111110000", "true", f"-{CARD}"]
)
def test_other_json_numbers_are_left_alone(written: str) -> None:
    text = f'{{"resourceType": "ChargeItem", "quantity": {{"value": {written}}}}}'
    assert screen_json(loads(text), text) == (loads(text), [])


def test_number_of_an_identifier_is_left_alone() -> None:
    text = f'{{"resourceType": "ChargeItem", "identifier": [{{"value": {CARD}}}]}}'
    assert screen_json(loads(text), text) == (loads(text), [])


@given(st.text(st.sampled_from("0123456789 -./\u2009\uff14\u2212E"), max_size=40), st.booleans())
def test_first_look_at_json_misses_nothing(text: str, as_number: bool) -> None:
    value: Any = text
    if as_number:
        value = Decimal(found[0]) if (found := re.search(r"[1-9][0-9]{0,20}(\.[0-9]+)?", text)) else 0
    resource: dict[str, Any] = {"resourceType": "Basic", "note": value}
    assert screen_json(resource, dumps(resource)) == screen_json(resource)
