"""Card numbers are found where people write them, and left alone where they are identifiers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert screen_text(text) == (text, 0)


def test_two_in_one_text() -> None:
    assert screen_text("4111111111111111, 5555 5555 5555 4444") == ("XXXXXXXXXXXX1111, XXXX XXXX XXXX 4444", 2)


@given(st.text(st.sampled_from("0123456789 -x4"), max_size=60))
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
