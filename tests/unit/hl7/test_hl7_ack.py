"""What the sender asks for, and answers to messages that can hardly be answered. The full table is the gate's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhirpay.errors import MessageInvalid, StorageUnavailable
from fhirpay.hl7 import ack
from fhirpay.hl7.reader import Message

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def message(fifteen: str = "", sixteen: str = "", kind: str = "DFT^P03^DFT_P03") -> Message:
    return Message.parse(f"MSH|^~\\&|A|B|C|D|20261120||{kind}|M1|P|2.5.1|||{fifteen}|{sixteen}\r")


@pytest.mark.parametrize(
    ("fifteen", "sixteen", "mode", "accept", "application"),
    [
        ("", "", "original", "", "AA AE AR"),
        ("AL", "AL", "enhanced", "CA CE CR", "AA AE AR"),
        ("AL", "NE", "enhanced", "CA CE CR", ""),
        ("AL", "", "enhanced", "CA CE CR", ""),
        ("NE", "AL", "enhanced", "", "AA AE AR"),
        ("NE", "NE", "enhanced", "", ""),
        ("", "NE", "enhanced", "", ""),
        ("ER", "SU", "enhanced", "CE CR", "AA"),
        ("SU", "ER", "enhanced", "CA", "AE AR"),
        ("al", "ne", "enhanced", "CA CE CR", ""),
        ("XX", "NE", "enhanced", "CA CE CR", ""),
    ],
)
def test_plan(fifteen: str, sixteen: str, mode: str, accept: str, application: str) -> None:
    plan = ack.plan(message(fifteen, sixteen))
    assert plan.mode == mode
    assert [code for code in ("CA", "CE", "CR") if plan.accept(code)] == accept.split()
    assert [code for code in ("AA", "AE", "AR") if plan.application(code)] == application.split()


def test_acknowledgement_is_never_acknowledged() -> None:
    plan = ack.plan(message("AL", "AL", kind="ACK^P03^ACK"))
    assert not plan.accept("CA")
    assert not plan.application("AA")


def test_answer_is_in_the_senders_delimiters_and_charset() -> None:
    sender = Message.parse(
        "MSH$%*/@$ADM%1.2@x%ISO$Nörd$PAY$East$$$DFT%P03$M/F/1$P$2.4$$$$$$8859/1\r".encode("iso8859-1")
    )
    error = MessageInvalid("50 % of é, €", location="FT1[2]-11[3].1")
    built = ack.build(sender, "AE", control_id="K$1", now=NOW, error=error)
    assert built == (
        "MSH$%*/@$PAY$East$ADM%1.2@x%ISO$Nörd$20261120150000+0000$$ACK%P03%ACK$K/F/1$P$2.4$$$$$$8859/1\r"
        "MSA$AE$M/F/1$50 /S/ of é, ?\r"
        "ERR$FT1%2%11%102@Data type error@HL70357\r"
    ).encode("iso8859-1")


def test_enhanced_codes() -> None:
    built = ack.build(message("AL", "NE"), ack.ACCEPT_CODES["AE"], control_id="K", now=NOW)
    assert b"\rMSA|CE|M1\r" in built


def test_error_without_a_place_and_long_text() -> None:
    built = ack.build(message(), "AE", control_id="K", now=NOW, error=StorageUnavailable("x" * 400))
    assert built.split(b"\r")[2] == b"ERR|||207^Application internal error^HL70357|E|storage-unavailable^^L|||" + (
        b"x" * 250
    )


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.3", (2, 3)), ("", (2, 5, 1)), ("two", (2, 5, 1)), ("1.0", (2, 1)), ("3.0", (2, 8, 2)), ("2.5.1", (2, 5, 1))],
)
def test_version_decides_the_layout(version: str, numbers: tuple[int, ...]) -> None:
    assert ack.version_of(Message.parse(f"MSH|^~\\&|||||||DFT|1|P|{version}")) == numbers


def test_header_is_found_in_what_can_not_be_read() -> None:
    header = ack.header_of(b"\xef\xbb\xbf\r\nMSH|^~\\&|A|B|C|D|||DFT^P03|M9|P|2.5\rPID|1\rgarbage")
    assert header is not None
    assert header.control_id == "M9"
    undecodable = ack.header_of(b"MSH|^~\\&|A\x81|B|C|D|||DFT^P03|M9|P|2.5||||||UNICODE UTF-8\rPID")
    assert undecodable is not None
    assert undecodable.control_id == "M9"
    for nothing in (b"", b"GET / HTTP/1.1\r\n", b"PID|1\rMSH|^~\\&|A", b"MSH", b"MSH||"):
        assert ack.header_of(nothing) is None


def test_answer_without_a_header_to_go_by() -> None:
    built = ack.build(None, "AR", control_id="K", now=NOW, error=MessageInvalid("no MSH", location="MSH"))
    assert built == (
        b"MSH|^~\\&|||||20261120150000+0000||ACK|K|P|2.5.1\rMSA|AR\r"
        b"ERR||MSH^1|102^Data type error^HL70357|E|message-invalid^^L||MSH|no MSH\r"
    )
    assert ack.plan(None).application("AR")


@pytest.mark.parametrize(
    ("header", "starts", "about"),
    [
        (b"MSH|^~\xe9&|ADM|N|||2026||DFT^P03|M1|P|2.5.1\r", b"MSH|^~\\&|", b"MSA|AR|M1\r"),
        (b"MSH|^^\\&|ADM|N|||2026||DFT^P03|M1|P|2.5.1\r", b"MSH|^~\\&|", b"MSA|AR|M1\r"),
        (b"MSH^|~|&^ADM^N^^^2026^^DFT|P03^M1^P^2.5.1\r", b"MSH^|~\\&^", b"MSA^AR^M1\r"),
        (b"MSH\xe9^~\\&\xe9ADM\xe9", b"MSH|^~\\&|", b"MSA|AR\r"),
        (b"MSHA^~\\&AADMA", b"MSH|^~\\&|", b"MSA|AR\r"),
        (b"MSH|^~\\&|ADM\x81|N|||2026||DFT^P03|M1|P|2.5.1\r", b"MSH|^~\\&|||ADM?|N|", b"MSA|AR|M1\r"),
    ],
)
def test_what_can_not_be_read_is_answered_in_separators_that_can(header: bytes, starts: bytes, about: bytes) -> None:
    """No byte that stands for an unreadable one becomes a separator; and where MSH-10 can be found it is named."""
    with pytest.raises(MessageInvalid) as caught:
        Message.parse(header)
    answer = ack.build(ack.header_of(header), "AR", control_id="K1", now=NOW, error=caught.value)
    assert answer.startswith(starts)
    assert about in answer
    assert "\ufffd" not in answer.decode()
