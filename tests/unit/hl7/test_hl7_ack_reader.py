"""An acknowledgement of any version says what, about which message, and why."""

from __future__ import annotations

import pytest

from fhirpay.hl7.ack_reader import Ack, read_ack

HEAD = "MSH|^~\\&|EHR|EHR|||20260101||ACK|A1|P|"


@pytest.mark.parametrize(
    ("text", "ack"),
    [
        ("2.5.1\rMSA|AA|M1\r", Ack("AA", "M1")),
        ("2.5.1\rMSA|aa| M1 \r", Ack("AA", "M1")),
        (
            "2.5.1\rMSA|AE|M1\rERR||PID^1^18|204^Unknown key^HL70357|E||||no such account\r",
            Ack("AE", "M1", "204", "no such account"),
        ),
        (
            "2.7\rMSA|AE|M1\rERR|||0^ok^HL70357|W||||a remark\rERR|||207^^HL70357|E||||down\r",
            Ack("AE", "M1", "207", "down"),
        ),
        ("2.3\rMSA|AE|M1|no such account\rERR|PID^1^18^204&Unknown key\r", Ack("AE", "M1", "204", "Unknown key")),
        ("2.3\rMSA|AR|M1|try later\r", Ack("AR", "M1", "", "try later")),
        ("2.4\rMSA|AE|M1||||207^Internal error\r", Ack("AE", "M1", "207", "Internal error")),
        ("2.5.1\rMSA|CA|M1\r", Ack("CA", "M1")),
        ("2.5.1\rMSA|OK|M1\r", None),
        ("2.5.1\rPID|1\r", None),
    ],
)
def test_what_it_says(text: str, ack: Ack | None) -> None:
    assert read_ack((HEAD + text).encode()) == ack


@pytest.mark.parametrize("data", [b"", b"HELLO", b"MSA|AA|M1\r", b"MSH|^~\\&|\xff\xfe\rMSA|AA"])
def test_anything_else_is_none(data: bytes) -> None:
    found = read_ack(data)
    assert found is None or found.about == ""
