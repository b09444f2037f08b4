"""Reading by position: addresses, escapes, delimiters, line ends, and that nothing but FhirpayError comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.errors import ConfigInvalid, FhirpayError, MessageInvalid, RequiredMissing
from fhirpay.hl7.reader import Message, compile_paths

DFT = (
    "MSH|^~\\&|ADM^1.2.3^ISO|North|PAY|East|20261120||DFT^P03^DFT_P03|M1|P^T|2.5.1\r"
    "EVN|P03|20261120\r"
    "PID|1||P1^^^A&1.2&ISO^MR~P2^^^B^SS||O\\T\\R^Pat\\S\\ty\r"
    'FT1|1|T1||20261119||CG|99213^Office^C4|||1|125.50&USD|""\r'
    "FT1|2|T2||20261119||CD|99214|||1|25&USD^UP\r"
    "ZFP|a~b\r"
)


@pytest.fixture
def dft() -> Message:
    return Message.parse(DFT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "ADM"),
        ("MSH-3.2", "1.2.3"),
        ("MSH-9.3", "DFT_P03"),
        ("MSH-12", "2.5.1"),
        ("MSH-13", ""),
        ("PID-3", "P1"),
        ("PID-3.4", "A"),
        ("PID-3.4.2", "1.2"),
        ("PID-3[2].1", "P2"),
        ("PID-3[2].4.2", ""),
        ("PID-3[3].1", ""),
        ("PID-5.1", "O&R"),
        ("PID-5.2", "Pat^ty"),
        ("FT1-11.1.2", "USD"),
        ("FT1[1]-11", "125.50"),
        ("FT1[2]-11.1.1", "25"),
        ("FT1[2]-11.2", "UP"),
        ("FT1[3]-11", ""),
        ("FT1-12", '""'),
        ("FT1-2[2]", ""),
        ("FT1-2.2", ""),
        ("FT1-2.1.2", ""),
        ("ZFP-1[2]", "b"),
        ("NTE-3", ""),
    ],
)
def test_value_at_address(dft: Message, path: str, value: str) -> None:
    assert dft.get(path) == value
    assert dft.get(path, "none") == (value or "none")
    assert dft.take(compile_paths(path, "MSH-10", path)) == [value, "M1", value]


@pytest.mark.parametrize("path", ["", "PID", "PID-0", "pid-3", "PID-3.0", "PID[0]-3", "PID-3.1.1.1", "PID-3[x]"])
def test_what_is_no_address_is_refused(dft: Message, path: str) -> None:
    with pytest.raises(ConfigInvalid):
        dft.get(path)


def test_segment_gives_the_same_values_and_says_where_they_are(dft: Message) -> None:
    second = dft.segments("FT1")[1]
    assert (second.name, second.index, second.get(11), second.get(11, 1, 2)) == ("FT1", 2, "25", "USD")
    assert second.address(11, 1) == "FT1[2]-11.1"
    assert second.field(11) == ["25&USD", "UP"]
    assert second.subcomponents(11) == ["25", "USD"]
    pid = dft.first("PID")
    assert pid is not None
    assert pid.repetitions(3) == 2
    assert pid.repetitions(4) == 0
    assert pid.raw(5) == "O\\T\\R^Pat\\S\\ty"
    assert pid.repetition(3, 2) == "P2^^^B^SS"
    assert pid.address(3, 4, repetition=2) == "PID-3[2].4"
    assert pid.address() == "PID"
    assert pid.count == 5
    assert dft.first("PV1") is None
    assert [segment.address() for segment in dft.all_segments()] == ["MSH", "EVN", "PID", "FT1[1]", "FT1[2]", "ZFP[1]"]


def test_header_segment_keeps_its_delimiters_as_they_are(dft: Message) -> None:
    msh = dft.first("MSH")
    assert msh is not None
    assert (msh.get(1), msh.get(2), msh.field(2), msh.repetitions(2)) == ("|", "^~\\&", ["^~\\&"], 1)


def test_repr_shows_no_content(dft: Message) -> None:
    assert repr(dft) == "<Message DFT^P03 of 6 segments>"
    assert repr(dft.first("PID")) == "<Segment PID[1]>"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("\\F\\\\S\\\\T\\\\R\\\\E\\", "|^&~\\"),
        ("inc.A\\T\\E-this", "inc.A&E-this"),
        ("line\\.br\\two\\.sp2\\four", "line\ntwo\n\nfour"),
        ("a\\.sk3\\b\\.in+4\\c", "a   bc"),
        ("\\H\\bold\\N\\ plain", "bold plain"),
        ("\\X0D0A\\", "\r\n"),
        ("\\XC3A9\\", "é"),
        ("\\XE9\\", "é"),
        ("\\P\\", "#"),
        ("C:\\temp\\x", "C:\\temp\\x"),
        ("100\\", "100\\"),
        ("\\Zlocal\\", "\\Zlocal\\"),
        ("\\C2842\\", ""),
        ("Yamada \\M2442\\;3ED\\C2842\\ = \\T\\", "Yamada 山田 = &"),
        ("\\M2442\\;3", "山"),
        ("a\\M2442", "a\\M2442"),
        ("\\M2499\\;3", "\\M2499\\;3"),
        ("\\F\\\\Zx1\\\\.sp3\\", "|\\Zx1\\\n\n\n"),
    ],
)
def test_escape_sequences(written: str, meant: str) -> None:
    assert Message.parse(f"MSH|^~\\&|X\rNTE|1||{written}").get("NTE-3") == meant


@pytest.mark.parametrize(
    ("header", "field", "value"),
    [
        ("MSH|^~\\&#|A", "a#b\\P\\", "a#b#"),
        ("MSH$%~\\&$A", "x%y", "x"),
        ("MSH|^~\\}|A", "a}b", "a"),
        ("MSH|^~&|A", "100&USD", "100"),
        ("MSH|^~&|A", "a\\S\\b", "a\\S\\b"),
        ("MSH|^~\\|A", "a&b", "a&b"),
        ("MSH|^~|A", "a&b\\T\\", "a&b\\T\\"),
        ("MSH|^|A", "a~b", "a~b"),
    ],
)
def test_delimiters_are_read_from_the_message(header: str, field: str, value: str) -> None:
    separator = header[3]
    message = Message.parse(f"{header}\rNTE{separator}1{separator}{separator}{field}")
    assert message.get("NTE-3") == value
    assert message.get("MSH-2") == header[4:].split(separator)[0]
    assert message.get("MSH-3") == "A"


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("", "MSH"),
        ("\r\n\r\n", "MSH"),
        ("hello", "MSH"),
        ("PID|1\rMSH|^~\\&|", "MSH"),
        ("MSH", "MSH-1"),
        ("MSHA^~\\&A", "MSH-1"),
        ("MSH|", "MSH-2"),
        ("MSH||A", "MSH-2"),
        ("MSH|^^~\\|A", "MSH-2"),
        ("MSH|^~\\&#?|A", "MSH-2"),
        ("MSH|^~a&|A", "MSH-2"),
        ("MSH|^~7&|A", "MSH-2"),
        ("MSH|^~|&|A\rMSH", "MSH[2]"),
        ("MSH|^~\u00a7&|A", "MSH-2"),
        ("MSH|^~\ufffd&|A", "MSH-2"),
        ("MSH\ufffd^~\\&\ufffdA", "MSH-1"),
        ("MSH |^~\\& A", "MSH-1"),
        ("MSH|^~\\&|A\rPI", "MSH"),
        ("MSH|^~\\&|A\rFT1|1\rFT1|2\rgarbage", "FT1[2]"),
        ("MSH|^~\\&|A\rFT12|1", "MSH"),
        ("MSH|^~\\&|A\rPID|1\rMSH|^~\\&|B", "MSH[2]"),
    ],
)
def test_garbage_is_refused_with_its_place(text: str, location: str) -> None:
    with pytest.raises(MessageInvalid) as caught:
        Message.parse(text)
    assert caught.value.location == location
    assert isinstance(caught.value, RequiredMissing) is (location == "MSH-2" and caught.value.hl7_error == "101")


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_any_line_end_makes_the_same_message(ending: str, final: bool, bom: str) -> None:
    text = bom + ending.join(DFT.rstrip("\r").split("\r")) + (ending if final else "")
    for data in (text, text.encode()):
        message = Message.parse(data)
        assert message.lines == DFT.rstrip("\r").split("\r")
        assert message.get("FT1[2]-11.1.2") == "USD"


def test_line_feed_inside_a_field_of_a_cr_message_is_text() -> None:
    message = Message.parse("MSH|^~\\&|A\rNTE|1||first\nsecond\rFT1|1\nFT1|2\r")
    assert message.get("NTE-3") == "first\nsecond"
    assert len(message.segments("FT1")) == 2


@pytest.mark.parametrize(
    ("msh9", "evn", "label"),
    [("DFT^P03^DFT_P03", "", "DFT^P03"), ("DFT", "P03", "DFT^P03"), ("ADT^A04", "A01", "ADT^A04"), ("ACK", "", "ACK")],
)
def test_type_and_event(msh9: str, evn: str, label: str) -> None:
    message = Message.parse(f"MSH|^~\\&|||||||{msh9}|1|P|2.3\rEVN|{evn}")
    assert message.label == label


def test_segment_without_fields_is_a_segment() -> None:
    message = Message.parse("MSH|^~\\&|A\rPID\rPID|2")
    assert message.get("PID-1") == ""
    assert message.get("PID[2]-1") == "2"


def test_many_addresses_keep_memory_bounded() -> None:
    message = Message.parse(DFT)
    for number in range(1, 6000):
        assert message.get(f"FT1[{number}]-2") == {1: "T1", 2: "T2"}.get(number, "")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    for body in (data, b"MSH" + data, b"MSH|^~\\&|" + data, b"MSH|^~\\&|A\r" + data):
        message, error = parsed(body)
        if message is None:
            assert error is not None
            assert error.location
        else:
            touch(message)


_alphabet = st.sampled_from("|^~\\&#\r\nMSHPIDFT1-.X0DSR \x0b\u00e9\u2028")


@given(st.text(_alphabet, max_size=120))
def test_arbitrary_hl7_like_text_raises_nothing_else(text: str) -> None:
    for body in (text, "MSH|^~\\&|" + text):
        message, _ = parsed(body)
        if message is not None:
            touch(message)


def parsed(body: bytes | str) -> tuple[Message | None, FhirpayError | None]:
    try:
        return Message.parse(body), None
    except FhirpayError as error:
        return None, error


def touch(message: Message) -> None:
    for path in ("MSH-2", "MSH-9.2", "MSH-10", "PID-3[2].4.2", "FT1[2]-11.1.2", "EVN-1"):
        message.get(path)
    for segment in message.all_segments():
        for field in range(1, segment.count + 2):
            segment.get(field, 2, 2, 2)
            segment.field(field)
            segment.subcomponents(field)
            segment.repetitions(field)
    assert message.label is not None
