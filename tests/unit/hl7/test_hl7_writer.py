"""parse(write(m)) == m, escapes included, whatever the text and the delimiters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.hl7.delimiters import DEFAULT, Delimiters, escape, unescape
from fhirpay.hl7.reader import Message
from fhirpay.hl7.writer import Field, SegmentValues, compose, values_of

OTHERS = Delimiters("$", "%", "*", "/", "@", "#")
HEADER: SegmentValues = ("MSH", "ADM", "North")


def test_shapes() -> None:
    text = compose(
        [
            HEADER,
            ("PID", "1", "", [("P1", "", "", ("A", "1.2", "ISO"), "MR"), "P2"], "", ("O&R", "Pat|ty")),
            ("FT1", "1", "", "", "", "", "CG", "", "", "", "1", (("125.50", "USD"),), '""', ""),
        ]
    )
    assert text == (
        'MSH|^~\\&|ADM|North\rPID|1||P1^^^A&1.2&ISO^MR~P2||O\\T\\R^Pat\\F\\ty\rFT1|1|||||CG||||1|125.50&USD|""\r'
    )
    assert compose([HEADER, ("NTE", "a^b", ("x", "y"))], OTHERS) == "MSH$%*/@#$ADM$North\rNTE$a^b$x%y\r"


def test_text_with_control_characters_can_be_framed_and_read_back() -> None:
    written = compose([HEADER, ("NTE", "1", "", "a\nb\rc\x0bd\x1ce")])
    assert written.endswith("NTE|1||a\\.br\\b\\X0D\\c\\X0B\\d\\X1C\\e\r")
    assert Message.parse(written).get("NTE-3") == "a\nb\rc\x0bd\x1ce"


def test_without_escape_character_separators_become_blanks() -> None:
    assert escape("a|b^c\r", Delimiters("|", "^", "", "", "", "")) == "a b c "


_chars = st.characters(exclude_categories=["Cs"]) | st.sampled_from("|^~\\&#$%*/@\r\n\x0b\x1c\x00.XHNEFSTR0D")
_text = st.text(_chars, max_size=12)
_filled = st.text(_chars, min_size=1, max_size=8)


@given(st.text(_chars, max_size=40))
def test_escaped_text_comes_back(text: str) -> None:
    for marks in (DEFAULT, OTHERS):
        written = escape(text, marks)
        assert unescape(written, marks) == text
        assert not set(written) & {marks.field, marks.component, marks.repetition, marks.subcomponent, "\r", "\x1c"}


# What one string can say is one string; trailing empties are not written.
_component = _filled | st.tuples(_text, _filled)
_repetition = _filled | st.tuples(_text, _component) | st.tuples(st.tuples(_text, _filled))
_field: st.SearchStrategy[Field] = _text | _repetition | st.lists(_repetition, min_size=2, max_size=3)
_segment = st.builds(
    lambda name, fields, last: (name, *fields, last),
    st.sampled_from(["PID", "FT1", "NTE", "ZZ1"]),
    st.lists(_field, max_size=4),
    _filled,
)


@given(st.lists(_segment, max_size=4))
def test_written_message_reads_back_the_same(segments: list[SegmentValues]) -> None:
    for marks in (DEFAULT, OTHERS):
        written = compose([HEADER, *segments], marks)
        message = Message.parse(written.encode())
        assert values_of(message) == [HEADER, *segments]
        assert compose(values_of(message), message.delimiters) == written


# Any five separators that a sender may choose.
_punctuation = st.sampled_from("!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_marks = st.lists(_punctuation, min_size=5, max_size=5, unique=True).map(lambda chosen: Delimiters(*chosen))


@given(_marks, st.lists(_segment, max_size=2), _text)
def test_any_separators_carry_any_text(marks: Delimiters, segments: list[SegmentValues], text: str) -> None:
    written = compose([HEADER, *segments, ("NTE", "1", text + ".")], marks)
    message = Message.parse(written.encode())
    assert message.delimiters == marks
    assert values_of(message) == [HEADER, *segments, ("NTE", *(["1", text + "."]))]
    assert compose(values_of(message), message.delimiters).encode() == written.encode()
